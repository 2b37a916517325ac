"""The Trainer's verbs from end to end: real files, real training, and what is left behind."""

import json
import re
from importlib import import_module
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightlab.checkpoints import digests, read_checkpoint, write_checkpoint
from lightlab.cli import main
from lightlab.config.documents import Dumper
from lightlab.module import Model

CONFIG = """\
seed_everything: 1
data:
  class_path: BundledData
  init_args: {name: wine, batch_size: 16}
model:
  problem: multiclass
  layers:
    - dense: {units: 8, activation: relu, l2: 1.0e-3}
  optimizer: {class_path: AdamW, init_args: {lr: 1.0e-2}}
early_stopping: {patience: 3}
trainer: {max_epochs: 4, accelerator: cpu}
"""


@pytest.fixture
def config():
    """A config in the test's folder."""
    Path("wine.yaml").write_text(CONFIG)
    return "wine.yaml"


@pytest.fixture
def run(config):
    """A finished run of it."""
    assert main(["fit", "--config", config]) == 0
    return Path("runs/wine/version_0")


def figures(run):
    """Return a run's metrics.json."""
    return json.loads((run / "metrics.json").read_text())


def failing(arguments, capsys, code=2):
    """Make a call that fails, and return what it says."""
    assert main(arguments) == code
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_run_folder(run):
    """A run leaves its config, environment, figures, checkpoints and TensorBoard's files, and nothing else."""
    names = {path.name for path in run.iterdir() if not path.name.startswith("events.out")}
    files = {"config.yaml", "data.json", "environment.json", "metrics.json", "history.csv", "evaluation.json"}
    assert names == files | {"checkpoints", "train", "val", "best"}
    assert {path.name for path in (run / "checkpoints").iterdir()} == {"best.ckpt", "last.ckpt"}
    environment = json.loads((run / "environment.json").read_text())
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    assert {"python", "platform", "gpus", "git_commit"} <= environment.keys()


def test_metrics_json(run):
    """The figures are those of the best weights, and the digests those of their file."""
    outcome = figures(run)
    assert outcome.keys() == {
        "validation",
        "test",
        "best_epoch",
        "best_step",
        "epochs",
        "seconds",
        "checkpoint",
        "sha256",
        "md5",
    }
    best = read_checkpoint(outcome["checkpoint"])
    assert {name: outcome[name] for name in ("sha256", "md5")} == digests(outcome["checkpoint"])
    assert outcome["best_epoch"] == best["epoch"] + 1 <= outcome["epochs"] == 4
    names = {"loss", "accuracy", "f1_macro"}
    assert outcome["validation"].keys() == {f"val/{name}" for name in names}
    assert outcome["test"].keys() == {f"test/{name}" for name in names}


def test_fit_ends_with_a_table(config, capsys):
    """The table has epochs, metrics of both splits, checkpoint, digests and the line for TensorBoard."""
    assert main(["fit", "--config", config]) == 0
    out = capsys.readouterr().out
    outcome = figures(Path("runs/wine/version_0"))
    assert "wine: multiclass, rows 124 train, 27 val, 27 test, inputs (13), 139 parameters, on CPU" in out
    assert f"epochs      4 (best: {outcome['best_epoch']}) in" in out
    accuracy = f"accuracy    {outcome['validation']['val/accuracy']:.4f}        {outcome['test']['test/accuracy']:.4f}"
    assert accuracy in out
    assert (
        f"checkpoint  runs/wine/version_0/checkpoints/best.ckpt\nsha256      {outcome['sha256']}\nmd5         " in out
    )
    assert "tensorboard --logdir runs/wine/version_0" in out
    assert "epoch 4/4  train/loss" in out


def test_nothing_but_our_own_lines(config, capfd):
    """Lightning's tips and notes stay unsaid: standard error is empty."""
    assert main(["fit", "--config", config]) == 0
    captured = capfd.readouterr()
    assert captured.err == ""
    assert "Tip" not in captured.out


def test_tensorboard_has_the_curves(run):
    """Train and validation have one tag for each figure, a value an epoch; those of the best weights are a dot."""

    def read(folder):
        events = EventAccumulator(str(run / folder)).Reload()
        return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}

    names = {"metrics/loss", "metrics/accuracy", "metrics/f1_macro"}
    for folder in ("train", "val"):
        curves = read(folder)
        assert curves.keys() == names
        assert all([step for step, _ in points] == [1, 2, 3, 4] for points in curves.values())
    outcome = figures(run)
    for folder, split in (("val", "validation"), ("test", "test")):
        ((step, value),) = read(f"best/{folder}")["metrics/accuracy"]
        assert step == outcome["best_epoch"]
        assert value == pytest.approx(outcome[split][f"{folder}/accuracy"])
    assert {"training/penalty", "training/learning_rate", "training/gradient_norm"} <= read("").keys()


def test_what_only_training_needs_is_given_back(config):
    """The optimizer's state, before the best weights are read: it is twice as much; and there are no gradients."""
    Path("kept.py").write_text(
        "from lightning.pytorch import Callback\n\nSEEN = {}\n\n\nclass Kept(Callback):\n"
        "    def on_train_end(self, trainer, module):\n        SEEN['state'] = len(trainer.optimizers[0].state)\n"
        "    def on_test_start(self, trainer, module):\n        SEEN['trainer'] = trainer\n"
    )
    assert main(["fit", "--config", config, "--plugin", "kept", "--trainer.callbacks", "kept.Kept"]) == 0
    seen = import_module("kept").SEEN
    trainer = seen["trainer"]
    assert seen["state"] == 4
    assert all(not optimizer.state for optimizer in trainer.optimizers)
    assert all(parameter.grad is None for parameter in trainer.lightning_module.parameters())


def test_same_config_same_figures(run):
    """The run's own config repeats it to the bit, in a folder of its own."""
    assert main(["fit", "--config", str(run / "config.yaml")]) == 0
    first, again = figures(run), figures(run.with_name("version_1"))
    assert first["validation"] == again["validation"]
    assert first["test"] == again["test"]


def test_test_and_validate_take_the_best_weights_of_the_latest_run(run, config, capsys):
    """Without a checkpoint the latest run's best one is taken, and gives the figures that fit gave."""
    outcome = figures(run)
    for verb, split, prefix in (("test", "test", "test"), ("validate", "validation", "val")):
        capsys.readouterr()
        assert main([verb, "--config", config]) == 0
        out = capsys.readouterr().out
        assert f"weights: {run}/checkpoints/best.ckpt" in out
        assert f"loss      {outcome[split][f'{prefix}/loss']:.4f}" in out


@pytest.mark.parametrize("verb", ["test", "validate", "predict"])
def test_never_random_weights(verb, config, capsys):
    """Without a run there is an error, and no folder is left."""
    error = failing([verb, "--config", config], capsys)
    assert "never uses random weights" in error
    assert "runs/wine" in error
    assert not Path("runs").exists()


def test_predict(run, config, capsys):
    """Predictions have the rows' ids, the class and a probability for each class name, as CSV and Parquet."""
    assert main(["predict", "--config", config, "--output", "out/p.csv"]) == 0
    assert main(["predict", "--config", str(run / "config.yaml"), "--output", "p.parquet"]) == 0
    table = pd.read_csv("out/p.csv")
    probabilities = [f"probability_class_{index}" for index in range(3)]
    assert list(table.columns) == ["id", "prediction", *probabilities]
    assert len(table) == 27
    np.testing.assert_allclose(table[probabilities].sum(axis=1), 1, atol=1e-5)
    assert (table[probabilities].to_numpy().argmax(1) == table.prediction.str[-1].astype(int)).all()
    pd.testing.assert_frame_equal(table, pd.read_parquet("p.parquet"))
    assert "p.txt" in failing(["predict", "--config", config, "--output", "p.txt"], capsys)


OVERWRITTEN = [
    ("wine.csv", "wine.csv, which is data.path (wine.csv)"),
    ("./link.csv", "link.csv, which is data.path (wine.csv)"),
    ("folder/new.csv", "new.csv, which is data.predict_path (folder/new.csv)"),
    ("config.csv", "config.csv, which is the config (table.yaml)"),
    ("weights.csv", "weights.csv, which is the checkpoint ("),
]


@pytest.mark.parametrize(("output", "message"), OVERWRITTEN)
def test_predictions_are_not_written_over_what_they_are_made_from(output, message, capsys):
    """A table, config or checkpoint stays as it is, also under the name of a link, and nothing of it is read."""
    Path("folder").mkdir()
    for path in ("wine.csv", "folder/new.csv"):
        Path(path).write_text("never read")
    Path("table.yaml").write_text(
        "data: {class_path: TableData, init_args: {path: wine.csv, predict_path: folder/new.csv, target: x}}\n"
        "model: {layers: []}\n"
    )
    checkpoint = Path("runs/table/version_0/checkpoints/best.ckpt")
    checkpoint.parent.mkdir(parents=True)
    checkpoint.write_text("never read")
    for link, target in (("link.csv", "wine.csv"), ("config.csv", "table.yaml"), ("weights.csv", checkpoint)):
        Path(link).symlink_to(target)
    before = Path(output).read_text()
    error = failing(["predict", "--config", "table.yaml", "--output", output], capsys)
    assert "command line: output: Predictions are not written over data, config or checkpoint. Received: " in error
    assert message in error
    assert Path(output).read_text() == before


def test_predictions_are_written_anew(run, config):
    """Those of an earlier call are written over, also beside data that is called as their folder."""
    for _ in range(2):
        assert main(["predict", "--config", config]) == 0
        assert main(["predict", "--config", config, "--output", "wine/p.csv"]) == 0


def test_a_checkpoint_needs_nothing_beside_it(run):
    """With the checkpoint alone, moved elsewhere, rows of a file are predicted as the model does."""
    checkpoint = (run / "checkpoints" / "best.ckpt").rename("alone.ckpt")
    model = Model.load(checkpoint)
    rows = np.random.default_rng(0).normal(10, 5, (4, 13)).round(3)
    pd.DataFrame(rows, columns=model.data_spec.input.columns).to_csv("new.csv", index=False)
    arguments = ["--ckpt_path", "alone.ckpt", "--data", "TableData", "--data.predict_path", "new.csv"]
    assert main(["predict", *arguments]) == 0
    expected = model.predict(torch.tensor(rows, dtype=torch.float32))
    table = pd.read_csv("predictions.csv")
    assert table.prediction.tolist() == expected["prediction"]
    np.testing.assert_allclose(table["probability_class_1"], expected["probability_class_1"], atol=1e-6)


def test_command_line_beats_the_checkpoint():
    """A threshold on the command line decides, and not the checkpoint's; the rest is the checkpoint's."""
    Path("c.yaml").write_text(CONFIG.replace("wine", "breast_cancer").replace("multiclass", "binary"))
    assert main(["fit", "--config", "c.yaml", "--model.head.threshold", "0.5"]) == 0
    data = ["--data", "BundledData", "--data.name", "breast_cancer"]
    arguments = ["--ckpt_path", "runs/c/version_0/checkpoints/best.ckpt", *data]
    assert main(["predict", *arguments, "--output", "a.csv"]) == 0
    assert main(["predict", *arguments, "--model.head.threshold", "0.999999", "--output", "b.csv"]) == 0
    assert set(pd.read_csv("a.csv").prediction) == {"benign", "malignant"}
    assert set(pd.read_csv("b.csv").prediction) == {"benign"}


def test_resume(run, config, capsys):
    """Training goes on from the last checkpoint in a new folder, and counts on."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", "6"]) == 0
    steps = read_checkpoint(run / "checkpoints" / "last.ckpt")["global_step"]
    assert f"goes on from: {run}/checkpoints/last.ckpt (whole epochs 4, steps {steps})" in capsys.readouterr().out
    assert figures(run.with_name("version_1"))["epochs"] == 6
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    saved = yaml.safe_load((run.with_name("version_1") / "config.yaml").read_text())
    assert "ckpt_path" not in saved


def test_best_weights_and_not_the_last():
    """With a learning rate that ruins the network after the first epochs, the best weights are still the ones used."""
    schedule = "{class_path: StepLR, init_args: {step_size: 2, gamma: 1000.0}}"
    text = CONFIG.replace("wine", "diabetes").replace("multiclass", "regression")
    Path("c.yaml").write_text(text.replace("  optimizer:", f"  lr_scheduler: {schedule}\n  optimizer:"))
    assert main(["fit", "--config", "c.yaml", "--early_stopping", "null"]) == 0
    outcome = figures(Path("runs/c/version_0"))
    assert outcome["best_epoch"] == 2
    last = read_checkpoint("runs/c/version_0/checkpoints/last.ckpt")["metrics"]["val/loss"]
    assert outcome["validation"]["val/loss"] < last
    logged = read_checkpoint(outcome["checkpoint"])["metrics"]["val/loss"]
    assert outcome["validation"]["val/loss"] == logged


def test_early_stopping_stops(config):
    """Training ends after as many epochs without progress as patience says."""
    options = ["--model.optimizer.lr", "0.0", "--early_stopping.patience", "2", "--trainer.max_epochs", "50"]
    assert main(["fit", "--config", config, *options]) == 0
    assert figures(Path("runs/wine/version_0"))["epochs"] == 3


def test_metric_to_watch_can_be_chosen(config):
    """A metric of which more is better is watched the right way round."""
    assert main(["fit", "--config", config, "--checkpoint.monitor", "val/accuracy"]) == 0
    run = Path("runs/wine/version_0")
    last = read_checkpoint(run / "checkpoints" / "last.ckpt")["metrics"]["val/accuracy"]
    assert figures(run)["validation"]["val/accuracy"] >= last


def test_without_validation_or_test_split(config):
    """Without a validation split the training loss tells the best weights; without a test split nothing is tested."""
    assert main(["fit", "--config", config, "--data.split", "[1, 0, 0]", "--early_stopping", "null"]) == 0
    outcome = figures(Path("runs/wine/version_0"))
    assert (outcome["validation"], outcome["test"]) == ({}, {})
    assert main(["fit", "--config", config, "--trainer.max_steps", "2"]) == 0
    outcome = figures(Path("runs/wine/version_1"))
    assert Path(outcome["checkpoint"]).name in ("best.ckpt", "last.ckpt")


def test_trainer_s_own_options(config):
    """What the Trainer takes goes to the Trainer: no logger, another root, callbacks by class path, precision."""
    scheduler = {"class_path": "GradientAccumulationScheduler", "init_args": {"scheduling": {"1": 2}}}
    callback = json.dumps([scheduler])
    options = ["--trainer.logger", "false", "--trainer.default_root_dir", "elsewhere", "--trainer.callbacks", callback]
    assert main(["fit", "--config", config, *options, "--trainer.gradient_clip_val", "0.5"]) == 0
    run = Path("elsewhere/wine/version_0")
    assert figures(run)["epochs"] == 4
    assert not list(run.glob("events*"))
    assert main(["fit", "--config", config, "--trainer.fast_dev_run", "true"]) == 0
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (
            ("units: 8", "unit: 8"),
            [],
            "wine.yaml:8: model.layers[0].dense.unit: dense has no parameter 'unit'. Did you mean units",
        ),
        (("- dense", "- conv2d"), [], "wine.yaml:8: model.layers[0].conv2d: conv2d needs 'filters'."),
        (
            ("units: 8", "units: '8'"),
            [],
            "wine.yaml:8: model.layers[0].dense.units: dense's units must be a valid integer. Received: '8'",
        ),
        (
            ("AdamW", "AdamV"),
            [],
            "wine.yaml:9: model.optimizer.class_path: No optimizer is called 'AdamV'. Did you mean Adam",
        ),
        (
            ("patience", "patient"),
            [],
            "wine.yaml:10: early_stopping.patient: early_stopping has no key 'patient'. Did you mean patience",
        ),
        (
            ("max_epochs", "max_epoch"),
            [],
            "wine.yaml:11: trainer.max_epoch: trainer has no key 'max_epoch'. Did you mean max_epochs",
        ),
        (("model:", "modell:"), [], "wine.yaml:5: modell: A config has no section 'modell'. Did you mean model?"),
        (
            ("BundledData", "BundleData"),
            [],
            "wine.yaml:3: data.class_path: No data source is called 'BundleData'. Did you mean BundledData",
        ),
        (
            ("name: wine", "name: wein"),
            [],
            "linnerud'. Received: 'wein'. Did you mean wine?",
        ),
        (
            ("name: wine", "nam: wine"),
            [],
            "wine.yaml:4: data.init_args.nam: BundledData has no parameter 'nam'. Did you mean name?",
        ),
        (("multiclass", "binary"), [], "Problem binary needs exactly two classes"),
        (
            ("", ""),
            ["--trainer.max_epochs", "many"],
            "command line: trainer.max_epochs: trainer's max_epochs must be a valid integer. Received: 'many'.",
        ),
        (
            ("", ""),
            ["--trainer.max_epoch", "3"],
            "command line: trainer.max_epoch: trainer has no key 'max_epoch'. Did you mean max_epochs",
        ),
        (
            ("", ""),
            ["--data.batch_size", "0"],
            "command line: data.batch_size: BundledData's batch_size must be greater than 0; or must be 'auto'.",
        ),
        (("", ""), ["--early_stopping.monitor", "val/acc"], "Received: val/acc. Did you mean val/accuracy"),
        (("", ""), ["--data.split", "[0.8, 0, 0.2]"], "There is no validation split."),
        (
            ("", ""),
            ["--trainer.accelerator", "gpuu"],
            "command line: trainer.accelerator: accelerator is one of auto, cpu, gpu",
        ),
        (("", ""), ["--ckpt_path", "missing.ckpt"], "There is none at missing.ckpt"),
        (
            ("", ""),
            ["--model.layers", "[{conv2d: {filters: 2, kernel_size: 3}}]"],
            "command line: model.layers[0].conv2d: conv2d needs rank 4",
        ),
    ],
)
def test_errors_say_where(change, options, message, config, capsys):
    """A fault is answered with place, rule and the nearest right thing; no run folder is left."""
    Path(config).write_text(CONFIG.replace(*change))
    assert message in failing(["fit", "--config", config, *options], capsys)
    assert not Path("runs").exists()


def test_a_run_that_fails_before_its_first_step_leaves_nothing(config, capsys):
    """An error that only the first batch shows takes the run folder away again."""
    Path("failing.py").write_text(
        "from torch import nn\nfrom lightlab import LAYERS\n\n"
        "class Failing(nn.Module):\n    def forward(self, x):\n"
        "        if x.device.type == 'meta':\n            return x\n        raise RuntimeError('not today')\n\n"
        "@LAYERS.register('failing')\ndef failing():\n    return Failing()\n"
    )
    Path(config).write_text(CONFIG.replace("    - dense", "    - failing\n    - dense"))
    assert "not today" in failing(["--plugin", "failing", "fit", "--config", config], capsys)
    assert not Path("runs").exists()


def test_root_that_can_t_be_written(config, capsys):
    """A place where no run folder can be made is named before training."""
    Path("file").touch()
    error = failing(["fit", "--config", config, "--trainer.default_root_dir", "file"], capsys)
    assert "A run needs a folder that it can write to. file/wine can't be" in error


def test_checkpoint_that_is_none(run, config, capsys):
    """A checkpoint with altered layers or of another program is refused by name."""
    assert "shapes of this config's layers" in failing(
        ["test", "--config", config, "--model.layers", "[{dense: 5}]"], capsys
    )
    checkpoint = read_checkpoint(run / "checkpoints" / "best.ckpt")
    write_checkpoint({**checkpoint, "data_spec": {"problem": 3}}, "odd.ckpt")
    assert "data_spec" in failing(["test", "--config", config, "--ckpt_path", "odd.ckpt"], capsys)
    Path("no.ckpt").write_text("a,b")
    assert "no.ckpt can't be read" in failing(["test", "--config", config, "--ckpt_path", "no.ckpt"], capsys)


@pytest.mark.parametrize(
    ("text", "options", "name", "rate"),
    [
        ("SGD", ["--model.optimizer.lr", "0.5"], "SGD", 0.5),
        ("SGD", ["--model.optimizer.init_args.lr=0.5", "--model.optimizer.momentum", "0.9"], "SGD", 0.5),
        ("{class_path: AdamW, init_args: {lr: 0.5}}", ["--model.optimizer", "SGD"], "SGD", 0.001),
        ("AdamW", ["--model.optimizer.class_path", "SGD", "--model.optimizer.lr", "0.5"], "SGD", 0.5),
        ("{class_path: SGD, lr: 0.1}", ["--model.optimizer={lr: 0.5}"], "SGD", 0.5),
    ],
)
def test_optimizer_from_config_and_command_line(text, options, name, rate, config):
    """The class stays when an argument is changed, and its arguments go when the class is."""
    Path(config).write_text(CONFIG.replace("{class_path: AdamW, init_args: {lr: 1.0e-2}}", text))
    assert main(["fit", "--config", config, *options, "--trainer.max_epochs", "1"]) == 0
    checkpoint = read_checkpoint("runs/wine/version_0/checkpoints/last.ckpt")
    assert checkpoint["hyper_parameters"]["optimizer"]["class_path"] == name
    assert checkpoint["optimizer_states"][0]["param_groups"][0]["lr"] == rate


def test_resuming_keeps_the_best_weights(config):
    """A resumed run that finds nothing better ends with the old run's best weights."""
    assert main(["fit", "--config", config]) == 0
    best = figures(Path("runs/wine/version_0"))
    options = ["--model.optimizer.lr", "100.0", "--trainer.max_epochs", "6", "--early_stopping.patience", "50"]
    assert main(["fit", "--config", config, "--ckpt_path", "last", *options]) == 0
    resumed = figures(Path("runs/wine/version_1"))
    assert resumed["validation"] == best["validation"]
    assert (resumed["best_epoch"], resumed["epochs"]) == (best["best_epoch"], 6)
    last = read_checkpoint("runs/wine/version_1/checkpoints/last.ckpt")
    assert last["optimizer_states"][0]["param_groups"][0]["lr"] == 100.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--trainer.max_epochs", "4"], "max_epochs counts the epochs before the checkpoint, too: 4. Received: 4."),
        (["--model.optimizer", "SGD"], "goes on with the optimizer of its checkpoint"),
        (["--model.lr_scheduler", "CosineAnnealingLR"], "goes on with the lr_scheduler of its checkpoint"),
        (["--data.name", "iris", "--model.layers", "[{dense: 8}]"], "goes with the data that it was trained on"),
    ],
)
def test_what_a_resumed_run_can_t_change(options, message, run, config, capsys):
    """What does not go with the restored state is refused, and leaves no folder."""
    arguments = ["fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", "9", *options]
    assert message in failing(arguments, capsys)
    assert [path.name for path in run.parent.iterdir()] == ["version_0"]


def test_loss_that_is_not_finite(config, capsys):
    """Training that diverges ends with an error, and keeps no weights of it."""
    Path("c.yaml").write_text(CONFIG.replace("wine", "diabetes").replace("multiclass", "regression"))
    options = ["--model.optimizer", "SGD", "--model.optimizer.lr", "1e30"]
    assert "The training loss is a finite number. In step 2 (batch 2 of epoch 1)" in failing(
        ["fit", "--config", "c.yaml", *options], capsys
    )
    assert not list(Path("runs").rglob("best.ckpt"))


def test_what_a_callback_raises(config, capsys):
    """It is said with the line of the plugin that raised it, which is no fault of lightlab's."""
    Path("odd.py").write_text(
        "from lightning.pytorch import Callback\n\n\nclass Odd(Callback):\n"
        "    def on_train_batch_end(self, trainer, module, *given):\n        {}['row 7']\n"
    )
    arguments = ["fit", "--config", config, "--plugin", "odd", "--trainer.callbacks", "odd.Odd"]
    error = failing(arguments, capsys, code=1)
    assert "lightlab: error: KeyError: 'row 7' (" in error
    assert "odd.py:6)" in error
    assert "it came by way of a plugin; --debug shows the traceback" in error


def test_no_weights_are_kept(config, capsys):
    """Where no weights are kept the metrics are those of the last epoch; the report and the table say so."""
    assert main(["fit", "--config", config, "--trainer.enable_checkpointing", "false"]) == 0
    said = capsys.readouterr().out
    assert "No weights were kept (trainer.enable_checkpointing is false): the metrics are those of the last" in said
    (run,) = re.findall("^run +", said, re.MULTILINE)
    assert len(re.findall(f"^doctor {{{len(run) - len('doctor')}}}[a-z]", said, re.MULTILINE)) == 1  # in its column
    assert "lightlab predict" not in said
    run = Path("runs/wine/version_0")
    outcome = figures(run)
    history = pd.read_csv(run / "history.csv")
    assert outcome["validation"]["val/loss"] == pytest.approx(history["val/loss"].iloc[-1])
    assert (outcome["test"], outcome["best_epoch"], outcome["checkpoint"]) == ({}, 4, None)
    assert main(["report", str(run), "-o", "report.md"]) == 0
    page = Path("report.md").read_text()
    assert "No weights were kept: trainer.enable_checkpointing is false." in page
    assert "broke off" not in page


def test_no_step_no_run(config, capsys):
    """A training of no steps is an error, and leaves nothing."""
    assert "at least one step" in failing(["fit", "--config", config, "--trainer.max_epochs", "0"], capsys)
    assert not Path("runs").exists()


def test_no_rows_to_evaluate(config, capsys):
    """A split that is not there can't be evaluated."""
    assert main(["fit", "--config", config, "--data.split", "[0.8, 0.2, 0]"]) == 0
    error = failing(["test", "--config", config, "--data.split", "[0.8, 0.2, 0]"], capsys)
    assert "lightlab test needs a test split. The data has: train, val." in error


def test_a_verb_alone(capsys):
    """A verb without a config says what is needed."""
    error = failing(["fit"], capsys)
    assert "A config is needed: --config FILE." in error


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("model: {num_classes: 3}", "model has no key 'num_classes'. It belongs nowhere: it follows from the data"),
        ("model: {lr: 3}", "model has no key 'lr'. It belongs under model.optimizer"),
        ("trainer: {batch_size: 3}", "trainer has no key 'batch_size'. It belongs under data.init_args"),
        ("trainer: 3", "A config's trainer must be a mapping. Received: 3."),
        ("early_stopping: {patience: -1}", "patience must be greater than or equal to 0. Received: -1."),
    ],
)
def test_keys_in_the_wrong_place(line, message, config, capsys):
    """A key that stands somewhere else than it belongs is answered with its place."""
    Path("more.yaml").write_text(line)
    assert message in failing(["fit", "--config", config, "--config", "more.yaml"], capsys)


def test_a_run_s_config_keeps_text_that_looks_like_a_number():
    """A run on columns called 1e3 and 007 is repeated by its own config."""
    table = pd.DataFrame({"x": range(40), "007": [3, 1, 2, 5] * 10, "1e3": ["a", "b"] * 20})
    table.to_csv("odd.csv", index=False)
    data = {"class_path": "TableData", "init_args": {"path": "odd.csv", "target": "1e3", "numeric": ["007"]}}
    config = {"data": data, "model": {"layers": []}, "trainer": {"max_epochs": 1, "accelerator": "cpu"}}
    Path("odd.yaml").write_text(yaml.dump(config, Dumper=Dumper))
    assert main(["fit", "--config", "odd.yaml"]) == 0
    assert main(["fit", "--config", "runs/odd/version_0/config.yaml"]) == 0
    kept = [yaml.safe_load(Path(f"runs/odd/version_{number}/config.yaml").read_text())["data"] for number in (0, 1)]
    assert kept[0] == kept[1]
    assert kept[0]["init_args"]["target"] == "1e3"
