"""Samples from Python are shared, shuffled, resumed, and refused where they can't be used."""

import itertools
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint
from torch.utils.data import IterableDataset

from lightlab.cli import main
from lightlab.data import IterableData
from lightlab.data.streams.samples import Share
from lightlab.errors import ConfigError, DataError, TargetError
from lightlab.module import Model

PROGRAM = Path(sys.executable).with_name("lightlab")
OVERLAY = Path(__file__).parents[3] / "configs" / "overlays" / "ddp.yaml"
MODULE = """\
import numpy as np

def make(split, epoch=0, rows=60):
    generator = np.random.default_rng(len(split))
    for number in range(rows):
        values = generator.normal(size=3)
        yield values, "up" if values.sum() > 0 else "down"

def endless():
    while True:
        yield from make("train")

def raw():
    for values, _ in make("new", rows=7):
        yield values
"""


def make(split="train", rows=50):
    """Give samples that tell their numbers."""
    for number in range(rows):
        yield np.array([number, -number], dtype=np.float32), ["a", "b"][number % 2]


class Dataset(IterableDataset):
    """The same samples from a dataset of torch's."""

    def __iter__(self):
        return make()


def connect(train=make, **options):
    """Return a connected source."""
    data = IterableData(train, **{"batch_size": 8, "shuffle_buffer": 10, **options})
    data.connect("binary")
    return data


def places(loader):
    """Return the numbers of the samples of each batch."""
    return [batch.places.tolist() for batch in loader]


# Shares


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
@pytest.mark.parametrize("rows", [7, 8, 9, 23, 64])
@pytest.mark.parametrize("seed", [None, 0])
def test_every_sample_once(rows, world_size, seed):
    """All ranks together have each sample once, in as many batches as each other; in training none has nothing."""
    ranks = [Share(8, rank, world_size, seed, 10) for rank in range(world_size)]
    parts = [[share.own(batch) for batch in share.batches(range(rows), 1)] for share in ranks]
    assert len({len(part) for part in parts}) == 1
    seen = [number for step in zip(*parts, strict=True) for own in step for number, _ in own]
    assert (seen if seed is None else sorted(seen)) == list(range(rows))
    assert seed is None or all(own for part in parts for own in part)


def test_fewer_samples_than_processes():
    """A step that some process would have nothing of is an error in training, and none in evaluation."""
    with pytest.raises(DataError, match="2 samples for 3 processes"):
        list(Share(8, 0, 3, 0).batches(range(2), 0))
    assert [Share(8, 0, 3).own(batch) for batch in Share(8, 0, 3).batches(range(2), 0)] == [[]]


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("train", [make, Dataset(), list(make())])
def test_passes(train, workers):
    """A pass has each sample once, another order each time, and the same one for the same seed."""
    loader = connect(train, num_workers=workers).train_dataloader()
    first, second = places(loader), places(loader)
    assert sorted(itertools.chain(*first)) == sorted(itertools.chain(*second)) == list(range(50))
    assert first != second
    assert places(connect(train).train_dataloader()) == first
    assert [len(batch) for batch in first] == [8, 8, 8, 8, 8, 10]


def test_a_buffer_bounds_the_shuffling():
    """No sample comes earlier than the buffer allows: no more are held."""
    taken = itertools.count()
    given = Share(5, 0, 1, 0, 10).batches((next(taken) for _ in range(100)), 0)
    next(given)
    assert next(taken) <= 10
    assert places(connect(shuffle_buffer=1).train_dataloader())[0] == list(range(8))


def test_evaluation_keeps_the_order():
    """Validation and test come in order, the same each time."""
    loader = connect(val=make).val_dataloader()
    assert sum(places(loader), []) == sum(places(loader), []) == list(range(50))  # noqa: RUF017 - small


def test_batches_of_evaluation_are_larger():
    """They take more samples than those of training, or as many as is said, and every sample once."""
    for size, lengths in (("auto", [50]), (20, [20, 20, 10])):
        data = connect(val=make, test=make, eval_batch_size=size)
        for loader in (data.val_dataloader(), data.test_dataloader(), data.predict_dataloader()):
            assert [len(batch) for batch in places(loader)] == lengths
        assert len(places(data.train_dataloader())[0]) == 8


@pytest.mark.parametrize(("workers", "placement"), [(0, ""), (1, ", 1 worker")])
def test_placement(workers, placement):
    """Samples lie nowhere."""
    assert connect(num_workers=workers).placement() == f"data made as it is needed{placement}"


@pytest.mark.parametrize("workers", [0, 1])
def test_a_resumed_pass_is_the_rest_of_it(workers):
    """After any number of batches, what follows is what would have followed."""
    data = connect(num_workers=workers)
    whole = places(data.train_dataloader())
    for given in range(len(whole)):
        loader = data.train_dataloader()
        loader.load_state_dict({"pass": 0, "batches": given})
        assert places(loader) == whole[given:]
        assert loader.state_dict() == {"pass": 1, "batches": 0}


# Training


def endless(epoch):
    """Give samples without end."""
    for number in itertools.count():
        yield np.array([np.sin(number), np.cos(number)], dtype=np.float32), "ab"[number % 2]


def fit(data, resumed=None, **options):
    """Train, keep a checkpoint of each second step, and return the weights at the end."""
    seed_everything(0, verbose=False)
    model = Model([{"dense": {"units": 4, "activation": "relu"}}], problem="binary")
    keep = ModelCheckpoint("kept", "{step}", every_n_train_steps=2, save_top_k=-1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    Trainer(**{"max_epochs": 3, **options}, callbacks=[keep], **quiet).fit(model, data, ckpt_path=resumed)
    return torch.cat([parameter.flatten() for parameter in model.parameters()]).tolist()


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists", "ignore:The `train_dataloader` does not")
@pytest.mark.parametrize(
    ("train", "options"),
    [(make, {}), (make, {"limit_train_batches": 4}), (endless, {"limit_train_batches": 5})],
)
def test_training_goes_on_where_it_stopped(train, options):
    """A training resumed from any of its checkpoints ends with the weights of one that never stopped."""
    whole = fit(IterableData(train, val=make, endless=train is endless, batch_size=8), **options)
    checkpoints = sorted(Path("kept").glob("*.ckpt"))
    assert len(checkpoints) >= 3
    for checkpoint in checkpoints:
        again = fit(IterableData(train, val=make, endless=train is endless, batch_size=8), str(checkpoint), **options)
        assert again == whole, checkpoint


def test_an_epoch_of_a_limit_goes_on_where_the_last_stopped():
    """With a limit on batches, epochs take up the samples where they left them, from pass to pass."""
    seen = []

    def watched(epoch):
        for number, sample in enumerate(make()):
            seen.append((epoch, number))
            yield sample

    data = IterableData(watched, batch_size=10, shuffle_buffer=1)
    fit(data, limit_train_batches=4, max_epochs=3, limit_val_batches=0)
    trained = seen[50:]  # the first were for statistics, and to check targets
    passes = [epoch for epoch, number in trained if number == 0]
    assert passes[-3:] == [0, 1, 2]


def test_endless_samples_need_a_limit():
    """Samples without end and a training without one are refused before it begins; max_steps is enough."""
    with pytest.raises(ConfigError, match=r"trainer\.limit_train_batches: Samples without end"):
        fit(IterableData(endless, endless=True), limit_val_batches=0)
    fit(IterableData(endless, endless=True), max_steps=3, max_epochs=-1, limit_val_batches=0)


# What is learned


def test_the_first_samples_teach():
    """Statistics and classes are those of the first samples of train, whatever validation and test have."""
    spec = connect(lambda: make(rows=1000), statistics_rows=11).spec
    assert (spec.input.shape, spec.input.offset) == ((2,), (5.0, -5.0))
    assert (spec.target.classes, spec.target.rows) == (("a", "b"), 11)

    def poisoned():
        yield np.array([np.float32(1e9)] * 2), "z"

    assert connect(val=poisoned, test=poisoned).spec == connect().spec


def test_several_numbers_as_targets():
    """A target of several numbers has a name for each."""
    data = IterableData(lambda: ((np.ones(3) * n, [n, -n]) for n in range(20)), target_names=["up", "down"])
    spec = data.connect(None)
    assert (spec.problem, spec.target.columns) == ("regression", ("up", "down"))
    assert next(iter(data.train_dataloader())).targets.shape == (20, 2)


def test_a_function_in_a_config(capsys):
    """A config names functions and their arguments; the model predicts raw samples, in order."""
    Path("sample_maker.py").write_text(MODULE)
    Path("c.yaml").write_text(
        "seed_everything: 0\n"
        "data:\n  class_path: IterableData\n  init_args:\n"
        '    {train: "sample_maker:make", val: "sample_maker:make", test: "sample_maker:make", arguments: {rows: 40}}\n'
        "model:\n  problem: binary\n  layers: [{dense: 4}]\n"
        "trainer: {max_epochs: 2, accelerator: cpu}\n"
    )
    assert main(["fit", "--config", "c.yaml", "--plugin", "sample_maker"]) == 0
    assert "any number of train" in capsys.readouterr().out
    Path("p.yaml").write_text('data: {class_path: IterableData, init_args: {predict: "sample_maker:raw"}}\n')
    checkpoint = next(Path("runs").glob("*/version_0/checkpoints/best.ckpt"))
    arguments = ["--config", "p.yaml", "--ckpt_path", str(checkpoint), "--output", "p.csv", "--plugin", "sample_maker"]
    assert main(["predict", *arguments]) == 0
    assert [line.split(",")[0] for line in Path("p.csv").read_text().splitlines()] == ["id", *map(str, range(7))]


# What can't be


def sample(value, number=15):
    """Return what makes samples, one of which is another."""

    def made():
        for place, given in enumerate(make()):
            yield value if place == number else given

    return made


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ((np.zeros(2), "c"), TargetError, r"learns from the train split: 'a', 'b'\..*made, sample 15: 'c'"),
        ((np.zeros(2), None), TargetError, r"a number or text.* made, sample 15: None"),
        ((np.zeros(3), "a"), DataError, r"one shape\. Received from made: \(2,\) in sample \d+, \(3,\) in sample 15"),
        ((np.array([0, np.nan]), "a"), DataError, r"nan in row 15, feature 1"),
        ((object(), "a"), DataError, r"array of numbers\. Received from made, sample 15: object"),
        ((1.5, "a"), DataError, r"real numbers.* made, sample 15: torch\.float64 of shape \(\)"),
        ((np.ones(2) * 1j, "a"), DataError, r"real numbers.* made, sample 15: torch\.complex128"),
        ((np.zeros(2), {"a": 1}), TargetError, r"a number or text.* made, sample 15: \{'a': 1\}"),
        (np.zeros(2), TargetError, r"a pair of input and target\. Received from made, sample 15: ndarray"),
        ((np.zeros(2), ["a", "b"]), TargetError, r"target_names: target\. Received from made, sample 15: 2 values"),
    ],
)
def test_a_sample_that_does_not_fit(value, error, message, workers):
    """A sample that is not like the first ones is named by its number, by a worker too."""
    data = connect(sample(value), statistics_rows=10, shuffle_buffer=1, num_workers=workers)
    with pytest.raises(error, match=message):
        places(data.train_dataloader())


def test_targets_are_held_against_the_head():
    """A target that the head can't learn is named when it is met."""
    data = IterableData(lambda: ((np.zeros(1) + n, n / 10) for n in range(12)), statistics_rows=5)
    data.connect("bounded_regression")
    data.check_targets(lambda targets: targets <= 1, "Between 0 and 1.")
    with pytest.raises(TargetError, match=r"Between 0 and 1\. Received in column 'target'.*1\.1 at .*sample 11"):
        places(data.train_dataloader())


def test_no_samples():
    """A function that gives nothing is an error."""
    with pytest.raises(DataError, match="gave none"):
        connect(lambda: iter(()))
    with pytest.raises(DataError, match="gave none in pass 1"):
        places(connect(val=lambda: iter(())).val_dataloader())


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"train": make()}, ConfigError, r"data\.train: .*which gives them once"),
        ({"train": 3}, ConfigError, r"data\.train: .*Received: int"),
        ({"train": "mine"}, ConfigError, r"data\.train: A function is named as module:function"),
        (
            {"train": "os:getcwd"},
            ConfigError,
            r"data\.train: .*functions of plugins only: call lightlab with --plugin os",
        ),
        ({}, ConfigError, r"data\.train: IterableData needs"),
        ({"train": make, "num_workers": 2}, ConfigError, r"data\.num_workers: .*Received: 2"),
        ({"train": make, "split": [1, 0, 0]}, ConfigError, r"data\.split: Samples are taken as they come"),
        ({"train": make, "balanced": True}, ConfigError, r"data\.balanced: Samples are taken as they come"),
        ({"train": make, "shuffle_buffer": 0}, ConfigError, r"data\.shuffle_buffer"),
    ],
)
def test_options_that_can_t_be(options, error, message):
    """What can't be done is said."""
    with pytest.raises(error, match=message):
        IterableData(**options)


@pytest.mark.xdist_group("distributed")
def test_two_processes_evaluate_as_one(capsys):
    """Two processes train, and evaluate each sample once, though the last batch has fewer samples than processes."""
    Path("sample_maker.py").write_text(MODULE)
    Path("c.yaml").write_text(
        "seed_everything: 0\n"
        "data:\n  class_path: IterableData\n  init_args:\n"
        '    {train: "sample_maker:make", val: "sample_maker:make", test: "sample_maker:make", batch_size: 8,\n'
        "    arguments: {rows: 17}}\n"
        "model:\n  problem: binary\n  layers: [{dense: 4}]\n"
        "trainer: {max_epochs: 2, accelerator: cpu}\n"
    )
    plugin = ["--plugin", "sample_maker"]
    two = [*plugin, "--config", str(OVERLAY), "--trainer.devices", "2", "--trainer.accelerator", "cpu"]

    def on_two(*arguments):
        command = [PROGRAM, *arguments, "--config", "c.yaml", *two]
        result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
        assert (result.returncode, result.stderr) == (0, "")
        return result.stdout

    on_two("fit")
    checkpoint = ["--ckpt_path", "runs/c/version_0/checkpoints/best.ckpt"]
    assert main(["test", "--config", "c.yaml", *checkpoint, *plugin]) == 0
    assert on_two("test", *checkpoint) == capsys.readouterr().out
    on_two("predict", *checkpoint, "--output", "p.csv")
    assert [line.split(",")[0] for line in Path("p.csv").read_text().splitlines()] == ["id", *map(str, range(17))]
