"""``lightlab describe``: what a part, a section or a key of a config takes."""

from __future__ import annotations

import json

from lightlab.commands.options import OptionParser
from lightlab.terminal import say

PARSER = OptionParser(
    "describe",
    usage="lightlab describe NAME [NAME …] [--format text|json] [--plugin MODULE]",
    description="""Say what a part of a config takes: its parameters with types, defaults and descriptions, who provides
it, and an example to paste.

  NAME  a layer, head, data source, callback, …: what 'lightlab list' lists; with its kind (layers.dense) where only
        that one is wanted; a module of torch.nn (nn.GELU); a section (trainer); or a key (trainer.max_epochs)""",
)
PARSER.add_argument("names", metavar="NAME", nargs="+", help="what to describe")
PARSER.add_argument("--format", choices=("text", "json"), default="text", help="text to read, or JSON for tools")


def run(arguments: list[str]) -> None:
    """Print what there is to know of each name.

    Raises:
        LightlabError: a name stands for nothing.
    """
    options = PARSER.parse_args(arguments)
    say(_described(options.names, options.format == "json"))


def _described(names: list[str], as_json: bool) -> str:
    from lightlab.inspect.catalogue.find import find
    from lightlab.inspect.catalogue.text import as_data, as_text

    parts = [part for name in names for part in find(name)]
    if as_json:
        return json.dumps([as_data(part) for part in parts], indent=2, ensure_ascii=False)
    return "\n\n\n".join(as_text(part) for part in parts)
