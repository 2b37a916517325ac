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
    input_dim: PositiveInt,
    output_dim: PositiveInt,
    padding_idx: Annotated[int, Field(ge=0)] | None = None,
    init: Initializer = "uniform",
    l1: NonNegative = 0.0,
    l2: NonNegative = 0.0,
) -> nn.Module:
    """Replace each whole number by a vector that is learned for it.

    Args:
        input_dim: how many numbers there are: 0 to input_dim − 1.
        output_dim: length of the vectors.
        padding_idx: a number whose vector is zero and stays so.
        init: initial vectors.
        l1: factor of the vectors' absolute values in the training loss.
        l2: factor of the vectors' squares in the training loss.

    Input shape: (batch, …), whole numbers. Output shape: (batch, …, output_dim).

    Raises:
        ValueError: padding_idx is not among the numbers.

    Example:
        >>> import torch
        >>> tuple(embedding(100, 8)(torch.tensor([[1, 5, 99]])).shape)
        (1, 3, 8)
    """
    if padding_idx is not None and padding_idx >= input_dim:
        raise ValueError(f"padding_idx is less than input_dim, here {input_dim}. Received: {padding_idx}.")
    layer = _Embedding(input_dim, output_dim, padding_idx=padding_idx)
    initialize(layer, layer.weight, init)
    if padding_idx is not None:
        nn.init.zeros_(layer.weight[padding_idx])
    regularize(layer, l1, l2, "weight")
    return layer
