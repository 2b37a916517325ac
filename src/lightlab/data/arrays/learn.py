"""Arrays and images: what is learned about them from the train split, and how they are checked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from lightlab import terminal
from lightlab.data.rows import Rows, Stored
from lightlab.data.tables.columns import FARTHEST, LARGEST, check_difference
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
    _check_channels(rows, low, most)
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
    if isinstance(inputs, Tensor) and len(inputs):
        _check_near(inputs, rows.source, spec)
    return inputs


def _check_near(inputs: Tensor, source: str, spec: InputSpec) -> None:
    """Refuse numbers that are so far from those of the train split that networks can't compute with them.

    Raises:
        DataError: with the first channel that has one.
    """
    rest = [0, *range(2, inputs.ndim)]
    ends = [each.double().numpy() for each in (inputs.amin(rest), inputs.amax(rest))]
    farthest = np.max([np.abs(end - spec.offset) for end in ends], axis=0) / spec.scale
    far = farthest > FARTHEST
    if far.any():
        channel = int(far.argmax())
        raise DataError(
            f"Normalised numbers are at most {FARTHEST:g}, whose square single precision holds. Received in {source}: "
            f"{farthest[channel]:g} in {_kind(inputs.shape)} {channel}. Mend the file, or set data.normalize."
        )


def _tensor(rows: Rows) -> Tensor | Stored:
    """Return inputs that are arrays, of finite numbers if they are in memory.

    Raises:
        DataError: they are not.
    """
    inputs = rows.inputs
    if not isinstance(inputs, Tensor | Stored):
        raise DataError(f"The model takes arrays. Received: columns of a table, from {rows.source}.")
    if isinstance(inputs, Tensor):
        refuse_rows(inputs, rows.ids, rows.source)
    return inputs


def refuse_rows(values: Tensor, places: Any, source: str, unit: bool = False) -> None:
    """Refuse samples with which networks can't compute, or, as ``unit`` has it, outside of 0 to 1.

    Args:
        values: the samples, (rows, …).
        places: what each is called in its source, (rows,).
        source: what it is called.
        unit: whether they are an image's pixels.

    Raises:
        DataError: with the first such number, where it stands, and how many rows there are.
    """
    low, high = 0.0 if unit else -LARGEST, 1.0 if unit else LARGEST
    if not values.is_floating_point() or not values.numel() or _lie_between(values, low, high):
        return
    flat = values.flatten(1)
    bad = ~((flat >= low) & (flat <= high))  # NaN is neither
    wrong = bad.any(1)
    row = int(wrong.int().argmax())
    column = int(bad[row].int().argmax())
    rule = "Pixels are of type uint8, or numbers from 0 to 1"
    if not unit:
        rule = f"Inputs are finite numbers of at most {LARGEST:g}, with which single precision can compute"
    raise DataError(
        f"{rule}. Received in {source}: {flat[row, column]:g} in row {places[row]}, "
        f"{name_place(column, tuple(values.shape[1:]))}, and so in {int(wrong.sum())} of {len(values)} rows."
    )


def _lie_between(values: Tensor, low: float, high: float) -> bool:
    least, most = values.aminmax()  # NaN where one is NaN
    return bool((least >= low) & (most <= high))


def name_place(place: int, shape: tuple[int, ...]) -> str:
    """Return what the number at a place of a sample is called, counted in its order in memory.

    >>> name_place(5, (20,)), name_place(5, (3, 2, 2))
    ('feature 5', 'place (1, 0, 1)')
    """
    if len(shape) == 1:
        return f"feature {place}"
    return f"place ({', '.join(str(index) for index in np.unravel_index(place, shape))})"


def _check_channels(rows: Rows, low: np.ndarray[Any, Any], high: np.ndarray[Any, Any]) -> None:
    """Refuse channels that differ by next to nothing, and say which never change.

    Raises:
        DataError: with the first.
    """
    kind = _kind(rows.inputs.shape)
    for channel in np.flatnonzero(low < high):
        check_difference(rows, f"{kind} {channel}", float(low[channel]), float(high[channel]))
    constant = np.flatnonzero(low == high)
    if len(constant):
        which = f"{kind} {constant[0]}" if len(constant) == 1 else f"{len(constant)} {kind}s, the first {constant[0]},"
        _say(f"constant: {which} of {rows.source} (the same in every row of the train split)")


def _kind(shape: Sequence[int]) -> str:
    """Return what inputs of a shape, (rows, …), have in their second dimension."""
    return "feature" if len(shape) == 2 else "channel"


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


_say = rank_zero_only(terminal.say)
