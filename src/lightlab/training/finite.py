"""What becomes of a training whose numbers are not finite any more."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from lightlab.batch import Batch
from lightlab.errors import NotFiniteError, sentences
from lightlab.processes import of_all_processes
from lightlab.terminal import say
from lightlab.training.account import Account, StepPosition, find_broken, some, watched
from lightlab.training.culprit import are_finite, broken_by_gradients, not_finite
from lightlab.training.options import NonFinite
from lightlab.training.replay import Start, can_replay, remember, replay
from lightlab.training.unfinished_step import Suspect, UnfinishedStep

#: So many steps in a row are left out at most: a network that gives no finite number any more seldom gives one again.
MOST_IN_A_ROW = 10
#: So long the steps of an epoch are taken again at most, in seconds.
SECONDS = 10.0
#: More steps than this are never taken in one go that are compiled as one.
MOST_AT_ONCE = 16


class FiniteNumbers(Callback):
    """Has the training of a lightlab model stop, or leave a step out, where loss or gradient is no finite number.

    On a CPU the loss of each step is looked at before anything moves by it; on a GPU, for which nobody waits, those of
    an epoch at its end. Gradients of a finite loss are looked at in each step that Lightning takes by itself, and where
    several processes share them; what comes of the others shows in the next loss, or in the weights, at the end of the
    epoch at the latest, and before they are written. Then the steps of the epoch are taken again, one by one, to find
    the first that was not right.

    Args:
        policy: ``stop``; or ``skip``, which leaves such a step out: weights, buffers and the optimizer's state stay as
            they are, counters and schedules move on. Each step is then looked at, and is Lightning's own.

    Attributes:
        skips: whether steps are left out.
        skipped: how many were.
        step: what there is of the step that is under way.

    Raises:
        NotFiniteError: a number is not finite, or `MOST_IN_A_ROW` steps in a row were left out; when training is at it.
    """

    def __init__(self, policy: NonFinite = "stop") -> None:
        self.skips = policy == "skip"
        self.skipped = self._in_a_row = 0
        self._start: Start | None = None
        self._is_replaying = False
        self._seen = 0

    # As a callback that looks at some batches only

    def batches_until_due(self, trainer: Trainer) -> None:
        """Return that no batch in particular has to be seen."""

    def see_batches(self, trainer: Trainer, batches: Sequence[Any]) -> None:
        """Do nothing: the model says if there is something to see."""

    def state_dict(self) -> dict[str, Any]:
        """Return how many steps were left out, in all and in a row by now."""
        return {"skipped": self.skipped, "in_a_row": self._in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting."""
        self.skipped, self._in_a_row = state_dict["skipped"], state_dict["in_a_row"]

    # Hooks

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Have the model report its losses."""
        model: Any = pl_module
        self._trainer: Any = trainer
        self._model = model
        self._account = Account(trainer, pl_module)
        self._start = None
        self.step = UnfinishedStep(pl_module)
        self._error: NotFiniteError | None = None
        model.finite_numbers = self

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Have the model report nothing more."""
        if getattr(pl_module, "finite_numbers", None) is self:
            self._model.finite_numbers = None

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Remember what the epoch starts from."""
        self._begin(0)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Know which batch it is, and what its step has to leave as it is if it is left out."""
        known = isinstance(batch, tuple | list)  # a subclass of the model may take others
        self._current = Batch(*batch) if known else Batch(torch.empty(0)), batch_idx
        if self.skips and batch_idx % trainer.accumulate_grad_batches == 0:
            self.step.begin()

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take back what a batch has done to buffers; before its step is left out, they may be used, or written."""
        if self.skips and self.step.suspect is not None:
            self.step.put_back()

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradients; on a GPU only where steps can be left out."""
        if self._may_leave_out:
            self._skip_or_go_on(trainer, pl_module)
        elif trainer.strategy.root_device.type == "cpu":
            self.see_gradients(*self._current)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the training before anything is kept of it."""
        if trainer.state.fn == TrainerFn.FITTING and not trainer.sanity_checking:
            self.verify()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look at the training before anything is kept of it."""
        self.verify()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Say how many steps were left out."""
        if self.skipped:
            rank_zero_only(say)(f"non_finite: {self.skipped} of {trainer.global_step} steps were left out.")

    # What model and loop report

    def begin(self) -> None:
        """Remember what the training starts from, in the middle of an epoch or a step where it goes on there.

        The model says so, since its own hook comes behind those of callbacks, and gives random numbers their state.
        """
        if not self.skips:
            self.step.take()  # what was held back when steps were left out
        elif not self.step.has_begun:
            self.step.begin()
        self._begin(self._taken.current.ready)

    @property
    def looks_at_gradients(self) -> bool:
        """Whether the gradients of steps are looked at that Lightning is not told of."""
        together = self._trainer.world_size > 1 and self._trainer.strategy.root_device.type == "cpu"
        return self._is_replaying or together

    def see_loss(self, loss: Tensor, losses: Tensor, batch: Batch, index: int) -> bool:
        """Take a step's loss before its gradients are computed; return whether it counts.

        Args:
            loss: a scalar.
            losses: of each row, (rows,).
            batch: the step's.
            index: its number in the epoch, from 0.

        Raises:
            NotFiniteError: it is not finite.
        """
        if not (loss.is_cpu or self.skips or self._is_replaying) or math.isfinite(loss.item()):
            return True
        is_alone = self._trainer.world_size == 1
        if is_alone and not self._is_replaying and not are_finite(self._model.parameters()):
            self._fail(index)  # what a step before has led to
        if self.step.suspect is None:
            text = self._account.of_loss(self._place(index), batch, loss, losses.detach())
            self.step.suspect = Suspect(loss.item(), text)
        # Of several processes one alone can't stop: the gradients bring it to all of them, in this very step.
        if not self._may_leave_out and is_alone:
            self._stop(self.step.suspect.text, value=self.step.suspect.loss)
        return not self._may_leave_out

    def count(self, *given: Tensor | None) -> None:
        """Have a batch count for the figures: at once, or, where its step may yet be left out, when that is taken.

        Args:
            given: what the model's ``_keep`` takes.
        """
        if self._may_leave_out:
            self.step.hold(*given)
        else:
            self._model._keep(*given)

    def see_losses(self, losses: Tensor) -> None:
        """Take the losses of several steps that were taken in one go, (steps · rows,); a GPU is not waited for.

        Raises:
            NotFiniteError: one is not finite.
        """
        if losses.is_cpu and not math.isfinite(losses.sum().item()) and not are_finite([losses]):
            self._fail(self._taken.current.ready + MOST_AT_ONCE)

    def see_gradients(self, batch: Batch, index: int) -> None:
        """Look at a step's gradients, before they are clipped and weights move by them.

        Raises:
            NotFiniteError: one is not finite; in all processes.
        """
        if self._are_gradients_fine():
            return
        if self.step.suspect is not None:
            self._stop(self.step.suspect.text, value=self.step.suspect.loss)
        text, is_here = self._account.of_gradients(self._place(index), batch)
        self._stop(text, "gradient_norm_max", is_here=is_here)

    def verify(self) -> None:
        """Look at the losses since the last time, and at the weights.

        Raises:
            NotFiniteError: a number is not finite; in all processes.
        """
        if self._error is not None:
            raise self._error
        if self._taken.total.ready == self._seen:
            return
        self._seen = self._taken.total.ready
        finite = self._model.train_metrics.losses_are_finite() and not self._broken()
        if not self._trainer.strategy.reduce_boolean_decision(finite, all=True):
            self._fail(self._taken.current.ready)

    def check_figures(self, stage: str, figures: Mapping[str, Tensor]) -> None:
        """Look at the figures of a split before anybody acts on them.

        Args:
            stage: ``train`` or ``val``.
            figures: by name, without the split; the same in all processes.

        Raises:
            NotFiniteError: the loss, or what something goes by, is no number; in all processes.
        """
        epoch = self._trainer.current_epoch + 1
        if not bool(torch.isfinite(figures["loss"])):
            loss = float(figures["loss"])
            self._stop(self._account.of_split(stage, loss, epoch), f"{stage}/loss", loss)
        if self._trainer.sanity_checking:  # of a few rows only
            return
        logged = {f"{stage}/{name}": float(value) for name, value in figures.items()}
        for name, who in watched(self._trainer).items():
            if not math.isfinite(logged.get(name, 0.0)):
                self._stop(self._account.of_figure(name, logged[name], who, epoch), name, logged[name])

    # Leaving steps out

    @property
    def _may_leave_out(self) -> bool:
        """Whether a step may be; averaged weights' last pass, for the statistics of batch norms, has none."""
        return self.skips and not self._trainer.fit_loop._skip_backward

    def _skip_or_go_on(self, trainer: Trainer, model: LightningModule) -> None:
        """Have the step move nothing if its loss or a gradient is not finite; in all processes alike."""
        bad = self.step.suspect is not None or not self._are_gradients_fine()
        if not trainer.strategy.reduce_boolean_decision(bad, all=False):
            self.step.take()
            self._in_a_row = 0
            return
        self.skipped += 1
        self._in_a_row += 1
        if self._in_a_row in (1, MOST_IN_A_ROW):
            batch, index = self._current
            suspect = self.step.suspect
            said = (suspect.text, True) if suspect else self._account.of_gradients(self._place(index), batch)
            text = self._agree(*said)
            if self._in_a_row == MOST_IN_A_ROW:
                self._stop(f"{MOST_IN_A_ROW} steps in a row were left out (non_finite: skip). {text}")
            rank_zero_only(say)(f"warning: a step is left out. {text}")
        self.step.leave_out()
        if not self._is_scaled:  # a scaler leaves the step out by itself, and has to see why
            for parameter in model.parameters():
                parameter.grad = None

    # Finding out

    @property
    def _taken(self) -> Any:
        """How many batches were trained on, in this epoch and in all."""
        return self._trainer.fit_loop.epoch_loop.batch_progress

    def _begin(self, batches: int) -> None:
        """Remember what an epoch, or the rest of one, starts from."""
        trainer = self._trainer
        self._begun = trainer.current_epoch, batches, trainer.global_step
        self._seen = self._taken.total.ready
        if not self.skips and can_replay(trainer):
            self._start = remember(trainer, batches, self._start)

    def _place(self, index: int) -> StepPosition:
        """Return where the batch of this number in the epoch, from 0, stands."""
        epoch, batches, step = self._begun
        every = self._trainer.accumulate_grad_batches
        return StepPosition(step + index // every - batches // every + 1, index + 1, epoch + 1)

    @property
    def _is_scaled(self) -> bool:
        """Whether gradients are scaled to 16 bits: then some are infinite, and their steps left out, as a rule."""
        return getattr(self._trainer.precision_plugin, "scaler", None) is not None

    def _are_gradients_fine(self) -> bool:
        # Those that something moves by; and to look for all parameters of a model takes as long as a small layer.
        groups = (group for optimizer in self._trainer.optimizers for group in optimizer.param_groups)
        given = (each.grad for group in groups for each in group["params"] if each.grad is not None)
        return self._is_scaled or are_finite(given)

    def _broken(self) -> list[str]:
        model = self._model
        if not model.infinite_buffers and are_finite([*model.parameters(), *model.buffers()]):
            return []
        return find_broken(model, model.state_dict())

    def _fail(self, stop: int) -> NoReturn:
        """Take the epoch's steps again to find the first that was not right, and raise what is found.

        Args:
            stop: the number in the epoch, from 0, of a batch before which that was.

        Raises:
            NotFiniteError: always; in all processes.
        """
        place, broken = self._place(min(stop, self._taken.current.ready) - 1), self._broken()
        last = broken_by_gradients(self._model) if broken else []
        if self.step.suspect is not None:
            self._stop(self.step.suspect.text, value=self.step.suspect.loss)
        if self._start is not None:
            self._search(self._start, stop)
        if last:  # it does not come again, or there was no time for it
            self._stop(self._account.of_parameters(place, last), "gradient_norm_max")
        what = f"weights of {some(broken)}" if broken else "the loss"
        text = f"Training goes by finite numbers. In {place} or before it came to others, in {what}."
        self._stop(text, is_here=bool(broken))

    def _search(self, start: Start, stop: int) -> None:
        """Take the epoch's steps again, up to a batch.

        Raises:
            NotFiniteError: with what is found.
        """
        self._is_replaying = True
        try:
            for index in replay(self._trainer, start, stop, SECONDS):
                if broken := not_finite(dict(self._model.named_parameters())):
                    self._stop(self._account.of_weights(self._place(index), broken))
        finally:
            self._is_replaying = False

    def _stop(self, text: str, figure: str = "train/loss", value: float = math.nan, is_here: bool = False) -> NoReturn:
        """Raise the same error in all processes.

        Args:
            text: what is known.
            figure: that is no number.
            value: of it.
            is_here: whether it came up in this process.
        """
        self._error = NotFiniteError(sentences(self._agree(text, is_here), self._account.best()), {figure: value})
        raise self._error

    def _agree(self, text: str, is_here: bool) -> str:
        """Return what the first process says that has seen a loss; else one where it came up; else the first of all."""
        said = of_all_processes((self.step.suspect is None, not is_here, text))
        return str(min(said, key=lambda each: each[:2])[2])
