"""Runs as they lie in their folders: what is read, when, and what is said of files that are broken."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from lightlab import CheckpointError, RunError
from lightlab.inspect.run import Run, find_runs

HISTORY = """\
epoch,step,seconds,train/loss,val/loss,train/accuracy,val/accuracy,learning_rate
1,10,0.5,1.0,0.9,0.5,0.6,0.01
2,20,1.0,0.5,0.6,0.8,0.7,0.01
3,30,1.5,0.3,0.7,0.9,0.7,0.01
"""
METRICS = {
    "validation": {"val/loss": 0.6, "val/accuracy": 0.7},
    "test": {"test/loss": 0.65, "test/accuracy": None},
    "best_epoch": 2,
    "best_step": 12,
    "epochs": 3,
    "seconds": 1.5,
    "checkpoint": "checkpoints/best.ckpt",
    "sha256": "ab",
    "md5": "cd",
}
EVALUATION = {
    "problem": "binary",
    "classes": ["no", "yes"],
    "targets": ["y"],
    "monitor": "val/loss",
    "mode": "min",
    "splits": {},
    "samples": {},
    "layers": [{"name": "head", "key": "model.head", "parameters": 3}],
}


def make_run(path="runs/pets/version_0", **files):
    """Write the folder of a run that has started, and other files of it."""
    folder = Path(path)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("model: {layers: [flatten], optimizer: {init_args: {lr: 1e-3}}}\n")
    (folder / "environment.json").write_text('{"python": "3.11"}')
    for name, text in files.items():
        (folder / {"history": "history.csv"}.get(name, f"{name}.json")).write_text(text)
    return folder


def finished(path="runs/pets/version_0"):
    """Write the folder of a run that came to its end."""
    return make_run(
        path,
        history=HISTORY,
        metrics=json.dumps(METRICS),
        evaluation=json.dumps(EVALUATION),
        data='{"train": {"rows": 8, "sha256": "ab"}}',
    )


def test_a_finished_run():
    """All that the folder holds is there; numbers of the config are numbers."""
    run = Run(finished())
    assert repr(run) == "Run('runs/pets/version_0')"
    assert run.name == "pets/version_0"
    assert run.config["model"]["optimizer"]["init_args"]["lr"] == 0.001
    assert run.environment == {"python": "3.11"}
    assert run.data["train"]["rows"] == 8
    assert run.outcome.best_epoch == 2
    assert run.evaluation.layers[0].parameters == 3
    assert run.checkpoint == Path("runs/pets/version_0/checkpoints/best.ckpt")
    history = run.history
    assert isinstance(history, pd.DataFrame)
    assert history["epoch"].tolist() == [1, 2, 3]
    assert history.set_index("epoch")["val/loss"].idxmin() == 2
    assert run.diagnosis.summary()


def test_a_run_in_training():
    """Before the first epoch ends there is no figure; afterwards the history grows, and the rest is still missing."""
    folder = make_run()
    run = Run(folder)
    assert run.history.empty
    assert list(run.history) == ["epoch", "step", "seconds"]
    assert (run.outcome, run.evaluation, run.data) == (None, None, {})
    assert "too little is known" in run.diagnosis.summary()
    assert "not finished" in run._repr_html_()
    with pytest.raises(RunError, match=r"once its first epoch has ended\. runs/pets/version_0 has none"):
        run.plot()
    with pytest.raises(CheckpointError, match=r"best\.ckpt"):
        run.load_model()
    (folder / "history.csv").write_text("".join(HISTORY.splitlines(keepends=True)[:2]))
    assert len(run.history) == 1
    assert len(run.plot().axes) == 2
    (folder / "history.csv").write_text(HISTORY)
    assert len(run.history) == 3


@pytest.mark.parametrize("cut", [1, 5, 25])
def test_half_a_line(cut):
    """A copy that was made in the midst of writing has the lines that are whole, all of them numbers."""
    history = Run(make_run(history=HISTORY[:-cut])).history
    assert history["epoch"].tolist()[:2] == [1, 2]
    assert len(history) == 2
    assert history["val/loss"].tolist() == [0.9, 0.6]


def test_a_history_without_rows():
    """Its columns are numbers all the same."""
    history = Run(make_run(history=HISTORY.splitlines(keepends=True)[0])).history
    assert history.empty
    assert all(kind.kind in "fi" for kind in history.dtypes)


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("config.yaml", "a: [", r"config\.yaml can't be read as that of a run"),
        ("config.yaml", "just text", r"config\.yaml can't be read as that of a run"),
        ("environment.json", "{", r"environment\.json can't be read"),
        ("environment.json", "[1, 2]", r"environment\.json can't be read"),
        ("data.json", "null", r"data\.json can't be read"),
        ("history.csv", "", r"history\.csv can't be read as the history of a run: No columns"),
        ("history.csv", "epoch,step,seconds\n1,2,3,4,5\n1,2,3\n1,2,3,4,5,6\n", r"history\.csv"),
        ("history.csv", "name,age\nTom,3\n", r"In .*history\.csv it is otherwise with epoch, step, seconds, name"),
        ("history.csv", "epoch,step,seconds,val/loss\n1,2,3,low\n", r"otherwise with val/loss"),
        ("metrics.json", "{}", r"metrics\.json can't be read as the metrics of a run: validation: field required\.$"),
        ("metrics.json", '{"validation": 3}', r"validation: input should be an object, received 3\.$"),
        (
            "evaluation.json",
            "[]",
            r"evaluation\.json can't be read as the evaluation of a run: input should be an object",
        ),
    ],
)
def test_files_that_are_broken(name, text, message):
    """Each is named, with what is wrong with it."""
    folder = finished()
    (folder / name).write_text(text)
    run = Run(folder)
    asked = {"metrics.json": "outcome"}.get(name, name.split(".")[0])
    with pytest.raises(RunError, match=message):
        getattr(run, asked)


def test_bytes_that_are_no_text():
    """A history that is something else entirely is named, too."""
    folder = make_run()
    (folder / "history.csv").write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(RunError, match=r"history\.csv can't be read"):
        _ = Run(folder).history


# Finding runs


def test_no_run_folder():
    """A folder that is none says so, and names a run below it where there is one."""
    make_run("runs/pets/version_3")
    with pytest.raises(RunError, match=r"Received: runs\. There are runs below it, such as runs/pets/version_3\."):
        Run("runs")
    Path("empty").mkdir()
    with pytest.raises(RunError, match=r"as fit leaves it\. Received: empty\.$"):
        Run("empty")
    with pytest.raises(RunError, match=r"Received: empty\. There is none in or below it"):
        find_runs("empty")
    with pytest.raises(RunError, match=r"Received: nowhere\. There is no such folder"):
        find_runs("nowhere")


def test_find_runs():
    """Runs below a folder come config by config, and by number, not by letter; what is no run is passed over."""
    for name in ("b/version_10", "b/version_9", "a/version_0"):
        make_run(f"runs/{name}")
    Path("runs/a/version_1").mkdir()
    Path("runs/a/config.yaml").write_text("model: {}\n")
    assert [run.path.as_posix() for run in find_runs("runs")] == [
        "runs/a/version_0",
        "runs/b/version_9",
        "runs/b/version_10",
    ]
    assert [run.name for run in find_runs("runs/b/version_9")] == ["b/version_9"]
    assert Run(Path("runs/b/version_9").resolve()).name == "b/version_9"


# Notebooks


def test_plots():
    """By default there is a chart for the loss and each metric, train and validation in it; others can be asked for."""
    run = Run(finished())
    figure = run.plot()
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["loss", "accuracy"]
    for axes in figure.axes:
        curves = [line for line in axes.lines if len(line.get_xdata()) == 3]
        assert len(curves) == 2
    assert {tuple(line.get_ydata()) for line in figure.axes[0].lines} >= {(1.0, 0.5, 0.3), (0.9, 0.6, 0.7)}
    (only,) = run.plot("accuracy").axes
    assert only.get_title(loc="left") == "accuracy"
    assert len(run.plot("learning_rate", "val/loss", "accuracy").axes) == 3
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_a_metric_that_is_not_there():
    """The nearest is named."""
    run = Run(finished())
    with pytest.raises(RunError, match=r"Received: acuracy\. Did you mean accuracy"):
        run.plot("acuracy")
    with pytest.raises(RunError, match=r"There are: loss, accuracy, train/loss, .*learning_rate"):
        run.plot("?")


def test_what_a_notebook_shows():
    """Name, figures of both splits and the verdict are there; names that look like HTML stay text."""
    text = Run(finished("runs/<b>/version_0"))._repr_html_()
    assert "<strong>&lt;b&gt;/version_0</strong>" in text
    assert "<td>accuracy</td><td>0.7</td><td>nan</td>" in text
    assert "epoch 2 of 3 is the best" in text
    assert Run("runs/<b>/version_0").diagnosis.summary() in text.replace("&#x27;", "'").replace("&gt;", ">")


def test_a_run_is_cheap():
    """A process that makes a Run and looks at its figures imports neither torch nor matplotlib."""
    finished()
    code = (
        "import sys; from lightlab.inspect.run import Run; run = Run('runs/pets/version_0'); "
        "assert 'pandas' not in sys.modules; assert len(run.history) == 3 and run.outcome and run.evaluation; "
        "sys.exit(' '.join({'torch', 'lightning', 'matplotlib', 'tensorboard'} & sys.modules.keys()) or 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
