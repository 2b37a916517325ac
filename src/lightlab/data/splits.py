"""Which rows are for training, validation and testing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.model_selection import train_test_split

from lightlab.errors import ConfigError, DataError

SPLITS = ("train", "val", "test")


def split_rows(
    rows: int, fractions: Sequence[float], seed: int, strata: np.ndarray[Any, Any] | None = None
) -> dict[str, np.ndarray[Any, Any]]:
    """Share out rows at random.

    Args:
        rows: how many there are.
        fractions: the shares of train, validation and test; they add up to 1, and the last two may be 0.
        seed: the same one gives the same splits.
        strata: the class of each row: each split then has the classes in the same proportions. Classes of fewer
            rows than there are splits go to the train split.

    Returns:
        for each split its places, sorted.

    Raises:
        ConfigError: the fractions are no shares of one.
        DataError: they leave a split that was asked for with nothing.
    """
    if len(fractions) != len(SPLITS) or min(fractions) < 0 or fractions[0] == 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError.at(
            ("data", "split"),
            "split has three shares (train, validation, test) that add up to 1; the first is not 0. "
            f"Received: {list(fractions)}.",
        )
    counts = [round(rows * fraction) for fraction in fractions]
    counts[0] = rows - counts[1] - counts[2]
    for split, fraction, count in zip(SPLITS, fractions, counts, strict=True):
        if fraction and count < 1:
            raise DataError(
                f"Every split that data.split asks for has rows. Received: {rows} rows, of which a share of "
                f"{fraction:g} leaves {count} for {split}. Bring more rows, or set that share to 0."
            )
    everything = np.arange(rows)
    common, rare = everything, everything[:0]
    if strata is not None:
        _, codes, sizes = np.unique(strata, return_inverse=True, return_counts=True)
        is_common = sizes[codes] >= sum(count > 0 for count in counts)
        common, rare = everything[is_common], everything[~is_common]
        strata = codes if len(common) else None
        common, rare = (common, rare) if len(common) else (everything, everything[:0])
    rest, test = _cut(common, counts[2], seed, strata)
    train, val = _cut(rest, counts[1], seed + 1, strata)
    parts = {"train": np.concatenate([train, rare]), "val": val, "test": test}
    return {split: np.sort(places) for split, places in parts.items()}


def _cut(
    places: np.ndarray[Any, Any], count: int, seed: int, strata: np.ndarray[Any, Any] | None
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Take ``count`` of the places away at random."""
    if count == 0:
        return places, places[:0]
    classes = None if strata is None else strata[places]
    if classes is not None and min(count, len(places) - count) < len(np.unique(classes)):
        classes = None  # too few rows for one of each class
    kept, taken = train_test_split(places, test_size=count, random_state=seed, stratify=classes)
    return kept, taken
