"""One of two classes."""

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


@HEADS.register("binary")
class BinaryHead(Head):
    """One logit for the second class; its sigmoid is the probability.

    Args:
        in_features: length of the vector that the layers give.
        target: two classes.
        label_smoothing: how far targets are moved from 0 and 1 towards a half, as a share (Szegedy et al. 2016).
        class_weight: factors of the loss: ``balanced``, or a weight for each class by name or in order.
        threshold: above which probability the second class is predicted.

    Example:
        >>> head = BinaryHead(4, TargetSpec(("passed",), classes=("no", "yes"), counts=(30, 70)))
        >>> head.loss(torch.zeros(1, 1), torch.tensor([1]))
        tensor([0.6931])
        >>> head.decode(torch.zeros(1, 1))
        {'prediction': ['no'], 'probability_no': [0.5], 'probability_yes': [0.5]}
    """

    class_weight: Tensor

    def __init__(
        self,
        in_features: int,
        target: TargetSpec,
        label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        class_weight: ClassWeight | None = None,
        threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    ) -> None:
        super().__init__(in_features, 1, target)
        self.label_smoothing = label_smoothing
        self.threshold = threshold
        self.register_buffer("class_weight", resolve_class_weight(class_weight, target))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy of each row, (batch,), weighted by class."""
        wanted = target.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = F.binary_cross_entropy_with_logits(logits.squeeze(1), wanted, reduction="none")
        return losses * self.class_weight[target.long()]

    def activate(self, logits: Tensor) -> Tensor:
        """Probability of the second class, (batch,)."""
        return logits.squeeze(1).sigmoid()

    def decode(self, logits: Tensor) -> dict[str, list[Any]]:
        """The predicted class, and the probability of each."""
        probability = self.activate(logits)
        codes = (probability > self.threshold).long()
        return class_columns(self.target.classes, codes, torch.stack([1 - probability, probability], dim=1))

    def metrics(self) -> dict[str, Metric]:
        """Accuracy, precision, recall and F1 at the threshold, and the area under the ROC curve."""
        from torchmetrics import classification as metrics

        from lightlab.heads.scores import BinaryAUROC, BinaryF1Score, BinaryPrecision, BinaryRecall

        options: dict[str, Any] = {"threshold": self.threshold, "validate_args": False}
        return {
            "accuracy": metrics.BinaryAccuracy(**options),
            "auroc": BinaryAUROC(validate_args=False),
            "f1": BinaryF1Score(**options),
            "precision": BinaryPrecision(**options),
            "recall": BinaryRecall(**options),
        }
