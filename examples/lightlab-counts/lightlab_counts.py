"""Counts for lightlab: a problem type with its head, an activation and a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightlab import HEADS, LAYERS, Head, Problem, TargetSpec, register_problem
from lightlab.heads.regression import number_columns
from lightlab.layers.base import activation, expects
from lightlab.layers.parameters import NonNegative, Shape

if TYPE_CHECKING:
    from torchmetrics import Metric

COUNTS = register_problem(
    Problem(
        name="counts",
        target="numbers",
        output="D logarithms of rates, exp",
        losses=("poisson_nll",),
        decoded="the expected count",
        metrics=("mae", "poisson_deviance"),
    )
)


@HEADS.register("counts")
class CountsHead(Head):
    """The logarithm of a rate for each quantity, which is Poisson distributed.

    Args:
        in_features: length of the vector that the layers give.
        target: a column for each quantity; the rates start at the means of the train split.
        full: whether the loss has the term of Stirling's formula, which depends on the target only.

    Example:
        >>> head = CountsHead(4, TargetSpec(("visits",), mean=(1.0,), std=(1.0,)))
        >>> head.loss(torch.zeros(1, 1), torch.tensor([[3.0]]))
        tensor([1.])
        >>> head.decode(torch.zeros(1, 1))
        {'prediction': [1.0]}
    """

    rule = "Counts are whole numbers from 0 on."

    def __init__(self, in_features: int, target: TargetSpec, full: bool = False) -> None:
        super().__init__(in_features, len(target.columns), target)
        self.full = full
        with torch.no_grad():
            self.linear.bias.copy_(torch.tensor(target.mean).clamp(min=1e-3).log())

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Negative logarithm of the likelihood of each row, (batch,), averaged over the quantities."""
        return F.poisson_nll_loss(logits, target, log_input=True, full=self.full, reduction="none").mean(1)

    def activate(self, logits: Tensor) -> Tensor:
        """Rates, (batch, quantities); within what a 32-bit float can hold, and never zero."""
        return logits.clamp(-30, 30).exp()

    def decode(self, logits: Tensor) -> dict[str, list[Any]]:
        """The rates, which are the expected counts."""
        return number_columns(self.target.columns, self.activate(logits))

    def metrics(self) -> dict[str, Metric]:
        """Mean absolute error, and mean Poisson deviance."""
        import torchmetrics as metrics

        return {"mae": metrics.MeanAbsoluteError(), "poisson_deviance": metrics.TweedieDevianceScore(power=1.0)}

    def valid(self, target: Tensor) -> Tensor:
        """Counts are whole numbers, 0 or more."""
        return torch.isfinite(target) & (target >= 0) & (target == target.round())


class _Squareplus(nn.Module):
    def __init__(self, b: float) -> None:
        super().__init__()
        self.b = b

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs + (inputs.square() + self.b).sqrt()) / 2


@activation("squareplus")
def squareplus(b: NonNegative = 4.0) -> nn.Module:
    """Smooth relu without exponentials (Barron 2021): (x + √(x² + b)) / 2.

    Args:
        b: how round the corner at zero is; 0 gives relu.

    Input shape: any. Output shape: the same.

    Example:
        >>> squareplus(0.0)(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return _Squareplus(b)


class _FeatureGate(nn.Module):
    def __init__(self, features: int, init: float) -> None:
        super().__init__()
        self.gates = nn.Parameter(torch.full((features,), init))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.gates.sigmoid()


@LAYERS.register("feature_gate")
@expects("features")
def feature_gate(init: float = 0.0, *, input_shape: Shape) -> nn.Module:
    """Weigh each feature by a share between 0 and 1 that is learned for it.

    Args:
        init: the logit to start from; 0 for a half.

    Input shape: (batch, features). Output shape: the same.

    Example:
        >>> feature_gate(input_shape=(2,))(torch.tensor([[1.0, 2.0]])).tolist()
        [[0.5, 1.0]]
    """
    return _FeatureGate(input_shape[0], init)
