"""What layers share: the ranks they expect, initial weights, regularisers, activations."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn

from lightlab.layers.parameters import Initializer
from lightlab.registry import ACTIVATIONS, LAYERS

F = TypeVar("F", bound=Callable[..., Any])


def expects(*layouts: str) -> Callable[[F], F]:
    """Declare what a layer takes, as the names of a sample's dimensions.

    ``lightlab.build`` then answers an input of another rank with these words.

    Args:
        layouts: such as ``"channels, height, width"``; several where several ranks will do.
    """

    def mark(layer: F) -> F:
        layer.expects = layouts  # type: ignore[attr-defined]  # a mark on a function
        return layer

    return mark


def activation(name: str) -> Callable[[F], F]:
    """Register a layer that keeps the shape, as a layer and as what others take for ``activation``."""

    def register(layer: F) -> F:
        ACTIVATIONS.register(name)(layer)
        LAYERS.register(name)(layer)
        return layer

    return register


def make_activation(config: str | Mapping[str, Any]) -> nn.Module:
    """Build an activation from ``name``, ``{name: value}`` or ``{name: {parameter: value}}``."""
    if isinstance(config, str):
        return ACTIVATIONS.get(config)()
    ((name, value),) = config.items()
    layer = ACTIVATIONS.get(name)
    if value is None:
        return layer()
    return layer(**value) if isinstance(value, Mapping) else layer(value)


def activation_name(config: str | Mapping[str, Any] | None) -> str | None:
    """Return the name in an activation's config."""
    return next(iter(config)) if isinstance(config, Mapping) else config


INITIALIZERS: dict[str, Callable[[Tensor], Tensor]] = {
    "he_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "he_uniform": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "glorot_normal": nn.init.xavier_normal_,
    "glorot_uniform": nn.init.xavier_uniform_,
    # LeCun's variance, 1 / fan_in, is He's without the gain of relu.
    "lecun_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="linear"),
    "lecun_uniform": lambda weight: nn.init.kaiming_uniform_(weight, nonlinearity="linear"),
    "orthogonal": nn.init.orthogonal_,
    "normal": lambda weight: nn.init.normal_(weight, std=0.05),
    "uniform": lambda weight: nn.init.uniform_(weight, -0.05, 0.05),
    "zeros": nn.init.zeros_,
    "ones": nn.init.ones_,
}

#: The activations that pass about half of what arrives, for which He's variance keeps the signal's scale.
RELU_FAMILY = frozenset(
    {"relu", "relu6", "leaky_relu", "prelu", "elu", "celu", "gelu", "silu", "mish", "hard_swish", "softplus"}
)


def default_initializer(activation: str | Mapping[str, Any] | None) -> Initializer:
    """Return the initial weights that suit an activation.

    He (He et al. 2015) for relu's family, LeCun for selu (Klambauer et al. 2017), Glorot (2010) for the rest.
    """
    name = activation_name(activation)
    if name in RELU_FAMILY:
        return "he_normal"
    return "lecun_normal" if name == "selu" else "glorot_uniform"


def initialize(layer: nn.Module, weight: Tensor, init: Initializer) -> None:
    """Set a layer's kernel as ``init`` says, and its bias, where there is one, to zero."""
    INITIALIZERS[init](weight)
    if isinstance(bias := getattr(layer, "bias", None), Tensor):
        nn.init.zeros_(bias)


@dataclass(frozen=True)
class Regularizer:
    """The penalty of one layer's kernels: ``l1 · Σ|w| + l2 · Σw²``.

    Attributes:
        l1: factor of the sum of absolute values.
        l2: factor of the sum of squares.
        names: the layer's parameters that it is taken over.
    """

    l1: float
    l2: float
    names: tuple[str, ...]

    def __call__(self, layer: nn.Module) -> Tensor:
        """Return the penalty, a scalar."""
        weights = [getattr(layer, name) for name in self.names]
        terms = [self.l1 * weight.abs().sum() for weight in weights if self.l1]
        terms += [self.l2 * weight.square().sum() for weight in weights if self.l2]
        return torch.stack(terms).sum()


def regularize(layer: nn.Module, l1: float, l2: float, *names: str) -> None:
    """Have a layer's parameters of these names penalised in training."""
    if l1 or l2:
        layer.regularizer = Regularizer(l1, l2, names)  # type: ignore[assignment]  # not a tensor or module, so nn.Module keeps it as it is


def regularized(network: nn.Module) -> list[nn.Module]:
    """Return the layers of a network that are penalised in training."""
    return [layer for layer in network.modules() if isinstance(getattr(layer, "regularizer", None), Regularizer)]


def penalty(layers: Iterable[nn.Module]) -> Tensor | None:
    """Return the sum of the penalties of `regularized` layers, a scalar; ``None`` where there are none."""
    terms = [cast("Regularizer", layer.regularizer)(layer) for layer in layers]
    return torch.stack(terms).sum() if terms else None


def finish(
    layer: nn.Module,
    activation: str | Mapping[str, Any] | None,
    init: Initializer | None,
    l1: float,
    l2: float,
) -> nn.Module:
    """Give a layer with one kernel (``weight``) its initial weights, regulariser and activation."""
    initialize(layer, layer.get_parameter("weight"), init or default_initializer(activation))
    regularize(layer, l1, l2, "weight")
    return layer if activation is None else nn.Sequential(layer, make_activation(activation))
