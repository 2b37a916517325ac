"""One step of a training, with nothing around it: the same operations as Lightning's, in the same order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from functools import partial
from typing import Any, cast

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.core.hooks import DataHooks
from lightning.pytorch.plugins.precision import Precision
from lightning.pytorch.strategies import DDPStrategy
from torch import Tensor


class EagerStep:
    """Trains on a batch: loss, gradients, and an optimizer step where enough batches are accumulated.

    Args:
        trainer: whose model, optimizer, strategy and precision it takes.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.model = trainer.lightning_module
        self.strategy = trainer.strategy
        self.precision = trainer.precision_plugin
        self.optimizer: Any = trainer.optimizers[0]
        self.scaler = getattr(self.precision, "scaler", None)  # of 16-bit gradients
        own = type(self.model).configure_gradient_clipping
        self._clips_in_its_way = own is not LightningModule.configure_gradient_clipping
        self._changes = list(self._changes_of_batches())
        self._numbers: Any = getattr(self.model, "finite_numbers", None)
        self._looks = self._numbers is not None and self._numbers.looks_at_gradients

    def transfer(self, batch: Any) -> Any:
        """Return a batch where and as the model takes it: converted, moved, augmented."""
        for change in self._changes:
            batch = change(batch)
        return batch

    def _changes_of_batches(self) -> Iterator[Callable[[Any], Any]]:
        """Return what Lightning does to batches before a step, without what does nothing here."""
        device = self.strategy.root_device
        if type(self.precision).convert_input is not Precision.convert_input:
            yield self.precision.convert_input
        find = cast("Any", self.trainer._data_connector._datahook_selector).get_instance
        for name, given in (
            ("on_before_batch_transfer", {}),
            ("transfer_batch_to_device", {"device": device}),
            ("on_after_batch_transfer", {}),
        ):
            hook = getattr(find(name), name)
            does_nothing = hook.__func__ is getattr(DataHooks, name) and (not given or device.type == "cpu")
            if not does_nothing:
                yield partial(hook, **given, dataloader_idx=0)

    def __call__(self, batch: Any, index: int) -> None:
        """Train on a batch, the ``index``-th of its epoch, from 0."""
        every, is_last = self.trainer.accumulate_grad_batches, self.ends_step(index)
        with self._alone() if not is_last else nullcontext():
            loss = cast("Tensor", self.strategy.training_step(batch, index))
            if index % every == 0:
                self.optimizer.zero_grad()
            loss = loss / every if every > 1 else loss
            self.model.backward(loss if self.scaler is None else self.scaler.scale(loss))
        if is_last:
            self._move(batch, index)

    def ends_step(self, index: int) -> bool:
        """Return whether the optimizer moves after a batch: enough are accumulated, or it is the epoch's last."""
        taken = index + 1
        return taken % self.trainer.accumulate_grad_batches == 0 or taken == self.trainer.num_training_batches

    def _alone(self) -> Any:
        """Keep gradients to this process: they are summed over all with the last of those that are accumulated."""
        if isinstance(self.strategy, DDPStrategy):
            return cast("Any", self.strategy.model).no_sync()
        return nullcontext()

    def _move(self, batch: Any, index: int) -> None:
        """Clip the gradients, and move the weights by them."""
        trainer = self.trainer
        if self.scaler is not None and not getattr(self.optimizer, "_step_supports_amp_scaling", False):
            self.scaler.unscale_(self.optimizer)
        if self._looks:
            self._numbers.see_gradients(batch, index)
        if self._clips_in_its_way or trainer.gradient_clip_val:
            clip = trainer.gradient_clip_val, trainer.gradient_clip_algorithm
            self.model.configure_gradient_clipping(self.optimizer, *clip)
        if self.scaler is None:
            self.optimizer.step()
        else:
            self.scaler.step(self.optimizer)
            self.scaler.update()
