"""Activations: layers of their own, and what other layers take for ``activation``."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from lightlab.layers.base import activation
from lightlab.layers.parameters import Positive, PositiveInt


@activation("linear")
def linear() -> nn.Module:
    """Pass on what arrives: x.

    Input shape: any. Output shape: the same.

    Example:
        >>> linear()(torch.tensor([-1.0, 2.0]))
        tensor([-1.,  2.])
    """
    return nn.Identity()


@activation("relu")
def relu() -> nn.Module:
    """Cut off below zero: max(0, x).

    Input shape: any. Output shape: the same.

    Example:
        >>> relu()(torch.tensor([-1.0, 2.0]))
        tensor([0., 2.])
    """
    return nn.ReLU()


@activation("relu6")
def relu6() -> nn.Module:
    """Cut off below zero and above six: min(max(0, x), 6).

    Input shape: any. Output shape: the same.

    Example:
        >>> relu6()(torch.tensor([-1.0, 8.0]))
        tensor([0., 6.])
    """
    return nn.ReLU6()


@activation("leaky_relu")
def leaky_relu(negative_slope: float = 0.01) -> nn.Module:
    """Let a little through below zero: x for x > 0, negative_slope · x otherwise.

    Args:
        negative_slope: the slope below zero.

    Input shape: any. Output shape: the same.

    Example:
        >>> leaky_relu(0.1)(torch.tensor([-1.0, 2.0]))
        tensor([-0.1000,  2.0000])
    """
    return nn.LeakyReLU(negative_slope)


@activation("prelu")
def prelu(init: float = 0.25) -> nn.Module:
    """Learn the slope below zero (He et al. 2015).

    Args:
        init: the slope to start from; one slope is learned for all channels.

    Input shape: any. Output shape: the same.

    Example:
        >>> prelu()(torch.tensor([-1.0, 2.0])).tolist()
        [-0.25, 2.0]
    """
    return nn.PReLU(init=init)


@activation("elu")
def elu(alpha: Positive = 1.0) -> nn.Module:
    """Exponential below zero (Clevert et al. 2016): x for x > 0, alpha · (exp(x) − 1) otherwise.

    Args:
        alpha: what −∞ is mapped to, negated.

    Input shape: any. Output shape: the same.

    Example:
        >>> elu()(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    return nn.ELU(alpha)


@activation("celu")
def celu(alpha: Positive = 1.0) -> nn.Module:
    """Exponential below zero, with a continuous slope: max(0, x) + min(0, alpha · (exp(x / alpha) − 1)).

    Args:
        alpha: what −∞ is mapped to, negated.

    Input shape: any. Output shape: the same.

    Example:
        >>> celu()(torch.tensor([-1.0, 2.0]))
        tensor([-0.6321,  2.0000])
    """
    return nn.CELU(alpha)


@activation("selu")
def selu() -> nn.Module:
    """Scaled elu, which keeps mean 0 and variance 1 (Klambauer et al. 2017); use it with alpha_dropout.

    Input shape: any. Output shape: the same.

    Example:
        >>> selu()(torch.tensor([-1.0, 2.0]))
        tensor([-1.1113,  2.1014])
    """
    return nn.SELU()


@activation("gelu")
def gelu(approximate: Literal["none", "tanh"] = "none") -> nn.Module:
    """Weigh x by the normal distribution's share below it (Hendrycks and Gimpel 2016): x · Φ(x).

    Args:
        approximate: ``tanh`` for the faster approximation.

    Input shape: any. Output shape: the same.

    Example:
        >>> gelu()(torch.tensor([-1.0, 2.0]))
        tensor([-0.1587,  1.9545])
    """
    return nn.GELU(approximate)


@activation("silu")
def silu() -> nn.Module:
    """Weigh x by its sigmoid, also called swish: x · sigmoid(x).

    Input shape: any. Output shape: the same.

    Example:
        >>> silu()(torch.tensor([-1.0, 2.0]))
        tensor([-0.2689,  1.7616])
    """
    return nn.SiLU()


@activation("mish")
def mish() -> nn.Module:
    """Weigh x by the tanh of its softplus (Misra 2019): x · tanh(softplus(x)).

    Input shape: any. Output shape: the same.

    Example:
        >>> mish()(torch.tensor([-1.0, 2.0]))
        tensor([-0.3034,  1.9440])
    """
    return nn.Mish()


@activation("hard_swish")
def hard_swish() -> nn.Module:
    """Approximate silu by straight pieces (Howard et al. 2019): x · relu6(x + 3) / 6.

    Input shape: any. Output shape: the same.

    Example:
        >>> hard_swish()(torch.tensor([-1.0, 4.0]))
        tensor([-0.3333,  4.0000])
    """
    return nn.Hardswish()


@activation("tanh")
def tanh() -> nn.Module:
    """Squeeze into (−1, 1): the hyperbolic tangent.

    Input shape: any. Output shape: the same.

    Example:
        >>> tanh()(torch.tensor([-1.0, 2.0]))
        tensor([-0.7616,  0.9640])
    """
    return nn.Tanh()


@activation("sigmoid")
def sigmoid() -> nn.Module:
    """Squeeze into (0, 1): 1 / (1 + exp(−x)).

    Input shape: any. Output shape: the same.

    Example:
        >>> sigmoid()(torch.tensor([-1.0, 2.0]))
        tensor([0.2689, 0.8808])
    """
    return nn.Sigmoid()


@activation("hard_sigmoid")
def hard_sigmoid() -> nn.Module:
    """Approximate sigmoid by straight pieces: relu6(x + 3) / 6.

    Input shape: any. Output shape: the same.

    Example:
        >>> hard_sigmoid()(torch.tensor([-3.0, 0.0]))
        tensor([0.0000, 0.5000])
    """
    return nn.Hardsigmoid()


@activation("softplus")
def softplus(beta: Positive = 1.0) -> nn.Module:
    """Smooth relu, always positive: log(1 + exp(beta · x)) / beta.

    Args:
        beta: the larger, the closer to relu.

    Input shape: any. Output shape: the same.

    Example:
        >>> softplus()(torch.tensor([-1.0, 2.0]))
        tensor([0.3133, 2.1269])
    """
    return nn.Softplus(beta)


@activation("softsign")
def softsign() -> nn.Module:
    """Squeeze into (−1, 1), slower than tanh: x / (1 + |x|).

    Input shape: any. Output shape: the same.

    Example:
        >>> softsign()(torch.tensor([-1.0, 3.0]))
        tensor([-0.5000,  0.7500])
    """
    return nn.Softsign()


class _Exponential(nn.Module):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.exp(inputs)


@activation("exponential")
def exponential() -> nn.Module:
    """Map to positive numbers: exp(x).

    Input shape: any. Output shape: the same.

    Example:
        >>> exponential()(torch.tensor([0.0, 1.0]))
        tensor([1.0000, 2.7183])
    """
    return _Exponential()


class _Softmax(nn.Softmax):
    def forward(self, inputs: Tensor) -> Tensor:
        inputs.size(self.dim)  # the meta device, on which shapes are inferred, does not check it
        return super().forward(inputs)


@activation("softmax")
def softmax(axis: PositiveInt | Literal[-1] = -1) -> nn.Module:
    """Turn scores along an axis into shares that sum to one: exp(x) / Σ exp(x).

    Not for the end of a network: there the head applies what the problem asks for.

    Args:
        axis: counted from the batch, which is axis 0; −1 is the last.

    Input shape: any. Output shape: the same.

    Example:
        >>> softmax()(torch.tensor([[0.0, 0.0]]))
        tensor([[0.5000, 0.5000]])
    """
    return _Softmax(dim=axis)


@activation("log_softmax")
def log_softmax(axis: PositiveInt | Literal[-1] = -1) -> nn.Module:
    """Take the logarithm of softmax, stably.

    Args:
        axis: counted from the batch, which is axis 0; −1 is the last.

    Input shape: any. Output shape: the same.

    Example:
        >>> log_softmax()(torch.tensor([[0.0, 0.0]]))
        tensor([[-0.6931, -0.6931]])
    """
    return nn.LogSoftmax(dim=axis)
