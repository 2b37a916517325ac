"""Several optimizer steps in one go, within Lightning's loop: what Keras calls ``steps_per_execution``."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from typing import Any, cast

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loops.fetchers import _DataFetcher

from lightlab.random_state import random_state, set_random_state
from lightlab.training.compilation import Compilation
from lightlab.training.due import Sampler, batches_until_due, looks_at_clock
from lightlab.training.eager_step import EagerStep
from lightlab.training.epoch_loop import InterruptibleEpochLoop

#: So long an execution takes at most where somebody looks at the clock, in seconds.
SECONDS = 0.1
#: Processes that step together have to agree on a number instead, whatever their clocks say.
STEPS_TOGETHER = 32


class FusedEpochLoop(InterruptibleEpochLoop):
    """Lightning's loop over the batches of an epoch, which leaves most of them to a step with nothing around it.

    An execution is some batches in a row. The last of them is Lightning's own: callbacks, loggers, checkpoints and
    validation see it as they always do, with all counters as they would be. It is chosen so that nothing is due before.

    Args:
        trainer: whose loop it replaces.
        steps_per_execution: at most so many batches an execution; ``None`` for as many as there are until something is
            due.
    """

    def __init__(self, trainer: Trainer, steps_per_execution: int | None) -> None:
        super().__init__(trainer)
        self.steps_per_execution = steps_per_execution
        self.compilation: Compilation | None = None
        self._samplers: list[Sampler] = []
        self._callbacks: list[Callback] = []
        self._step: EagerStep | None = None
        self._looks_at_clock = False

    def begin(self, compilation: Compilation | None) -> None:
        """Have what the training steps with, once the Trainer has it all.

        Args:
            compilation: of the steps; ``None`` where they are not to be compiled.
        """
        self.compilation = compilation
        looks = self.steps_per_execution is None and looks_at_clock(self.trainer)
        self._looks_at_clock = self.trainer.strategy.reduce_boolean_decision(looks, all=False)
        if self._looks_at_clock and self.trainer.world_size > 1:
            self.steps_per_execution, self._looks_at_clock = STEPS_TOGETHER, False
        self._callbacks = list(self._trainer_callbacks)
        self._samplers = [each for each in self._callbacks if isinstance(each, Sampler)]
        self._step = EagerStep(self.trainer)

    def leave(self) -> None:
        """Leave every batch to Lightning."""
        self._step = self.compilation = None

    @property
    def _trainer_callbacks(self) -> list[Callback]:
        return self.trainer.callbacks  # type: ignore[no-any-return]  # Lightning sets it untyped

    def advance(self, data_fetcher: _DataFetcher) -> None:
        """Train on batches until one is Lightning's, and leave that to it."""
        # A callback may run a training of its own within this one, with others than those that were looked at.
        knows_all = self._step is not None and self._trainer_callbacks == self._callbacks
        if self._step is not None and knows_all and self.steps_per_execution != 1 and not self.restarting:
            count = batches_until_due(self.trainer)
            if self.steps_per_execution is not None:
                count = min(count, self.steps_per_execution)
            if count > 1:
                self._execute(data_fetcher, self._step, count - 1)
        super().advance(data_fetcher)

    def _execute(self, data_fetcher: _DataFetcher, step: EagerStep, count: int) -> None:
        """Train on so many batches, or on fewer where the clock says so."""
        # What Lightning has around the loader costs as much as the loader.
        batches = cast("Any", data_fetcher.combined_loader._iterator).iterators[0]
        compilation, now, taken = self.compilation, time.monotonic(), 0
        until = now + SECONDS if self._looks_at_clock else math.inf
        if compilation is not None:
            compilation.begin_execution()
        while taken < count and now < until and not self._is_told_to_end:
            first = self._next(batches, step)
            if first is None:
                return
            block = [first]
            size = min(count - taken, 1 if compilation is None else compilation.at_once)
            block += [step.transfer(next(batches)) for _ in range(size - 1)]
            data_fetcher.fetched += size
            self._train(block, step)
            taken, before, now = taken + size, now, time.monotonic()
            if compilation is not None:
                compilation.took(size, now - before)

    def _next(self, batches: Iterator[Any], step: EagerStep) -> Any:
        """Return the next batch, for which steps are compiled by then if that is waited for.

        Told to end meanwhile, it returns ``None``, with all as if the batch had not been taken.
        """
        compilation = self.compilation
        if compilation is None or self.global_step == 0:  # when the optimizer has no state yet
            return step.transfer(next(batches))
        device = self.trainer.strategy.root_device
        before = random_state(device) if compilation.is_waited_for and self._interruption is not None else None
        batch = step.transfer(next(batches))
        compilation.see(batch, lambda: self._is_told_to_end)  # before it is trained on, as in a resumed training
        if before is None or not self._is_told_to_end:
            return batch
        set_random_state(before, device)
        for loader in self.trainer.fit_loop._combined_loader.flattened:
            if hasattr(loader, "recount"):
                loader.recount(self.batch_progress.current.ready)
        return None

    def _train(self, block: list[Any], step: EagerStep) -> None:
        """Train on some batches: all at once where such steps are compiled, else on each."""
        compiled = None if self.compilation is None else self.compilation.steps
        if compiled is None or not compiled.fit(block):
            for batch in block:
                step(batch, self.batch_progress.current.ready)
                self._count(batch)
            return
        group = step.optimizer.param_groups[0]
        if not self.trainer.lr_scheduler_configs:
            compiled(block, [group["lr"]] * len(block))
            self._count(*block)
            return
        rates = []
        for batch in block:  # the schedule, which moves on with the count, says the rate of each step
            rates.append(group["lr"])
            self._count(batch)
        compiled(block, rates)

    def _count(self, *batches: Any) -> None:
        """Count batches, and what follows from them, as Lightning does after each; one alone where a schedule moves."""
        for sampler in self._samplers:
            sampler.see_batches(self.trainer, batches)
        progress = self.automatic_optimization.optim_progress.optimizer
        if self.batch_progress.current.ready % self.trainer.accumulate_grad_batches == 0:
            progress.zero_grad.increment_by(len(batches))
        self.batch_progress.increment_by(len(batches))
        if self._should_accumulate():
            return
        progress.step.increment_by(len(batches))
        self._batches_that_stepped += len(batches)
        if self.trainer.lr_scheduler_configs:
            self.update_lr_schedulers("step", update_plateau_schedulers=False)
