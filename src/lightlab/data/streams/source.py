"""Rows that lie in segments, and which of them are for which split: by arithmetic, or as a column says."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd

from lightlab.data.rows import Places, Rows
from lightlab.data.splits import SPELLINGS, SPLITS, Split
from lightlab.data.streams.plan import Span
from lightlab.data_spec import InputSpec
from lightlab.errors import DataError

#: Rows of the train split that show what columns are, taken from segments all over it.
SAMPLE_ROWS = 50_000
SAMPLE_SEGMENTS = 16


def find_files(path: str, endings: tuple[str, ...]) -> list[Path]:
    """Return the files of a path, sorted: a file, those of a folder, or those that fit a pattern.

    Raises:
        DataError: there are none.
    """
    given = Path(path)
    try:
        found = _look_for_files(given, path, endings)
    except (OSError, ValueError) as cause:  # a pattern, or a name, that can't be one
        reason = getattr(cause, "strerror", None) or cause
        raise DataError(f"A stream is read from files that can be read. Received: {path} ({reason}).") from cause
    if not found:
        kinds = " or ".join(endings)
        what = "a folder without any" if given.is_dir() else "nothing is there"
        raise DataError(
            f"A stream is read from {kinds} files: a file, a folder, or a pattern. Received: {path} ({what})."
        )
    return sorted(found)


def _look_for_files(given: Path, path: str, endings: tuple[str, ...]) -> list[Path]:
    if given.is_file():
        return [given]
    if given.is_dir():
        found = [file for file in given.rglob("*") if file.suffix.lower() in endings and file.is_file()]
    else:
        root = Path(given.anchor or ".")
        pattern = str(given.relative_to(root)) if given.anchor else path
        found = [file for file in root.glob(pattern) if file.is_file()] if any(sign in path for sign in "*?[") else []
    return [file for file in found if not file.name.startswith((".", "_"))]  # what systems leave behind


class Source:
    """Rows that lie in segments, and are read a segment at a time; it goes to worker processes.

    Attributes:
        path: where they are, for messages.
        sizes: rows of each segment, (segments,).
        has_targets: whether the target is known.
    """

    path: str
    sizes: Places
    has_targets: bool

    def read(self, segment: int, places: Places) -> Iterator[Rows]:
        """Give rows of a segment, with inputs and targets, in parts; labels of tables are numbers of rows.

        Args:
            segment: its number.
            places: which of its rows, in order.

        Raises:
            DataError: they can't be read.
        """
        raise NotImplementedError

    def read_columns(self, segment: int, places: Places, names: list[str]) -> Iterator[Rows]:
        """Give some columns of rows of a segment, as ``Rows.columns``, and their targets without reading inputs."""
        raise NotImplementedError

    def narrow(self, spec: InputSpec) -> None:
        """Read no more than what a model takes.

        Raises:
            DataError: that is not there.
        """

    def identity(self) -> Any:
        """Return what tells this source from others without reading it: names and sizes."""
        raise NotImplementedError

    @property
    def starts(self) -> Places:
        """The number of each segment's first row."""
        return np.cumsum(self.sizes) - self.sizes


class Part:
    """The rows of a source that are for one split.

    Args:
        source: has them.
        splits: of each row of a segment, the number of its split in `SPLITS`; ``None`` if all rows are for this one.
        split: its number.
    """

    def __init__(
        self, source: Source, splits: Callable[[int], np.ndarray[Any, Any]] | None = None, split: int = 0
    ) -> None:
        self.source = source
        self._splits = splits
        self._split = split
        self.sizes = source.sizes
        if splits is not None:
            counts = [np.count_nonzero(splits(segment) == split) for segment in range(len(source.sizes))]
            self.sizes = np.array(counts, dtype=np.int64)
        self.starts = np.cumsum(self.sizes) - self.sizes

    def __len__(self) -> int:
        return int(self.sizes.sum())

    def places(self, segment: int) -> Places:
        """Return where its rows stand in a segment."""
        if self._splits is None:
            return np.arange(self.sizes[segment])
        return np.flatnonzero(self._splits(segment) == self._split)

    def numbers(self) -> Places:
        """Return the number of each of its rows in the source."""
        return np.concatenate(list(self.read_numbers()))

    def read_numbers(self) -> Iterator[Places]:
        """Give the numbers of its rows, segment by segment."""
        for segment, start in enumerate(self.source.starts):
            yield self.places(segment) + start

    def read(self, spans: Iterable[Span] | None = None) -> Iterator[tuple[Rows, Places]]:
        """Give rows, in parts, and where they stand in the split; all of them by default."""
        for span, places in self._chosen(spans):
            first = int(self.starts[span.segment]) + span.first
            for rows in self.source.read(span.segment, places):
                yield rows, np.arange(first, first + len(rows))
                first += len(rows)

    def read_columns(self, names: Sequence[str] = ()) -> Iterator[Rows]:
        """Give columns, and the targets, of all its rows, in parts."""
        for span, places in self._chosen(None):
            yield from self.source.read_columns(span.segment, places, list(names))

    def sample(self) -> Rows:
        """Return rows of a table, from segments all over it."""
        filled = np.flatnonzero(self.sizes)
        chosen = filled[np.unique(np.linspace(0, len(filled) - 1, SAMPLE_SEGMENTS).astype(np.int64))]
        share = -(-SAMPLE_ROWS // len(chosen))
        spans = [Span(int(segment), 0, min(int(self.sizes[segment]), share)) for segment in chosen]
        return _join([rows for rows, _ in self.read(spans)])

    def _chosen(self, spans: Iterable[Span] | None) -> Iterator[tuple[Span, Places]]:
        if spans is None:
            spans = (Span(segment, 0, int(size)) for segment, size in enumerate(self.sizes) if size)
        for span in spans:
            yield span, self.places(span.segment)[span.first : span.last]


def _join(parts: list[Rows]) -> Rows:
    return replace(
        parts[0],
        inputs=pd.concat(cast("list[pd.DataFrame]", [part.inputs for part in parts])),
        targets=None if parts[0].targets is None else pd.concat([part.targets for part in parts]),
        ids=np.concatenate([part.ids for part in parts]),
        columns=None,
    )


# Which rows are for which split


@dataclass(frozen=True)
class ByShares:
    """Shares out rows by a hash of seed and number: what a row is for can be told without reading any.

    Attributes:
        starts: the number of each segment's first row.
        sizes: rows of each segment.
        shares: of train, validation and test.
        seed: of the hash.
    """

    starts: Places
    sizes: Places
    shares: tuple[float, float, float]
    seed: int

    def __call__(self, segment: int) -> np.ndarray[Any, Any]:
        """Return the number of the split of each row of a segment."""
        numbers = np.arange(self.sizes[segment]) + self.starts[segment]
        return share_out(hash_numbers(numbers.astype(np.uint64), self.seed), self.shares)


@dataclass(frozen=True)
class ByColumn:
    """Shares out rows by what a column said when it was read.

    Attributes:
        splits: of each segment, the split of each row: a byte a row.
    """

    splits: list[np.ndarray[Any, Any]]

    def __call__(self, segment: int) -> np.ndarray[Any, Any]:
        """Return the number of the split of each row of a segment."""
        return self.splits[segment]


def hash_numbers(numbers: np.ndarray[Any, Any], seed: int) -> np.ndarray[Any, Any]:
    """Return a number in [0, 1) for each whole number, as if drawn at random (SplitMix64; Steele et al., 2014)."""
    mixed: np.ndarray[Any, Any] = (numbers + np.uint64(seed + 1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed += np.uint64((seed * 0xD1B54A32D192ED03) % 2**64)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) / 2**53


def share_out(drawn: np.ndarray[Any, Any], shares: tuple[float, float, float]) -> np.ndarray[Any, Any]:
    """Return the number of the split that each number in [0, 1) falls to."""
    filled = max(number for number, share in enumerate(shares) if share)
    return np.minimum(np.searchsorted(np.cumsum(shares), drawn, side="right"), filled).astype(np.int8)


def split_source(source: Source, split: Split, seed: int) -> dict[str, Part]:
    """Share out the rows of a source.

    Args:
        source: has them.
        split: how: by shares, groups, or a column that says so.
        seed: the same one gives the same splits.

    Raises:
        DataError: a split that was asked for is left with nothing, or a column can't be used.
    """
    splits: Callable[[int], np.ndarray[Any, Any]]
    if split.columns:
        splits = ByColumn([_read_splits(source, segment, split, seed) for segment in range(len(source.sizes))])
    else:
        splits = ByShares(source.starts, source.sizes, split.shares, seed)
    parts = {name: Part(source, splits, number) for number, name in enumerate(SPLITS)}
    for name, share in zip(SPLITS, split.shares, strict=True):
        if (name == "train" if split.column else share > 0) and not len(parts[name]):
            raise DataError(
                f"Every split that data.split asks for has rows. Received: {int(source.sizes.sum())} rows of "
                f"{source.path}, of which none is for {name}. Bring more rows, or set that share to 0."
            )
    return {name: part for name, part in parts.items() if len(part)}


def _read_splits(source: Source, segment: int, split: Split, seed: int) -> np.ndarray[Any, Any]:
    """Read the column that rows of a segment are split by, and return the number of the split of each."""
    (name,) = split.columns
    found = []
    for rows in source.read_columns(segment, np.arange(source.sizes[segment]), [name]):
        assert rows.columns is not None
        column = rows.columns[name]
        texts = column.astype(str).str.strip()
        given = texts.str.lower().map(SPELLINGS) if split.column else texts.where(texts != "")
        bad = (given.isna() | column.isna()).to_numpy()
        if bad.any():
            place = int(bad.argmax())
            what = "says for each row train, val or test" if split.column else "has a value in every row"
            raise DataError(
                f"A column to split by {what}. Received in column {name!r}: {column.astype(object).iloc[place]!r} at "
                f"{rows.where(column, place)}."
            )
        if split.column:
            found.append(given.map({known: number for number, known in enumerate(SPLITS)}).to_numpy(dtype=np.int8))
        else:  # whole numbers with holes are floats; a group is the same group in every file
            values = column.astype(float) if pd.api.types.is_numeric_dtype(column) else texts.astype(object)
            hashed = pd.util.hash_pandas_object(values, index=False).to_numpy(dtype=np.uint64)
            found.append(share_out(hash_numbers(hashed, seed), split.shares))
    return np.concatenate(found) if found else np.empty(0, dtype=np.int8)
