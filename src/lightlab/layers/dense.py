"""Fully connected layers."""

from __future__ import annotations

from torch import nn

from lightlab.layers.base import finish
from lightlab.layers.parameters import Activation, Initializer, NonNegative, PositiveInt, Shape
from lightlab.registry import LAYERS


@LAYERS.register("dense")
def dense(
    units: PositiveInt,
    activation: Activation | None = None,
    use_bias: bool = True,
    init: Initializer | None = None,
    l1: NonNegative = 0.0,
    l2: NonNegative = 0.0,
    *,
    input_shape: Shape,
) -> nn.Module:
    """Connect every input feature to every unit: ``activation(x Wᵀ + b)``.

    Args:
        units: number of outputs; the kernel W is of shape (units, features).
        activation: applied to the result; none by default.
        use_bias: whether to add the bias b, which starts at zero.
        init: initial kernel; by default what suits the activation (He for relu's family, LeCun for selu).
        l1: factor of the kernel's absolute values in the training loss.
        l2: factor of the kernel's squares in the training loss.

    Input shape: (batch, …, features). Output shape: (batch, …, units).

    Example:
        >>> layer = dense(25, activation="relu", input_shape=(14,))
        >>> sum(parameter.numel() for parameter in layer.parameters())
        375
    """
    return finish(nn.Linear(input_shape[-1], units, bias=use_bias), activation, init, l1, l2)
