"""Layers that arrange what arrives, and learn nothing."""

from __future__ import annotations

import math

from torch import Tensor, nn

from lightlab.layers.parameters import PositiveInt, Shape
from lightlab.registry import LAYERS


@LAYERS.register("flatten")
def flatten() -> nn.Module:
    """Lay out each sample as one vector.

    Input shape: (batch, …). Output shape: (batch, product of …).

    Example:
        >>> import torch
        >>> tuple(flatten()(torch.zeros(2, 3, 8, 8)).shape)
        (2, 192)
    """
    return nn.Flatten()


class _Reshape(nn.Module):
    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.reshape(len(inputs), *self.shape)

    def extra_repr(self) -> str:
        return str(self.shape)


@LAYERS.register("reshape")
def reshape(shape: list[int], *, input_shape: Shape) -> nn.Module:
    """Give each sample another shape of as many values.

    Args:
        shape: the new shape, without the batch; one entry may be −1, and is then worked out.

    Input shape: (batch, …). Output shape: (batch, *shape).

    Raises:
        ValueError: the new shape does not hold as many values as the old.

    Example:
        >>> import torch
        >>> tuple(reshape([8, -1], input_shape=(64,))(torch.zeros(2, 64)).shape)
        (2, 8, 8)
    """
    size, known = math.prod(input_shape), math.prod(extent for extent in shape if extent != -1)
    if shape.count(-1) > 1 or any(extent < -1 or extent == 0 for extent in shape):
        raise ValueError(f"shape has positive numbers, and -1 at most once. Received: {shape}.")
    if size % known or (-1 not in shape and size != known):
        raise ValueError(f"shape holds as many values as arrive, here {size} of {input_shape}. Received: {shape}.")
    return _Reshape(tuple(size // known if extent == -1 else extent for extent in shape))


class _Permute(nn.Module):
    def __init__(self, dims: tuple[int, ...]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs.permute(0, *self.dims)

    def extra_repr(self) -> str:
        return str(self.dims)


@LAYERS.register("permute")
def permute(dims: list[PositiveInt], *, input_shape: Shape) -> nn.Module:
    """Put the dimensions in another order, as between (channels, length) and (time, features).

    Args:
        dims: the new order; the first dimension after the batch is 1.

    Input shape: (batch, …). Output shape: the same numbers in the new order.

    Raises:
        ValueError: the new order does not name every dimension once.

    Example:
        >>> import torch
        >>> tuple(permute([2, 1], input_shape=(3, 8))(torch.zeros(2, 3, 8)).shape)
        (2, 8, 3)
    """
    if sorted(dims) != list(range(1, len(input_shape) + 1)):
        raise ValueError(f"dims names each of the dimensions 1 to {len(input_shape)} once. Received: {dims}.")
    return _Permute(tuple(dims))
