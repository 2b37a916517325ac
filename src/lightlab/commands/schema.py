"""``lightlab schema``: a JSON Schema of configs, for editors."""

from __future__ import annotations

import json
from pathlib import Path

from lightlab.commands.options import OptionParser
from lightlab.errors import RunError
from lightlab.files import write_text
from lightlab.terminal import say

PARSER = OptionParser(
    "schema",
    usage="lightlab schema [-o FILE] [--plugin MODULE]",
    description="""Print a JSON Schema (draft 2020-12) of configs, with what installed plugins and --plugin bring.
Editors complete, explain and check by it. In VS Code, with the extension YAML, let a config's first line be

  # yaml-language-server: $schema=lightlab.schema.json

In PyCharm add the file under Languages & Frameworks > Schemas and DTDs > JSON Schema Mappings. What takes the data or
several places to see is found by 'lightlab check'.""",
)
PARSER.add_argument("-o", "--output", metavar="FILE", help="write to this file, a .json, instead of printing")


def run(arguments: list[str]) -> None:
    """Print or write the schema.

    Raises:
        LightlabError: the file can't be written.
    """
    options = PARSER.parse_args(arguments)
    output = Path(options.output) if options.output else None
    if output and output.suffix != ".json":
        raise RunError(f"A schema is written to a file that ends in .json. Received: {output}.")

    from lightlab.config.schema import config_schema

    text = json.dumps(config_schema(), ensure_ascii=False, allow_nan=False)
    if output is None:
        say(text)
    else:
        write_text(f"{text}\n", output, "schema")
        say(f"{output} is written. A config's first line: # yaml-language-server: $schema={output}")
