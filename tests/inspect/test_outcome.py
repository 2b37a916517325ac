"""What a run came to, for programs and for people."""

import json
import math
import shlex
from pathlib import Path

from lightlab.inspect.outcome import Outcome

OUTCOME = Outcome(
    {"val/loss": 0.25, "val/mse": 12345.6},
    {"test/loss": 0.5, "test/mse": math.nan},
    best_epoch=3,
    best_step=30,
    epochs=7,
    seconds=1.5,
    checkpoint="runs/a/version_0/checkpoints/best.ckpt",
    sha256="ab",
    md5="cd",
)


def test_metrics_json_is_json():
    """The file has every field, and null where a figure is not a number."""
    OUTCOME.write(Path("metrics.json"))
    values = json.loads(Path("metrics.json").read_text(), parse_constant=lambda name: 1 / 0)
    assert values["validation"] == {"val/loss": 0.25, "val/mse": 12345.6}
    assert values["test"] == {"test/loss": 0.5, "test/mse": None}
    assert (values["best_epoch"], values["epochs"], values["seconds"]) == (3, 7, 1.5)


def test_commands_are_quoted():
    """What is printed to be pasted into a shell is one word there, whatever the run is called."""
    words = [shlex.split(line)[-1] for line in OUTCOME.table(Path("runs/x;touch y;/version_0")).splitlines()[-3:]]
    assert words == ["runs/x;touch y;/version_0"] * 2 + ["runs/x;touch y;/version_0/config.yaml"]


def test_table():
    """The table has a line for each metric, with a column for each split."""
    assert OUTCOME.table(Path("runs/a/version_0")).splitlines() == [
        "run         runs/a/version_0",
        "epochs      7 (best: 3) in 1.5 s",
        "            validation    test",
        "loss        0.2500        0.5000",
        "mse         12345.6       nan",
        "checkpoint  runs/a/version_0/checkpoints/best.ckpt",
        "sha256      ab",
        "md5         cd",
        "curves      tensorboard --logdir runs/a/version_0",
        "report      lightlab report runs/a/version_0",
        "predict     lightlab predict --config runs/a/version_0/config.yaml",
    ]
