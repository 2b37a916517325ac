"""``lightlab summary``: what the model of a config, or of a checkpoint, is made of."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentTypeError
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING

from lightlab.commands.options import OptionParser
from lightlab.errors import LightlabError
from lightlab.files import CHECKPOINT, WEIGHTS
from lightlab.terminal import say

if TYPE_CHECKING:
    from lightlab.inspect.summary import Summary
    from lightlab.module import Model


def _depth(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"it is a whole number of at least 1. Received: {text}")
    return int(text)


PARSER = OptionParser(
    "summary",
    usage="lightlab summary CONFIG|CHECKPOINT [--config FILE …] [--KEY VALUE …] "
    "[--format text|json|markdown] [--depth N]",
    description="""Show what a model is made of: for each layer its output shape, parameters, FLOPs and bytes. A
config's data is read, since shapes follow from it; nothing is trained.

  CONFIG         a config; the config.yaml of a run does, too
  CHECKPOINT     a .ckpt file of a run, or a .safetensors file of export; nothing else is read
  --config FILE  one more config, whose values beat those before it
  --KEY VALUE    any key of a config, such as --model.layers '[{dense: 8}]'; 'lightlab fit --help' prints them""",
)
PARSER.add_argument(
    "--format", choices=("text", "json", "markdown"), default="text", help="text to read, or for tools and documents"
)
PARSER.add_argument(
    "--depth",
    type=_depth,
    default=1,
    metavar="N",
    help="how deep to look: 1, the default, for a config's list of layers; 2 for what is inside these, too",
)


def run(arguments: list[str]) -> None:
    """Build a model as fit does, or read it from a checkpoint, and print what it is made of.

    Raises:
        LightlabError: something given is wrong; faults of a config say where they stand.
    """
    options, rest = PARSER.parse_with_config(arguments)

    from lightning.fabric.utilities.rank_zero import rank_zero_only

    from lightlab.inspect.summary import summarize

    with redirect_stdout(sys.stderr):  # what a source says while it reads is no part of the summary
        has_weights = rest[1:] and rest[1].endswith((CHECKPOINT, WEIGHTS))
        model = _of_checkpoint(rest[1:]) if has_weights else _of_config(rest)
    rank_zero_only(say)(_write(summarize(model, options.depth), options.format))


def _of_checkpoint(arguments: list[str]) -> Model:
    from lightlab.module import Model

    path, *more = arguments
    if more:
        raise LightlabError(f"A checkpoint's model stands as it is: nothing goes with it. Received: {' '.join(more)}.")
    return Model.load(path)


def _of_config(arguments: list[str]) -> Model:
    from lightlab.commands.call import reading

    with reading("fit", arguments) as call:
        from lightlab.commands.reader import ConfigReader

        reader = ConfigReader(call)
        reader.datamodule.setup("fit")
        reader.model.build(reader.datamodule.connect(reader.model.problem))
        return reader.model


def _write(summary: Summary, form: str) -> str:
    from lightlab.inspect.summary_text import as_markdown, as_text

    if form == "json":
        return json.dumps(asdict(summary), indent=2, ensure_ascii=False, allow_nan=False)
    return as_markdown(summary) if form == "markdown" else as_text(summary)
