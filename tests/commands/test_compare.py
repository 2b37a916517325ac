"""lightlab compare: what it prints of real runs, where the table and the chart go, and what it refuses."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from lightlab import LightlabError, RunError
from lightlab.cli import WRONG_INPUT, main
from lightlab.commands.compare import run
from lightlab.inspect.run import Run

CONFIG = """\
seed_everything: 1
data: {class_path: BundledData, init_args: {name: iris, batch_size: 32}}
model:
  problem: multiclass
  layers: [{dense: {units: 4, activation: relu}}]
  optimizer: {class_path: AdamW, init_args: {lr: 0.01}}
trainer: {max_epochs: 2, accelerator: cpu, enable_progress_bar: false}
tensorboard: {graph: false}
"""


def fit(*arguments):
    """Train a small network."""
    Path("iris.yaml").write_text(CONFIG)
    assert main(["fit", "--config", "iris.yaml", *arguments]) == 0


def started(path, config=CONFIG):
    """Write the folder of a run that has only just begun."""
    Path(path).mkdir(parents=True)
    Path(path, "config.yaml").write_text(config)
    Path(path, "environment.json").write_text("{}")


def test_real_runs(capsys):
    """What was changed on the command line is told apart, in all forms; figures are those of the runs."""
    fit()
    fit("--model.optimizer.lr", "0.1", "--trainer.max_epochs", "3")
    fit("--model.layers", "[{dense: {units: 4, activation: relu}}, {dropout: 0.5}]")
    capsys.readouterr()
    assert main(["compare", "runs/iris", "--sort", "val/loss"]) == 0
    out = capsys.readouterr().out
    assert "…, dropout: 0.5" in out
    assert "max_epochs" in out or "epochs" in out
    assert "chart: compare.png" in out
    assert Path("compare.png").read_bytes().startswith(b"\x89PNG")
    run(["runs/iris", "--format", "json", "--chart", "none"])
    found = json.loads(capsys.readouterr().out)
    assert [each["settings"]["optimizer.lr"] for each in found["runs"]] == [0.01, 0.1, 0.01]
    for each in found["runs"]:
        outcome = Run(each["run"]).outcome
        assert each["metrics"] == {**outcome.validation, **outcome.test}
        assert each["parameters"] == 4 * 4 + 4 + 4 * 3 + 3
        assert each["verdict"] == Run(each["run"]).diagnosis.summary()
        assert len(each["curve"]) == outcome.epochs
    assert found["notes"] == []
    run(["runs/iris/version_0", "runs/iris/version_2", "--format", "csv", "-o", "table.csv", "--chart", "curves.svg"])
    with open("table.csv", newline="") as stream:
        table = list(csv.DictReader(stream))
    assert [line["layers"] for line in table] == ["…", "…, dropout: 0.5"]
    assert Path("curves.svg").read_text().startswith("<svg")
    assert capsys.readouterr().err == "chart: curves.svg\n"


def test_seeds_and_other_data(capsys):
    """Runs of other seeds are averaged; those of other data are told apart from them."""
    fit()
    fit("--seed_everything", "2")
    fit("--data.name", "wine")
    capsys.readouterr()
    run(["runs", "--format", "markdown", "--chart", "none"])
    text = capsys.readouterr().out
    assert "Mean ± standard deviation of runs that differ in nothing but seeds:" in text
    assert "version_0, version_1 | 2 |" in text
    assert "Not all figures can be compared, since the validation and test rows" in text


def test_a_run_that_has_just_begun(capsys):
    """It is there without figures, and there is no chart, as there is nothing to draw."""
    started("runs/a/version_0")
    run(["runs"])
    out = capsys.readouterr().out
    assert "not finished" in out
    assert "chart" not in out
    assert not Path("compare.png").exists()


def test_width(capsys, monkeypatch):
    """What is printed fits the terminal."""
    for version in range(6):
        started(
            f"runs/a/version_{version}", CONFIG.replace("lr: 0.01", f"lr: 0.0{version + 1}, weight_decay: 0.{version}")
        )
    monkeypatch.setenv("COLUMNS", "50")
    run(["runs"])
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 50
    assert any("version_5" in line and "0.06" in line for line in lines)


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ([], LightlabError, r"compare: the following arguments are required: RUN"),
        (["nowhere"], RunError, r"Received: nowhere\. There is no such folder"),
        (["runs", "--format", "html"], LightlabError, r"argument --format: invalid choice: 'html'"),
        (
            ["runs", "--sort", "val/los"],
            LightlabError,
            r"Runs are sorted by a metric that they have\. Received: val/los",
        ),
        (["runs", "--sorted", "loss"], LightlabError, r"unrecognized arguments: --sorted"),
        (["runs", "-o", "nowhere/a.txt"], RunError, r"The comparison can't be written to nowhere/a\.txt"),
    ],
)
def test_errors(arguments, kind, message):
    """What is wrong with a call is said."""
    started("runs/a/version_0")
    with pytest.raises(kind, match=message):
        run(arguments)


def test_a_chart_that_cannot_be_written(capsys):
    """The ending of the chart is checked before anything is printed, and the exit code says that the call was wrong."""
    started("runs/a/version_0")
    Path("runs/a/version_0/history.csv").write_text("epoch,step,seconds,val/loss\n1,2,3,4\n")
    assert main(["compare", "runs", "--chart", "a.bmp"]) == WRONG_INPUT
    out, err = capsys.readouterr()
    assert out == ""
    assert "A chart is written as .png, .svg, .pdf. Received: a.bmp." in err


def test_a_process_that_compares_has_nothing_heavy():
    """Neither torch nor lightning is imported, and without a chart no matplotlib."""
    started("runs/a/version_0")
    code = (
        "import sys; from lightlab.commands.compare import run; run(['runs', '--chart', 'none']); "
        "sys.exit(' '.join({'torch', 'lightning', 'matplotlib', 'tensorboard', 'sklearn'} & sys.modules.keys()) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "version_0" in result.stdout
