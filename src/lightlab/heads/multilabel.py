"""Any of several labels at once."""

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


@HEADS.register("multilabel")
class MultilabelHead(Head):
    """A logit for each label; its sigmoid is the probability that the label holds.

    Args:
        in_features: length of the vector that the layers give.
        target: a column for each label.
        label_smoothing: how far targets are moved from 0 and 1 towards a half, as a share.
        class_weight: ``balanced`` for the rows with a label to weigh as much as those without it, label by label.
        threshold: above which probability a label is predicted.

    Example:
        >>> head = MultilabelHead(4, TargetSpec(("cat", "dog"), counts=(30, 70), rows=100))
        >>> head.loss(torch.zeros(1, 2), torch.tensor([[0.0, 1.0]]))
        tensor([0.6931])
        >>> head.decode(torch.tensor([[-1.0, 1.0]]))["prediction_dog"]
        [1]
    """

    rule = "Labels are 0 or 1."
    positive_weight: Tensor

    def __init__(
        self,
        in_features: int,
        target: TargetSpec,
        label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0,
        class_weight: Literal["balanced"] | None = None,
        threshold: Annotated[float, Field(gt=0, lt=1)] = 0.5,
    ) -> None:
        super().__init__(in_features, len(target.columns), target)
        self.label_smoothing = label_smoothing
        self.threshold = threshold
        positive = torch.tensor(target.counts, dtype=torch.float32)
        balanced = (target.rows - positive).clamp(min=1) / positive.clamp(min=1)
        self.register_buffer("positive_weight", balanced if class_weight else torch.ones_like(positive))

    def loss(self, logits: Tensor, target: Tensor) -> Tensor:
        """Binary cross-entropy of each row, (batch,), averaged over the labels."""
        wanted = target.to(logits.dtype) * (1 - self.label_smoothing) + self.label_smoothing / 2
        return F.binary_cross_entropy_with_logits(
            logits, wanted, pos_weight=self.positive_weight, reduction="none"
        ).mean(1)

    def activate(self, logits: Tensor) -> Tensor:
        """Probabilities, (batch, labels)."""
        return logits.sigmoid()

    def decode(self, logits: Tensor) -> dict[str, list[Any]]:
        """0 or 1, and the probability, for each label."""
        probabilities = self.activate(logits)
        columns: dict[str, list[Any]] = {}
        for name, values in zip(self.target.columns, probabilities.T, strict=True):
            columns[f"prediction_{name}"] = (values > self.threshold).long().tolist()
            columns[f"probability_{name}"] = values.tolist()
        return columns

    def metrics(self) -> dict[str, Metric]:
        """Accuracy and F1 of each label and averaged over them, and the averaged area under the ROC curve."""
        from torchmetrics import classification as metrics

        from lightlab.heads.scores import MultilabelAUROC, MultilabelF1Macro, MultilabelF1Score

        count = len(self.target.columns)
        options: dict[str, Any] = {"threshold": self.threshold, "validate_args": False}
        return {
            "accuracy": metrics.MultilabelAccuracy(count, average="macro", **options),
            "f1_macro": MultilabelF1Macro(count, average="none", **options),
            "auroc_macro": MultilabelAUROC(count, average="none", validate_args=False),
            "accuracy/": metrics.MultilabelAccuracy(count, average="none", **options),
            "f1/": MultilabelF1Score(count, average="none", **options),
        }

    def valid(self, target: Tensor) -> Tensor:
        """Labels are 0 or 1."""
        return (target == 0) | (target == 1)
