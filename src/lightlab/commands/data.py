"""``lightlab data``: what a config's data holds."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

from lightlab.commands.options import OptionParser
from lightlab.terminal import say

if TYPE_CHECKING:
    from lightlab.data import Data

PARSER = OptionParser(
    "data",
    usage="lightlab data CONFIG [--config FILE …] [--KEY VALUE …] [--format text|json] [-o FILE]",
    description="""Show what a config's data holds: rows and splits, the target, columns and their figures, missing
values, a few rows, and warnings; of images a picture with some of each class. Nothing is trained.

  CONFIG         a config; the config.yaml of a run does, too
  --config FILE  one more, whose values beat those before it
  --KEY VALUE    any key of a config, such as --data.batch_size 64; 'lightlab fit --help' prints them""",
)
PARSER.add_argument("--format", choices=("text", "json"), default="text", help="text to read, or JSON for tools")
PARSER.add_argument(
    "-o", "--output", metavar="FILE", help="the picture of images, a .png; by default data_CONFIG.png in this folder"
)


def run(arguments: list[str]) -> None:
    """Read a config as fit does, read its data, and print what is there.

    Raises:
        LightlabError: something given is wrong; faults of a config say where they stand.
    """
    options, rest = PARSER.parse_with_config(arguments)

    from lightlab.commands.call import reading
    from lightlab.files import check_output

    with reading("fit", rest) as call:
        from lightlab.commands.reader import ConfigReader

        reader = ConfigReader(call)
        picture = Path(options.output or f"data_{call.name}.png")
        if options.output:
            check_output(picture, "picture of images")
        _show(reader.datamodule, reader.model.problem, picture, options.format == "json")


def _show(data: Data, problem: str | None, picture: Path, as_json: bool) -> None:
    """Print what is there, in the main process; the picture is written first, so that its path can be said."""
    from lightning.fabric.utilities.rank_zero import rank_zero_only

    from lightlab.inspect.contact_sheet import can_be_drawn, draw_contact_sheet
    from lightlab.inspect.data import describe
    from lightlab.inspect.data_text import as_text

    said = StringIO()
    with redirect_stdout(said):  # what a source says while it reads is part of the description
        data.setup("fit")
        spec = data.connect(problem)
        described = describe(data, spec, said.getvalue().splitlines())
        described["picture"] = None
        if can_be_drawn(data, spec.input):
            rank_zero_only(draw_contact_sheet(data, spec).write)(picture)
            described["picture"] = str(picture)
    text = json.dumps(described, indent=2, ensure_ascii=False, allow_nan=False) if as_json else as_text(described)
    rank_zero_only(say)(text)
