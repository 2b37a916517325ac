"""Preprocessing that was learned from data, as part of the network: training and prediction can't disagree."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightlab.data_spec import InputSpec


class Preprocess(nn.Module):
    """Normalise numbers, and spread categories over one-hot features; a value not seen in training is all zeros.

    Args:
        spec: what was learned from the train split.

    Input shape: (batch, *spec.shape), of any number type. Output shape: (batch, *output_shape), floats.
    """

    offset: Tensor
    factor: Tensor
    source: Tensor
    code: Tensor

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.numeric = len(spec.columns) if spec.categories else None
        statistics_shape = (-1, *(1,) * (len(spec.shape) - 1))
        self.register_buffer("offset", torch.tensor(spec.offset).reshape(statistics_shape))
        self.register_buffer("factor", (1 / torch.tensor(spec.scale)).reshape(statistics_shape))
        slots = [
            (column, code)
            for column, values in enumerate(spec.categories.values(), start=len(spec.columns))
            for code in range(len(values))
        ]
        self.register_buffer("source", torch.tensor([column for column, _ in slots], dtype=torch.long))
        self.register_buffer("code", torch.tensor([code for _, code in slots], dtype=torch.float32))
        self.output_shape = (len(spec.columns) + len(slots),) if slots else spec.shape

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the first layer is given."""
        if self.numeric is None:
            return self._normalize(inputs)
        numbers = self._normalize(inputs[:, : self.numeric])
        return torch.cat([numbers, (inputs[:, self.source] == self.code).to(numbers.dtype)], dim=1)

    def _normalize(self, numbers: Tensor) -> Tensor:
        """Shift and scale in the precision of what arrives, and return the precision of the network."""
        return ((numbers - self.offset) * self.factor).to(self.factor.dtype)
