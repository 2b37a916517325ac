"""How a training is carried out: how many steps in one go, and what the process is set to for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import lightning
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only

from lightlab.errors import ConfigError
from lightlab.processes import of_all_processes
from lightlab.terminal import say
from lightlab.training.compilation import Compilation, compile_network, why_not
from lightlab.training.due import why_single
from lightlab.training.epoch_loop import guard_epochs
from lightlab.training.fused_loop import FusedEpochLoop
from lightlab.training.memory import keep_memory
from lightlab.training.options import Compile, StepsPerExecution
from lightlab.training.shared_memory import SharedMemory, share_memory

#: The releases of Lightning whose loop is known, part by part; another one is left to itself.
KNOWN_LIGHTNING = ("2.6.",)


class Execution(Callback):
    """Takes several steps in one go.

    Args:
        steps_per_execution: at most so many batches between two that Lightning sees to; ``auto`` for as many as there
            are until something is due. The results are the same to the bit.
        compile: whether steps are compiled as a whole: ``auto`` where that pays, once it is done beside the training;
            true before the first step; ``{mode: …}`` in one of torch.compile's modes.

    Raises:
        ConfigError: when training starts: something has to see each batch, and several an execution were asked for.
    """

    def __init__(self, steps_per_execution: StepsPerExecution = "auto", compile: Compile = "auto") -> None:
        self.steps_per_execution = steps_per_execution
        self.compile = compile
        self.compilation: Compilation | None = None
        self._shared: SharedMemory | None = None

    @property
    def _unknown(self) -> str | None:
        """Why the loop of this release of Lightning can't be replaced; ``None`` where it is known."""
        known = lightning.__version__.startswith(KNOWN_LIGHTNING)
        return None if known else f"Lightning {lightning.__version__} may have another loop than 2.6"

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Put the loop in its place, before its state is restored, and have DDP keep gradients where it sends them."""
        is_replaced = isinstance(trainer.fit_loop.epoch_loop, FusedEpochLoop)
        if stage == "fit" and not is_replaced and self._unknown is None:
            wanted = None if self.steps_per_execution == "auto" else self.steps_per_execution
            trainer.fit_loop.epoch_loop = FusedEpochLoop(trainer, wanted)
            guard_epochs(trainer.fit_loop)
            if isinstance(trainer.strategy, DDPStrategy):
                trainer.strategy._ddp_kwargs.setdefault("gradient_as_bucket_view", True)  # they are not copied back

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin, now that data, callbacks and optimizer are there, and say how the training is carried out."""
        keep_memory()
        loop: Any = trainer.fit_loop.epoch_loop
        # A process may have callbacks that others lack, but all step alike.
        reason = next(filter(None, of_all_processes(self._unknown or why_single(trainer))), None)
        if isinstance(loop, FusedEpochLoop):
            loop.leave()  # what a training before this one has stepped with
        if reason is not None:
            self._decline(reason)
        elif isinstance(loop, FusedEpochLoop):
            self.compilation = self._compile(trainer)
            loop.begin(self.compilation)
        self._shared = share_memory(trainer)
        words = [*settings(trainer), *(["gradients in shared memory"] if self._shared is not None else [])]
        steps = "" if reason is None else f", one step at a time ({reason})"
        rank_zero_only(say)(f"speed: {', '.join(words)}{steps}")

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """End what compiles."""
        self._end_compiling()

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Leave the other processes: until then, somebody may compute gradients."""
        self._leave_others()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End what compiles, and leave the other processes."""
        self._end_compiling()
        self._leave_others()

    def _end_compiling(self) -> None:
        if self.compilation is not None:
            self.compilation.close()

    def _leave_others(self) -> None:
        if self._shared is not None:
            self._shared.close()

    def _compile(self, trainer: Trainer) -> Compilation | None:
        # When compiled steps are ready is a matter of the clock, on which nothing may depend that is to be repeated.
        if self.compile is False or (self.compile == "auto" and torch.are_deterministic_algorithms_enabled()):
            return None
        # On a GPU training waits for it, and whether that pays has not been measured.
        if self.compile == "auto" and trainer.strategy.root_device.type != "cpu":
            return None
        reason = "steps_per_execution is 1" if self.steps_per_execution == 1 else why_not(trainer)
        if reason is None:
            return Compilation(trainer, self.compile)
        if self.compile != "auto":
            compile_network(trainer, self.compile, reason)
        return None

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


def settings(trainer: Any) -> Iterator[str]:
    """Return what a training computes in and where its data is, a few words each."""
    names = {"32-true": "float32", "64-true": "float64", "bf16-mixed": "bf16", "16-mixed": "fp16"}
    yield names.get(trainer.precision, trainer.precision)
    if trainer.strategy.root_device.type == "cuda" and torch.get_float32_matmul_precision() != "highest":
        yield "TF32"
    if getattr(trainer.lightning_module, "memory_format", None) is torch.channels_last:
        yield "channels_last"
    if any(group.get("fused") for group in trainer.optimizers[0].param_groups):
        yield f"fused {type(trainer.optimizers[0]).__name__}"
    if hasattr(trainer.datamodule, "placement"):
        yield trainer.datamodule.placement()


def set_device_defaults(options: dict[str, Any]) -> None:
    """Set what suits NVIDIA's and AMD's GPUs, where a config leaves it open and the training runs on one.

    That is bf16 with weights in float32, where the GPU has it, TF32 for what stays float32, and the quickest of cuDNN's
    algorithms for convolutions, where they need not be deterministic.

    Args:
        options: of the Trainer; changed.
    """
    if options.get("accelerator") not in (None, "auto", "gpu", "cuda") or not torch.cuda.is_available():
        return
    # A plugin may be a precision.
    if (
        options.get("precision") is None
        and not options.get("plugins")
        and torch.cuda.is_bf16_supported(including_emulation=False)
    ):
        options["precision"] = "bf16-mixed"
    if options.get("benchmark") is None and not options.get("deterministic"):
        options["benchmark"] = True
    torch.set_float32_matmul_precision("high")
