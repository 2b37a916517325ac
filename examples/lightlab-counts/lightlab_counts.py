"""Counts for lightlab: a problem type with its head, a layer, an activation, an augmentation and a data source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightlab import AUGMENTATIONS, HEADS, LAYERS, Data, Head, InputSpec, Problem, Rows, TargetSpec, register_problem
from lightlab.data.augment import Change
from lightlab.heads.regression import number_columns
from lightlab.layers.base import activation, expects
from lightlab.layers.parameters import NonNegative, PositiveInt, Rate, Shape

if TYPE_CHECKING:
    from torchmetrics import Metric


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
    #: The largest logarithm of a rate: e³⁰, and its square, are floats of 32 bits.
    largest = 30.0

    def __init__(self, in_features: int, target: TargetSpec, full: bool = False) -> None:
        super().__init__(in_features, len(target.columns), target)
        self.full = full
        with torch.no_grad():
            self.linear.bias.copy_(torch.tensor(target.mean).clamp(min=1e-3).log())

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Negative logarithm of the likelihood of each row, (batch,), averaged over the quantities."""
        logits = logits.clamp(-self.largest, self.largest)
        return F.poisson_nll_loss(logits, target, log_input=True, full=self.full, reduction="none").mean(1)

    def activate(self, logits: Tensor) -> Tensor:
        """Rates, (batch, quantities); never zero."""
        return logits.clamp(-self.largest, self.largest).exp()

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


@AUGMENTATIONS.register("random_gain")
class RandomGain(Change):
    """Multiply each sample by a factor of its own, as if its sensor were more or less sensitive.

    Args:
        share: how far factors are from 1 at most.

    Inputs: (batch, features), tables of numbers or arrays of one dimension.

    Example:
        >>> gained = RandomGain(0.5)(torch.ones(100, 3))
        >>> bool((gained >= 0.5).all() and (gained <= 1.5).all() and (gained[:, 0] == gained[:, 1]).all())
        True
    """

    def __init__(self, share: Rate = 0.1) -> None:
        super().__init__()
        self.share = share

    def needs(self, spec: InputSpec) -> str:
        """Return what it needs where a sample is no row of numbers."""
        fits = spec.kind in ("table", "array") and len(spec.shape) == 1 and not spec.categories
        return "" if fits else "a table of numbers, or arrays of one dimension"

    def change(self, inputs: Tensor) -> Tensor:
        """Return every sample multiplied."""
        return inputs * (1 + self.share * (2 * torch.rand(len(inputs), 1, device=inputs.device) - 1))


class VisitsData(Data):
    """Made-up visits: their number follows from a signal, and has nothing to do with a column of noise.

    Args:
        rows: how many there are.
        options: those of `lightlab.Data`; ``seed`` also makes the rows.

    Example:
        >>> VisitsData(rows=100).connect("counts").input.columns
        ('signal', 'noise')
    """

    def __init__(self, rows: PositiveInt = 400, **options: Any) -> None:
        super().__init__(**options)
        self.size = rows

    def load(self, stage: str) -> dict[str, Rows]:
        """Return all rows, which are then split."""
        generator = np.random.default_rng(self.seed)
        inputs = pd.DataFrame(generator.normal(size=(self.size, 2)), columns=["signal", "noise"])
        visits = pd.DataFrame({"visits": generator.poisson(np.exp(1 + inputs["signal"]))})
        return {"all": Rows(inputs, visits, np.arange(self.size), "made-up visits")}
