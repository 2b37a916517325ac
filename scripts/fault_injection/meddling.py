"""A plugin whose callback does to a run's surroundings, in its middle, what others do to them."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

#: How far a clock is set back, in seconds.
A_DAY = 86_400


class Meddle(Callback):
    """Does something when an epoch begins, once.

    Args:
        what: ``remove`` a folder or files, ``change`` a file, or set the ``clock`` back.
        path: of what is removed, with the signs of `Path.glob`, or changed.
        epoch: when; the first is 0.
    """

    def __init__(self, what: str, path: str = "", epoch: int = 3) -> None:
        self.what = what
        self.path = path
        self.epoch = epoch

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Do it."""
        if trainer.current_epoch == self.epoch and trainer.is_global_zero:
            getattr(self, f"_{self.what}")()

    def _remove(self) -> None:
        for found in list(Path().glob(self.path)):
            shutil.rmtree(found) if found.is_dir() else found.unlink()

    def _change(self) -> None:
        Path(self.path).write_text("trainer: {max_epochs: 1}\n", encoding="utf-8")

    def _clock(self) -> None:
        for name, unit in (("time", 1), ("time_ns", 10**9)):
            setattr(time, name, _set_back(getattr(time, name), A_DAY * unit))


def _set_back(clock: Any, by: int) -> Any:
    return lambda: clock() - by
