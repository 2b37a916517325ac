"""Layers that normalise what passes through the network."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor, nn

from lightlab.layers.base import expects
from lightlab.layers.conv import LAYOUTS
from lightlab.layers.parameters import Positive, PositiveInt, Shape
from lightlab.registry import LAYERS


@LAYERS.register("batch_norm")
@expects("features", *LAYOUTS.values())
def batch_norm(
    momentum: Annotated[float, Field(ge=0, le=1)] = 0.9,
    epsilon: Positive = 1e-5,
    affine: bool = True,
    *,
    input_shape: Shape,
) -> nn.Module:
    """Normalise each feature or channel over the batch (Ioffe and Szegedy 2015).

    Args:
        momentum: the share of the running mean and variance that a batch leaves as it was (Keras' sense of the
            word; torch's is one minus it).
        epsilon: added to the variance.
        affine: whether to learn a factor and an offset for each channel.

    Input shape: (batch, features) or (batch, channels, …). Output shape: the same.

    Example:
        >>> import torch
        >>> layer = batch_norm(input_shape=(4,))
        >>> layer(torch.randn(64, 4)).std(0, correction=0).round(decimals=2)
        tensor([1., 1., 1., 1.], grad_fn=...)
    """
    norm = {1: nn.BatchNorm1d, 2: nn.BatchNorm1d, 3: nn.BatchNorm2d, 4: nn.BatchNorm3d}[len(input_shape)]
    return norm(input_shape[0], eps=epsilon, momentum=1 - momentum, affine=affine)


class _AxisNorm(nn.LayerNorm):
    """Layer norm over an axis that is not the last."""

    def __init__(self, axis: int, size: int, epsilon: float, affine: bool) -> None:
        super().__init__(size, epsilon, affine)
        self.axis = axis

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.movedim(self.axis, -1)).movedim(-1, self.axis)


@LAYERS.register("layer_norm")
def layer_norm(
    axis: int = -1,
    epsilon: Positive = 1e-5,
    affine: bool = True,
    *,
    input_shape: Shape,
) -> nn.Module:
    """Normalise each sample along an axis (Ba et al. 2016).

    Args:
        axis: counted from the batch, which is axis 0; −1 is the last. For the channels of images it is 1.
        epsilon: added to the variance.
        affine: whether to learn a factor and an offset for each place on the axis.

    Input shape: (batch, …). Output shape: the same.

    Raises:
        ValueError: there is no such axis.

    Example:
        >>> import torch
        >>> layer = layer_norm(input_shape=(64,))
        >>> layer(torch.randn(4, 64)).std(1, correction=0).round(decimals=2)
        tensor([1., 1., 1., 1.], grad_fn=...)
    """
    rank = len(input_shape) + 1
    position = axis % rank if -rank <= axis < rank else 0
    if position == 0:
        raise ValueError(f"axis is 1 to {rank - 1}, or counts from the end as -1. Received: {axis}.")
    size = input_shape[position - 1]
    if position == rank - 1:
        return nn.LayerNorm(size, epsilon, affine)
    return _AxisNorm(position, size, epsilon, affine)


@LAYERS.register("group_norm")
@expects("features", *LAYOUTS.values())
def group_norm(
    groups: PositiveInt = 32,
    epsilon: Positive = 1e-5,
    affine: bool = True,
    *,
    input_shape: Shape,
) -> nn.Module:
    """Normalise each sample over groups of channels (Wu and He 2018); it does not depend on the batch size.

    Args:
        groups: number of groups; it divides the number of channels.
        epsilon: added to the variance.
        affine: whether to learn a factor and an offset for each channel.

    Input shape: (batch, features) or (batch, channels, …). Output shape: the same.

    Raises:
        ValueError: the channels do not divide into the groups.

    Example:
        >>> import torch
        >>> layer = group_norm(2, input_shape=(4, 8, 8))
        >>> tuple(layer(torch.randn(2, 4, 8, 8)).shape)
        (2, 4, 8, 8)
    """
    if input_shape[0] % groups:
        raise ValueError(f"groups divides the channels that arrive, here {input_shape[0]}. Received: {groups}.")
    return nn.GroupNorm(groups, input_shape[0], epsilon, affine)
