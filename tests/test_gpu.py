"""What can only be seen on a GPU; skipped where there is none."""

import re

import pytest
import torch
from lightning.pytorch import Callback, Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from lightlab import Batch, BundledData, Model
from lightlab.compiled.compiled_step import CompiledSteps
from lightlab.compiled.in_process import compile_here
from lightlab.compiled.request import Request, batch_tensors, describe
from lightlab.compiled.trace import build_model
from lightlab.data import SyntheticData
from lightlab.training.execution import Execution, set_device_defaults, settings
from lightlab.training.out_of_memory import OutOfMemory

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="There is no GPU of NVIDIA's or AMD's.")

LAYERS = [{"conv2d": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "flatten", {"dropout": 0.2}]


class Watch(Callback):
    """Makes an error of whatever waits for the GPU while an epoch's steps run, and keeps what a training is set to."""

    def on_train_epoch_start(self, trainer, pl_module):
        self.settings = list(settings(trainer))
        torch.cuda.set_sync_debug_mode("error")

    def on_train_epoch_end(self, trainer, pl_module):
        torch.cuda.set_sync_debug_mode("default")


def test_nothing_waits_inside_an_epoch():
    """Steps, augmentation, metrics and loader never wait for the GPU; what suits it is chosen."""
    options = {"accelerator": "gpu", "devices": 1, "limit_val_batches": 0, "max_epochs": 3, "logger": False}
    set_device_defaults(options)
    watch = Watch()
    data = BundledData("digits", batch_size=64, augment=["mixup"])
    trainer = Trainer(**options, callbacks=[Execution(), watch], enable_checkpointing=False, enable_progress_bar=False)
    try:
        trainer.fit(Model(LAYERS), data)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert trainer.global_step == 3 * len(data.train_dataloader())
    assert "channels_last" in watch.settings
    assert "data on device" in watch.settings


def test_out_of_memory_names_a_size_that_fits():
    """A step that is too large for the GPU raises torch's error with a note of what fits, with which training goes."""
    wide = [{"dense": {"units": 2**17, "activation": "relu"}}, {"dropout": 0.1}]
    size = 2 ** (torch.cuda.get_device_properties(0).total_memory // 2**21 - 1).bit_length()
    options = {"accelerator": "gpu", "devices": 1, "max_steps": 2, "limit_val_batches": 0, "logger": False}
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}

    def train(batch_size):
        data = SyntheticData([8], rows=2 * size, batch_size=batch_size)
        Trainer(**options, **quiet, callbacks=[OutOfMemory()]).fit(Model(wide, "multiclass"), data)

    with pytest.raises(torch.OutOfMemoryError) as caught:
        train(size)
    found = re.search(r"(\d+) rows fit", caught.value.__notes__[0])
    del caught
    train(int(found[1]))


def test_batch_size_auto():
    """On a GPU a size is found that fits, and weights are those of the number written out."""
    weights = []
    for batch_size in ("auto", 32):
        seed_everything(1)
        data = BundledData("digits", batch_size=batch_size)
        trainer = Trainer(
            accelerator="gpu", devices=1, max_epochs=1, logger=False, enable_checkpointing=False, deterministic=True
        )
        model = Model([{"dense": 8}, {"dropout": 0.2}])
        trainer.fit(model, data)
        assert data.batch_size == 32
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_the_same_seed_twice(precision):
    """With `deterministic` two trainings are the same to the bit, convolutions, dropout and augmentation included."""
    weights = []
    for _ in range(2):
        seed_everything(1)
        data = BundledData("digits", batch_size=64, augment=["mixup"])
        trainer = Trainer(
            accelerator="gpu",
            devices=1,
            max_epochs=2,
            precision=precision,
            deterministic=True,
            logger=False,
            enable_checkpointing=False,
            callbacks=[Execution()],
        )
        model = Model([*LAYERS, {"dropout": 0.3}])
        trainer.fit(model, data)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


@pytest.mark.parametrize("precision", ["32-true", "16-mixed"])
def test_going_on_in_an_epoch(precision, tmp_path):
    """A training that is gone on with ends with the same weights: the GPU's random numbers and the scaler's too."""
    weights = []
    for checkpoint, folder in ((None, "whole"), (tmp_path / "whole" / "s10.ckpt", "resumed")):
        seed_everything(1 if checkpoint is None else 2)
        keep = ModelCheckpoint(
            tmp_path / folder, "s{step}", auto_insert_metric_name=False, every_n_train_steps=10, save_top_k=-1
        )
        trainer = Trainer(
            accelerator="gpu",
            devices=1,
            max_epochs=2,
            precision=precision,
            deterministic=True,
            logger=False,
            callbacks=[Execution(), keep],
        )
        model = Model([*LAYERS, {"dropout": 0.3}])
        trainer.fit(model, BundledData("digits", batch_size=64, augment=["mixup"]), ckpt_path=checkpoint)
        weights.append(model.state_dict())
    assert all(torch.equal(weights[0][name], value) for name, value in weights[1].items())


class Compiling(Execution):
    """Has steps compiled, and keeps what became of them."""

    state = ""

    def on_train_end(self, trainer, pl_module):
        self.state = self.compilation.state
        super().on_train_end(trainer, pl_module)


class WatchCompiled(Watch):
    """Watches all epochs but the first, in which steps are compiled."""

    def on_train_epoch_start(self, trainer, pl_module):
        if trainer.current_epoch > 0:
            super().on_train_epoch_start(trainer, pl_module)


@pytest.mark.parametrize("optimizer", ["AdamW", "SGD"])
@pytest.mark.parametrize(("precision", "tolerance"), [("32-true", 1e-2), ("bf16-mixed", 0.1)])
def test_compiled_steps(precision, tolerance, optimizer):
    """Steps that are recorded as a CUDA graph learn what eager ones learn, up to rounding; and nothing waits."""
    layers = ["flatten", {"dense": {"units": 32, "activation": "relu"}}, "batch_norm", {"dropout": 0.1}]
    options = {"accelerator": "gpu", "devices": 1, "limit_val_batches": 0, "max_epochs": 3, "precision": precision}
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    losses = []
    for execution, watch in ((Compiling(compile=True), WatchCompiled()), (Execution(compile=False), Watch())):
        seed_everything(1)
        trainer = Trainer(**options, **quiet, callbacks=[execution, watch])
        try:
            trainer.fit(Model(layers, "multiclass", optimizer=optimizer), BundledData("digits", batch_size=64))
        finally:
            torch.cuda.set_sync_debug_mode("default")
        losses.append(float(trainer.callback_metrics["train/loss"]))
        assert getattr(execution, "state", "compiled") == "compiled"
    assert losses[0] == pytest.approx(losses[1], rel=tolerance)


def test_clipping_in_mixed_precision(capsys):
    """Where the optimizer counts its steps on the CPU, that is said before anything is compiled."""
    options = {"accelerator": "gpu", "devices": 1, "limit_val_batches": 0, "max_epochs": 1, "logger": False}
    data, model = BundledData("digits", batch_size=64), Model(["flatten"], "multiclass")
    trainer = Trainer(**options, precision="bf16-mixed", gradient_clip_val=1.0, callbacks=[Execution(compile=True)])
    trainer.fit(model, data)
    said = capsys.readouterr().out
    assert "the optimizer counts its steps on the CPU" in said
    assert "one moment" not in said


def test_recorded_steps_draw_new_numbers():
    """A graph draws other random numbers each time it is launched, and moves tensors that it was bound to anew."""
    data, model = BundledData("digits", batch_size=64), Model(["flatten", {"dropout": 0.5}], optimizer="SGD")
    model.build(data.connect("multiclass"))
    inputs, targets = (each[:64].cuda() for each in data._encoded["train"])
    batch = Batch(inputs, targets)
    known = dict(model.hparams), model.data_spec.to_dict(), describe(batch_tensors(batch))
    request = Request(*known, 1, [], precision=None, clip=None, mode="default", plugins=[], device="cuda:0")
    program = compile_here(request)
    for _ in range(2):
        own = build_model(request)
        optimizer = own.optimizer_spec.build(own.parameters())
        before = own.head.linear.weight.detach().clone()
        steps = CompiledSteps(program, request, own, optimizer)
        logits = [program([torch.zeros(1, dtype=torch.float64, device="cuda"), inputs, targets])[0] for _ in range(2)]
        assert not torch.equal(*logits)
        assert torch.equal(own.head.linear.weight, before)  # at a rate of 0
        steps([batch], [0.1])
        assert not torch.equal(own.head.linear.weight, before)
