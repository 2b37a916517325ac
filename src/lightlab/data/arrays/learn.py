"""Arrays and images: what is learned about them from the train split, and how they are checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightlab.data.rows import Rows, Stored
from lightlab.data_spec import InputKind, InputSpec, Normalize
from lightlab.errors import DataError

#: So many samples of stored inputs tell what their channels are like, and are read at once.
SAMPLES_READ = 10_000
READ_AT_ONCE = 256


def learn_array(rows: Rows, normalize: Normalize, kind: InputKind = "array", high: float = 0.0) -> InputSpec:
    """Learn from the train split how arrays are normalised, a channel (the first dimension) at a time.

    Means and variances of stored inputs are those of 10,000 samples from all over; a range is that of all.

    Args:
        rows: of the train split.
        normalize: how numbers are normalised.
        kind: array or image.
        high: the largest value that a pixel can have.

    Raises:
        DataError: a value that is not finite.
    """
    inputs = _tensor(rows)
    if len(inputs) > SAMPLES_READ and isinstance(inputs, Stored) and normalize != "min_max":
        inputs = inputs.take(np.linspace(0, len(inputs) - 1, SAMPLES_READ).astype(np.int64))
    channels = inputs.shape[1]
    count, total, squares = 0, np.zeros(channels), np.zeros(channels)
    low, most = np.full(channels, np.inf), np.full(channels, -np.inf)
    shift: np.ndarray[Any, Any] | None = None
    for start in range(0, len(inputs), READ_AT_ONCE):
        part = inputs[torch.arange(start, min(start + READ_AT_ONCE, len(inputs)))]
        values = part.transpose(0, 1).flatten(1).double().numpy()
        if shift is None:  # squares of what is far from 0 would lose what differs
            shift = values.mean(axis=1)
        moved = values - shift[:, None]
        count += values.shape[1]
        total, squares = total + moved.sum(axis=1), squares + (moved**2).sum(axis=1)
        low, most = np.minimum(low, values.min(axis=1)), np.maximum(most, values.max(axis=1))
    mean = total / count
    spread = np.sqrt(np.maximum(squares / count - mean**2, 0))
    offset, scale = statistics(mean + (0 if shift is None else shift), spread, low, most, normalize)
    return InputSpec(tuple(inputs.shape[1:]), offset, scale, kind=kind, high=high)


def check_array(rows: Rows, spec: InputSpec) -> Tensor | Stored:
    """Return a split's inputs, (rows, *spec.shape), if the model can take them.

    Raises:
        DataError: they have another shape, or a value that is not finite.
    """
    inputs = _tensor(rows)
    if tuple(inputs.shape[1:]) != spec.shape:
        raise DataError(f"Inputs are of shape {spec.shape}. Received from {rows.source}: {tuple(inputs.shape[1:])}.")
    return inputs


def _tensor(rows: Rows) -> Tensor | Stored:
    """Return inputs that are arrays, of finite numbers if they are in memory.

    Raises:
        DataError: they are not.
    """
    inputs = rows.inputs
    if not isinstance(inputs, Tensor | Stored):
        raise DataError(f"The model takes arrays. Received: columns of a table, from {rows.source}.")
    if isinstance(inputs, Tensor) and inputs.is_floating_point():
        bad = ~torch.isfinite(inputs.flatten(1)).all(dim=1)
        if bool(bad.any()):
            place = int(bad.int().argmax())
            raise DataError(
                f"Inputs are finite numbers. Received in {rows.source}: NaN or inf in row {rows.ids[place]}, and so in "
                f"{int(bad.sum())} of {len(rows)} rows."
            )
    return inputs


def statistics(
    mean: np.ndarray[Any, Any],
    spread: np.ndarray[Any, Any],
    low: np.ndarray[Any, Any],
    high: np.ndarray[Any, Any],
    normalize: Normalize,
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return offset and scale of each column or channel; a constant one is only shifted."""
    if normalize == "standard":
        offset, scale = mean, spread
    elif normalize == "min_max":
        offset, scale = low, high - low
    else:
        offset, scale = np.zeros_like(mean), np.ones_like(mean)
    # What is left of a constant after rounding is no spread.
    constant = scale <= 1e-12 * np.maximum(np.maximum(np.abs(low), np.abs(high)), 1e-300)
    return tuple(offset.tolist()), tuple(np.where(constant, 1.0, scale).tolist())
