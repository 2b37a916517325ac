"""A step with nothing around it computes what Lightning's does: precision, augmentation, clipping, scaling."""

import inspect

import pytest
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.core.hooks import DataHooks
from lightning.pytorch.loops.optimization.automatic import ClosureResult
from lightning.pytorch.plugins.precision import MixedPrecision, Precision
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy

from lightlab import BundledData, Model
from lightlab.training.eager_step import EagerStep

STEPS = [3, "auto"]


def digits(*augment):
    """Return what brings small pictures that are augmented."""
    return lambda: BundledData("digits", batch_size=128, augment=list(augment))


PICTURES = [{"conv2d": {"filters": 4, "kernel_size": 3}}, "batch_norm", "flatten", {"dropout": 0.2}]


@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true", "bf16-true"])
@pytest.mark.parametrize("options", [{}, {"accumulate_grad_batches": 3}], ids=["", "accumulated"])
def test_precision(train, precision, options):
    """In each precision that steps are known in, they are the same to the bit."""
    alone = train(None, precision=precision, **options)
    for steps in STEPS:
        together = train(steps, precision=precision, **options)
        assert together.passed > 0
        assert together.differs(alone) == []


@pytest.mark.parametrize("algorithm", ["norm", "value"])
def test_mixed_precision_and_clipping(train, algorithm):
    """Gradients of mixed precision can be clipped, with the default optimizer."""
    options = {"precision": "bf16-mixed", "gradient_clip_val": 0.1, "gradient_clip_algorithm": algorithm}
    assert train("auto", **options).differs(train(None, **options)) == []


@pytest.mark.parametrize(("fused", "clip"), [(False, None), (False, 0.1), (True, None)])  # the kernel can't clip
def test_scaled_gradients(train, fused, clip):
    """Gradients in 16 bits are scaled, and steps on infinite ones left out, just as Lightning does it."""

    def options():
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40, growth_interval=5)
        return {
            "plugins": [MixedPrecision("16-mixed", "cpu", scaler)],
            "optimizer": {"class_path": "AdamW", "init_args": {"fused": fused}},
            "gradient_clip_val": clip,
        }

    alone = train(None, **options())
    scaled = alone.checkpoint["MixedPrecision"]
    assert 0 < scaled["scale"] < 2.0**40  # some steps were left out
    for steps in STEPS:
        together = train(steps, **options())
        assert together.passed > 0
        assert together.differs(alone) == []


@pytest.mark.parametrize("augment", [["mixup"], ["cutmix", "random_flip"], ["padded_crop", "mixup"]])
def test_augmentation(train, augment):
    """Batches are augmented with the same random numbers, between those of dropout."""
    options = {"make_data": digits(*augment), "layers": PICTURES, "max_epochs": 2}
    alone = train(None, **options)
    for steps in STEPS:
        together = train(steps, **options)
        assert together.passed > 0
        assert together.differs(alone) == []
    assert alone.differs(train(None, **{**options, "make_data": digits()})) != []


def test_clipping_of_ones_own(train, monkeypatch):
    """A model that clips in a way of its own does so in each step."""
    clipped = []

    def clip(self, optimizer, gradient_clip_val=None, gradient_clip_algorithm=None):
        clipped.append(self.trainer.global_step)
        for parameter in self.parameters():
            parameter.grad.sign_()

    monkeypatch.setattr(Model, "configure_gradient_clipping", clip)
    alone, together = train(None), train("auto")
    assert together.passed > 0
    assert clipped == [*range(48), *range(48)]
    assert together.differs(alone) == []


def test_changes_of_batches(train):
    """What does nothing to a batch is left out on a CPU, and what does something isn't."""

    def changes(**options):
        step = EagerStep(train(None, max_epochs=1, **options).trainer)
        return [getattr(change, "func", change).__name__ for change in step._changes]

    assert changes() == ["on_after_batch_transfer"]  # where data augments
    assert changes(precision="64-true") == ["convert_input", "on_after_batch_transfer"]


def parameters(function):
    return list(inspect.signature(function).parameters)


def test_parts_of_lightning_that_the_step_rests_on(train):
    """What it calls, and what it does instead of Lightning, is there, and does no more than when that was written."""
    assert parameters(DataHooks.transfer_batch_to_device) == ["self", "batch", "device", "dataloader_idx"]
    for name in ("on_before_batch_transfer", "on_after_batch_transfer"):
        assert parameters(getattr(DataHooks, name)) == ["self", "batch", "dataloader_idx"]
        assert inspect.getsource(getattr(DataHooks, name)).rstrip().endswith("return batch")
    assert parameters(LightningModule.configure_gradient_clipping)[1:] == [
        "optimizer",
        "gradient_clip_val",
        "gradient_clip_algorithm",
    ]
    assert parameters(LightningModule.backward)[:2] == ["self", "loss"]
    for strategy in (SingleDeviceStrategy, DDPStrategy):
        assert parameters(strategy.training_step) == ["self", "args", "kwargs"]
        source = inspect.getsource(strategy.training_step)
        assert "self.precision_plugin.train_step_context()" in source
    assert inspect.getsource(Precision.convert_input).rstrip().endswith("return data")
    assert "closure_loss = closure_loss / normalize" in inspect.getsource(ClosureResult.from_training_step_output)
    trainer = train(None, max_epochs=1).trainer
    selector = trainer._data_connector._datahook_selector
    assert selector.get_instance("on_after_batch_transfer") is trainer.datamodule
