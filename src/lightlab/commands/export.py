"""``lightlab export``: the weights of a run or a checkpoint, for others."""

from __future__ import annotations

from pathlib import Path

from lightlab.commands.options import OptionParser
from lightlab.errors import RunError
from lightlab.files import WEIGHTS, check_output, explained
from lightlab.terminal import say

PARSER = OptionParser(
    "export",
    usage="lightlab export RUN|CHECKPOINT [-o FILE]",
    description="""Write the weights of a trained model as safetensors, a file that others read, too, and in which
nothing can run: with all that rebuilds the model and its preprocessing, and a SHA-256 of the whole file. predict, test,
validate and summary take it like a checkpoint.

  RUN         a run folder, such as runs/digits_cnn/version_0, or of a folder with several the latest: its best weights
  CHECKPOINT  a .ckpt file of a run

The file has no code of a plugin: where the model has layers of one, it is named here and wherever the file is read.""",
)
PARSER.add_argument("source", metavar="RUN|CHECKPOINT", help="the run, or the checkpoint")
PARSER.add_argument("-o", "--output", metavar="FILE", help=f"the file; by default model{WEIGHTS} in this folder")


def run(arguments: list[str]) -> None:
    """Write the weights, and say where.

    Raises:
        LightlabError: there are none, they can't be read, or the file can't be written.
    """
    options = PARSER.parse_args(arguments)
    output = Path(options.output or f"model{WEIGHTS}")
    if output.suffix != WEIGHTS:
        raise RunError(f"Weights are exported to a file that ends in {WEIGHTS}. Received: {output}.")

    check_output(output, "weights")

    from lightlab.checkpoints import read_checkpoint
    from lightlab.checkpoints.weights import write_weights
    from lightlab.module import Model

    source = _find(options.source)
    Model.load(source)  # what is no model is not exported: names that share their numbers would each get a copy
    checkpoint = read_checkpoint(source)
    with explained(output, "weights"):
        write_weights(checkpoint, output)
    say(output)


def _find(source: str) -> Path:
    """Return the checkpoint that a path is, or that of the best weights of a run.

    Raises:
        RunError: it is a folder, and has no run, or those of several configs.
    """
    if not Path(source).is_dir():
        return Path(source)
    from lightlab.inspect.run import find_latest_run

    return find_latest_run(source, "An export").checkpoint
