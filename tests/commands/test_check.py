"""check: every fault of a config and its data, and then the procedure, without a trace."""

import json
from pathlib import Path

import pytest

from lightlab.cli import main
from lightlab.commands.check import FAILED

WINE = """\
data: {class_path: BundledData, init_args: {name: wine, batch_size: 32}}
model:
  problem: multiclass
  layers:
    - dense: {units: 16, activation: relu}
  optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
early_stopping: {patience: 5}
trainer: {max_epochs: 3}
"""
STEPS = [
    "data", "shapes", "targets", "predict random data", "loss at start", "evaluate random data",
    "train on random data", "overfit one batch", "gradients", "real data",
]  # fmt: skip


@pytest.fixture
def wine():
    """Write a config that is right."""
    Path("wine.yaml").write_text(WINE)
    return "wine.yaml"


def test_every_step_has_a_verdict_and_a_figure(wine, capsys):
    """A config that is right passes all steps, in order; nothing is written and nothing is said beside."""
    assert main(["check", wine]) == 0
    out, err = capsys.readouterr()
    lines = [line for line in out.splitlines() if line.startswith((" ok ", " warning "))]
    assert [line[9:30].strip() for line in lines] == STEPS
    assert "chance 1.10 (ln 3)" in out
    assert err == ""
    assert sorted(path.name for path in Path().iterdir()) == ["wine.yaml"]


def test_json(wine, capsys):
    """For tools: each step with its verdict and figures, and hints."""
    assert main(["check", wine, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is True
    assert [step["step"] for step in found["steps"]] == STEPS
    assert all(step["figures"] for step in found["steps"])


def test_faults_come_at_once_and_nothing_is_tried(wine, capsys):
    """All faults are said, each with its place; no step runs."""
    Path(wine).write_text(WINE.replace("units", "unit").replace("patience", "patient"))
    assert main(["check", wine, "--trainer.max_epochs", "x"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert [line.split(": ")[2:4] for line in err.splitlines()] == [
        ["wine.yaml:5", "model.layers[0].dense.unit"],
        ["wine.yaml:7", "early_stopping.patient"],
        ["command line", "trainer.max_epochs"],
    ]


def test_faults_as_json(wine, capsys):
    """For tools: place, key and message of each fault."""
    Path(wine).write_text(WINE.replace("units", "unit"))
    assert main(["check", wine, "--format", "json"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["passed"] is False
    (fault,) = found["faults"]
    assert (fault["place"], fault["key"]) == ("wine.yaml:5", "model.layers[0].dense.unit")
    assert "Did you mean units" in fault["message"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("- dense: {units: 16, activation: relu}", "- conv2d: {filters: 2, kernel_size: 3}"),
            "wine.yaml:5: model.layers[0].conv2d: conv2d needs rank 4 (batch, channels, height, width). "
            "Received: (batch, 13) after the input",
        ),
        (("multiclass", "bounded_regression"), "wine.yaml:3: model.problem: "),
        (
            ("{patience: 5}", "{monitor: val/top7_accuracy}"),
            "wine.yaml:7: early_stopping.monitor: A monitor is a metric that is logged: train/loss",
        ),
        (
            ("{max_epochs: 3}", "{callbacks: {class_path: EarlyStopping, init_args: {monitor: val/f1}}}"),
            "There is one early stopping",
        ),
        (("{name: wine,", "{name: wine, split: [0.8, 0, 0.2],"), "There is no validation split."),
    ],
)
def test_what_only_the_data_tells(change, message, wine, capsys):
    """Shapes, targets and monitors are held against the data, and say where they stand."""
    Path(wine).write_text(WINE.replace(*change))
    assert main(["check", wine]) == 2
    assert message in capsys.readouterr().err


def test_a_monitor_of_a_callback_is_held_against_the_metrics(wine, capsys):
    """Without a problem in the config, the metrics are known once the data is."""
    text = WINE.replace("  problem: multiclass\n", "").replace("early_stopping: {patience: 5}\n", "")
    callback = "{callbacks: [{class_path: EarlyStopping, init_args: {monitor: val/acuracy, mode: max}}]}"
    Path(wine).write_text(text.replace("{max_epochs: 3}", callback))
    assert main(["check", wine]) == 2
    err = capsys.readouterr().err
    assert "wine.yaml:6: trainer.callbacks[0].init_args.monitor: " in err
    assert "Did you mean val/accuracy" in err


def test_a_step_that_fails(wine, capsys):
    """The first failure ends the procedure, with an exit code of its own; --keep-going goes on."""
    Path(wine).write_text(WINE.replace("lr: 0.01", "lr: 0.0"))
    assert main(["check", wine]) == FAILED
    out = capsys.readouterr().out
    assert " failed " in out
    assert "not run: " in out
    assert main(["check", wine, "--keep-going"]) == FAILED
    assert "not run: " not in capsys.readouterr().out


def test_column_that_is_missing(capsys):
    """What the data lacks is said with the line of the config that names it."""
    Path("a.csv").write_text("x,price\n" + "".join(f"{n},{n % 7}\n" for n in range(40)))
    Path("a.yaml").write_text(
        "data:\n  class_path: TableData\n  init_args:\n    path: a.csv\n    target: prise\nmodel: {layers: []}\n"
    )
    assert main(["check", "a.yaml"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("lightlab: error: a.yaml:5: data.init_args.target: a.csv has no column 'prise'.")
    assert "Did you mean price?" in err
