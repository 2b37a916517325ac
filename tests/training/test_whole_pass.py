"""A pass over rows that a hook ends early is an error, and no figures of some rows only."""

from pathlib import Path

import pytest
from lightning import Callback, Trainer

from lightlab import BundledData, Model
from lightlab.errors import RunError
from lightlab.training.predictions import PredictionWriter

STAGES = {"fit": "validation", "validate": "validation", "test": "test", "predict": "predict"}


class Next(Callback):
    """Takes more than there is in one of the batches, the first of which is 1."""

    def __init__(self, hook, batch):
        self.hook, self.left = hook, batch

    def setup(self, trainer, pl_module, stage):
        setattr(self, self.hook, lambda trainer, *given: trainer.sanity_checking or self.take())

    def take(self):
        """Count, and take it."""
        self.left -= 1
        return self.left == 0 and next(iter(()))


def carry_out(verb, *callbacks, **options):
    """Carry out a verb of the Trainer's over four batches of rows."""
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    callbacks = [*callbacks, PredictionWriter(Path("p.csv"))]
    trainer = Trainer(accelerator="cpu", max_epochs=1, callbacks=callbacks, **quiet, **options)
    data, model = BundledData("wine", batch_size=16, eval_batch_size=8), Model([{"dense": 4}], "multiclass")
    model.build(data.connect("multiclass"))
    getattr(trainer, verb)(model, datamodule=data)
    return trainer


@pytest.mark.parametrize("moment", ["start", "end"])
@pytest.mark.parametrize("verb", STAGES)
def test_a_hook_ends_no_pass(verb, moment):
    """Figures and predictions are of all rows, or there are none."""
    with pytest.raises(RunError, match=r"^A pass over rows ends with them\. .* StopIteration in batch 2, "):
        carry_out(verb, Next(f"on_{STAGES[verb]}_batch_{moment}", 2))
    assert not Path("p.csv").exists()


@pytest.mark.parametrize("verb", STAGES)
def test_whole_passes(verb):
    """Where all batches are seen, nothing is said; nor where Lightning is told to see fewer of them."""
    carry_out(verb, Next(f"on_{STAGES[verb]}_batch_start", 9))
    carry_out(verb, limit_val_batches=2, limit_test_batches=0.5, limit_predict_batches=2)
    assert Path("p.csv").exists() == (verb == "predict")
