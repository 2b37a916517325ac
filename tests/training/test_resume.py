"""A training that is gone on with ends as one that never stopped: weights, figures, counters; to the bit."""

import json
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from lightlab.checkpoints import read_checkpoint, write_checkpoint
from lightlab.cli import main

#: Batches of an epoch.
BATCHES = 8
CONFIG = """\
seed_everything: 1
data: {class_path: BundledData, init_args: {name: wine, batch_size: 16, augment: [{gaussian_noise: 0.1}]}}
model:
  problem: multiclass
  layers: [{dense: {units: 8, activation: relu, l2: 0.001}}, batch_norm, {dropout: 0.3}]
compile: false
tensorboard: null
trainer:
  max_epochs: 3
  accelerator: cpu
  callbacks:
  - class_path: ModelCheckpoint
    init_args: {every_n_train_steps: 1, save_top_k: -1, filename: "s{step}", auto_insert_metric_name: false}
  - class_path: ModelCheckpoint
    init_args:
      {monitor: val/accuracy, mode: max, save_top_k: -1, filename: "v{step}", auto_insert_metric_name: false,
       save_on_train_epoch_end: false}
  - class_path: ModelCheckpoint
    init_args:
      {monitor: train/accuracy, mode: max, save_top_k: -1, filename: "e{step}", auto_insert_metric_name: false,
       save_on_train_epoch_end: true}
"""
#: In an epoch; after its last batch, before the validation; after that; at the end of the epoch.
PLACES = [f"s{BATCHES + 3}", f"s{2 * BATCHES}", f"v{2 * BATCHES}", f"e{2 * BATCHES}"]
MEASURED = ["seconds", "epoch_seconds", "samples_per_second", "memory_mib"]
ASIDE = ("callbacks", "hyper_parameters", "max_epochs")


def fit(*options):
    """Train with the config, and return the exit code."""
    Path("wine.yaml").write_text(CONFIG)
    return main(["fit", "--config", "wine.yaml", *options])


def kept(name, version=0):
    """Return the path of a checkpoint of a run."""
    return f"runs/wine/version_{version}/checkpoints/{name}.ckpt"


def came_to(version):
    """Return what a run came to, without what is measured of the machine and where its files are."""
    found = {}
    for name in ("last", "best"):
        checkpoint = read_checkpoint(kept(name, version))
        states = checkpoint["callbacks"].items()
        found[name] = {key: value for key, value in checkpoint.items() if key not in ASIDE}
        decisive = ("best_model_score", "wait_count", "best_score", "latest_update_step")
        found[name]["states"] = {key: {part: state.get(part) for part in decisive} for key, state in states}
    history = pd.read_csv(f"runs/wine/version_{version}/history.csv")
    found["history"] = history.drop(columns=MEASURED).astype(str).to_dict("list")
    outcome = json.loads(Path(f"runs/wine/version_{version}/metrics.json").read_text())
    return found | {name: outcome[name] for name in ("validation", "test", "best_epoch", "best_step", "epochs")}


def schedule(name, **options):
    """Return the option for a schedule."""
    beside = {key: options.pop(key) for key in ("interval", "warmup") if key in options}
    return f"--model.lr_scheduler={json.dumps({'class_path': name, 'init_args': options, **beside})}"


#: Options, and the checkpoints that are gone on with: by default one of each kind.
CASES = {
    "length of the training, warm-up": ([schedule("CosineAnnealingLR", interval="step", warmup=5)], PLACES),
    "plateau": ([schedule("ReduceLROnPlateau", patience=0, threshold=0.5), "--early_stopping.patience=9"], PLACES),
    "accumulation": (["--trainer.accumulate_grad_batches=3"], ["s4", "s6", "e6"]),
    "validation in epochs": (["--trainer.val_check_interval=3"], ["v11", "s14", "e16"]),
    "plateau where few epochs validate": (
        [
            schedule("ReduceLROnPlateau", patience=0, threshold=0.9),
            "--trainer.check_val_every_n_epoch=2",
            "--trainer.max_epochs=6",
        ],
        ["s8", "e16", "s24", "v32", "e32"],
    ),
    "double precision": (["--trainer.precision=64-true"], PLACES[:1]),
    "one step an execution": (["--steps_per_execution=1"], PLACES[:2]),
}


def check_going_on(options, names, differing):
    """Go on from checkpoints, and hold what comes of it against the whole training."""
    assert fit(*options) == 0
    whole = came_to(0)
    for version, name in enumerate(names, 1):
        assert fit(*options, "--ckpt_path", kept(name)) == 0
        assert differing(came_to(version), whole) == [], name


@pytest.mark.parametrize("case", CASES)
@pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step")  # SequentialLR's own
def test_going_on_is_exact(case, differing):
    """From a batch within an epoch and from its last, from a validation and from the end of an epoch."""
    check_going_on(*CASES[case], differing)


@pytest.fixture
def callback(monkeypatch):
    """Return a function that adds a callback to the config."""

    def add(name, **options):
        config = yaml.safe_load(CONFIG)
        config["trainer"]["callbacks"].append({"class_path": name, "init_args": options})
        monkeypatch.setattr(sys.modules[__name__], "CONFIG", yaml.safe_dump(config))

    return add


def test_averaged_weights(differing, callback):
    """The averages are gone on with, and the weights that they are of."""
    callback("EMAWeightAveraging", decay=0.9)
    check_going_on([], PLACES[:2], differing)


def test_accumulation_that_changes(differing, callback):
    """An epoch is gone on with by its own number of batches that make a step."""
    callback("GradientAccumulationScheduler", scheduling={0: 1, 1: 3})
    check_going_on([], ["s4", "s9", "v11", "e11", "s13"], differing)


def test_schedule_of_averaged_weights(differing, callback):
    """StochasticWeightAveraging brings its own schedule at the start of an epoch, which is there in its middle, too."""
    callback("StochasticWeightAveraging", swa_lrs=0.01, swa_epoch_start=1, annealing_epochs=4)
    check_going_on([], PLACES, differing)


def test_batch_norms_of_averaged_weights(differing, callback):
    """The pass over the data that StochasticWeightAveraging adds to the epochs is begun where it was not reached."""
    callback("StochasticWeightAveraging", swa_lrs=0.01, swa_epoch_start=1)
    assert fit() == 0
    assert fit("--ckpt_path", kept(f"e{3 * BATCHES}")) == 0
    assert differing(came_to(1)["last"]["state_dict"], came_to(0)["last"]["state_dict"]) == []
    assert came_to(1)["history"] == came_to(0)["history"]


def test_averaging_that_has_not_begun_is_not_all_that_is_left(callback, capsys):
    """Where no weights are averaged yet, there are none to make that pass with."""
    callback("StochasticWeightAveraging", swa_lrs=0.01, swa_epoch_start=3)
    assert fit() == 0
    assert fit("--ckpt_path", kept(f"e{BATCHES}"), "--trainer.max_epochs=1") == 2
    assert "max_epochs counts the epochs before the checkpoint, too: 1" in " ".join(capsys.readouterr().err.split())


def test_the_same_training_has_the_same_files():
    """No clock, process or folder stands in checkpoints: of two runs with one seed they are the same to the byte."""
    runs = []
    for version in range(2):
        assert fit() == 0
        files = Path(kept("last", version)).parent.iterdir()
        runs.append({file.name: file.read_bytes() for file in files})
    assert runs[0].keys() == runs[1].keys() >= {"best.ckpt", "last.ckpt", f"{PLACES[0]}.ckpt"}
    assert [name for name in runs[0] if runs[0][name] != runs[1][name]] == []


def test_an_epoch_that_is_gone_on_with_is_shown(capsys):
    """Its line has the figures of all of it, as that of a training that never stopped."""

    def shown():
        return [line for line in capsys.readouterr().out.splitlines() if line.startswith("epoch ")]

    assert fit() == 0
    whole = shown()
    assert fit("--ckpt_path", kept(PLACES[0])) == 0
    assert shown() == whole[1:]


def test_an_epoch_that_is_over_leaves_nothing_in_checkpoints():
    """Within an epoch logits are kept, for its figures; with its last validation there are these, and then nothing."""
    assert fit() == 0
    states = {name: read_checkpoint(kept(name))["processes"][0]["epoch"] for name in PLACES}
    assert [sorted(state) for state in states.values()] == [
        ["metrics", "penalties"],
        ["metrics", "penalties"],
        ["figures"],
        [],
    ]
    rows = sum(len(part) for part in states[PLACES[0]]["metrics"]["waiting"][:1])
    assert rows == 3 * 16


def test_a_training_with_more_steps_goes_on_in_the_epoch(differing):
    """Where max_steps has ended an epoch in its middle, more of them go on there, and its figures are of all of it."""
    assert fit() == 0
    assert fit(f"--trainer.max_steps={BATCHES + 3}") == 0
    assert pd.read_csv("runs/wine/version_1/history.csv").step.tolist() == [BATCHES, BATCHES + 3]
    assert fit("--ckpt_path", kept("last", 1)) == 0
    assert differing(came_to(2)["last"]["state_dict"], came_to(0)["last"]["state_dict"]) == []
    assert came_to(2)["history"] == came_to(0)["history"]


@pytest.mark.parametrize(
    ("before", "options", "message"),
    [
        ([], [], "max_epochs counts the epochs before the checkpoint, too: 3"),
        (["--trainer.max_steps=11"], ["--trainer.max_steps=11"], "max_steps counts the steps before the checkpoint"),
        (
            ["--early_stopping.patience=1", "--early_stopping.min_delta=9"],
            ["--early_stopping.patience=1", "--early_stopping.min_delta=9"],
            "The training has stopped early, after 1 validations that were no better. Received: 1.",
        ),
    ],
    ids=["epochs", "steps", "early stopping"],
)
def test_nothing_left_to_train(before, options, message, capsys):
    """A training that is over is not begun again, and leaves no folder."""
    assert fit(*before) == 0
    assert fit(*options, "--ckpt_path", kept("last")) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("runs/wine/version_1").exists()


def test_more_patience_goes_on():
    """A training that has stopped early goes on with more patience."""
    assert fit("--early_stopping.patience=1", "--early_stopping.min_delta=9") == 0
    assert read_checkpoint(kept("last"))["epoch"] == 1
    assert fit("--early_stopping.patience=5", "--early_stopping.min_delta=9", "--ckpt_path", kept("last")) == 0
    assert read_checkpoint(kept("last", 1))["epoch"] == 2


def test_more_epochs_after_the_end(differing):
    """A training that is over goes on with more epochs as if it had always been meant to."""
    assert fit() == 0
    assert fit("--trainer.max_epochs=2") == 0
    assert fit("--ckpt_path", kept("last", 1)) == 0
    assert differing(came_to(2), came_to(0)) == []


def test_best_weights_of_later_are_not_those_of_now():
    """A best.ckpt that was replaced after the checkpoint is not taken for the best until then."""
    assert fit() == 0
    assert read_checkpoint(kept("best"))["global_step"] > BATCHES
    assert fit("--ckpt_path", kept("e8"), "--trainer.max_epochs=2") == 0
    assert read_checkpoint(kept("best", 1))["global_step"] <= 2 * BATCHES


def test_a_damaged_best_checkpoint_is_done_without(capsys):
    """What training does not need to go on is no reason not to."""
    assert fit("--trainer.max_epochs=2") == 0
    Path(kept("best")).write_bytes(Path(kept("best")).read_bytes()[:500])
    assert fit("--ckpt_path", kept("last")) == 0
    assert "goes on without the best checkpoint so far" in " ".join(capsys.readouterr().out.split())
    assert read_checkpoint(kept("best", 1))["global_step"] > 2 * BATCHES


def test_a_history_that_was_not_written_yet_comes_along():
    """Rows that only the killed process had are in its checkpoint; their times nobody knows."""
    assert fit("--trainer.max_epochs=2") == 0
    whole = pd.read_csv("runs/wine/version_0/history.csv").drop(columns=MEASURED)
    Path("runs/wine/version_0/history.csv").unlink()
    stored = read_checkpoint(kept("last"))
    assert len(stored["callbacks"]["History"]["rows"]) == 2
    assert fit("--ckpt_path", kept("last")) == 0
    history = pd.read_csv("runs/wine/version_1/history.csv")
    assert history.epoch.tolist() == [1, 2, 3]
    pd.testing.assert_frame_equal(history.drop(columns=MEASURED)[:2], whole, check_exact=True)
    assert history.isna()[MEASURED].to_numpy().tolist() == [[True] * 4, [False] * 4, [False] * 4]


def test_a_state_that_is_none_is_refused(capsys):
    """What stands in a checkpoint in the place of random states is no crash without a word."""
    assert fit("--trainer.max_epochs=2") == 0
    stored = read_checkpoint(kept("last"))
    stored["processes"][0]["random"]["torch"] = torch.zeros(3)
    write_checkpoint(stored, "odd.ckpt")
    assert fit("--ckpt_path", "odd.ckpt") == 2
    assert "What the checkpoint has of its training can't be taken up" in " ".join(capsys.readouterr().err.split())


@pytest.mark.xdist_group("distributed")
def test_two_processes(differing):
    """Each process goes on with its own random numbers, and its own part of the epoch's figures."""
    Path("wine.yaml").write_text(CONFIG)
    program = Path(sys.executable).with_name("lightlab")
    options = ["--trainer.strategy", "ddp", "--trainer.devices", "2", "--trainer.max_epochs", "2"]
    for more in ([], ["--ckpt_path", kept("s3")]):
        command = [program, "fit", "--config", "wine.yaml", *options, *more]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert (result.returncode, result.stderr) == (0, "")
    assert len(read_checkpoint(kept("s3"))["processes"]) == 2
    assert differing(came_to(1), came_to(0)) == []


@pytest.fixture(name="filled")
def fixture_filled():
    """A run on a table that lacks numbers, of which a checkpoint is kept."""
    rows = range(120)
    table = pd.DataFrame({"age": [None if row % 7 == 0 else row**2 % 50 for row in rows], "new": ["n", "y", "n"] * 40})
    table["pet"] = ["cat", "dog", "eel", "emu"] * 30
    table.to_csv("filled.csv", index=False)
    data = {"class_path": "TableData", "init_args": {"path": "filled.csv", "target": "new", "batch_size": 16}}
    layers = [{"dense": {"units": 8, "activation": "relu"}}, {"dropout": 0.3}]
    config = {"seed_everything": 1, "data": data, "model": {"problem": "binary", "layers": layers}}
    config["trainer"] = {"max_epochs": 2, "accelerator": "cpu"}
    Path("filled.yaml").write_text(yaml.safe_dump({**config, "compile": False, "tensorboard": None}))
    assert main(["fit", "--config", "filled.yaml"]) == 0
    return ["fit", "--config", "filled.yaml", "--ckpt_path", "last", "--trainer.max_epochs", "3"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--data.missing_numbers", "mean"], "data.missing_numbers: A resumed run goes on with the missing_numbers of"),
        (["--data.missing_numbers", "mean"], "state it restores: fill 24 of age. Received: fill 21.8"),
        (["--data.normalize", "min_max"], "data.normalize: A resumed run goes on with the normalize of the data of"),
        (["--data.normalize", "none"], "Received: offset 0 of age. Start a new run to change it."),
        (["--data.embeddings", "{pet: 3}"], "data.embeddings: A resumed run goes on with the embeddings of the data"),
        (["--model.head.class_weight", "balanced"], "model.head: A resumed run goes on with the head of"),
        (["--model.head.class_weight", "[1, 2]"], "it restores: None. Received: {'class_weight': [1, 2]}. Start a new"),
    ],
)
def test_what_a_checkpoint_would_overrule(filled, options, message, capsys):
    """What the config says otherwise, and the restored state would undo, is refused, and leaves no folder."""
    assert main([*filled, *options]) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in Path("runs/filled").iterdir()] == ["version_0"]


@pytest.mark.parametrize("options", [[], ["--model.head.threshold", "0.4"], ["--model.head.label_smoothing", "0.1"]])
def test_what_the_config_may_change(filled, options, capsys):
    """What no state is restored of is as the config says; nothing else is said to be changed."""
    assert main([*filled, *options]) == 0
    assert "warning: model.layers" not in capsys.readouterr().err


def test_layers_that_change_are_said(filled, capsys):
    """Layers with the same weights may compute otherwise: as the config says from now on, and that is said."""
    layers = "[{dense: {units: 8, activation: tanh}}, {dropout: 0.1}]"
    assert main([*filled, "--model.layers", layers]) == 0
    said = capsys.readouterr()
    assert "warning: model.layers is not that of the checkpoint. From here on it is as the config says." in (
        said.out + said.err
    )
    kept = read_checkpoint("runs/filled/version_1/checkpoints/last.ckpt")["hyper_parameters"]["layers"]
    assert kept == yaml.safe_load(layers)


def test_what_no_checkpoint_keeps(capsys):
    """A callback whose state is lost between two runs is refused, and no other weights come of it unsaid."""
    assert fit() == 0
    pruning = json.dumps({"class_path": "ModelPruning", "init_args": {"pruning_fn": "l1_unstructured", "amount": 0.2}})
    assert fit("--trainer.callbacks", pruning, "--trainer.max_epochs=9", "--ckpt_path", kept("last")) == 2
    assert "checkpoints don't keep the masks of ModelPruning" in capsys.readouterr().err
