"""Looking at a training spoils none: what fails is said, and the run is whole without it."""

import json
from pathlib import Path

import pytest

from lightlab import Run
from lightlab.cli import main
from lightlab.inspect.evaluation.evaluate import Evaluator

CONFIG = """\
data: {class_path: BundledData, init_args: {name: iris, batch_size: 16}}
model: {problem: multiclass, layers: [{dense: 4}]}
trainer: {max_epochs: 2, accelerator: cpu}
"""


@pytest.fixture
def config():
    """A config in the test's folder."""
    Path("iris.yaml").write_text(CONFIG)
    return "iris.yaml"


@pytest.mark.parametrize("step", ["see_last", "evaluate"])
def test_what_fails_is_said(config, step, monkeypatch, capsys):
    """Metrics and table are there, the verdict is said, and the exit code is 0."""

    def fail(*_, **__):
        raise ArithmeticError("dust in the eye")

    monkeypatch.setattr(Evaluator, step, fail)
    assert main(["fit", "--config", config]) == 0
    said = capsys.readouterr().out
    assert "warning: lightlab could not" in said
    assert "ArithmeticError: dust in the eye" in said
    assert "\ndoctor      " in said
    assert json.loads(Path("runs/iris/version_0/metrics.json").read_text())["epochs"] == 2


def test_a_training_that_broke_off_has_a_verdict(config, capsys):
    """The doctor says why, from the history alone, before the error."""
    options = ["--model.optimizer=SGD", "--model.optimizer.lr=1e30", "--model.layers=[{dense: 8}, {dense: 8}]"]
    assert main(["fit", "--config", config, *options]) == 2
    said = capsys.readouterr()
    assert "doctor  exploding gradients" in said.out
    assert "The training loss is a finite number" in said.err


@pytest.mark.parametrize("numbers", ["1.0e+18", "1.0e+37"])
def test_whatever_is_written_can_be_read(numbers):
    """Weights that are far off leave an evaluation that reads back, and a verdict."""
    Path("far.yaml").write_text(
        "data: {class_path: BundledData, init_args: {name: diabetes}}\n"
        "model: {layers: [{dense: 6}], optimizer: {class_path: SGD, init_args: {lr: " + numbers + "}}}\n"
        "trainer: {max_epochs: 1, accelerator: cpu, limit_val_batches: 0, limit_train_batches: 1}\n"
    )
    assert main(["fit", "--config", "far.yaml"]) == 0
    run = Run("runs/far/version_0")
    assert run.evaluation is not None
    assert run.diagnosis.summary()


@pytest.mark.parametrize("split", ["val", "test"])
def test_a_split_that_the_trainer_leaves_out_is_left_out(config, split):
    """Rows of a split without batches are not looked at either."""
    assert main(["fit", "--config", config, f"--trainer.limit_{split}_batches=0"]) == 0
    assert set(Run("runs/iris/version_0").evaluation.splits) == {"val", "test"} - {split}


def test_half_precision_is_evaluated(config):
    """Weights in half precision are looked at as any others."""
    assert main(["fit", "--config", config, "--trainer.precision=bf16-true"]) == 0
    run = Run("runs/iris/version_0")
    assert run.evaluation.samples["train"].constant == pytest.approx(1.1, abs=0.05)
