"""How a training is carried out: how many steps in one go, and what the process is set to for it."""

from __future__ import annotations

import ctypes
from contextlib import suppress
from typing import Any

import lightning
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.utilities import rank_zero_only

from lightlab.errors import ConfigError
from lightlab.training.compilation import Compilation, why_not
from lightlab.training.due import why_single
from lightlab.training.fused_loop import FusedEpochLoop
from lightlab.training.options import Compile, StepsPerExecution

#: The releases of Lightning whose loop is known, part by part; another one is left to itself.
KNOWN_LIGHTNING = ("2.6.",)
#: From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Memory of this size is kept for the next step, in bytes: the most that mallopt takes.
KEPT_BYTES = 2**31 - 1


class Execution(Callback):
    """Takes several steps in one go.

    Args:
        steps_per_execution: at most so many batches between two that Lightning sees to; ``auto`` for as many as take a
            tenth of a second. The results are the same to the bit.
        compile: whether steps are compiled as a whole: ``auto`` where that pays, once it is done beside the training;
            true before the first step; ``{mode: …}`` in one of torch.compile's modes.

    Raises:
        ConfigError: when training starts: several steps an execution, or compiled ones, can't be had here.
    """

    def __init__(self, steps_per_execution: StepsPerExecution = "auto", compile: Compile = "auto") -> None:
        self.steps_per_execution = steps_per_execution
        self.compile = compile
        self.compilation: Compilation | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the loop in its place, before its state is restored."""
        if stage == "fit" and not isinstance(trainer.fit_loop.epoch_loop, FusedEpochLoop):
            if not lightning.__version__.startswith(KNOWN_LIGHTNING):
                self._decline(f"Lightning {lightning.__version__} may have another loop than 2.6")
                return
            wanted = None if self.steps_per_execution == "auto" else self.steps_per_execution
            trainer.fit_loop.epoch_loop = FusedEpochLoop(trainer, wanted)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, now that data, callbacks and optimizer are there."""
        loop: Any = trainer.fit_loop.epoch_loop
        if not isinstance(loop, FusedEpochLoop):
            return
        if reason := why_single(trainer):
            self._decline(reason)
        else:
            keep_memory()
            self.compilation = self._compile(trainer)
            loop.begin(self.compilation)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End what compiles."""
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End what compiles."""
        self._close()

    def _close(self) -> None:
        if self.compilation is not None:
            self.compilation.close()

    def _compile(self, trainer: Trainer) -> Compilation | None:
        if self.compile is False or self.steps_per_execution == 1:
            return None
        if reason := why_not(trainer):
            if self.compile != "auto":
                rank_zero_only(print)(f"compile: steps are not compiled, since {reason}.", flush=True)
            return None
        return Compilation(trainer, self.compile)

    def _decline(self, reason: str) -> None:
        """Leave each batch to Lightning, where nobody asked for more.

        Raises:
            ConfigError: somebody did.
        """
        if self.steps_per_execution not in ("auto", 1):
            raise ConfigError.at(
                ("steps_per_execution",),
                f"Several steps can be taken in one go where nothing has to see each of them. Here {reason}. "
                f"Received: {self.steps_per_execution}. Set it to auto or 1.",
            )


def keep_memory() -> None:
    """Have glibc keep the memory that a step gives back for the next one, instead of returning it to the system.

    A step on a CPU takes and gives back the same large pieces over and over; the system clears each anew, which costs a
    convolutional network up to half its time. Other C libraries have no such setting, and are left alone.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - others may have a mallopt that means something else
        libc.mallopt(M_MMAP_THRESHOLD, KEPT_BYTES)
        libc.mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)
