"""What a head is: the last linear layer, and the pure functions that a problem type comes with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn

from lightlab.data_spec import TargetSpec
from lightlab.half_precision import SinglePrecisionBuffers, at_least_single

if TYPE_CHECKING:
    from torchmetrics import Metric

#: A weight for each class (by name, or in the order of the classes), or ``balanced``.
ClassWeight = Literal["balanced"] | dict[str, float] | list[float]

#: One number for every quantity, or one for each.
Bound = float | list[float]


class Head(SinglePrecisionBuffers):
    """The end of a network. Where that computes in half precision, losses and predictions are made in single.

    Args:
        in_features: length of the vector that the layers give.
        out_features: number of logits.
        target: what is to be predicted.

    A subclass's own parameters, beside ``in_features`` and ``target``, are what ``model.head`` takes.
    """

    #: What `valid` asks of a target, in words.
    rule = "Targets are finite numbers."

    def __init__(self, in_features: int, out_features: int, target: TargetSpec) -> None:
        super().__init__()
        self.target = target
        self.linear = nn.Linear(in_features, out_features)
        nn.init.xavier_uniform_(self.linear.weight)
        nn.init.zeros_(self.linear.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return the logits, in single precision or double.

        Args:
            features: (batch, in_features).

        Returns:
            (batch, out_features).
        """
        return at_least_single(self.linear(features))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Return the loss of each row, (batch,)."""
        raise NotImplementedError

    def activate(self, logits: Tensor) -> Tensor:
        """Return probabilities, or numbers in the target's own units: what metrics are computed from."""
        raise NotImplementedError

    def measured(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return what metrics take: what `activate` gives, and targets."""
        return self.activate(logits), target

    def decode(self, logits: Tensor) -> dict[str, list[Any]]:
        """Return the columns of a table of predictions, a value a row."""
        raise NotImplementedError

    def metrics(self) -> dict[str, Metric]:
        """Return new metrics, which take what `measured` returns.

        One that gives a value for each target column has a name that ends in ``/``; the columns' names follow it.
        """
        raise NotImplementedError

    def valid(self, target: Tensor) -> Tensor:
        """Return which targets can be learned: booleans of the target's shape."""
        return torch.isfinite(target)


def resolve_class_weight(weight: ClassWeight | None, target: TargetSpec) -> Tensor:
    """Return a weight for each class, (classes,).

    Args:
        weight: given; ``balanced`` for rows / (classes · rows of the class), as scikit-learn has it; ``None`` for ones.
        target: the classes, and their rows in the train split.

    Raises:
        ValueError: a class has no weight, or one that is not positive, or no rows to balance.
    """
    names = target.classes
    if weight is None:
        return torch.ones(len(names))
    if weight == "balanced":
        if missing := [name for name, count in zip(names, target.counts, strict=True) if count == 0]:
            raise ValueError(
                f"class_weight 'balanced' needs rows of every class in the train split. Received none of: "
                f"{', '.join(missing)}."
            )
        counts = torch.tensor(target.counts, dtype=torch.float32)
        return counts.sum() / (len(names) * counts)
    values: Sequence[float] = ()
    if isinstance(weight, Mapping):
        if weight.keys() == set(names):
            values = [weight[name] for name in names]
    elif len(weight) == len(names):
        values = [float(value) for value in weight]
    if not values or min(values) <= 0:
        raise ValueError(
            f"class_weight is 'balanced', or a positive weight for each of the classes {', '.join(names)}. "
            f"Received: {weight}."
        )
    return torch.tensor(values)


def class_columns(classes: Sequence[str], codes: Tensor, probabilities: Tensor) -> dict[str, list[Any]]:
    """Return the columns ``prediction`` (a class's name) and ``probability_<class>``.

    Args:
        classes: the names.
        codes: the predicted class of each row, (batch,).
        probabilities: (batch, classes).
    """
    columns: dict[str, list[Any]] = {"prediction": [classes[code] for code in codes.tolist()]}
    for name, values in zip(classes, probabilities.T, strict=True):
        columns[f"probability_{name}"] = values.tolist()
    return columns
