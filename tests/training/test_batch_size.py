"""``data.batch_size: auto``: found by the rows and by memory, and the training is that of the number written out."""

import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from lightning import Trainer
from lightning.pytorch.strategies import DDPStrategy
from torch import nn

from lightlab import LAYERS, BundledData, Model
from lightlab.checkpoints import read_checkpoint
from lightlab.cli import main
from lightlab.data import ArrayData, IterableData, ParquetStream, SyntheticData, TableData
from lightlab.errors import ConfigError, RunError
from lightlab.training.batch_size import settle_batch_size

CONFIG = """\
seed_everything: 1
data:
  class_path: SyntheticData
  init_args: {shape: [4], rows: 2000, batch_size: SIZE, augment: [{gaussian_noise: 0.1}]}
model:
  problem: multiclass
  layers: [{dense: {units: 8, activation: relu}}, {dropout: 0.3}, batch_norm]
trainer: {max_epochs: 2, accelerator: cpu}
tensorboard: null
"""
QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "enable_checkpointing": False}


class Hungry(nn.Module):
    """Takes more memory than there is for more rows than it is told."""

    def __init__(self, most):
        super().__init__()
        self.most = most

    def forward(self, features):
        """Ask for 4 PiB."""
        if self.training and len(features) > self.most:
            torch.empty(2**50)
        return features


@pytest.fixture
def hungry():
    """A layer that asks for too much, under a name of this test's."""

    @LAYERS.register("hungry_of_batch_size")
    def hungry(most: int) -> nn.Module:
        """Ask for more memory than there is."""
        return Hungry(most)

    yield "hungry_of_batch_size"
    LAYERS._entries.pop("hungry_of_batch_size")


def write(size, name="auto"):
    """Write the config with a batch size, and return its name."""
    Path(f"{name}.yaml").write_text(CONFIG.replace("SIZE", str(size)))
    return f"{name}.yaml"


def weights(name, version=0):
    """Return the last weights of a run."""
    return read_checkpoint(f"runs/{name}/version_{version}/checkpoints/last.ckpt")["state_dict"]


def settled(data, layers, **options):
    """Return the batch size that a model finds for its data, from Python."""
    model = Model(layers, "multiclass")
    trainer = Trainer(max_epochs=1, accelerator="cpu", limit_train_batches=1, limit_val_batches=0, **QUIET, **options)
    trainer.fit(model, data)
    return data.batch_size


def test_a_training_is_that_of_the_number_written_out(capsys):
    """Weights are the same to the bit, random numbers and order of rows included; the number is kept with the run."""
    assert main(["fit", "--config", write("auto")]) == 0
    assert "batch_size: 32\n" in capsys.readouterr().out
    assert yaml.safe_load(Path("runs/auto/version_0/config.yaml").read_text())["data"]["init_args"]["batch_size"] == 32
    assert main(["fit", "--config", write(32, "fixed")]) == 0
    found, written = weights("auto"), weights("fixed")
    assert all(torch.equal(found[name], written[name]) for name in found)


def test_a_run_that_goes_on_keeps_its_size(capsys):
    """With auto in the config again, the checkpoint's size counts, and nothing is tried."""
    assert main(["fit", "--config", write("auto"), "--data.rows", "4000", "--data.batch_size", "16"]) == 0
    call = ["fit", "--config", "auto.yaml", "--data.rows", "4000", "--ckpt_path", "last", "--trainer.max_epochs", "3"]
    capsys.readouterr()
    assert main(call) == 0
    assert "batch_size:" not in capsys.readouterr().out
    assert yaml.safe_load(Path("runs/auto/version_1/config.yaml").read_text())["data"]["init_args"]["batch_size"] == 16


def test_half_as_many_as_long_as_memory_has_no_room(hungry, capsys):
    """The last step of an epoch has up to half as many rows again, and has to fit, too."""
    data = SyntheticData([4], rows=2000, batch_size="auto")
    assert settled(data, [{hungry: 20}]) == 8
    assert "batch_size: 8, since 32 rows take more memory than there is" in capsys.readouterr().out


def test_nothing_fits(hungry):
    """Where one row is too much, that is said, and nothing is trained."""
    with pytest.raises(RunError, match="Not even one row"):
        settled(SyntheticData([4], rows=2000, batch_size="auto"), [{hungry: 0}])


def test_trials_leave_nothing_behind(hungry):
    """Generators, weights, statistics and gradients are as they were, after trials that failed, too."""
    data, model = (
        BundledData("wine", batch_size="auto"),
        Model([{"dense": 4}, "batch_norm", {"dropout": 0.3}, {hungry: 20}]),
    )
    trainer = Trainer(accelerator="cpu", max_epochs=1, **QUIET)
    data.trainer = trainer
    trainer.strategy.connect(model)
    trainer._data_connector.attach_datamodule(model, data)
    model.build(data.connect("multiclass"))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    settle_batch_size(trainer)
    after = torch.rand(1), np.random.rand(), random.random()
    torch.manual_seed(3)
    assert after[0] == torch.rand(1)
    assert data.batch_size == 8
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(parameter.grad is None for parameter in model.parameters())


def make_table():
    """Return data of a table."""
    rows = np.random.default_rng(0).normal(size=(3000, 3))
    return pd.DataFrame(rows, columns=["a", "b", "c"]).assign(y=np.where(rows.sum(1) > 0, "up", "down"))


def test_every_source_finds_one():
    """Tables, arrays, streams and samples all take auto; of samples nobody knows how many there are."""
    frame = make_table()
    frame.to_parquet("t.parquet", row_group_size=500)
    inputs, classes = frame[["a", "b", "c"]].to_numpy(), frame["y"].to_numpy()

    def samples(split):
        yield from zip(inputs, classes, strict=True)

    found = [
        settled(TableData.from_frame(frame, "y", batch_size="auto"), [{"dense": 4}]),
        settled(ArrayData.from_arrays(inputs, classes, batch_size="auto"), [{"dense": 4}]),
        settled(ParquetStream("t.parquet", "y", batch_size="auto", num_workers=0), [{"dense": 4}]),
        settled(IterableData(samples, batch_size="auto"), [{"dense": 4}]),
    ]
    assert found == [64, 64, 64, 512]


class InPieces(DDPStrategy):
    """A strategy that may do as it likes with a model."""


def test_models_in_pieces():
    """Where a model may not lie on one device, nothing can be tried."""
    data = BundledData("wine", batch_size="auto")
    trainer = Trainer(accelerator="cpu", devices=1, strategy=InPieces(), max_epochs=1, **QUIET)
    data.connect("multiclass")
    trainer.datamodule = data
    with pytest.raises(ConfigError, match="data.batch_size: auto tries steps out on one device. Received: .* InPieces"):
        settle_batch_size(trainer)


@pytest.mark.parametrize("verb", ["check", "summary", "data"])
def test_other_verbs_take_auto(verb, capsys):
    """What trains nothing takes what suits the rows."""
    assert main([verb, write("auto")]) in (0, 3)
    assert "error" not in capsys.readouterr().err


@pytest.mark.xdist_group("distributed")
def test_two_processes_agree():
    """Both find the same, and one of them says it; each has its share of the rows."""
    Path("hungry_on_two.py").write_text(
        "import os, torch\nfrom torch import nn\nfrom lightlab import LAYERS\n\n"
        "class Hungry(nn.Module):\n    def forward(self, x):\n"
        "        most = 8 if os.environ.get('LOCAL_RANK') == '1' else 1000\n"
        "        if self.training and len(x) > most:\n            torch.empty(2**50)\n        return x\n\n"
        "@LAYERS.register('hungry')\ndef hungry() -> nn.Module:\n    return Hungry()\n"
    )
    config = write("auto")
    Path(config).write_text(Path(config).read_text().replace("batch_norm]", "batch_norm, hungry]"))
    program = Path(sys.executable).with_name("lightlab")
    two = ["--trainer.devices", "2", "--trainer.strategy", "ddp"]
    call = [program, "fit", "--plugin", "hungry_on_two", "--config", config, *two]
    result = subprocess.run(call, capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count("batch_size: 8, since 32 rows take more memory than there is") == 1
    assert yaml.safe_load(Path("runs/auto/version_0/config.yaml").read_text())["data"]["init_args"]["batch_size"] == 8
