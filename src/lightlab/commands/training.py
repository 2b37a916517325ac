"""fit, validate, test and predict: what they take, and the way to the Trainer."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from typing import TYPE_CHECKING

from lightlab.commands.options import PRINT_CONFIG
from lightlab.commands.verbs import TRAINER_VERBS
from lightlab.config.sections import CONFIG, SECTIONS, section_signature
from lightlab.inspect.catalogue.keys import data_signature
from lightlab.interruption import heed
from lightlab.signatures import Parameter
from lightlab.signatures.words import type_in_words, value_in_yaml, without_markup
from lightlab.terminal import say

if TYPE_CHECKING:
    from lightlab.commands.trainer import TrainerVerb

USAGE = """usage: lightlab {verb} --config FILE [--config FILE …] [--KEY VALUE …] [--plugin MODULE]

{what}.

  --config FILE    a config; what later ones and the command line say beats what earlier ones say
  --KEY VALUE      any key of a config, below; lists have places: --model.layers[0].dense.units 64
  --print_config   print the config as it is read, with all defaults, and stop
  --plugin MODULE  import a module that registers layers, heads or activations, or defines data sources or callbacks

'lightlab list' lists what can be named, 'lightlab describe NAME' says what it takes.
"""


def run(verb: str, arguments: list[str]) -> None:
    """Carry out one of the Trainer's verbs.

    Raises:
        LightlabError: something given is wrong; faults of a config say where they stand.
    """
    from lightlab.commands.call import reading

    with reading(verb, [argument for argument in arguments if argument != PRINT_CONFIG]) as call:
        if PRINT_CONFIG in arguments:
            from lightlab.config.defaults import config_text

            say(config_text(call.config), end="")
            return
        carry_out = _class_of(verb)
        heed()  # what an import may have swallowed
        carry_out(call)


def _class_of(verb: str) -> type[TrainerVerb]:
    """Return what carries a verb out, imported only now: it brings Lightning."""
    if verb == "fit":
        from lightlab.commands.fit import Fit

        return Fit
    from lightlab.commands.evaluation import Evaluation, Prediction

    return Prediction if verb == "predict" else Evaluation


def help_text(verb: str) -> str:
    """Return what a verb takes: the keys of a config, with types, defaults and descriptions."""
    what = TRAINER_VERBS[verb]
    parts = [USAGE.format(verb=verb, what=what[0].upper() + what[1:])]
    parts.append(_section("", "", (each for each in CONFIG.parameters if each.name not in SECTIONS)))
    parts.append(_section("data", "what every data source takes", data_signature().parameters))
    for section in SECTIONS[1:]:
        about = "the arguments of Lightning's Trainer" if section == "trainer" else ""
        parts.append(_section(section, about, section_signature(section).parameters))
    return "\n".join(parts)


def _section(name: str, about: str, parameters: Iterable[Parameter]) -> str:
    """Return a section's keys, two columns wide."""
    lines = [f"{name}{f': {about}' if about else ''}"] if name else ["at the top level"]
    for each in parameters:
        default = "" if each.required or each.default is None else f"; {value_in_yaml(each.default)} by default"
        head = f"  --{name}{'.' if name else ''}{each.name}  {type_in_words(each)}{default}"
        body = textwrap.fill(without_markup(each.description), 112, initial_indent=" " * 8, subsequent_indent=" " * 8)
        lines += [head, *([body] if body else [])]
    return "\n".join(lines) + "\n"
