"""What is measured in a training: of which epoch, of which step, and that it is right."""

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer

from lightlab import BundledData, Model
from lightlab.cli import main
from lightlab.training.history import WRITE_ROWS, History, gradient_norms, history_text
from lightlab.training.run_folder import RunFolder

CONFIG = """\
seed_everything: 1
data:
  class_path: BundledData
  init_args: {name: wine, batch_size: 21}
model:
  layers: [{dense: {units: 8, activation: relu, l2: 1.0e-3}}]
  optimizer: {class_path: AdamW, init_args: {lr: 1.0e-2}}
early_stopping: null
tensorboard: null
trainer: {max_epochs: 3, accelerator: cpu}
"""
STEPS = 6  # an epoch of 124 rows in batches of 21


@pytest.fixture
def config():
    """A config in the test's folder."""
    Path("wine.yaml").write_text(CONFIG)
    return "wine.yaml"


def history(version=0):
    return pd.read_csv(f"runs/wine/version_{version}/history.csv")


def test_a_row_an_epoch(config, capsys):
    """Each epoch has a row with what was printed of it, and the best one the figures of metrics.json."""
    assert main(["fit", "--config", config]) == 0
    kept = history()
    assert kept.epoch.tolist() == [1, 2, 3]
    assert kept.step.tolist() == [STEPS, 2 * STEPS, 3 * STEPS]
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]
    for line, (_, row) in zip(lines, kept.iterrows(), strict=True):
        assert line.endswith(f"train/loss {row['train/loss']:.4g}  val/loss {row['val/loss']:.4g}")
    outcome = json.loads(Path("runs/wine/version_0/metrics.json").read_text())
    best = kept[kept.epoch == outcome["best_epoch"]].iloc[0]
    assert outcome["validation"] == pytest.approx({name: best[name] for name in outcome["validation"]}, rel=1e-6)
    assert (kept["train/penalty"] > 0).all()
    assert kept["learning_rate"].tolist() == [0.01] * 3
    assert (kept["gradient_norm_max"] >= kept["gradient_norm"]).all()
    assert kept.seconds.is_monotonic_increasing
    assert (kept.memory_mib > 50).all()
    # Rows and time of an epoch give its speed; validation takes part of the time.
    assert (kept.samples_per_second * kept.epoch_seconds >= 124 * 0.99).all()


def test_validations_within_an_epoch(config):
    """Each has a row of its own; train figures are there where the epoch ends."""
    assert main(["fit", "--config", config, "--trainer.max_epochs=2", "--trainer.val_check_interval=2"]) == 0
    kept = history()
    assert kept.step.tolist() == [2, 4, 6, 8, 10, 12]
    assert kept.epoch.tolist() == [1, 1, 1, 2, 2, 2]
    assert kept["val/loss"].notna().all()
    assert kept["train/loss"].notna().tolist() == [False, False, True] * 2


def test_validation_of_some_epochs(config):
    """An epoch without validation has none of the last one's figures."""
    assert main(["fit", "--config", config, "--trainer.check_val_every_n_epoch=2"]) == 0
    assert history()["val/loss"].notna().tolist() == [False, True, False]


def test_a_resumed_run_has_the_whole_history(config):
    """The rows before the checkpoint come along; all are those of a run that was not interrupted."""
    assert main(["fit", "--config", config]) == 0
    assert main(["fit", "--config", config, "--trainer.max_epochs=2"]) == 0
    assert main(["fit", "--config", config, "--ckpt_path", "runs/wine/version_1/checkpoints/last.ckpt"]) == 0
    whole, resumed = history(0), history(2)
    measured = ["epoch", "step", "train/loss", "val/loss", "gradient_norm", "learning_rate"]
    pd.testing.assert_frame_equal(whole[measured], resumed[measured], check_exact=True)
    assert resumed.seconds.is_monotonic_increasing


def test_a_run_that_breaks_off_says_so(config, capsys):
    """The loss that is no number is kept, and what its epoch's gradients were; no figures of the epoch before."""
    Path("rates.yaml").write_text(
        "model: {optimizer: {class_path: SGD, init_args: {lr: 1.0e+30}}, layers: [{dense: 8}, {dense: 8}, {dense: 8}]}"
    )
    assert main(["fit", "--config", config, "--config", "rates.yaml"]) == 2
    assert "training loss is a finite number" in capsys.readouterr().err
    kept = history()
    assert kept.step.tolist() == [1]
    assert "train/loss" in kept
    assert not np.isfinite(kept["train/loss"][0])
    assert "val/loss" not in kept


def test_the_gradient_is_that_of_the_step():
    """The norm is that of what the optimizer gets: where plain SGD steps once, its step over the rate."""
    data = BundledData("iris", batch_size=105)
    model = Model([{"dense": 4}], problem="multiclass", optimizer={"class_path": "SGD", "init_args": {"lr": 0.5}})
    kept = History(RunFolder(Path("runs"), "none", "", None))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", callbacks=[kept], enable_model_summary=False, **quiet)
    data.setup("fit")
    model.build(data.connect("multiclass"))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    trainer.fit(model, data)
    step = torch.cat([(new - old).flatten() for new, old in zip(model.parameters(), before, strict=True)]).norm()
    (row,) = kept.rows.values()
    assert row["gradient_norm"] == pytest.approx(float(step.detach()) / 0.5, rel=1e-4)
    assert not Path("runs").exists()
    gradient, weight = kept.first_gradients["network.0_dense.weight"]
    assert gradient > 0
    assert weight == pytest.approx(float(model.network[0].weight.detach().norm()))


def test_a_few_steps_of_each_epoch_are_looked_at(config):
    """Loggers of one's own get rate and gradient of some steps, and speed and memory of each epoch."""
    assert main(["fit", "--config", config, "--trainer.logger=CSVLogger", "--trainer.logger.save_dir=logs"]) == 0
    (file,) = Path("logs").rglob("metrics.csv")
    with file.open() as stream:
        rows = list(csv.DictReader(stream))
    steps = [int(row["step"]) for row in rows if row["gradient_norm"] and not row["epoch_seconds"]]
    assert steps == list(range(1, 3 * STEPS, 2))  # of each epoch the last, in any case
    assert [int(row["step"]) for row in rows if row["epoch_seconds"]] == [STEPS, 2 * STEPS, 3 * STEPS]


def test_gradient_norms_of_what_has_none():
    """A parameter without gradient counts as nought; a sparse gradient is summed first."""
    table = torch.nn.Embedding(4, 2, sparse=True)
    table(torch.tensor([1, 1])).sum().backward()
    idle = torch.nn.Parameter(torch.ones(3))
    assert gradient_norms([table.weight, idle]).tolist() == pytest.approx([8**0.5, 0.0])


def test_columns_come_in_one_order():
    """Epoch and step first, then train, val, and what is measured beside them, whatever row has them first."""
    rows = [{"epoch": 1, "step": 2, "seconds": 0.5, "speed": 1.0, "val/loss": 0.5}, {"epoch": 1, "train/loss": 0.25}]
    assert history_text(rows).splitlines()[0] == "epoch,step,seconds,train/loss,val/loss,speed"


@pytest.fixture
def trainer_with():
    """A function that trains on iris with a history, and returns it."""

    def train(folder, observer=None, **options):
        data, model = BundledData("iris", batch_size=32), Model([{"dense": 4}], problem="multiclass")
        kept = History(folder, observer)
        quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        quiet |= {"enable_model_summary": False, "accelerator": "cpu", "max_epochs": 3}
        Trainer(callbacks=[kept], **{**quiet, **options}).fit(model, data)
        return kept

    return train


def test_training_goes_on_where_the_history_cant_be_written(trainer_with, monkeypatch, capsys):
    """A file that can't be written is said once, tried again, and no training is lost for it."""
    monkeypatch.setattr("lightlab.training.history.WRITE_SECONDS", 0.0)
    folder = RunFolder(Path("runs"), "iris", "", None)
    folder.path = Path("runs/iris/version_0")
    (folder.path / "history.csv").mkdir(parents=True)
    assert len(trainer_with(folder).rows) == 3
    said = [line for line in capsys.readouterr().out.splitlines() if "can't be written" in line]
    assert len(said) == 1
    assert said[0].startswith("warning: The history can't be written to runs/iris/version_0/history.csv")


def test_file_and_checkpoint_have_all_rows(trainer_with, monkeypatch):
    """Whenever a process is killed, what is not in the file is in the checkpoint, which has some rows and not all."""
    monkeypatch.setattr("lightlab.training.history.WRITE_SECONDS", 1e9)
    folder = RunFolder(Path("runs"), "iris", "", None)
    folder.path = Path("runs/iris/version_0")
    folder.path.mkdir(parents=True)
    found = []

    class Watch:
        def __getattr__(self, name):
            return lambda *given: None

        def end_epoch(self, trainer, model, epoch):
            kept = next(each for each in trainer.callbacks if isinstance(each, History))
            file = folder.path / "history.csv"
            written = pd.read_csv(file).epoch.tolist() if file.is_file() else []
            stored = [row["epoch"] for row in kept.state_dict()["rows"]]
            found.append((epoch, set(written) | set(stored) == set(range(1, epoch + 1)), len(stored)))

    epochs = 2 * WRITE_ROWS + 3
    trainer_with(folder, Watch(), max_epochs=epochs)
    assert found == [(epoch, True, min(epoch, WRITE_ROWS + 1)) for epoch in range(1, epochs + 1)]


def test_training_goes_on_without_an_observer_that_fails(trainer_with, capsys):
    """Whoever only looks stops nothing: it is said, and it is told no more."""

    class Clumsy:
        told = 0

        def begin(self, trainer, model):
            self.told += 1
            raise ValueError("no eyes")

    observer = Clumsy()
    kept = trainer_with(RunFolder(Path("runs"), "iris", "", None), observer)
    assert len(kept.rows) == 3
    assert observer.told == 1
    assert "warning: TensorBoard shows no more than curves from here on: ValueError: no eyes" in capsys.readouterr().out


@pytest.mark.parametrize("precision", ["64-true", "bf16-true"])
def test_other_precisions(trainer_with, precision):
    """Gradients in double and in half precision have a norm, too."""
    kept = trainer_with(RunFolder(Path("runs"), "iris", "", None), precision=precision)
    assert all(row["gradient_norm"] > 0 for row in kept.rows.values())


@pytest.mark.parametrize("text", ["epoch,loss\n1,0.5\n", "epoch;step;seconds\n1;7;0\n", "", "\x00\xff\n"])
def test_a_foreign_history_is_left_alone(config, text, capsys):
    """What lies where the history of the run before would be, and is none, stops no one from going on."""
    assert main(["fit", "--config", config, "--trainer.max_epochs=1"]) == 0
    Path("runs/wine/version_0/history.csv").write_text(text)
    assert main(["fit", "--config", config, "--ckpt_path", "runs/wine/version_0/checkpoints/last.ckpt"]) == 0
    assert history(1).epoch.tolist() == [1, 2, 3]  # of the last rows the checkpoint knows
    assert ("can't be read as the history" in capsys.readouterr().out) == bool(text)


def test_a_line_that_broke_off_is_left_out(config):
    """Half a line of a run that was killed says nothing; the checkpoint has what stood there."""
    assert main(["fit", "--config", config, "--trainer.max_epochs=2"]) == 0
    file, whole = Path("runs/wine/version_0/history.csv"), history()
    file.write_text(file.read_text()[:-20])
    assert main(["fit", "--config", config, "--ckpt_path", "runs/wine/version_0/checkpoints/last.ckpt"]) == 0
    pd.testing.assert_series_equal(history(1)["val/loss"][:2], whole["val/loss"])
    assert history(1).epoch.tolist() == [1, 2, 3]


def test_a_training_without_a_step_leaves_no_folder(config, capsys):
    """Where the first step fails nothing is kept, so that no later call takes it for the latest run."""
    Path("fails_on_the_way_back.py").write_text(
        "import torch\nfrom lightlab import LAYERS\n\n\n@LAYERS.register('fails_on_the_way_back')\n"
        'def fails_on_the_way_back() -> torch.nn.Module:\n    """Fail on the way back."""\n'
        "    layer = torch.nn.Identity()\n"
        "    layer.register_full_backward_hook(lambda *_: 1 / 0)\n    return layer\n"
    )
    options = ["--plugin", "fails_on_the_way_back", "--model.layers", "[{dense: 4}, fails_on_the_way_back]"]
    assert main(["fit", "--config", config, *options]) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert not Path("runs").exists()
