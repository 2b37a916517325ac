"""``lightlab list``: what configs can name."""

from __future__ import annotations

import json

from lightlab.commands.options import OptionParser
from lightlab.terminal import say

PARSER = OptionParser(
    "list",
    usage="lightlab list [KIND] [--format text|json] [--plugin MODULE]",
    description="""List what configs can name, plugins included: of one kind with a line for each, or of all kinds.

  KIND  layers, activations, problems, heads, optimizers, schedulers, data, augmentations, callbacks, loggers,
        strategies, accelerators, profilers or plugins (of the Trainer)""",
)
PARSER.add_argument("kind", metavar="KIND", nargs="?", help="what to list; by default the names of all kinds")
PARSER.add_argument("--format", choices=("text", "json"), default="text", help="text to read, or JSON for tools")


def run(arguments: list[str]) -> None:
    """Print what there is.

    Raises:
        LightlabError: there is no such kind.
    """
    options = PARSER.parse_args(arguments)
    say(_listed(options.kind, options.format == "json"))


def _listed(kind: str | None, as_json: bool) -> str:
    from lightlab.inspect.catalogue.parts import KINDS, find_kind
    from lightlab.inspect.catalogue.text import as_names, names_as_text, summaries_as_text

    if kind is not None:
        parts = list(find_kind(kind).parts().values())
        return _json(as_names(parts)) if as_json else summaries_as_text(parts)
    found = {name: list(each.parts().values()) for name, each in KINDS.items()}
    return _json({name: as_names(each) for name, each in found.items()}) if as_json else names_as_text(found)


def _json(data: object) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False)
