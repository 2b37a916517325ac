"""``lightlab init``: a config for a file or folder of data."""

from __future__ import annotations

import shlex
from pathlib import Path

from lightlab.commands.options import OptionParser
from lightlab.errors import RunError
from lightlab.files import check_output, write_text
from lightlab.terminal import say

PARSER = OptionParser(
    "init",
    usage="lightlab init PATH [--target NAME …] [-o FILE] [--force]",
    description="""Look at data, and write a commented config that can be trained at once: what is read and how, the
problem, and a model and batch size that suit it.""",
)
PARSER.add_argument(
    "path",
    metavar="PATH",
    help="a table (.csv, .tsv, .txt, .parquet), arrays (.npy, .npz, .h5), a folder of images in a folder for each "
    "class, a folder of Parquet files, or .tar shards",
)
PARSER.add_argument(
    "--target", nargs="+", action="extend", default=[], metavar="NAME",
    help="what to predict: a column or several, or an array; by default it is guessed, and said to be",
)  # fmt: skip
PARSER.add_argument(
    "-o", "--output", metavar="FILE", help="the config; by default PATH's name, as .yaml, in this folder"
)
PARSER.add_argument("--force", action="store_true", help="overwrite a file that is there")


def run(arguments: list[str]) -> None:
    """Look at data, write a config for it, and say what was decided.

    Raises:
        LightlabError: the data can't be used, or the file can't be written.
    """
    options = PARSER.parse_args(arguments)
    output = Path(options.output or f"{Path(options.path).resolve().stem}.yaml")
    if output.exists() and not options.force:
        raise RunError(f"{output} is there already. Name another file with -o, or overwrite it with --force.")
    check_output(output, "config")

    from lightlab.commands.quiet import silence
    from lightlab.data.propose.config import decisions, write_config
    from lightlab.data.propose.propose import propose

    silence()
    proposal = propose(options.path, options.target)
    write_text(write_config(proposal, str(output)), output, "config")
    say("\n".join(decisions(proposal)))
    name = shlex.quote(str(output))
    say(f"\n{output} is written. Next:\n  lightlab data {name}\n  lightlab fit --config {name}")
