"""Two real processes train and evaluate as one does."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

# One after the other: two pairs of processes that look for a free port at once may find the same.
pytestmark = pytest.mark.xdist_group("distributed")

PROGRAM = Path(sys.executable).with_name("lightlab")
TWO = ["--trainer.accelerator", "cpu", "--trainer.devices", "2", "--trainer.strategy", "ddp"]
CONFIG = """\
seed_everything: 1
data:
  class_path: BundledData
  init_args: {name: wine, batch_size: 21}
model:
  problem: multiclass
  layers:
    - dense: {units: 8, activation: relu, l2: 1.0e-3}
  optimizer: {class_path: AdamW, init_args: {lr: 1.0e-2}}
early_stopping: {patience: 3}
trainer: {max_epochs: 3, accelerator: cpu}
"""


def lightlab(*arguments):
    """Run the program as a process, and return what it prints."""
    result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def figures(version):
    """Return the metrics of a run, of both splits."""
    outcome = json.loads(Path(f"runs/wine/version_{version}/metrics.json").read_text())
    return {**outcome["validation"], **outcome["test"]}


@pytest.fixture
def config():
    """A config in the test's folder."""
    Path("wine.yaml").write_text(CONFIG)
    return "wine.yaml"


def test_two_processes_equal_one(config):
    """Training, best weights, evaluation and predictions are those of one process: each row counts once."""
    lightlab("fit", "--config", config)
    printed = lightlab("fit", "--config", config, *TWO)
    assert printed.count("epoch 3/3") == printed.count("sha256") == 1
    assert "on 2 × CPU" in printed
    assert sorted(path.name for path in Path("runs/wine").iterdir()) == ["version_0", "version_1"]
    assert figures(1) == pytest.approx(figures(0), abs=1e-6)

    checkpoint = ["--ckpt_path", "runs/wine/version_0/checkpoints/best.ckpt"]
    assert lightlab("test", "--config", config, *checkpoint) == lightlab("test", "--config", config, *checkpoint, *TWO)
    lightlab("predict", "--config", config, *checkpoint, "--output", "one.csv")
    lightlab("predict", "--config", config, *checkpoint, "--output", "two.csv", *TWO)
    one, two = pd.read_csv("one.csv"), pd.read_csv("two.csv")
    pd.testing.assert_frame_equal(one, two, rtol=1e-5)
    assert one.id.is_unique


@pytest.mark.parametrize("rows", [1, 3])
def test_fewer_rows_than_would_fill_a_step(rows, config):
    """Test sets of one and of three rows give on two processes what they give on one."""
    table = pd.DataFrame({"x": range(20), "z": [3, 1] * 10, "y": ["a", "b"] * 10})
    table.to_csv("train.csv", index=False)
    table[:rows].to_csv("test.csv", index=False)
    paths = "{train_path: train.csv, val_path: test.csv, test_path: test.csv, target: y, batch_size: 8}"
    text = CONFIG.replace("BundledData", "TableData").replace("{name: wine, batch_size: 21}", paths)
    Path(config).write_text(text.replace("problem: multiclass", "problem: binary"))
    lightlab("fit", "--config", config)
    lightlab("fit", "--config", config, *TWO)
    assert figures(1) == pytest.approx(figures(0), abs=1e-6)
