"""What can be had without looking at the inputs, and the best that there is: found through a head's own loss."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass

import torch
from torch import Tensor

from lightlab.heads.base import Head
from lightlab.inspect.procedure.base import head_of_zeros

#: L-BFGS is done with a convex loss in far fewer steps than this.
MOST_STEPS = 200


@dataclass(frozen=True)
class Chance:
    """Mean losses over some rows.

    Attributes:
        silent: of a head that the layers tell nothing: its bias alone, ln C for C classes.
        constant: of the best constant answer: the shares of the classes, the mean of a squared error, and so on.
        floor: of the best answer for each row: 0 in general; above it with label smoothing, below it for densities.
    """

    silent: float
    constant: float
    floor: float

    @property
    def room(self) -> float:
        """What there is to learn: how far the floor lies below the best constant answer."""
        return self.constant - self.floor

    def share(self, loss: float) -> float:
        """Return how much of the way from the floor to the best constant answer a loss is.

        0 is all that can be learned, 1 is nothing, and the head's own units play no part.
        """
        return (loss - self.floor) / self.room

    @property
    def something_to_learn(self) -> bool:
        """Whether the targets differ, as far as single precision tells."""
        return self.room > 1e-6 * max(1.0, abs(self.constant))


def find_chance(head: Head, targets: Tensor) -> Chance:
    """Return what can be had on some rows without their inputs.

    Only the head's ``loss`` is asked, so that it holds for any head, class weights and label smoothing included.

    Args:
        head: of any problem.
        targets: (rows, …), as it takes them.

    Example:
        >>> from lightlab.data_spec import TargetSpec
        >>> from lightlab.heads.multiclass import MulticlassHead
        >>> head = MulticlassHead(4, TargetSpec(("pet",), classes=("cat", "dog"), counts=(3, 1)))
        >>> chance = find_chance(head, torch.tensor([0, 0, 0, 1]))
        >>> round(chance.silent, 4), round(chance.constant, 4), round(chance.floor, 4)
        (0.6931, 0.5623, 0.0)
    """
    start = head_of_zeros(head)
    rows = len(targets)
    with torch.no_grad():
        silent = head.loss(start.expand(rows, -1), targets).mean().item()
    _, constant = best_constant(head, targets)
    free = best_logits(head, start.repeat(rows, 1), targets)
    return Chance(silent, constant, min(constant, free))


def best_constant(head: Head, targets: Tensor) -> tuple[Tensor, float]:
    """Return the logits that are the best answer to all rows, (1, outputs), and their mean loss."""
    start = head_of_zeros(head)
    found = start.clone()
    least = best_logits(head, found, targets)
    return found, least


def best_logits(head: Head, logits: Tensor, targets: Tensor) -> float:
    """Set logits to the best that L-BFGS finds, and return their mean loss.

    Args:
        head: whose loss.
        logits: where to start, (rows, outputs); or (1, outputs) for one answer to all rows.
        targets: of the rows.
    """
    trial = logits.clone().requires_grad_()
    optimizer = torch.optim.LBFGS([trial], max_iter=MOST_STEPS, tolerance_change=1e-12, line_search_fn="strong_wolfe")
    least = math.inf

    def evaluate() -> Tensor:
        nonlocal least
        optimizer.zero_grad()
        # The sum, in which a row's gradient does not shrink with the number of rows.
        loss = head.loss(trial.expand(len(targets), -1), targets).sum()
        loss.backward()  # type: ignore[no-untyped-call]  # torch has no types here
        if loss.item() < least:
            least = loss.item()
            logits.copy_(trial.detach())
        return loss

    with suppress(RuntimeError):  # numbers that are too large for it: what was found so far stands
        optimizer.step(evaluate)  # type: ignore[no-untyped-call]  # torch has no types here
    return least / len(targets)
