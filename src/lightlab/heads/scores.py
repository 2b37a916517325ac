"""Scores that are NaN where there is nothing to measure; torchmetrics gives 0 or 1 there, which look like results."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import classification, regression
from torchmetrics.utilities.data import dim_zero_cat

# Each says in `undefined` when it is NaN although all outputs are finite.


class BinaryAUROC(classification.BinaryAUROC):
    """Of two classes: NaN where one of them does not occur."""

    undefined = "all rows are of one class"

    def compute(self) -> Tensor:  # type: ignore[override]  # as torchmetrics itself does
        """Return the area, a scalar."""
        target = dim_zero_cat(self.target)
        return super().compute() if target.min() < target.max() else torch.full((), torch.nan, device=self.device)


class MultilabelAUROC(classification.MultilabelAUROC):
    """Averaged over the labels that some rows have and others have not; NaN where there is no such label."""

    undefined = "each label holds for all rows, or for none"

    def compute(self) -> Tensor:  # type: ignore[override]  # as torchmetrics itself does
        """Return the average, a scalar; ``average`` is ``none``, so that each label's area is known."""
        target = dim_zero_cat(self.target)
        return super().compute()[target.amin(0) < target.amax(0)].mean()


class _OfPositives:
    """A score of how well positive rows are found: NaN where there are none."""

    undefined = "no row is positive"

    def compute(self: Any) -> Tensor:
        """Return the score: a scalar, or one of each label."""
        score: Tensor = super().compute()  # type: ignore[misc]  # of what it is mixed into
        true_positive, _, _, false_negative = self._final_state()
        return torch.where(true_positive + false_negative > 0, score, torch.nan)


class BinaryPrecision(_OfPositives, classification.BinaryPrecision):
    """How many of the rows that are taken for positive are so; 0 where none is taken for it."""


class BinaryRecall(_OfPositives, classification.BinaryRecall):
    """How many of the positive rows are found."""


class BinaryF1Score(_OfPositives, classification.BinaryF1Score):
    """The harmonic mean of precision and recall."""


class MultilabelF1Score(_OfPositives, classification.MultilabelF1Score):
    """F1 of each label, (labels,)."""


class MultilabelF1Macro(MultilabelF1Score):
    """F1 averaged over the labels that some rows have; NaN where there is no such label."""

    def compute(self) -> Tensor:
        """Return the average, a scalar; ``average`` is ``none``, so that each label's F1 is known."""
        return super().compute().nanmean()


class R2Score(regression.R2Score):
    """R², averaged over the quantities that vary; NaN where none does, and of a single row.

    torchmetrics gives 0 or 1 to quantities whose squares sum up to less than 10⁻⁴, whatever their unit.
    """

    undefined = "it takes two rows or more whose target is not the same"
    low: Tensor
    high: Tensor

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.add_state("low", torch.full((1,), torch.inf), dist_reduce_fx="min")
        self.add_state("high", torch.full((1,), -torch.inf), dist_reduce_fx="max")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Take predicted and true numbers, (rows, quantities)."""
        super().update(preds, target)
        self.low = torch.minimum(self.low, target.amin(0))
        self.high = torch.maximum(self.high, target.amax(0))

    def compute(self) -> Tensor:
        """Return the average, a scalar."""
        squares = self.sum_squared_error - self.sum_error * (self.sum_error / self.total)
        varies = (self.low < self.high) & (squares > 0)
        return torch.where(varies, 1 - self.residual / squares, torch.nan).nanmean()
