"""Numbers between two bounds: shares, ratings, percentages."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from lightlab.data_spec import TargetSpec
from lightlab.heads.base import Bound, Head
from lightlab.heads.regression import number_columns, regression_metrics
from lightlab.registry import HEADS

if TYPE_CHECKING:
    from torchmetrics import Metric


@HEADS.register("bounded_regression")
class BoundedRegressionHead(Head):
    """A logit for each quantity; its sigmoid, scaled to the bounds, is the number.

    Args:
        in_features: length of the vector that the layers give.
        target: a column for each quantity.
        low: the lower bound, one for all quantities or one for each.
        high: the upper bound, likewise.
        loss: ``mse`` or ``binary_cross_entropy``, both of the place between the bounds, 0 to 1.

    Raises:
        ValueError: a lower bound that is not below the upper.

    Example:
        >>> head = BoundedRegressionHead(4, TargetSpec(("percent",)), low=0, high=100)
        >>> head.loss(torch.zeros(1, 1), torch.tensor([[100.0]]))
        tensor([0.2500])
        >>> head.decode(torch.zeros(1, 1))
        {'prediction': [50.0]}
    """

    low: Tensor
    high: Tensor

    def __init__(
        self,
        in_features: int,
        target: TargetSpec,
        low: Bound = 0.0,
        high: Bound = 1.0,
        loss: Literal["mse", "binary_cross_entropy"] = "mse",
    ) -> None:
        quantities = len(target.columns)
        super().__init__(in_features, quantities, target)
        self.loss_name = loss
        bounds: dict[str, list[float]] = {}
        for name, bound in (("low", low), ("high", high)):
            values = [float(value) for value in bound] if isinstance(bound, list) else [float(bound)] * quantities
            if len(values) != quantities:
                raise ValueError(
                    f"{name} is one number, or one for each of {quantities} quantities. Received: {bound}."
                )
            bounds[name] = values
            self.register_buffer(name, torch.tensor(values))
        if not all(least < most for least, most in zip(*bounds.values(), strict=True)):
            raise ValueError(f"low is below high. Received: low {low}, high {high}.")

    @property
    def rule(self) -> str:  # type: ignore[override]  # a constant elsewhere, here it has the bounds
        """What is asked of a target, in words."""
        low, high = ([f"{value:g}" for value in bound.tolist()] for bound in (self.low, self.high))
        return f"Targets lie within model.head's low and high, here {', '.join(low)} and {', '.join(high)}."

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, (batch,), averaged over the quantities."""
        place = (target - self.low) / (self.high - self.low)
        if self.loss_name == "mse":
            return F.mse_loss(logits.sigmoid(), place, reduction="none").mean(1)
        return F.binary_cross_entropy_with_logits(logits, place, reduction="none").mean(1)

    def activate(self, logits: Tensor) -> Tensor:
        """Numbers in the target's own units, (batch, quantities)."""
        # Rounding may lead past a bound.
        return (self.low + (self.high - self.low) * logits.sigmoid()).clamp(self.low, self.high)

    def decode(self, logits: Tensor) -> dict[str, list[Any]]:
        """The numbers."""
        return number_columns(self.target.columns, self.activate(logits))

    def metrics(self) -> dict[str, Metric]:
        """MSE, RMSE, MAE, R²."""
        return regression_metrics()

    def valid(self, target: Tensor) -> Tensor:
        """Targets are within the bounds."""
        return (target >= self.low) & (target <= self.high)
