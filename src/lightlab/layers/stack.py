"""Layers one after another, without work that the next one throws away."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn

#: What is cut off by these is the same before a maximum and after it.
RECTIFIERS = (nn.ReLU, nn.ReLU6)
MAXIMA = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)


class Stack(nn.Sequential):
    """Calls layers one after another; a rectifier before a max pooling is computed after it.

    There a quarter of the numbers is left, or fewer, and the result is the same to the bit: the largest number of a
    window is the largest once all are cut off, too, and where all are cut off, none has a gradient. Layers that hooks
    look at are called in their order.

    Example:
        >>> import torch
        >>> Stack(nn.ReLU(), nn.MaxPool1d(2))(torch.tensor([[-1.0, 2.0, -3.0, -4.0]]))
        tensor([[2., 0.]])
    """

    def forward(self, input: Tensor) -> Tensor:
        """Return what the last layer makes of a batch."""
        results, waiting = input, None
        for layer, follower in pairwise([*self, None]):
            if waiting is not None:
                results, waiting = waiting(layer(results)), None
                continue
            waiting = _rectifier(layer) if type(follower) in MAXIMA and not is_watched(follower) else None
            results = layer(results) if waiting is None else _call_without(waiting, layer, results)
        return results


def _rectifier(layer: nn.Module) -> nn.Module | None:
    """Return the rectifier that a layer ends in; ``None`` where it ends in something else, or is watched."""
    if is_watched(layer):
        return None
    if type(layer) in (nn.Sequential, Stack):
        parts = list(layer.children())
        return _rectifier(parts[-1]) if parts else None
    return layer if type(layer) in RECTIFIERS else None


def _call_without(rectifier: nn.Module, layer: nn.Module, inputs: Tensor) -> Tensor:
    """Return what a layer makes of a batch before the rectifier that it ends in."""
    if layer is rectifier:
        return inputs
    *parts, last = layer.children()
    for part in parts:
        inputs = part(inputs)
    return _call_without(rectifier, last, inputs)


def is_watched(layer: nn.Module) -> bool:
    """Return whether hooks look at what a layer, by itself, takes or gives."""
    hooks = (layer._forward_hooks, layer._forward_pre_hooks, layer._backward_hooks, layer._backward_pre_hooks)
    return any(hooks)
