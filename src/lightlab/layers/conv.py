"""Convolutions over one, two and three dimensions, channels first: plain, transposed and separable."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from lightlab.layers.base import default_initializer, expects, finish, initialize, make_activation, regularize
from lightlab.layers.parameters import Activation, Initializer, NonNegative, Padding, PositiveInt, Shape, Sizes
from lightlab.registry import LAYERS

CONVS: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED: dict[int, Callable[..., nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
PADS: dict[int, Callable[..., nn.Module]] = {1: nn.ConstantPad1d, 2: nn.ConstantPad2d, 3: nn.ConstantPad3d}
LAYOUTS = {1: "channels, length", 2: "channels, height, width", 3: "channels, depth, height, width"}


def each_dimension(value: int | Sequence[int], dimensions: int, what: str) -> tuple[int, ...]:
    """Return one number a dimension, whether one was given for all or one for each.

    Raises:
        ValueError: as many were given as there are not dimensions.
    """
    if isinstance(value, int):
        return (value,) * dimensions
    if len(value) != dimensions:
        raise ValueError(f"{what} is one number, or one for each of {dimensions} dimensions. Received: {list(value)}.")
    return tuple(value)


def same_padding(
    sizes: Sequence[int], window: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """Return what to add before and after each dimension so that the output is ``ceil(size / stride)`` long.

    Where the sum is odd the larger half comes after, as in TensorFlow.
    """
    pads = []
    for size, width, step, gap in zip(sizes, window, stride, dilation, strict=True):
        reach = gap * (width - 1) + 1
        total = max((-(-size // step) - 1) * step + reach - size, 0)
        pads.append((total // 2, total - total // 2))
    return pads


def pad(pads: Sequence[tuple[int, int]], value: float = 0.0) -> nn.Module:
    """Return a module that pads (or, where negative, crops) each dimension."""
    flat = [amount for pair in reversed(pads) for amount in pair]  # torch wants the last dimension first
    return PADS[len(pads)](tuple(flat), value)


def convolution(
    channels: tuple[int, int],
    sizes: Sequence[int],
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int],
    padding: Padding,
    dilation: int | Sequence[int],
    groups: int,
    use_bias: bool,
) -> tuple[list[nn.Module], nn.Module]:
    """Return the padding that must come first (if any), and a torch convolution over ``len(sizes)`` dimensions.

    Raises:
        ValueError: the channels do not divide into the groups, or the kernel does not fit into the input.
    """
    dimensions = len(sizes)
    window = each_dimension(kernel_size, dimensions, "kernel_size")
    steps = each_dimension(stride, dimensions, "stride")
    gaps = each_dimension(dilation, dimensions, "dilation")
    if channels[0] % groups or channels[1] % groups:
        raise ValueError(
            f"groups divides both the channels that arrive and filters. Received: groups={groups}, "
            f"{channels[0]} channels, {channels[1]} filters."
        )
    before: list[nn.Module] = []
    amount = (0,) * dimensions
    if padding == "same":  # torch's own knows stride 1 only, and warns of even kernels
        pads = same_padding(sizes, window, steps, gaps)
        if all(left == right for left, right in pads):
            amount = tuple(left for left, _ in pads)
        else:
            before = [pad(pads)]
    return before, CONVS[dimensions](
        *channels, window, stride=steps, padding=amount, dilation=gaps, groups=groups, bias=use_bias
    )


def _chain(modules: list[nn.Module]) -> nn.Module:
    return modules[0] if len(modules) == 1 else nn.Sequential(*modules)


PARAMETERS = """
        activation: applied to the result; none by default.
        use_bias: whether to add a bias for each filter, which starts at zero.
        init: initial kernel; by default what suits the activation (He for relu's family, LeCun for selu).
        l1: factor of the kernel's absolute values in the training loss.
        l2: factor of the kernel's squares in the training loss."""

CONV_DOC = """Slide filters over {dimensions} dimension(s) of the input.

    Args:
        filters: number of filters, which is the number of channels of the output.
        kernel_size: extent of the filters: one number, or one for each dimension.
        stride: how far the filters move at a time.
        padding: ``valid`` for none, ``same`` for zeros around, so that the output is ceil(size / stride) long.
        dilation: distance between the points of a filter.
        groups: number of groups that the channels are cut into, each with filters of its own.{parameters}

    Input shape: (batch, {layout}). Output shape: (batch, filters, …).

    Raises:
        ValueError: the channels do not divide into the groups.

    Example:
        >>> layer = conv{dimensions}d(8, kernel_size=3, padding="same", input_shape={shape})
        >>> tuple(layer.weight.shape)
        {weight}
    """


def _make_conv(dimensions: int) -> Callable[..., nn.Module]:
    def conv(
        filters: PositiveInt,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = "valid",
        dilation: Sizes = 1,
        groups: PositiveInt = 1,
        activation: Activation | None = None,
        use_bias: bool = True,
        init: Initializer | None = None,
        l1: NonNegative = 0.0,
        l2: NonNegative = 0.0,
        *,
        input_shape: Shape,
    ) -> nn.Module:
        channels, *sizes = input_shape
        before, layer = convolution(
            (channels, filters), sizes, kernel_size, stride, padding, dilation, groups, use_bias
        )
        return _chain([*before, finish(layer, activation, init, l1, l2)])

    conv.__name__ = conv.__qualname__ = f"conv{dimensions}d"
    conv.__doc__ = CONV_DOC.format(
        dimensions=dimensions,
        layout=LAYOUTS[dimensions],
        parameters=PARAMETERS,
        shape=(1, *(16,) * dimensions),
        weight=(8, 1, *(3,) * dimensions),
    )
    return LAYERS.register(conv.__name__)(expects(LAYOUTS[dimensions])(conv))


conv1d = _make_conv(1)
conv2d = _make_conv(2)
conv3d = _make_conv(3)


TRANSPOSE_DOC = """Spread every point over {dimensions} dimension(s): the convolution that enlarges.

    Args:
        filters: number of filters, which is the number of channels of the output.
        kernel_size: extent of the filters: one number, or one for each dimension.
        stride: by what factor the input is enlarged.
        padding: ``same`` for an output of size · stride, ``valid`` for (size − 1) · stride + max(kernel_size, stride).
        dilation: distance between the points of a filter.
        groups: number of groups that the channels are cut into, each with filters of its own.{parameters}

    Input shape: (batch, {layout}). Output shape: (batch, filters, …).

    Raises:
        ValueError: the channels do not divide into the groups.

    Example:
        >>> import torch
        >>> layer = conv{dimensions}d_transpose(8, 3, stride=2, padding="same", input_shape={shape})
        >>> tuple(layer(torch.zeros(1, *{shape})).shape)
        {output}
    """


def _make_transposed(dimensions: int) -> Callable[..., nn.Module]:
    def conv_transpose(
        filters: PositiveInt,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = "valid",
        dilation: Sizes = 1,
        groups: PositiveInt = 1,
        activation: Activation | None = None,
        use_bias: bool = True,
        init: Initializer | None = None,
        l1: NonNegative = 0.0,
        l2: NonNegative = 0.0,
        *,
        input_shape: Shape,
    ) -> nn.Module:
        channels = input_shape[0]
        window = each_dimension(kernel_size, dimensions, "kernel_size")
        steps = each_dimension(stride, dimensions, "stride")
        gaps = each_dimension(dilation, dimensions, "dilation")
        if channels % groups or filters % groups:
            raise ValueError(
                f"groups divides both the channels that arrive and filters. Received: groups={groups}, "
                f"{channels} channels, {filters} filters."
            )
        reach = [gap * (width - 1) + 1 for gap, width in zip(gaps, window, strict=True)]
        extra = tuple(max(step - span, 0) for step, span in zip(steps, reach, strict=True))
        layer = TRANSPOSED[dimensions](
            channels, filters, window, stride=steps, dilation=gaps, output_padding=extra, groups=groups, bias=use_bias
        )
        for group in layer.get_parameter("weight").detach().chunk(groups):
            # torch keeps the channels that arrive first in a transposed kernel; fans are counted the other way round.
            kernel = group.transpose(0, 1).contiguous()
            initialize(layer, kernel, init or default_initializer(activation))
            group.copy_(kernel.transpose(0, 1))
        regularize(layer, l1, l2, "weight")
        modules: list[nn.Module] = [layer]
        surplus = [max(span - step, 0) for step, span in zip(steps, reach, strict=True)]
        if padding == "same" and any(surplus):
            modules.append(pad([(-(over // 2), -(over - over // 2)) for over in surplus]))
        if activation is not None:
            modules.append(make_activation(activation))
        return _chain(modules)

    conv_transpose.__name__ = conv_transpose.__qualname__ = f"conv{dimensions}d_transpose"
    conv_transpose.__doc__ = TRANSPOSE_DOC.format(
        dimensions=dimensions,
        layout=LAYOUTS[dimensions],
        parameters=PARAMETERS,
        shape=(1, *(7,) * dimensions),
        output=(1, 8, *(14,) * dimensions),
    )
    return LAYERS.register(conv_transpose.__name__)(expects(LAYOUTS[dimensions])(conv_transpose))


conv1d_transpose = _make_transposed(1)
conv2d_transpose = _make_transposed(2)
conv3d_transpose = _make_transposed(3)


SEPARABLE_DOC = """Filter each channel over {dimensions} dimension(s) by itself, then mix the channels point by point.

    Far fewer parameters than a full convolution (Chollet 2017).

    Args:
        filters: number of channels of the output.
        kernel_size: extent of the filters: one number, or one for each dimension.
        stride: how far the filters move at a time.
        padding: ``valid`` for none, ``same`` for zeros around, so that the output is ceil(size / stride) long.
        dilation: distance between the points of a filter.
        depth_multiplier: number of filters for each channel before they are mixed.{parameters}

    Input shape: (batch, {layout}). Output shape: (batch, filters, …).

    Example:
        >>> layer = separable_conv{dimensions}d(8, 3, input_shape={shape})
        >>> sum(weight.numel() for weight in layer.parameters())
        {count}
    """


def _make_separable(dimensions: int) -> Callable[..., nn.Module]:
    def separable_conv(
        filters: PositiveInt,
        kernel_size: Sizes,
        stride: Sizes = 1,
        padding: Padding = "valid",
        dilation: Sizes = 1,
        depth_multiplier: PositiveInt = 1,
        activation: Activation | None = None,
        use_bias: bool = True,
        init: Initializer | None = None,
        l1: NonNegative = 0.0,
        l2: NonNegative = 0.0,
        *,
        input_shape: Shape,
    ) -> nn.Module:
        channels, *sizes = input_shape
        between = channels * depth_multiplier
        before, depthwise = convolution(
            (channels, between), sizes, kernel_size, stride, padding, dilation, channels, use_bias=False
        )
        pointwise = CONVS[dimensions](between, filters, 1, bias=use_bias)
        finish(depthwise, None, init or default_initializer(activation), l1, l2)
        return _chain([*before, depthwise, finish(pointwise, activation, init, l1, l2)])

    separable_conv.__name__ = separable_conv.__qualname__ = f"separable_conv{dimensions}d"
    separable_conv.__doc__ = SEPARABLE_DOC.format(
        dimensions=dimensions,
        layout=LAYOUTS[dimensions],
        parameters=PARAMETERS,
        shape=(4, *(16,) * dimensions),
        count=4 * 3**dimensions + 4 * 8 + 8,
    )
    return LAYERS.register(separable_conv.__name__)(expects(LAYOUTS[dimensions])(separable_conv))


separable_conv1d = _make_separable(1)
separable_conv2d = _make_separable(2)
separable_conv3d = _make_separable(3)
