"""Vectors for things that are counted out: words, characters, categories."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from lightlab.layers.base import initialize, regularize
from lightlab.layers.parameters import Initializer, NonNegative, PositiveInt
from lightlab.registry import LAYERS


class _Embedding(nn.Embedding):
    """An embedding that takes whole numbers of any type, as tables and sequences hold them as floats."""

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.long())


@LAYERS.register("embedding")
def embedding(
    output_dim: PositiveInt,
    input_dim: PositiveInt | None = None,
    padding_idx: Annotated[int, Field(ge=0)] | None = None,
    init: Initializer = "uniform",
    l1: NonNegative = 0.0,
    l2: NonNegative = 0.0,
    *,
    vocabulary_size: int | None = None,
) -> nn.Module:
    """Replace each whole number by a vector that is learned for it.

    Args:
        output_dim: length of the vectors.
        input_dim: how many numbers there are: 0 to input_dim − 1; by default as many as a text's vocabulary has.
        padding_idx: a number whose vector is zero and stays so; by default the 0 that texts are padded with, and
            none where the inputs are no text.
        init: initial vectors.
        l1: factor of the vectors' absolute values in the training loss.
        l2: factor of the vectors' squares in the training loss.

    Input shape: (batch, …), whole numbers. Output shape: (batch, …, output_dim).

    Raises:
        ValueError: input_dim is left out where the inputs are no text, or less than a text's vocabulary; or
            padding_idx is not among the numbers.

    Example:
        >>> import torch
        >>> tuple(embedding(8, input_dim=100)(torch.tensor([[1, 5, 99]])).shape)
        (1, 3, 8)
    """
    if vocabulary_size is not None:
        input_dim = vocabulary_size if input_dim is None else input_dim
        padding_idx = 0 if padding_idx is None else padding_idx
        if input_dim < vocabulary_size:
            raise ValueError(f"input_dim is at least the vocabulary's {vocabulary_size} codes. Received: {input_dim}.")
    if input_dim is None:
        raise ValueError("input_dim is needed where the inputs are no text: how many whole numbers there are.")
    if padding_idx is not None and padding_idx >= input_dim:
        raise ValueError(f"padding_idx is less than input_dim, here {input_dim}. Received: {padding_idx}.")
    layer = _Embedding(input_dim, output_dim, padding_idx=padding_idx)
    initialize(layer, layer.weight, init)
    if padding_idx is not None:
        nn.init.zeros_(layer.weight[padding_idx])
    regularize(layer, l1, l2, "weight")
    return layer
