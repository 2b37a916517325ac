"""Some training on the real data, and whether it beats what needs no network."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightlab.batch import Batch
from lightlab.data.base import Data
from lightlab.inspect.numbers import short
from lightlab.inspect.procedure.base import Result, Subject, Verdict, known_targets, row_losses, take_step
from lightlab.inspect.procedure.baseline import linear_model
from lightlab.inspect.procedure.chance import best_constant

#: After each round of so many steps the losses are compared. Where the model is not clearly better than a constant but
#: its loss still falls, there is another: small learning rates and rare classes take more than one, and noise is
#: told by its loss, which rises again.
STEPS, ROUNDS = 200, 5
#: A loss that falls on as in the last round beats the constant in so many more: that is not held against it.
SOON = 2
#: No round is begun, and none goes on, after so many seconds of training.
MOST_SECONDS = 15.0
#: Losses are compared on so many rows of the validation split, or on fewer in so many seconds.
MOST_ROWS, MOST_COMPARING = 4096, 5.0
#: On fewer rows the mean of the losses says too little for a failure.
FEW_ROWS = 20
#: A difference of means is clear from so many of its standard errors on.
CLEAR = 2.0
#: A model is worse than a linear one where it is so by so much of what the linear one learned: two that have learned
#: nearly all may differ clearly, and by next to nothing.
MARGIN = 0.05


@dataclass(frozen=True)
class _Compared:
    """Losses of the same rows after some steps, (rows,): of the model, the best constant answer, and a linear model."""

    steps: int
    model: Tensor
    constant: Tensor
    linear: Tensor

    @property
    def means(self) -> tuple[float, float, float]:
        """The mean loss of each."""
        return self.model.mean().item(), self.constant.mean().item(), self.linear.mean().item()

    @property
    def clear(self) -> bool:
        """Whether the model is clearly better than the constant."""
        return _clearly_above(self.constant, self.model)


class _Training:
    """A model and a linear one beside it, trained on the same batches."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.model = subject.fresh()
        self.optimizer = self.model.optimizer_spec.build(self.model.parameters())
        self.linear, self.linear_optimizer, self.linear_name = linear_model(subject)
        self.batches = training_batches(subject.data)
        self.deadline = time.monotonic() + MOST_SECONDS
        self.losses: list[float] = []
        self.targets: list[Tensor] = []
        self.split = "val" if "val" in subject.data.counts else "train"

    @property
    def late(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() > self.deadline

    @property
    def finite(self) -> bool:
        """Whether the last loss is a number."""
        return math.isfinite(self.losses[-1])

    def train(self) -> None:
        """Take the steps of a round."""
        self.model.train()
        self.linear.train()
        for batch in itertools.islice(self.batches, STEPS):
            self.losses.append(take_step(self.model, self.optimizer, batch, self.subject.clip, penalised=True))
            take_step(self.linear, self.linear_optimizer, batch)
            self.targets.append(known_targets(batch))
            if self.late or not self.finite:
                break

    def compare(self) -> _Compared:
        """Return the losses of the first rows of the split."""
        data, deadline = self.subject.data, time.monotonic() + MOST_COMPARING
        constant, _ = best_constant(self.model.head, torch.cat(self.targets))
        self.model.eval()
        self.linear.eval()
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        rows = 0
        with torch.no_grad():
            for batch in data.val_dataloader() if self.split == "val" else data.train_dataloader():
                batch = Batch(*batch)
                targets = known_targets(batch)
                fixed = self.model.head.loss(constant.expand(len(targets), -1), targets)
                parts.append((row_losses(self.model, batch), fixed, row_losses(self.linear, batch)))
                rows += len(targets)
                if rows >= MOST_ROWS or time.monotonic() > deadline:
                    break
        return _Compared(len(self.losses), *(torch.cat(part).double() for part in zip(*parts, strict=True)))


def check_real_data(subject: Subject) -> Result:
    """Train on the real data with the config's optimizer, and compare with a constant and a linear model.

    The constant is the best for the targets that were trained on: the shares of the classes, the mean, as the head's
    loss has it. Worse than it is a failure; not clearly better, or worse than the linear model, is a warning, since a
    few steps are no training. Nothing is augmented, and the learning rate stays as it is. Of several rounds the one
    with the least loss counts, as the best weights of a training do.
    """
    training = _Training(subject)
    best: _Compared | None = None
    fall = 0.0
    for _ in range(ROUNDS):
        training.train()
        if not training.finite:
            text = f"the loss is {training.losses[-1]} at step {len(training.losses)}: try a smaller learning rate"
            return Result("failed", text, {"steps": len(training.losses)})
        compared = training.compare()
        fall = best.means[0] - compared.means[0] if best else math.inf
        best = compared if best is None or fall > 0 else best
        if not fall > 0 or best.clear or training.late:
            break
    assert best is not None
    return _judge(best, training, fall)


def training_batches(data: Data) -> Iterator[Batch]:
    """Yield training batches, epoch after epoch, each in an order of its own as in a training."""
    loader = data.train_dataloader()
    for epoch in itertools.count():
        if set_epoch := getattr(getattr(loader, "sampler", None), "set_epoch", None):
            set_epoch(epoch)
        for batch in loader:
            yield Batch(*batch)


def _judge(found: _Compared, training: _Training, fall: float) -> Result:
    """Return what came of it.

    Args:
        found: after the best of the rounds.
        training: of all rounds.
        fall: how much the loss fell in the last round.
    """
    own, constant, linear = found.means
    losses, name, rows = training.losses, training.linear_name, len(found.model)
    figures: dict[str, Any] = {
        "steps": found.steps, "split": training.split, "rows": rows, "loss": own, "constant": constant,
        "linear": linear if math.isfinite(linear) else None, "first_loss": losses[0], "last_loss": losses[-1],
    }  # fmt: skip
    where = "val" if training.split == "val" else "train, since there is no val split"
    text = (
        f"{found.steps} steps: loss {short(own)} on {rows:,} rows of {where}; the best constant answer "
        f"{short(constant)}, {name} {short(linear)}"
    )
    if not math.isfinite(own):
        return Result("failed", f"{text}: try a smaller learning rate", figures | {"loss": None})
    if own >= constant:
        excuse = ""
        if rows < FEW_ROWS:
            excuse = ", on too few rows to tell"
        elif training.late:
            excuse = " when the time was over"
        elif fall * SOON > own - constant:
            excuse = " yet, but soon if it goes on to fall"
        verdict: Verdict = "warning" if excuse else "failed"
        course = f"in training it went from {short(losses[0])} to {short(losses[-1])} in {len(losses)} steps"
        return Result(verdict, f"{text}: not better than a constant{excuse}; {course}", figures)
    remarks = [] if found.clear else ["not clearly better than a constant"]
    if _clearly_above(found.model, found.linear) and own - linear > MARGIN * (constant - linear):
        remarks.append(f"not better than {name} so far")
    if not remarks:
        return Result("ok", text, figures)
    return Result("warning", f"{text}: {' and '.join(remarks)}", figures)


def _clearly_above(higher: Tensor, lower: Tensor) -> bool:
    """Return whether the mean of the differences is more than chance makes it."""
    differences = higher - lower
    if len(differences) < 2:
        return False
    error = differences.std() / math.sqrt(len(differences))
    return bool(differences.mean() > CLEAR * error)
