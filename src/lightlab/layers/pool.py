"""Pooling over one, two and three dimensions, channels first: by window, to a size, or over everything."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import torch
from torch import Tensor, nn

from lightlab.layers.base import expects
from lightlab.layers.conv import LAYOUTS, each_dimension, pad, same_padding
from lightlab.layers.parameters import Padding, Shape, Sizes
from lightlab.registry import LAYERS

Kind = Literal["max", "avg"]

POOLS: dict[tuple[str, int], Callable[..., nn.Module]] = {
    ("max", 1): nn.MaxPool1d,
    ("max", 2): nn.MaxPool2d,
    ("max", 3): nn.MaxPool3d,
    ("avg", 1): nn.AvgPool1d,
    ("avg", 2): nn.AvgPool2d,
    ("avg", 3): nn.AvgPool3d,
}
ADAPTIVE: dict[tuple[str, int], Callable[..., nn.Module]] = {
    ("max", 1): nn.AdaptiveMaxPool1d,
    ("max", 2): nn.AdaptiveMaxPool2d,
    ("max", 3): nn.AdaptiveMaxPool3d,
    ("avg", 1): nn.AdaptiveAvgPool1d,
    ("avg", 2): nn.AdaptiveAvgPool2d,
    ("avg", 3): nn.AdaptiveAvgPool3d,
}
WORDS = {"max": "largest", "avg": "mean"}


class _PaddedAverage(nn.Module):
    """Average over what lies inside the input: zeros are added around, but not counted."""

    share: Tensor

    def __init__(self, padding: nn.Module, pool: nn.Module, sizes: list[int]) -> None:
        super().__init__()
        self.padding = padding
        self.pool = pool
        self.register_buffer("share", pool(padding(torch.ones(1, 1, *sizes))), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        return cast("Tensor", self.pool(self.padding(inputs))) / self.share


POOL_DOC = """Keep the {word} value of each window over {dimensions} dimension(s).

    Args:
        pool_size: extent of the window: one number, or one for each dimension.
        stride: how far the window moves at a time; its own extent by default.
        padding: ``valid`` drops what the last window does not fill; ``same`` lets windows reach over the edge (what
            lies outside does not count), so that the output is ceil(size / stride) long.

    Input shape: (batch, {layout}). Output shape: (batch, channels, …).

    Example:
        >>> layer = {kind}_pool{dimensions}d(2, input_shape={shape})
        >>> tuple(layer(torch.zeros(1, *{shape})).shape)
        {output}
    """


def _make_pool(kind: Kind, dimensions: int) -> Callable[..., nn.Module]:
    def pool(
        pool_size: Sizes = 2,
        stride: Sizes | None = None,
        padding: Padding = "valid",
        *,
        input_shape: Shape,
    ) -> nn.Module:
        sizes = list(input_shape[1:])
        window = each_dimension(pool_size, dimensions, "pool_size")
        steps = window if stride is None else each_dimension(stride, dimensions, "stride")
        layer = POOLS[kind, dimensions](window, steps)
        pads = same_padding(sizes, window, steps, (1,) * dimensions)
        if padding == "valid" or not any(map(sum, pads)):
            return layer
        if kind == "max":
            return nn.Sequential(pad(pads, value=-torch.inf), layer)
        return _PaddedAverage(pad(pads), layer, sizes)

    pool.__name__ = pool.__qualname__ = f"{kind}_pool{dimensions}d"
    pool.__doc__ = POOL_DOC.format(
        word=WORDS[kind],
        dimensions=dimensions,
        layout=LAYOUTS[dimensions],
        kind=kind,
        shape=(3, *(8,) * dimensions),
        output=(1, 3, *(4,) * dimensions),
    )
    return LAYERS.register(pool.__name__)(expects(LAYOUTS[dimensions])(pool))


max_pool1d = _make_pool("max", 1)
max_pool2d = _make_pool("max", 2)
max_pool3d = _make_pool("max", 3)
avg_pool1d = _make_pool("avg", 1)
avg_pool2d = _make_pool("avg", 2)
avg_pool3d = _make_pool("avg", 3)


ADAPTIVE_DOC = """Cut {dimensions} dimension(s) into a given number of windows and keep the {word} value of each.

    Args:
        output_size: number of windows: one number, or one for each dimension.

    Input shape: (batch, {layout}). Output shape: (batch, channels, output_size, …).

    Example:
        >>> layer = adaptive_{kind}_pool{dimensions}d(4, input_shape={shape})
        >>> tuple(layer(torch.zeros(1, *{shape})).shape)
        {output}
    """


def _make_adaptive(kind: Kind, dimensions: int) -> Callable[..., nn.Module]:
    def adaptive_pool(output_size: Sizes, *, input_shape: Shape) -> nn.Module:
        return ADAPTIVE[kind, dimensions](each_dimension(output_size, dimensions, "output_size"))

    adaptive_pool.__name__ = adaptive_pool.__qualname__ = f"adaptive_{kind}_pool{dimensions}d"
    adaptive_pool.__doc__ = ADAPTIVE_DOC.format(
        word=WORDS[kind],
        dimensions=dimensions,
        layout=LAYOUTS[dimensions],
        kind=kind,
        shape=(3, *(9,) * dimensions),
        output=(1, 3, *(4,) * dimensions),
    )
    return LAYERS.register(adaptive_pool.__name__)(expects(LAYOUTS[dimensions])(adaptive_pool))


adaptive_max_pool1d = _make_adaptive("max", 1)
adaptive_max_pool2d = _make_adaptive("max", 2)
adaptive_max_pool3d = _make_adaptive("max", 3)
adaptive_avg_pool1d = _make_adaptive("avg", 1)
adaptive_avg_pool2d = _make_adaptive("avg", 2)
adaptive_avg_pool3d = _make_adaptive("avg", 3)


class _GlobalPool(nn.Module):
    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, inputs: Tensor) -> Tensor:
        flat = inputs.flatten(2)
        return flat.mean(2) if self.kind == "avg" else flat.amax(2)

    def extra_repr(self) -> str:
        return self.kind


@LAYERS.register("global_avg_pool")
@expects(*LAYOUTS.values())
def global_avg_pool() -> nn.Module:
    """Keep each channel's mean over all its dimensions.

    Input shape: (batch, channels, …). Output shape: (batch, channels).

    Example:
        >>> tuple(global_avg_pool()(torch.zeros(1, 3, 8, 8)).shape)
        (1, 3)
    """
    return _GlobalPool("avg")


@LAYERS.register("global_max_pool")
@expects(*LAYOUTS.values())
def global_max_pool() -> nn.Module:
    """Keep each channel's largest value over all its dimensions.

    Input shape: (batch, channels, …). Output shape: (batch, channels).

    Example:
        >>> tuple(global_max_pool()(torch.zeros(1, 3, 8, 8)).shape)
        (1, 3)
    """
    return _GlobalPool("max")


class _SequencePool(nn.Module):
    """Pool the steps of a sequence that are not padding, which is zero throughout; a sequence of none is zero."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self.kind = kind

    def forward(self, inputs: Tensor) -> Tensor:
        present = inputs.ne(0).any(2, keepdim=True)
        if self.kind == "avg":
            return inputs.sum(1) / present.sum(1).clamp(min=1)
        return inputs.masked_fill(~present, -torch.inf).amax(1).where(present.any(1), 0)

    def extra_repr(self) -> str:
        return self.kind


@LAYERS.register("sequence_avg_pool")
@expects("time, features")
def sequence_avg_pool() -> nn.Module:
    """Keep each feature's mean over a sequence; steps that are zero throughout, as padding is, do not count.

    Keras' GlobalAveragePooling1D after an embedding with ``mask_zero``.

    Input shape: (batch, time, features). Output shape: (batch, features).

    Example:
        >>> sequence_avg_pool()(torch.tensor([[[0.0, 0.0], [1.0, 0.0], [3.0, 4.0]]])).tolist()
        [[2.0, 2.0]]
    """
    return _SequencePool("avg")


@LAYERS.register("sequence_max_pool")
@expects("time, features")
def sequence_max_pool() -> nn.Module:
    """Keep each feature's largest value in a sequence; steps that are zero throughout, as padding is, do not count.

    Input shape: (batch, time, features). Output shape: (batch, features).

    Example:
        >>> sequence_max_pool()(torch.tensor([[[0.0, 0.0], [-1.0, 0.0], [-3.0, 4.0]]])).tolist()
        [[-1.0, 4.0]]
    """
    return _SequencePool("max")
