"""The area under the ROC curve, NaN where there is none: of one class only, torchmetrics gives 0."""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import classification
from torchmetrics.utilities.data import dim_zero_cat


class BinaryAUROC(classification.BinaryAUROC):
    """Of two classes: NaN where one of them does not occur."""

    def compute(self) -> Tensor:  # type: ignore[override]  # as torchmetrics itself does
        """Return the area, a scalar."""
        target = dim_zero_cat(self.target)
        return super().compute() if target.min() < target.max() else torch.full((), torch.nan, device=self.device)


class MultilabelAUROC(classification.MultilabelAUROC):
    """Averaged over the labels that some rows have and others have not; NaN where there is no such label."""

    def compute(self) -> Tensor:  # type: ignore[override]  # as torchmetrics itself does
        """Return the average, a scalar; ``average`` is ``none``, so that each label's area is known."""
        target = dim_zero_cat(self.target)
        return super().compute()[target.amin(0) < target.amax(0)].mean()
