"""What can only be seen on a GPU; skipped where there is none."""

import pytest
import torch
from lightning.pytorch import Callback, Trainer

from lightlab import BundledData, Model
from lightlab.training.execution import Execution, set_device_defaults, settings

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
