"""Streams: splits by arithmetic, readers that share the rows, and runs that go on where they stopped."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from lightning.pytorch import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from lightlab.cli import main
from lightlab.data import ParquetStream
from lightlab.data.streams.source import hash_numbers, share_out
from lightlab.errors import CheckpointError, ConfigError, DataError
from lightlab.module import Model

ROWS = 400
PROGRAM = Path(sys.executable).with_name("lightlab")
OVERLAY = Path(__file__).parents[3] / "configs" / "overlays" / "ddp.yaml"
CONFIG = """\
seed_everything: 1
data:
  class_path: ParquetStream
  init_args: {path: rows.parquet, target: y, batch_size: 40, shuffle_buffer: 60}
model:
  problem: binary
  layers:
    - dense: {units: 8, activation: relu}
  optimizer: {class_path: AdamW, init_args: {lr: 1.0e-2}}
trainer: {max_epochs: 2, accelerator: cpu}
"""


@pytest.fixture
def table():
    """Rows with groups and with a column that says which split each is for."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"x": generator.normal(size=ROWS), "z": generator.normal(size=ROWS)})
    table["y"] = np.where(table.x + table.z > 0, "up", "down")
    table["person"] = generator.integers(0, 60, ROWS)
    table["part"] = generator.choice(["train", "Train", "dev", "test"], ROWS)
    table.to_parquet("rows.parquet", row_group_size=33)
    return table


def stream(**options):
    """Return a connected stream."""
    data = ParquetStream("rows.parquet", "y", **{"batch_size": 20, "shuffle_buffer": 40, "num_workers": 0, **options})
    data.connect("binary")
    return data


def numbers(data):
    """Return the numbers of the rows of each split."""
    return {split: part.numbers().tolist() for split, part in data.parts.items()}


def places(loader):
    """Return the places of each batch."""
    return [batch.places.tolist() for batch in loader]


# Splits


def test_shares_of_a_hash():
    """A hash gives numbers that are spread evenly, whatever the seed, and other seeds other ones."""
    drawn = [hash_numbers(np.arange(20_000, dtype=np.uint64), seed) for seed in (0, 1, 123)]
    for values in drawn:
        assert np.histogram(values, 10, (0, 1))[0] == pytest.approx([2000] * 10, rel=0.1)
        assert np.bincount(share_out(values, (0.7, 0.1, 0.2))) == pytest.approx([14_000, 2000, 4000], rel=0.1)
    assert abs(np.corrcoef(drawn)[0, 1:]).max() < 0.03
    assert share_out(np.array([0.0, 0.999999999]), (0.5, 0.5, 0.0)).tolist() == [0, 1]


def test_splits_are_of_the_seed_alone(table):
    """The same seed gives the same splits, which have all rows; row groups and batches change nothing."""
    first = numbers(stream())
    assert sorted(np.concatenate(list(first.values()))) == list(range(ROWS))
    table.to_parquet("rows.parquet", row_group_size=400)
    assert numbers(stream(batch_size=7)) == first
    assert numbers(stream(seed=1)) != first
    assert {split: len(rows) for split, rows in first.items()} == stream().counts


def test_groups_stay_together(table):
    """No value of the column stands in two splits, in whatever type a file has it."""
    first = numbers(stream(split={"groups": "person"}))
    people = [set(table.person[rows]) for rows in first.values()]
    assert len(people) == 3
    assert sum(map(len, people)) == table.person.nunique()
    table.assign(person=table.person.astype("float32")).to_parquet("rows.parquet", row_group_size=50)
    assert numbers(stream(split={"groups": "person"})) == first


def test_a_column_says_which_split(table):
    """A column's train, val and test are what they say, and the column is no input."""
    data = stream(split={"column": "part"}, ignore=["person"])
    assert numbers(data)["val"] == np.flatnonzero(table.part == "dev").tolist()
    assert data.spec.input.columns == ("x", "z")
    table.loc[77, "part"] = "both"
    table.to_parquet("rows.parquet", row_group_size=33)
    with pytest.raises(DataError, match=r"in column 'part': 'both' at rows\.parquet, row 77 \(row group 2\)"):
        stream(split={"column": "part"})


def test_a_group_without_a_value(table):
    """A row of no group is named."""
    table.assign(person=table.person.where(table.index != 50)).to_parquet("rows.parquet", row_group_size=33)
    with pytest.raises(DataError, match=r"has a value in every row\. .*'person': nan at rows\.parquet, row 50 "):
        stream(split={"groups": "person"})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": {"stratify": True}}, r"data\.split\.stratify: A stream can't be split by stratify"),
        ({"split": {"time": "x"}}, r"data\.split\.time: .*Sort rows into files"),
        ({"split": {"folds": 5}}, r"data\.split\.folds: .*Write a column"),
        ({"balanced": True}, r"data\.balanced: .*class_weight: balanced"),
        ({"shuffle_buffer": 0}, r"data\.shuffle_buffer: shuffle_buffer is 1 or more"),
    ],
)
def test_what_needs_all_rows(options, message):
    """What a stream can't do is refused, with the way around it."""
    with pytest.raises(ConfigError, match=message):
        ParquetStream("rows.parquet", "y", **options)


def test_a_split_left_with_nothing(table):
    """A share that no row falls to is an error."""
    table[:3].to_parquet("rows.parquet")
    with pytest.raises(DataError, match=r"3 rows of rows\.parquet, of which none is for"):
        stream()


# Loaders


@pytest.mark.parametrize("workers", [0, 2])
def test_a_resumed_epoch_is_the_rest_of_it(table, workers):
    """After any number of batches, what follows is what would have followed; after the last, the next epoch."""
    data = stream(num_workers=workers)
    loader = data.train_dataloader()
    loader.sampler.set_epoch(1)
    whole, states = [], [loader.state_dict()]
    for batch in loader:
        whole.append(batch.places.tolist())
        states.append(loader.state_dict())
    steps = range(len(whole) + 1) if not workers else (1, 2, 5, len(whole) - 1)
    for given in steps:
        resumed = data.train_dataloader()
        resumed.load_state_dict({**states[given], "epoch": 1})
        resumed.sampler.set_epoch(1)
        assert places(resumed) == whole[given:]
    resumed = data.train_dataloader()
    resumed.load_state_dict(states[-1])
    resumed.sampler.set_epoch(2)
    assert len(places(resumed)) == len(whole)


def test_batches_of_evaluation_are_larger(table):
    """They take more rows than those of training, or as many as is said, and every row once."""
    for size, batches in (("auto", 1), (30, 2)):
        data = stream(eval_batch_size=size)
        for split, loader in (("val", data.val_dataloader()), ("test", data.test_dataloader())):
            assert sum(places(loader), []) == list(range(len(data.parts[split])))  # noqa: RUF017 - small
            assert len(loader) == batches
        assert len(places(data.train_dataloader())[0]) <= 20


@pytest.mark.parametrize(("workers", "placement"), [(0, "data on disk"), (2, "data on disk, 2 workers")])
def test_placement(table, workers, placement):
    """A stream says that its rows are on disk, and how many processes read them."""
    assert stream(num_workers=workers).placement() == placement


def test_workers_make_the_same_batches(table):
    """What is in a batch does not hang on the number of workers, only when it comes."""
    alone, others = (places(stream(num_workers=workers).train_dataloader()) for workers in (0, 2))
    assert alone != others
    assert sorted(alone) == sorted(others)
    assert others == places(stream(num_workers=2).train_dataloader())


def test_other_processes_in_the_middle_of_an_epoch(table):
    """An epoch that others began can't be gone on with; one that they ended can."""
    loader = stream().train_dataloader()
    state = {**loader.state_dict(), "batches": 3, "processes": 2}
    loader.load_state_dict(state)
    with pytest.raises(CheckpointError, match="the batches that it had: processes 2. Received: processes 1"):
        places(loader)
    loader.load_state_dict(state)
    loader.sampler.set_epoch(1)
    assert len(places(loader)) == len(loader)


def fit(data, folder, resumed=None, **options):
    """Train for two epochs, keep a checkpoint of each third step, and return the weights at the end."""
    seed_everything(0, verbose=False)
    model = Model([{"dense": {"units": 4, "activation": "relu"}}], problem="binary")
    keep = ModelCheckpoint(folder, "{step}", every_n_train_steps=3, save_top_k=-1)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    Trainer(max_epochs=2, callbacks=[keep], **quiet, **options).fit(model, data, ckpt_path=resumed)
    return torch.cat([parameter.flatten() for parameter in model.parameters()]).tolist()


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists")
@pytest.mark.parametrize("options", [{}, {"limit_train_batches": 9}])
def test_training_goes_on_in_the_middle_of_an_epoch(table, options):
    """A training resumed from any of its checkpoints ends with the weights of one that never stopped."""
    whole = fit(stream(), "whole", **options)
    checkpoints = sorted(Path("whole").glob("*.ckpt"))
    assert len(checkpoints) >= 6
    for checkpoint in checkpoints[:-1]:
        assert fit(stream(), "whole", str(checkpoint), **options) == whole, checkpoint


# Two processes


def on_two(*arguments):
    """Run the program on two processes."""
    two = ["--config", str(OVERLAY), "--trainer.accelerator", "cpu", "--trainer.devices", "2"]
    result = subprocess.run([PROGRAM, *arguments, *two], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


@pytest.mark.xdist_group("distributed")
def test_two_processes_evaluate_as_one(table, capsys):
    """Metrics on two processes are those of one, and each row is predicted once, in order and by its number."""
    Path("c.yaml").write_text(CONFIG)
    on_two("fit", "--config", "c.yaml", "--data.num_workers", "1")
    checkpoint = ["--ckpt_path", "runs/c/version_0/checkpoints/best.ckpt"]
    assert main(["test", "--config", "c.yaml", *checkpoint]) == 0
    assert on_two("test", "--config", "c.yaml", *checkpoint) == capsys.readouterr().out
    data, outcome = stream(), json.loads(Path("runs/c/version_0/metrics.json").read_text())
    assert main(["predict", "--config", "c.yaml", *checkpoint, "--output", "one.csv"]) == 0
    on_two("predict", "--config", "c.yaml", *checkpoint, "--output", "two.csv")
    one, two = pd.read_csv("one.csv"), pd.read_csv("two.csv")
    pd.testing.assert_frame_equal(one, two, rtol=1e-5)
    assert one.id.tolist() == numbers(data)["test"]
    right = one.prediction == table.y[one.id].to_numpy()
    assert outcome["test"]["test/accuracy"] == pytest.approx(right.mean(), abs=1e-6)
