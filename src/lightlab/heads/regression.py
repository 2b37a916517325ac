"""Numbers without bounds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from lightlab.data_spec import TargetSpec
from lightlab.heads.base import Head
from lightlab.registry import HEADS

if TYPE_CHECKING:
    from torchmetrics import Metric


def regression_metrics() -> dict[str, Metric]:
    """Return mean squared error, its root, mean absolute error and R², in the target's own units."""
    from torchmetrics import regression as metrics

    from lightlab.heads.scores import R2Score

    return {
        "mse": metrics.MeanSquaredError(),
        "rmse": metrics.MeanSquaredError(squared=False),
        "mae": metrics.MeanAbsoluteError(),
        "r2": R2Score(),
    }


def number_columns(names: tuple[str, ...], values: Tensor) -> dict[str, list[Any]]:
    """Return a column ``prediction_<name>`` for each quantity; ``prediction`` where there is one.

    Args:
        names: of the quantities.
        values: (batch, quantities).
    """
    if len(names) == 1:
        return {"prediction": values[:, 0].tolist()}
    return {f"prediction_{name}": column.tolist() for name, column in zip(names, values.T, strict=True)}


@HEADS.register("regression")
class RegressionHead(Head):
    """A number for each quantity.

    Args:
        in_features: length of the vector that the layers give.
        target: a column for each quantity.
        loss: ``mse`` (squared error), ``mae`` (absolute error), or ``huber`` (squared near zero, absolute beyond).
        huber_delta: where Huber's loss changes over (Huber 1964), in standard deviations where those are used.
        normalize_target: whether the network learns targets in standard deviations from the mean of the train
            split. The loss is then in these units too; metrics and predictions are in the target's own.

    Example:
        >>> head = RegressionHead(4, TargetSpec(("age",), mean=(40.0,), std=(10.0,)))
        >>> head.loss(torch.zeros(1, 1), torch.tensor([[60.0]]))
        tensor([4.])
        >>> head.decode(torch.zeros(1, 1))
        {'prediction': [40.0]}
    """

    offset: Tensor
    scale: Tensor

    def __init__(
        self,
        in_features: int,
        target: TargetSpec,
        loss: Literal["mse", "mae", "huber"] = "mse",
        huber_delta: Annotated[float, Field(gt=0)] = 1.0,
        normalize_target: bool = True,
    ) -> None:
        super().__init__(in_features, len(target.columns), target)
        self.loss_name = loss
        self.huber_delta = huber_delta
        offset, scale = torch.tensor(target.mean), torch.tensor(target.std)
        self.register_buffer("offset", offset if normalize_target else torch.zeros_like(offset))
        self.register_buffer("scale", scale if normalize_target else torch.ones_like(scale))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """The loss of each row, (batch,), averaged over the quantities."""
        wanted = (target - self.offset) / self.scale
        if self.loss_name == "mse":
            losses = F.mse_loss(logits, wanted, reduction="none")
        elif self.loss_name == "mae":
            losses = F.l1_loss(logits, wanted, reduction="none")
        else:
            losses = F.huber_loss(logits, wanted, reduction="none", delta=self.huber_delta)
        return losses.mean(1)

    def activate(self, logits: Tensor) -> Tensor:
        """Numbers in the target's own units, (batch, quantities)."""
        return logits * self.scale + self.offset

    def measured(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Distances from the mean: errors and R² are the same, and squares of large numbers don't lose them."""
        return logits * self.scale, target - self.offset

    def decode(self, logits: Tensor) -> dict[str, list[Any]]:
        """The numbers."""
        return number_columns(self.target.columns, self.activate(logits))

    def metrics(self) -> dict[str, Metric]:
        """MSE, RMSE, MAE, R²."""
        return regression_metrics()
