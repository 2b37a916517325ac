"""Real data sets that come with scikit-learn: small, and there without a network."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from sklearn import datasets

from lightlab.data.arrays.learn import learn_array
from lightlab.data.base import Data
from lightlab.data.rows import Rows
from lightlab.data_spec import InputSpec

BundledName = Literal["digits", "iris", "wine", "breast_cancer", "diabetes", "linnerud"]


class BundledData(Data):
    """A data set of scikit-learn's: https://scikit-learn.org/stable/datasets/toy_dataset.html.

    Args:
        name: ``digits`` (images of 1×8×8, ten classes), ``iris``, ``wine`` (three classes), ``breast_cancer`` (two
            classes), ``diabetes`` (a number), or ``linnerud`` (three numbers).
        options: those of `lightlab.data.base.Data`.

    Example:
        >>> data = BundledData("digits", batch_size=64)
        >>> data.connect("multiclass").input.shape
        (1, 8, 8)
        >>> len(data.rows["train"]), len(data.rows["val"]), len(data.rows["test"])
        (1257, 270, 270)
    """

    def __init__(self, name: BundledName, **options: Any) -> None:
        super().__init__(**options)
        self.dataset = name

    def learn_input(self, rows: Rows) -> InputSpec:
        """Learn what the columns are like; or the images, whose pixels go up to 16."""
        if self.dataset == "digits":
            return learn_array(rows, self.normalize, "image", high=16.0)
        return super().learn_input(rows)

    def load(self, stage: str) -> dict[str, Rows]:
        """Return all rows."""
        bunch = getattr(datasets, f"load_{self.dataset}")(as_frame=True)
        inputs: pd.DataFrame | torch.Tensor = bunch.data
        if self.dataset == "digits":
            inputs = torch.from_numpy(bunch.images.astype(np.float32))[:, None]
        targets = pd.DataFrame(bunch.target)
        if "target_names" in bunch and targets.shape[1] == 1 and self.dataset != "digits":
            targets = targets.replace(dict(enumerate(map(str, bunch.target_names))))
        return {"all": Rows(inputs, targets, np.arange(len(targets)), self.dataset)}
