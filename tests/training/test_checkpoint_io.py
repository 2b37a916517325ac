"""A Trainer reads and writes checkpoints as lightlab does, whoever made it."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.io import TorchCheckpointIO
from lightning.pytorch.callbacks import ModelCheckpoint

from lightlab.checkpoints import read_checkpoint
from lightlab.data import BundledData
from lightlab.errors import CheckpointError
from lightlab.module import Model
from lightlab.training.checkpoint_io import SafeCheckpointIO

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}


def make(callbacks=(), epochs=1, plugins=None):
    """Return a Trainer of Lightning's, a model and data."""
    trainer = Trainer(max_epochs=epochs, callbacks=list(callbacks), plugins=plugins, **QUIET)
    return trainer, Model([{"dense": 4}], "multiclass"), BundledData("iris", batch_size=64)


@pytest.fixture
def trained():
    """The folder of what an ordinary Trainer has kept."""
    trainer, model, data = make([keep_best()])
    trainer.fit(model, data)
    return Path("kept")


def keep_best():
    """Return what keeps the best weights, and the last."""
    return ModelCheckpoint("kept", filename="best", monitor="val/loss", save_last=True, enable_version_counter=False)


@pytest.mark.filterwarnings("ignore:.*exists and is not empty")  # the callback goes on where it was
def test_an_ordinary_trainer_writes_what_lightlab_reads(trained):
    """Its checkpoints have checksums, and it goes on from them."""
    for name in ("best", "last"):
        assert read_checkpoint(trained / f"{name}.ckpt")["global_step"] == 2
    trainer, model, data = make([keep_best()], epochs=2)
    trainer.fit(model, data, ckpt_path=trained / "last.ckpt")
    assert trainer.global_step == 4
    (figures,) = trainer.test(model, data, ckpt_path=trained / "best.ckpt", verbose=False)
    assert figures.keys() >= {"test/loss"}


class Payload:
    """Leaves a file behind when it is unpickled by something that runs what it reads."""

    def __reduce__(self):
        return os.mkdir, ("ran",)


@pytest.mark.parametrize("weights_only", [None, False])
@pytest.mark.parametrize("verb", ["fit", "validate", "test", "predict"])
def test_nothing_in_a_checkpoint_runs(trained, verb, weights_only):
    """Whatever a Trainer is asked for, it refuses a payload, even where it is told to run it."""
    torch.save({**read_checkpoint(trained / "best.ckpt"), "callbacks": Payload()}, "evil.ckpt")
    trainer, model, data = make()
    with pytest.raises(CheckpointError, match="evil.ckpt can't be read"):
        getattr(trainer, verb)(model, data, ckpt_path="evil.ckpt", weights_only=weights_only)
    with pytest.raises(TypeError, match="takes its path alone"):
        Model.load_from_checkpoint("evil.ckpt", weights_only=False)
    with pytest.raises(TypeError, match="A checkpoint holds a model and no data"):
        BundledData.load_from_checkpoint("evil.ckpt", weights_only=False)
    assert not Path("ran").exists()


@pytest.mark.parametrize("verb", ["fit", "test", "predict"])
def test_nothing_is_fetched(trained, verb):
    """An address is refused, by Trainer and model."""
    trainer, model, data = make()
    with pytest.raises(CheckpointError, match="never fetched or sent"):
        getattr(trainer, verb)(model, data, ckpt_path="https://localhost:9/evil.ckpt")
    with pytest.raises(CheckpointError, match="never fetched or sent"):
        Model.load_from_checkpoint("https://localhost:9/evil.ckpt")


def test_one_s_own_way_to_write_stays():
    """Who gives a Trainer another CheckpointIO keeps it, and Lightning's own where it is asked for by a class of it."""

    class Own(TorchCheckpointIO):
        pass

    trainer, model, data = make(plugins=[own := Own()])
    trainer.fit(model, data)
    assert trainer.strategy.checkpoint_io is own


class Best(Callback):
    """Has a state that weights_only can't read, from the second epoch on."""

    def __init__(self):
        self.best = None

    def on_train_epoch_end(self, trainer, module):
        self.best = None if trainer.current_epoch == 0 else np.float64(trainer.callback_metrics["train/loss"])

    def state_dict(self):
        return {"best": self.best}


def test_what_can_not_be_read_again_is_said_at_once():
    """A callback whose state can't be read again ends the training, and not its resume; what was kept before stays."""
    trainer, model, data = make([Best(), ModelCheckpoint("kept", filename="last")], epochs=3)
    with pytest.raises(
        CheckpointError, match=r"Received in callbacks\.Best\.best: numpy\.float64\..*last\.ckpt is not written"
    ):
        trainer.fit(model, data)
    assert read_checkpoint("kept/last.ckpt")["epoch"] == 0


def test_remove():
    """A file that is gone already does no harm."""
    Path("a.ckpt").touch()
    for _ in range(2):
        SafeCheckpointIO().remove_checkpoint("a.ckpt")
    assert not Path("a.ckpt").exists()
