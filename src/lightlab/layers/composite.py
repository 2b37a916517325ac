"""Layers made of layers. They are given ``build``, which builds a list of layers as `lightlab.build` does."""

from __future__ import annotations

import copy
from typing import Annotated, Any, Literal, Protocol, cast

import torch
from pydantic import Field
from torch import Tensor, nn

from lightlab.layers.base import default_initializer, expects, make_activation
from lightlab.layers.conv import LAYOUTS, conv1d, conv2d, conv3d
from lightlab.layers.dense import dense
from lightlab.layers.dropout import spatial_dropout
from lightlab.layers.norm import batch_norm as make_batch_norm
from lightlab.layers.parameters import (
    Activation,
    Branches,
    Initializer,
    Layers,
    NonNegative,
    Padding,
    PositiveInt,
    Rate,
    Shape,
    Sizes,
)
from lightlab.layers.pool import max_pool1d, max_pool2d, max_pool3d
from lightlab.layers.stack import Stack
from lightlab.registry import LAYERS


class Build(Protocol):
    """Builds the layers found under a parameter (``where`` is its name, and an index in it where it has several)."""

    def __call__(self, layers: list[Any], input_shape: Shape, *where: str | int) -> tuple[nn.Module, Shape]:
        """Return the layers as one module, and the shape of what leaves it."""


@LAYERS.register("mlp")
@expects("features")
def mlp(
    units: PositiveInt | list[PositiveInt],
    activation: Activation = "relu",
    batch_norm: bool = False,
    dropout: Rate = 0.0,
    init: Initializer | None = None,
    l1: NonNegative = 0.0,
    l2: NonNegative = 0.0,
    *,
    input_shape: Shape,
) -> nn.Module:
    """Stack dense layers: for each entry of units dense, batch_norm if wanted, activation, dropout.

    Args:
        units: the number of units of each layer.
        activation: after each layer.
        batch_norm: whether to normalise before each activation; the dense layers then have no bias.
        dropout: share of values set to zero after each activation in training.
        init: initial kernels; by default what suits the activation.
        l1: factor of the kernels' absolute values in the training loss.
        l2: factor of the kernels' squares in the training loss.

    Input shape: (batch, features). Output shape: (batch, last of units).

    Example:
        >>> layer = mlp([25, 36, 47], input_shape=(14,))
        >>> [sum(p.numel() for p in part.parameters()) for part in layer if isinstance(part, nn.Linear)]
        [375, 936, 1739]
    """
    init = init or default_initializer(activation)
    modules: list[nn.Module] = []
    shape = input_shape
    for count in [units] if isinstance(units, int) else units:
        modules.append(dense(count, None, not batch_norm, init, l1, l2, input_shape=shape))
        shape = (*shape[:-1], count)
        if batch_norm:
            modules.append(make_batch_norm(input_shape=shape))
        modules.append(make_activation(activation))
        if dropout:
            modules.append(nn.Dropout(dropout))
    return nn.Sequential(*modules)


_CONVS = {2: conv1d, 3: conv2d, 4: conv3d}
_POOLS = {2: max_pool1d, 3: max_pool2d, 4: max_pool3d}


@LAYERS.register("conv_block")
@expects(*LAYOUTS.values())
def conv_block(
    filters: PositiveInt,
    kernel_size: Sizes = 3,
    stride: Sizes = 1,
    padding: Padding = "same",
    activation: Activation = "relu",
    batch_norm: bool = True,
    pool_size: Sizes | None = None,
    dropout: Rate = 0.0,
    init: Initializer | None = None,
    l1: NonNegative = 0.0,
    l2: NonNegative = 0.0,
    *,
    input_shape: Shape,
) -> nn.Module:
    """Convolve, normalise, activate, pool, drop: the usual block of a CNN, over as many dimensions as arrive.

    Args:
        filters: number of filters, which is the number of channels of the output.
        kernel_size: extent of the filters: one number, or one for each dimension.
        stride: how far the filters move at a time.
        padding: ``same`` or ``valid``.
        activation: after the (normalised) convolution.
        batch_norm: whether to normalise before the activation; the convolution then has no bias.
        pool_size: window of a max pool; none by default.
        dropout: share of channels set to zero in training.
        init: initial kernel; by default what suits the activation.
        l1: factor of the kernel's absolute values in the training loss.
        l2: factor of the kernel's squares in the training loss.

    Input shape: (batch, channels, …). Output shape: (batch, filters, …).

    Example:
        >>> layer = conv_block(8, pool_size=2, input_shape=(1, 8, 8))
        >>> tuple(layer(torch.zeros(2, 1, 8, 8)).shape)
        (2, 8, 4, 4)
    """
    rank = len(input_shape)
    init = init or default_initializer(activation)
    conv = _CONVS[rank](
        filters, kernel_size, stride, padding, use_bias=not batch_norm, init=init, l1=l1, l2=l2, input_shape=input_shape
    )
    probe = copy.deepcopy(conv).to("meta")
    shape = tuple(probe(torch.empty(1, *input_shape, device="meta")).shape[1:])
    modules = [conv]
    if batch_norm:
        modules.append(make_batch_norm(input_shape=shape))
    modules.append(make_activation(activation))
    if pool_size is not None:
        modules.append(_POOLS[rank](pool_size, input_shape=shape))
    if dropout:
        modules.append(spatial_dropout(dropout, input_shape=shape))
    return Stack(*modules)


class _Residual(nn.Module):
    def __init__(self, inner: nn.Module, shortcut: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.shortcut = shortcut
        self.activation = activation

    def forward(self, inputs: Tensor) -> Tensor:
        return cast("Tensor", self.activation(self.inner(inputs) + self.shortcut(inputs)))


def _shortcut(input_shape: Shape, output_shape: Shape) -> nn.Module:
    """Return what takes the input to the output's shape: nothing, a dense layer, or a convolution of one point."""
    if input_shape == output_shape:
        return nn.Identity()
    if len(input_shape) != len(output_shape):
        raise ValueError(f"residual's layers keep the rank of what arrives, {input_shape}. Received: {output_shape}.")
    if len(input_shape) == 1:
        return dense(output_shape[0], input_shape=input_shape)
    stride = [-(-before // after) for before, after in zip(input_shape[1:], output_shape[1:], strict=True)]
    reached = tuple(-(-before // step) for before, step in zip(input_shape[1:], stride, strict=True))
    if reached != output_shape[1:]:
        raise ValueError(
            f"residual's layers keep the size of what arrives or divide it by a whole number: use padding: same. "
            f"Received: {input_shape} on the way in, {output_shape} on the way out."
        )
    return _CONVS[len(input_shape)](output_shape[0], 1, stride, input_shape=input_shape)


@LAYERS.register("residual")
def residual(
    layers: Layers,
    activation: Activation = "linear",
    *,
    input_shape: Shape,
    build: Build,
) -> nn.Module:
    """Add what arrives to what some layers make of it (He et al. 2016): ``activation(layers(x) + shortcut(x))``.

    Args:
        layers: what is gone around.
        activation: applied to the sum; none by default.

    Input shape: any. Output shape: that of the layers; where it differs, the shortcut is a dense layer or a
    convolution of kernel size 1 (of the stride that the layers make).

    Raises:
        ValueError: no shortcut leads from the shape that arrives to the one that leaves.

    Example:
        >>> from lightlab import build_network
        >>> network, shape = build_network([{"residual": [{"dense": {"units": 8, "activation": "relu"}}]}], (4,))
        >>> shape
        (8,)
    """
    inner, output_shape = build(layers, input_shape, "layers")
    return _Residual(inner, _shortcut(input_shape, output_shape), make_activation(activation))


@LAYERS.register("repeat")
def repeat(
    times: Annotated[int, Field(gt=0, le=1000)], layers: Layers, *, input_shape: Shape, build: Build
) -> nn.Module:
    """Build the same layers several times, one after the other, each time with weights of its own.

    Args:
        times: how often.
        layers: what is repeated.

    Input shape: any. Output shape: that of the last time.

    Example:
        >>> from lightlab import build_network
        >>> network, shape = build_network([{"repeat": {"times": 3, "layers": [{"dense": 8}, "relu"]}}], (4,))
        >>> sum(isinstance(layer, nn.Linear) for layer in network.modules())
        3
    """
    modules, shape = [], input_shape
    for _ in range(times):
        module, shape = build(layers, shape, "layers")
        modules.append(module)
    return nn.Sequential(*modules)


class _Parallel(nn.Module):
    def __init__(self, branches: list[nn.Module], axis: int | None) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.axis = axis

    def forward(self, inputs: Tensor) -> Tensor:
        outputs = [branch(inputs) for branch in self.branches]
        return torch.stack(outputs).sum(0) if self.axis is None else torch.cat(outputs, self.axis)


@LAYERS.register("parallel")
def parallel(
    branches: Branches,
    merge: Literal["concat", "add"] = "concat",
    axis: PositiveInt | Literal[-1] = 1,
    *,
    input_shape: Shape,
    build: Build,
) -> nn.Module:
    """Give the same input to several lists of layers, and join what they make of it.

    Args:
        branches: the lists of layers; an empty one passes on what arrives.
        merge: ``concat`` puts the outputs behind each other, ``add`` sums them.
        axis: where ``concat`` does so, counted from the batch, which is axis 0: 1 for features or channels.

    Input shape: any. Output shape: that of the branches, joined.

    Raises:
        ValueError: the outputs can't be joined.

    Example:
        >>> from lightlab import build_network
        >>> network, shape = build_network([{"parallel": [[{"dense": 8}], [{"dense": 4}, "tanh"]]}], (2,))
        >>> shape
        (12,)
    """
    built = [build(layers, input_shape, "branches", index) for index, layers in enumerate(branches)]
    shapes = [shape for _, shape in built]
    if not shapes:
        raise ValueError("parallel has at least one branch.")
    if len({len(shape) for shape in shapes}) > 1:
        raise ValueError(f"parallel's branches end in shapes of one rank. Received: {shapes}.")
    rank = len(shapes[0])
    if axis > rank:
        raise ValueError(f"parallel's axis is 1 to {rank}, or -1. Received: {axis}.")
    position = rank - 1 if axis == -1 else axis - 1
    alike = shapes if merge == "add" else [shape[:position] + shape[position + 1 :] for shape in shapes]
    if len(set(alike)) > 1:
        rule = "end in one shape" if merge == "add" else f"differ on axis {axis} only"
        raise ValueError(f"parallel's branches {rule} to {merge}. Received: {shapes}.")
    return _Parallel([module for module, _ in built], None if merge == "add" else position + 1)
