"""Random tensors with something to learn in them."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field

from lightlab.data.base import Data
from lightlab.data.rows import Rows
from lightlab.errors import ConfigError
from lightlab.layers.parameters import NonNegative, PositiveInt
from lightlab.specs import check_parameters

SyntheticProblem = Literal["binary", "multiclass", "multilabel", "regression", "bounded_regression"]


#: More numbers than this are not made: 4 GiB.
MOST_VALUES = 2**30


class SyntheticData(Data):
    """Normally distributed inputs of any shape, and targets that follow from them by a random linear map.

    Args:
        shape: of one sample: ``[20]``, ``[1, 28, 28]``, …
        problem: which targets to make: classes, labels, numbers, or numbers between 0 and 1.
        rows: how many samples.
        outputs: number of classes, labels or quantities; by default 3, 2 for a binary problem, 1 for numbers.
        noise: standard deviation of what is added to the map's results, which have a standard deviation of 1. With
            0 everything can be learned.
        options: those of `lightlab.data.base.Data`; ``seed`` also makes the samples.

    Raises:
        ConfigError: a size is not positive, or too large; or ``outputs`` does not suit the problem.

    Example:
        >>> data = SyntheticData([3, 16, 16], "multilabel", rows=100, outputs=4)
        >>> data.connect("multilabel").target.columns
        ('y0', 'y1', 'y2', 'y3')
    """

    def __init__(
        self,
        shape: Annotated[list[PositiveInt], Field(min_length=1)],
        problem: SyntheticProblem = "multiclass",
        rows: PositiveInt = 1000,
        outputs: int | None = None,
        noise: NonNegative = 0.1,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        given = {"shape": list(shape), "problem": problem, "rows": rows, "noise": noise}
        check_parameters(SyntheticData, given, ("data",), name="SyntheticData")
        least = 1 if problem in ("regression", "bounded_regression") else 2
        if outputs is None:
            outputs = 3 if problem in ("multiclass", "multilabel") else least
        if outputs < least or (problem == "binary" and outputs != 2):
            raise ConfigError.at(
                ("data", "outputs"),
                f"outputs is {least}{'' if problem == 'binary' else ' or more'} for {problem}. Received: {outputs}.",
            )
        features = math.prod(shape)
        values = rows * (features + outputs) + features * outputs
        if values > MOST_VALUES:
            rule = f"SyntheticData makes at most {MOST_VALUES:,} numbers."
            raise ConfigError.at(("data",), f"{rule} Received: {rows:,} rows, shape {list(shape)}: {values:,}.")
        self.shape = list(shape)
        self.problem = problem
        self.size = rows
        self.outputs = outputs
        self.noise = noise

    def load(self, stage: str) -> dict[str, Rows]:
        """Return all rows."""
        generator = torch.Generator().manual_seed(self.seed)
        inputs = torch.randn(self.size, *self.shape, generator=generator)
        flat = inputs.flatten(1)
        weights = torch.randn(flat.shape[1], self.outputs, generator=generator) / flat.shape[1] ** 0.5
        scores = flat @ weights + self.noise * torch.randn(self.size, self.outputs, generator=generator)
        values: torch.Tensor
        if self.problem in ("binary", "multiclass"):
            values = scores.argmax(1, keepdim=True)
        elif self.problem == "multilabel":
            values = (scores > 0).long()
        elif self.problem == "regression":
            values = scores
        else:
            values = scores.sigmoid()
        names = ["y"] if values.shape[1] == 1 else [f"y{index}" for index in range(values.shape[1])]
        targets = pd.DataFrame(values.numpy(), columns=names)
        return {"all": Rows(inputs, targets, np.arange(self.size), "synthetic data")}
