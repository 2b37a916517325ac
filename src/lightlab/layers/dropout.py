"""Layers that disturb what passes in training, and pass it on as it is otherwise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lightlab.layers.base import expects
from lightlab.layers.conv import LAYOUTS
from lightlab.layers.parameters import NonNegative, Rate, Shape
from lightlab.registry import LAYERS


@LAYERS.register("dropout")
def dropout(rate: Rate = 0.5) -> nn.Module:
    """Set values to zero at random in training (Srivastava et al. 2014), the rest scaled up to keep the mean.

    Args:
        rate: the share that is set to zero.

    Input shape: any. Output shape: the same.

    Example:
        >>> dropout(0.5).eval()(torch.ones(3))
        tensor([1., 1., 1.])
    """
    return nn.Dropout(rate)


@LAYERS.register("spatial_dropout")
@expects(*LAYOUTS.values())
def spatial_dropout(rate: Rate = 0.5, *, input_shape: Shape) -> nn.Module:
    """Set whole channels to zero at random in training (Tompson et al. 2015).

    Args:
        rate: the share of channels that is set to zero.

    Input shape: (batch, channels, …). Output shape: the same.

    Example:
        >>> layer = spatial_dropout(0.5, input_shape=(4, 8, 8))
        >>> dropped = layer(torch.ones(1, 4, 8, 8)).flatten(2)
        >>> bool(((dropped == 0).all(2) | (dropped == 2).all(2)).all())
        True
    """
    return {2: nn.Dropout1d, 3: nn.Dropout2d, 4: nn.Dropout3d}[len(input_shape)](rate)


@LAYERS.register("alpha_dropout")
def alpha_dropout(rate: Rate = 0.5) -> nn.Module:
    """Dropout that keeps the mean and variance which selu maintains (Klambauer et al. 2017).

    Args:
        rate: the share that is set to selu's negative limit.

    Input shape: any. Output shape: the same.

    Example:
        >>> alpha_dropout(0.1).eval()(torch.ones(3))
        tensor([1., 1., 1.])
    """
    return nn.AlphaDropout(rate)


class _GaussianNoise(nn.Module):
    def __init__(self, stddev: float) -> None:
        super().__init__()
        self.stddev = stddev

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs + self.stddev * torch.randn_like(inputs) if self.training else inputs

    def extra_repr(self) -> str:
        return f"stddev={self.stddev}"


@LAYERS.register("gaussian_noise")
def gaussian_noise(stddev: NonNegative = 0.1) -> nn.Module:
    """Add normal noise in training.

    Args:
        stddev: the noise's standard deviation, in the units of what arrives.

    Input shape: any. Output shape: the same.

    Example:
        >>> gaussian_noise(0.1).eval()(torch.ones(3))
        tensor([1., 1., 1.])
    """
    return _GaussianNoise(stddev)
