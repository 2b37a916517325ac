"""From jsonargparse's errors to lightlab's: which key, what was received, and the nearest right name."""

from __future__ import annotations

import inspect
import re
import sys
from argparse import ArgumentError
from collections.abc import Mapping
from typing import Any

from jsonargparse import ArgumentParser

from lightlab.commands.verbs import TRAINER_VERBS
from lightlab.data import Data
from lightlab.errors import ConfigError, Fault, Key, did_you_mean, sentences

#: The sections that have keys of their own.
SECTIONS = ("data", "model", "trainer", "early_stopping", "checkpoint")


def find_faults(parser: ArgumentParser, config: Mapping[str, Any]) -> list[Fault]:
    """Return a fault for each section, and each key of a section, that a config can't have.

    Args:
        parser: knows what it can have.
        config: what the config files say together.
    """
    defaults = parser.get_defaults().as_dict()
    sections = [section for section in defaults if section != "config"]
    known = {section: list(defaults[section]) for section in ("model", "trainer")}
    known["data"] = ["class_path", "init_args"]
    faults: list[Fault] = []
    for section, value in config.items():
        if section in TRAINER_VERBS:
            text = f"A config has no section for a verb: what stands below '{section}' belongs at the top level."
            faults.append(Fault((section,), text))
        elif section not in sections:
            near = did_you_mean(section, sections) or f"There are: {', '.join(sections)}."
            faults.append(Fault((section,), sentences(f"A config has no section {section!r}.", near)))
        elif section in SECTIONS and not isinstance(value, Mapping):
            may_be_null = value is None and section == "early_stopping"
            may_be_name = isinstance(value, str) and section == "data"
            if not (may_be_null or may_be_name):
                text = f"{section} is a section: 'key: value' lines below it. Received: {value!r}."
                faults.append(Fault((section,), text))
        elif section in known:
            faults += [
                Fault((section, key), sentences(f"{section} has no key {key!r}.", _place(section, key, known[section])))
                for key in value
                if key not in known[section]
            ]
    return faults


def _place(section: str, key: Any, known: list[str]) -> str:
    """Return where a key that a section does not have belongs, as far as that can be told."""
    if section == "data":
        return did_you_mean(key, known) or "What a data source takes stands below init_args."
    belongs = {"loss": "model.head", "lr": "model.optimizer", "learning_rate": "model.optimizer: {lr: …}"}
    belongs |= dict.fromkeys(("num_classes", "input_shape"), "nowhere: it follows from the data")
    belongs |= dict.fromkeys(("epochs", "callbacks", "devices"), "trainer (as max_epochs, callbacks, devices)")
    if section == "model" and key in belongs:
        return f"It belongs {'' if 'nowhere' in belongs[key] else 'under '}{belongs[key]}."
    if key == "batch_size":
        return "It belongs under data.init_args."
    return did_you_mean(key, known)


def explain_argument_error(error: ArgumentError, parser: ArgumentParser) -> ConfigError:
    """Return what jsonargparse found wrong in lightlab's words."""
    text = str(error).removeprefix("error: ")
    options = [option.lstrip("-") for action in parser._actions for option in action.option_strings]
    if unknown := re.search(
        r"(?:does not accept option|Unrecognized arguments?:?|unrecognized arguments?:) '?-*([\w.]+)", text
    ):
        name = unknown[1]
        return ConfigError.at(_key(name), sentences(f"There is no option {name!r}.", did_you_mean(name, options)))
    if missing := re.search(r"^the following arguments are required: (.+)", text):
        names = [re.sub(r"^\w+\.(?=\w)", "", name) for name in missing[1].split(", ")]
        return ConfigError([Fault((), f"{name} is needed, in a config or as --{name}.") for name in names])
    if place := re.match(r'Parser key "([\w.]+)":', text):
        return _explain_value(_key(place[1]), text[place.end() :])
    return ConfigError.at((), text)


def _explain_value(key: Key, text: str) -> ConfigError:
    """Explain a value that can't be taken, from what jsonargparse says of each type that it might have been."""
    class_path = re.search(r"Problem with given class_path '([\w.]+)'", text)
    accepted = _parameters(class_path[1]) if class_path else []
    what = class_path[1].rsplit(".", 1)[-1] if class_path and key == ("data",) else str(key[-1])
    received = re.search(r"Given value: (.*)", text, re.DOTALL)
    value = received[1].strip() if received else ""
    if nested := re.match(r"NestedArg\(key='\w+', val=(.*)\)$", value, re.DOTALL):
        value = nested[1]
    if unknown := re.search(r"Option '(\w+)' is not accepted", text):
        takes = f"It takes {', '.join(accepted)}." if accepted else ""
        message = sentences(f"{what} has no option {unknown[1]!r}.", did_you_mean(unknown[1], accepted), takes)
        return ConfigError.at((*key, unknown[1]), message)
    if missing := re.search(r"the following arguments are required: ([\w., ]+)", text):
        return ConfigError.at(key, f"{what} needs {missing[1].strip()}.")
    if inner := re.search(r'Parser key "(\w+)":(.*)', text, re.DOTALL):
        # The rest speaks of the class as a whole: that there may be none is no help here.
        return _explain_value(
            (*key, inner[1]), re.sub(r"^ *- Expected a <class 'NoneType'>$", "", inner[2], flags=re.M)
        )
    if path := re.search(
        r"Expected a dot import path string: (.*)|Import path does not correspond to a subclass", text
    ):
        names = [source.__name__ for source in _subclasses(Data)] if key == ("data",) else []
        name = (path[1] or value).strip()
        near = did_you_mean(name, names) or (f"There are: {', '.join(names)}." if names else "")
        what = "a data source" if names else "a class"
        return ConfigError.at((*key, "class_path"), sentences(f"class_path names {what}. Received: {name}.", near))
    if choices := re.search(r"Literal\[(.*?)\]", text):
        return ConfigError.at(key, f"{key[-1]} must be one of {choices[1]}. Received: {value}.")
    if expected := re.findall(r"Expected an? (.+?)(?:\. Got value: .*)?$", text, re.MULTILINE):
        kinds = dict.fromkeys(map(_plain_type, expected))
        received_text = f"Received: {value}." if value else ""
        return ConfigError.at(key, sentences(f"{key[-1]} must be {' or '.join(kinds)}.", received_text))
    return ConfigError.at(key, " ".join(text.split()))


def _key(text: str) -> Key:
    return tuple(text.split("."))


def _plain_type(kind: str) -> str:
    name = re.sub(r"<class '([\w.]+)'>", r"\1", kind.strip())
    return {"NoneType": "null"}.get(name, name)


def _parameters(class_path: str) -> list[str]:
    """Return what a class takes, its bases' options included where it passes them on."""
    module, _, name = class_path.rpartition(".")
    found = getattr(sys.modules.get(module), name, None)
    names: dict[str, None] = {}
    for base in inspect.getmro(found) if isinstance(found, type) else ():
        if "__init__" not in vars(base):
            continue
        parameters = list(inspect.signature(vars(base)["__init__"]).parameters.values())[1:]
        names |= dict.fromkeys(
            parameter.name for parameter in parameters if parameter.kind is not parameter.VAR_KEYWORD
        )
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return list(names)


def _subclasses(base: type) -> list[type]:
    children: list[type] = base.__subclasses__()
    return [item for child in children for item in (child, *_subclasses(child))]
