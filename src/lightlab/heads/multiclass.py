"""One of several classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from lightlab.data_spec import TargetSpec
from lightlab.heads.base import ClassWeight, Head, class_columns, resolve_class_weight
from lightlab.registry import HEADS

if TYPE_CHECKING:
    from torchmetrics import Metric

#: With more classes than this, top-5 accuracy is measured too.
MANY_CLASSES = 10


@HEADS.register("multiclass")
class MulticlassHead(Head):
    """A logit for each class; their softmax gives the probabilities.

    Args:
        in_features: length of the vector that the layers give.
        target: the classes.
        label_smoothing: share of the target that is spread over all classes (Szegedy et al. 2016).
        class_weight: factors of the loss: ``balanced``, or a weight for each class by name or in order.

    Example:
        >>> head = MulticlassHead(4, TargetSpec(("pet",), classes=("cat", "dog"), counts=(50, 50)))
        >>> head.loss(torch.zeros(1, 2), torch.tensor([1]))
        tensor([0.6931])
        >>> head.loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))
        tensor([0.6931])
        >>> head.decode(torch.zeros(1, 2))
        {'prediction': ['cat'], 'probability_cat': [0.5], 'probability_dog': [0.5]}
    """

    class_weight: Tensor

    def __init__(
        self,
        in_features: int,
        target: TargetSpec,
        label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        class_weight: ClassWeight | None = None,
    ) -> None:
        super().__init__(in_features, len(target.classes), target)
        self.label_smoothing = label_smoothing
        self.register_buffer("class_weight", resolve_class_weight(class_weight, target))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Cross-entropy of each row, (batch,), weighted by class.

        Args:
            logits: (batch, classes).
            target: codes (batch,), or shares (batch, classes) as one-hot targets are.
        """
        wanted = target.to(logits.dtype) if target.ndim == 2 else target.long()
        return F.cross_entropy(
            logits, wanted, weight=self.class_weight, label_smoothing=self.label_smoothing, reduction="none"
        )

    def activate(self, logits: Tensor) -> Tensor:
        """Probabilities, (batch, classes)."""
        return logits.softmax(1)

    def measured(self, logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return the predicted classes, or logits where more than the first of them counts, and targets."""
        return (logits.argmax(1) if len(self.target.classes) <= MANY_CLASSES else logits), target

    def decode(self, logits: Tensor) -> dict[str, list[Any]]:
        """The most probable class, and the probability of each."""
        return class_columns(self.target.classes, logits.argmax(1), self.activate(logits))

    def metrics(self) -> dict[str, Metric]:
        """Accuracy over all rows, F1 averaged over the classes, and top-5 accuracy where the classes are many."""
        from torchmetrics import classification as metrics

        count = len(self.target.classes)
        chosen: dict[str, Metric] = {
            "accuracy": metrics.MulticlassAccuracy(count, average="micro", validate_args=False),
            "f1_macro": metrics.MulticlassF1Score(count, average="macro", validate_args=False),
        }
        if count > MANY_CLASSES:
            chosen["top5_accuracy"] = metrics.MulticlassAccuracy(count, top_k=5, average="micro", validate_args=False)
        return chosen

    def valid(self, target: Tensor) -> Tensor:
        """Targets are codes of the classes, or shares."""
        return (
            (target >= 0) & (target < max(len(self.target.classes), 2)) if target.ndim == 1 else torch.isfinite(target)
        )
