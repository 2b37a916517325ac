"""Where each value of a config stands: file and line, or the command line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import yaml

from lightlab.errors import ConfigError, Fault, Key, did_you_mean, format_key, sentences

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Loader(_Base):  # type: ignore[misc]  # the faster of two loaders, where there is one
    """Reads plain data only, by the rules of YAML 1.2: ``1e-3`` is a number, ``yes``, ``on`` and dates are text."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [
            (tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[-1] not in ("bool", "float", "timestamp")
        ]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }


class Dumper(yaml.SafeDumper):
    """Writes plain data; text that looks like a number to one reader of YAML, such as ``1e3``, is quoted for all."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that stands in two places twice, as people do."""
        return True


Dumper.add_representer(tuple, Dumper.represent_list)
Dumper.add_multi_representer(Enum, lambda dumper, item: dumper.represent_str(item.name))
Dumper.add_multi_representer(object, lambda dumper, value: dumper.represent_str(str(value)))

FLOAT = re.compile(r"[-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("true|True|TRUE|false|False|FALSE"), list("tTfF"))
for _each in (Loader, Dumper):
    _each.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))


class Sources:
    """The config files and the arguments of one call.

    Args:
        files: the config files, in the order in which each overrides those before it.
        arguments: the command line's, after the verb.

    Attributes:
        values: what the files say together.

    Raises:
        ConfigError: a file that is not there, is no YAML, or has a key twice; with every fault.
    """

    def __init__(self, files: Sequence[str], arguments: Sequence[str]) -> None:
        self._given = {argument[2:].split("=")[0].rstrip("+") for argument in arguments if argument.startswith("--")}
        self._lines: list[tuple[str, dict[Key, int]]] = []
        self.values: dict[str, Any] = {}
        faults: list[Fault] = []
        for file in files:
            lines: dict[Key, int] = {}
            self._lines.append((file, lines))
            node = _compose(file)
            if node is not None and not isinstance(node, yaml.MappingNode):
                faults.append(Fault((), f"{file}:1: A config is made of 'key: value' lines. Received: {_word(node)}."))
            elif node is None:
                faults.append(Fault((), f"{file}: A config is made of 'key: value' lines. This one is empty."))
            elif found := _walk(node, (), lines, file):
                faults += found
            else:
                self.values = merge(self.values, spell_out(_construct(node, file)))
        if faults:
            raise ConfigError(faults)

    def locate(self, key: Key) -> str:
        """Return where a key, or what is nearest above it, was given; empty where it was not."""
        nearest_first = [_spellings(key[:length]) for length in range(len(key), 0, -1)]
        if any(format_key(spelling) in self._given for spellings in nearest_first for spelling in spellings):
            return "command line"
        for spellings in nearest_first:
            for file, lines in reversed(self._lines):
                for spelling in spellings:
                    if spelling in lines:
                        return f"{file}:{lines[spelling]}"
        above = f"{key[0]}." if key else ""
        return "command line" if above and any(option.startswith(above) for option in self._given) else ""

    def located(self, error: ConfigError) -> ConfigError:
        """Return the error with the place that each fault comes from."""
        return ConfigError(
            [Fault((), ": ".join(filter(None, (self.locate(fault.key), str(fault))))) for fault in error.faults]
        )


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one config over another: what the upper says wins, key by key; lists are replaced.

    Where the upper names another class, the lower's arguments for its class are dropped.

    >>> merge({"a": {"x": 1, "y": [1, 2]}}, {"a": {"y": [3]}})
    {'a': {'x': 1, 'y': [3]}}
    """
    merged = dict(below)
    if "class_path" in above and above["class_path"] != below.get("class_path"):
        merged.pop("init_args", None)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged


#: Keys whose value names a class, with its arguments in ``init_args``: a name alone is short for that.
CLASSES = (("model", "optimizer"), ("model", "lr_scheduler"))
#: What stands beside the class of a scheduler, and is no argument of it.
BESIDE = frozenset({"class_path", "init_args", "interval", "warmup", "monitor"})


def spell_out(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config in which classes that are given by name alone, or by arguments, have their long form.

    >>> spell_out({"model": {"optimizer": "SGD", "lr_scheduler": {"T_max": 3, "warmup": 1}}})["model"]
    {'optimizer': {'class_path': 'SGD'}, 'lr_scheduler': {'warmup': 1, 'init_args': {'T_max': 3}}}
    """
    for section, key in CLASSES:
        given = config.get(section)
        if not isinstance(given, Mapping) or key not in given:
            continue
        value = given[key]
        if isinstance(value, str):
            value = {"class_path": value}
        elif isinstance(value, Mapping) and isinstance(value.get("init_args", {}), Mapping | None):
            arguments = {name: part for name, part in value.items() if name not in BESIDE}
            value = {name: part for name, part in value.items() if name in BESIDE}
            if arguments:
                value["init_args"] = {**(value.get("init_args") or {}), **arguments}
        config = {**config, section: {**given, key: value}}
    return config


def take_classes(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Take the options that set a class or its arguments from a command line.

    Returns:
        a config of what they set, to be laid over the files; and the other arguments.

    Raises:
        ConfigError: an option without a value.
    """
    config: dict[str, Any] = {}
    rest: list[str] = []
    given = iter(arguments)
    for argument in given:
        name, equals, text = argument.removeprefix("--").partition("=")
        key = tuple(name.split("."))
        if not argument.startswith("--") or key[:2] not in CLASSES:
            rest.append(argument)
            continue
        value = text if equals else next(given, None)
        if value is None:
            raise ConfigError.at(key, f"--{name} takes a value. Received nothing.")
        part: Any = yaml.load(value, Loader=Loader)
        for name in reversed(key):
            part = {name: part}
        config = merge(config, spell_out(part))
    return config, rest


def _construct(node: yaml.Node, file: str) -> dict[str, Any]:
    """Return what a node holds.

    Raises:
        ConfigError: it holds more than plain data.
    """
    loader = Loader("")
    try:
        values: dict[str, Any] = loader.construct_document(node)
    except yaml.MarkedYAMLError as cause:
        line = f":{cause.problem_mark.line + 1}" if cause.problem_mark else ""
        raise ConfigError.at((), f"{file}{line}: A config holds plain data only: {cause.problem}.") from cause
    finally:
        loader.dispose()
    return values


def _spellings(key: Key) -> tuple[Key, ...]:
    """Return the ways to write a key: what a class takes may stand under ``init_args``, or directly."""
    if len(key) < 2:
        return (key,)
    without = tuple(part for part in key if part != "init_args")
    return (key, without, (key[0], "init_args", *key[1:]))


def _compose(file: str) -> yaml.Node | None:
    path = Path(file)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        others = [str(other) for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError.at(
            (), sentences(f"--config takes a YAML file. Received: {file} ({what}).", did_you_mean(file, others))
        )
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        tab = " Indent with spaces, not tabs." if mark and text[_offset(text, mark) :].startswith("\t") else ""
        what = ": ".join(filter(None, (cause.context, cause.problem)))
        raise ConfigError.at((), f"{file}{line}: This is no YAML: {what}.{tab}") from cause
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise ConfigError.at((), f"{file}: A config is text in UTF-8, as YAML. {cause}") from cause


def _offset(text: str, mark: yaml.Mark) -> int:
    return sum(len(line) for line in text.splitlines(keepends=True)[: mark.line]) + mark.column


def _walk(node: yaml.Node, key: Key, lines: dict[Key, int], file: str) -> list[Fault]:
    """Note the line of every value, and return the keys that stand twice."""
    faults: list[Fault] = []
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            place = (*key, index)
            lines[place] = item.start_mark.line + 1
            if isinstance(item, yaml.ScalarNode):
                lines[(*place, item.value)] = item.start_mark.line + 1
            faults += _walk(item, place, lines, file)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                continue
            line = name.start_mark.line + 1
            place = (*key, name.value)
            if name.value in seen:
                twice = f"A key stands once. It is in line {seen[name.value]}, too."
                faults.append(Fault((), f"{file}:{line}: {format_key(place)}: {twice}"))
            seen[name.value] = line
            lines[place] = line
            faults += _walk(value, place, lines, file)
    return faults


def _word(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list"
