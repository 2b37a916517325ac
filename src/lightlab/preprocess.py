"""Preprocessing that was learned from data, as part of the network: training and prediction can't disagree."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightlab.data_spec import InputSpec
from lightlab.half_precision import SinglePrecisionBuffers


def make_preprocess(spec: InputSpec) -> Preprocess | PreprocessText:
    """Return the module that turns what a loader gives into what the first layer is given."""
    if spec.kind == "text":
        return PreprocessText(spec)
    return PreprocessTable(spec) if spec.kind == "table" else Preprocess(spec)


class Preprocess(SinglePrecisionBuffers):
    """Normalise each channel of an array or image: in single precision also where the network has half.

    Args:
        spec: what was learned from the train split.

    Input shape: (batch, *spec.shape), of any number type. Output shape: (batch, *output_shape), floats.
    """

    offset: Tensor
    factor: Tensor

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        statistics_shape = (-1, *(1,) * (len(spec.shape) - 1))
        self.register_buffer("offset", torch.tensor(spec.offset).reshape(statistics_shape))
        self.register_buffer("factor", (1 / torch.tensor(spec.scale)).reshape(statistics_shape))
        self.output_shape = spec.shape

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the first layer is given."""
        return self.normalize(inputs)

    def normalize(self, numbers: Tensor) -> Tensor:
        """Shift and scale in the precision of what arrives, and return the precision of the network."""
        return (numbers - self.offset).mul_(self.factor).to(self.dtype)


class PreprocessTable(Preprocess):
    """Fill in missing numbers, normalise, and spread categories over one-hot features or learned vectors.

    The features are the numbers, a 1 or 0 for each column with an indicator (whether its number was missing), the
    one-hot features, and the vectors. A category not seen in training is all zeros in either form.

    Args:
        spec: what was learned from the train split.

    Input shape: (batch, columns): numbers, NaN where one is missing, then codes. Output shape: (batch, features).
    """

    fill: Tensor
    indicated: Tensor
    column: Tensor
    code: Tensor

    def __init__(self, spec: InputSpec) -> None:
        super().__init__(spec)
        self.numbers = len(spec.columns)
        places = {name: place for place, name in enumerate((*spec.columns, *spec.categories))}
        self.register_buffer("fill", torch.tensor(spec.fill) if spec.fill else None)
        self.register_buffer("indicated", torch.tensor([places[name] for name in spec.indicators], dtype=torch.long))
        slots = [
            (places[name], code)
            for name, values in spec.categories.items()
            if name not in spec.embeddings
            for code in range(len(values))
        ]
        self.register_buffer("column", torch.tensor([column for column, _ in slots], dtype=torch.long))
        self.register_buffer("code", torch.tensor([code for _, code in slots], dtype=torch.float32))
        self.embedded = [places[name] for name in spec.embeddings]
        self.embeddings = nn.ModuleList(
            # The first vector is for what was not seen in training; it is zero and stays so.
            nn.Embedding(len(spec.categories[name]) + 1, length, padding_idx=0)
            for name, length in spec.embeddings.items()
        )
        self.output_shape = (self.numbers + len(spec.indicators) + len(slots) + sum(spec.embeddings.values()),)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the first layer is given."""
        numbers = inputs[:, : self.numbers]
        if self.fill is not None:
            numbers = torch.where(numbers.isnan(), self.fill, numbers)
        features = [self.normalize(numbers)]
        dtype = self.dtype
        if len(self.indicated):
            features.append(inputs[:, self.indicated].isnan().to(dtype))
        if len(self.code):
            features.append((inputs[:, self.column] == self.code).to(dtype))
        for place, embedding in zip(self.embedded, self.embeddings, strict=True):
            features.append(embedding(inputs[:, place].long() + 1))
        return torch.cat(features, dim=1) if len(features) > 1 else features[0]


class PreprocessText(nn.Module):
    """Pass codes of words on as they are.

    Args:
        spec: what was learned from the train split.

    Input and output shape: (batch, length), whole numbers.
    """

    def __init__(self, spec: InputSpec) -> None:
        super().__init__()
        self.output_shape = spec.shape

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the first layer is given."""
        return inputs
