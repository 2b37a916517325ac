"""Rows as a source gives them, before anything is learned from them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from pandas.api.types import is_bool_dtype, is_numeric_dtype
from torch import Tensor

#: Places of rows, (rows,).
Places = np.ndarray[Any, np.dtype[np.int64]]
#: Numbers that tell rows apart, (rows,).
Fingerprints = np.ndarray[Any, np.dtype[np.uint64]]
#: Numbers of arrays, and rows of tables, that are hashed at once.
NUMBERS_AT_ONCE, ROWS_AT_ONCE = 2**21, 2**18


class Stored:
    """Inputs that stay where they are stored, and are read when a batch needs them.

    Args:
        places: which of the stored samples these are, in order.
        shape: of one sample.
    """

    def __init__(self, places: Places, shape: tuple[int, ...]) -> None:
        self.places = places
        self.sample_shape = shape

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of all of them, (rows, …), as a tensor has it."""
        return (len(self.places), *self.sample_shape)

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, places: Any) -> Tensor:
        """Read the samples at these places, (places, …)."""
        return self.read(self.places[np.asarray(places)])

    def take(self, places: Places) -> Stored:
        """Return those at these places, unread."""
        raise NotImplementedError

    def read(self, stored: Places) -> Tensor:
        """Read samples by where they are stored, (samples, …)."""
        raise NotImplementedError

    def fingerprints(self) -> Fingerprints:
        """Return a number for each sample that is the same for samples of the same content, (rows,)."""
        raise NotImplementedError


@dataclass(frozen=True)
class Rows:
    """Some rows of a source.

    Attributes:
        inputs: a table of features; a tensor (rows, …); or what is read when it is needed.
        targets: a table of the target columns; ``None`` where they are not known.
        ids: what people call each row: a number, or the value of an id column.
        source: where the rows come from, for messages.
        id_name: what ``ids`` is called in predictions.
        columns: what rows can be split by.
        locate: returns where the row of an index label stands, for messages; by default its number.
    """

    inputs: pd.DataFrame | Tensor | Stored
    targets: pd.DataFrame | None
    ids: np.ndarray[Any, Any]
    source: str
    id_name: str = "id"
    columns: pd.DataFrame | None = None
    locate: Callable[[Any], str] | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def take(self, places: Places) -> Rows:
        """Return the rows at these places."""
        given = self.inputs
        return replace(
            self,
            inputs=given[torch.from_numpy(places)] if isinstance(given, Tensor) else given.take(places),
            targets=None if self.targets is None else self.targets.take(places),
            ids=self.ids[places],
            columns=None if self.columns is None else self.columns.take(places),
        )

    def where(self, table: pd.DataFrame | pd.Series[Any], place: int) -> str:
        """Return how to find the row at a place of a table that was taken from these rows."""
        label = table.index[place]
        return self.locate(label) if self.locate else f"{self.source}, row {label}"

    def fingerprints(self) -> Fingerprints:
        """Return a number for each row that is the same for rows of the same inputs, (rows,)."""
        if isinstance(self.inputs, Tensor):
            return _hash_tensor(self.inputs)
        return self.inputs.fingerprints() if isinstance(self.inputs, Stored) else _hash_table(self.inputs)

    def target_fingerprints(self) -> Fingerprints:
        """Return a number for each row that is the same for rows of the same targets, (rows,)."""
        return np.zeros(len(self), dtype=np.uint64) if self.targets is None else _hash_table(self.targets)


def shorten(text: str, most: int = 40) -> str:
    """Return a value as it is shown in a message."""
    return text if len(text) <= most else f"{text[:most]}…"


def digest(*fingerprints: Fingerprints) -> str:
    """Return the SHA-256 of rows, in hexadecimal, from the fingerprints of all that they have, in order."""
    whole = hashlib.sha256()
    for each in fingerprints:
        whole.update(np.ascontiguousarray(each, dtype="<u8").data)
    return whole.hexdigest()


def _hash_table(table: pd.DataFrame) -> Fingerprints:
    """Hash each row; a number or text is the same in whatever type a file or DataFrame has it."""
    starts = range(0, max(len(table), 1), ROWS_AT_ONCE)
    return np.concatenate([_hash_part(table[start : start + ROWS_AT_ONCE]) for start in starts])


def _hash_part(table: pd.DataFrame) -> Fingerprints:
    plain = {name: _plain(table[name]) for name in table}
    numbers: np.ndarray[Any, Any] = pd.util.hash_pandas_object(pd.DataFrame(plain), index=False).to_numpy(np.uint64)
    return numbers


def _plain(column: pd.Series[Any]) -> np.ndarray[Any, Any]:
    if is_numeric_dtype(column) or is_bool_dtype(column):
        return column.to_numpy(dtype=np.float64, na_value=np.nan)
    return column.astype(object).where(column.notna(), "").astype(str).to_numpy(dtype=object)


def _hash_tensor(values: Tensor) -> Fingerprints:
    """Hash each row of a tensor: a sum of its hashed words of eight bytes, with odd random factors, modulo 2⁶⁴."""
    if not (numbers := values[:1].numel()):
        return np.zeros(len(values), dtype=np.uint64)
    parts = [_hash_block(part) for part in torch.split(values.flatten(1), max(1, NUMBERS_AT_ONCE // numbers))]
    return np.concatenate(parts)


def _hash_block(values: Tensor) -> Fingerprints:
    flat = values.contiguous().view(torch.uint8).numpy()
    words = np.pad(flat, ((0, 0), (0, -flat.shape[1] % 8))).view(np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**63, words.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    # Hashed one by one first: in a plain sum the signs of two numbers can cancel.
    mixed = pd.util.hash_array(words.ravel(), categorize=False).reshape(words.shape)
    numbers: Fingerprints = pd.util.hash_array((mixed * factors).sum(axis=1, dtype=np.uint64), categorize=False)
    return numbers
