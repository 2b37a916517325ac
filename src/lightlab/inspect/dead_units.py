"""Units that never answer: zero for every row, so that no gradient reaches their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd

#: Activations with an output of exactly zero for all that is too low; their gradient is zero there, too.
RECTIFIERS = (nn.ReLU, nn.ReLU6, nn.Hardswish)
#: After these the units of a sequence stand on its last axis; after a convolution they stand on the second.
FEATURES_LAST = (nn.Linear, nn.RNNBase, nn.Embedding)


@contextmanager
def watch_dead_units(model: nn.Module) -> Iterator[dict[str, float]]:
    """Yield what is filled in at the end: the share of dead units of each rectifier, by its path.

    Args:
        model: called inside, with all rows that count, at once or batch by batch.
    """
    shares: dict[str, float] = {}
    silent: dict[str, Tensor] = {}
    axis = 1

    def look(path: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            nonlocal axis
            if isinstance(module, RECTIFIERS):
                found = find_silent(output.detach(), axis if output.ndim > 2 else 1)
                silent[path] = found & silent[path] if path in silent else found
            else:
                axis = -1 if isinstance(module, FEATURES_LAST) else 1

        return hook

    watched = (*RECTIFIERS, *FEATURES_LAST, _ConvNd)
    handles = [
        module.register_forward_hook(look(path))
        for path, module in model.named_modules()
        if isinstance(module, watched)
    ]
    try:
        yield shares
        shares |= {path: units.float().mean().item() for path, units in silent.items()}
    finally:
        for handle in handles:
            handle.remove()


def find_silent(output: Tensor, axis: int) -> Tensor:
    """Return which units are zero in all rows, (units,).

    Args:
        output: of an activation, (rows, …).
        axis: of the units: 1 for channels, −1 for features of sequences.

    Example:
        >>> import torch
        >>> find_silent(torch.tensor([[0.0, 1.0, 0.0, 0.0], [0.0, 0.0, 0.0, 2.0]]), 1)
        tensor([ True, False,  True, False])
    """
    return (output == 0).movedim(axis, 0).flatten(1).all(1)
