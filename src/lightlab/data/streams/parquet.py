"""Parquet files that do not fit in memory, read by row groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from lightlab.data.base import say
from lightlab.data.files import check_columns, target_names
from lightlab.data.findings import find_leaks
from lightlab.data.rows import Places, Rows
from lightlab.data.streams.learn import TableLearner
from lightlab.data.streams.source import Part, Source, find_files
from lightlab.data.streams.stream import StreamData
from lightlab.data.tables.features import Embeddings, TableOptions, check_trained_columns, describe_fill, encode_table
from lightlab.data.tables.read_table import INDEX, PARQUET
from lightlab.data_spec import InputSpec
from lightlab.errors import DataError

#: Rows that are decoded at once.
CHUNK_ROWS = 8_192
#: Bytes of a column that are read at once, so that a row group is never in memory as a whole.
READ_BYTES = 1 << 18


class ParquetSource(Source):
    """The rows of Parquet files of the same columns, a segment a row group.

    Args:
        path: as it was given, for messages.
        files: in order.

    Raises:
        DataError: a file that can't be read, or of other columns than the first; or no rows at all.
    """

    def __init__(self, path: str, files: list[Path]) -> None:
        self.path = path
        self.files = files
        self.inputs: list[str] = []
        self.targets: list[str] = []
        self.groups: list[tuple[int, int]] = []
        self.columns: dict[str, str] = {}
        sizes = []
        for number, file in enumerate(files):
            metadata, columns = _read_footer(file)
            self.columns = self.columns or columns
            _check_same_columns(self.columns, columns, files[0], file)
            self.groups += [(number, group) for group in range(metadata.num_row_groups)]
            sizes += [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        self.sizes = np.array(sizes, dtype=np.int64)
        if not self.sizes.sum():
            raise DataError(f"A table has rows. {path} has none.")

    def read(self, segment: int, places: Places) -> Iterator[Rows]:
        """Give rows of a row group, 8,192 at most at once."""
        for frame in self._frames(segment, places, [*self.inputs, *(self.targets if self.has_targets else [])]):
            yield self._rows(frame, frame[self.inputs])

    def read_columns(self, segment: int, places: Places, names: list[str]) -> Iterator[Rows]:
        """Give columns of rows of a row group; no other is read."""
        for frame in self._frames(segment, places, [*names, *(self.targets if self.has_targets else [])]):
            yield self._rows(frame, frame[[]], frame[names])

    def narrow(self, spec: InputSpec) -> None:
        """Read the columns alone that the model takes."""
        self.inputs = check_trained_columns(spec, list(self.columns), self.path)

    def identity(self) -> Any:
        """Return name and size of each file, and its row groups."""
        return [[file.name, file.stat().st_size] for file in self.files], self.groups

    def locate(self, number: Any) -> str:
        """Return where a row stands."""
        segment = int(np.searchsorted(self.starts, number, side="right")) - 1
        file, group = self.groups[segment]
        first = self.starts[[other for other, _ in self.groups].index(file)]
        return f"{self.files[file]}, row {number - first} (row group {group})"

    def _rows(self, frame: pd.DataFrame, inputs: pd.DataFrame, columns: pd.DataFrame | None = None) -> Rows:
        targets = frame[self.targets] if self.has_targets else None
        known = None if targets is None else targets.apply(lambda column: column.where(column != ""))
        return Rows(inputs, known, frame.index.to_numpy(), self.path, columns=columns, locate=self.locate)

    def _frames(self, segment: int, places: Places, names: list[str]) -> Iterator[pd.DataFrame]:
        file, group = self.groups[segment]
        names = list(dict.fromkeys(names))
        try:
            with pq.ParquetFile(self.files[file], pre_buffer=False, buffer_size=READ_BYTES) as opened:
                begin = 0
                for batch in opened.iter_batches(CHUNK_ROWS, row_groups=[group], columns=names, use_threads=False):
                    own = places[slice(*np.searchsorted(places, [begin, begin + batch.num_rows]))]
                    if len(own):
                        chosen = batch if len(own) == batch.num_rows else batch.take(pa.array(own - begin))
                        frame = pa.Table.from_batches([chosen]).to_pandas(ignore_metadata=True)
                        yield frame.set_axis(own + self.starts[segment])
                        if own[-1] == places[-1]:
                            break
                    begin += batch.num_rows
        except (pa.ArrowException, OSError) as cause:
            raise DataError(f"{self.files[file]} can't be read as Parquet, in row group {group}: {cause}.") from cause
        finally:
            pa.default_memory_pool().release_unused()


class ParquetStream(StreamData):
    """Rows of Parquet files that do not fit in memory.

    The columns are taken for what `TableData` takes them for, and a model that was trained by the one can be used by
    the other. What a column is, shows in a sample of 50,000 rows of the train split; a value that does not fit, in
    any other row, is an error. Statistics are those of all rows of the train split; only medians are, of very many
    rows, those of a random part (a million numbers).

    Memory is bounded by the rows of ``shuffle_buffer`` for each worker, however large the row groups are; shuffling
    is the better, the more row groups there are. Batches of a table are made faster than processes pass them on, so
    that by default no workers are started. Rows that stand in two splits are not looked for.

    Args:
        path: a file, a folder, or a pattern such as ``data/*.parquet``: its rows are split.
        target: the column to predict, or several of them.
        numeric: columns of numbers; a text in one is then an error.
        categorical: columns of categories, though they be numbers.
        dates: columns of dates, and the form of each, as in ``{born: "%d/%m/%Y"}``.
        ignore: columns that are neither input nor target.
        id_column: the column that says what rows are called in predictions; it is no input.
        missing_numbers: ``median``, ``mean`` or ``error``.
        missing_categories: ``category`` or ``error``.
        embeddings: which categories become learned vectors and not one-hot features: those of more than 32 values
            (``auto``), ``all``, ``none``, or the length of the vector for each column, as in ``{city: 8}``.
        options: those of `lightlab.data.streams.stream.StreamData`.

    Raises:
        ConfigError: options that contradict each other.

    Example:
        >>> import pandas as pd
        >>> houses = pd.DataFrame({"area": range(50, 150), "rooms": [1, 2, 3, 4] * 25, "price": range(0, 200, 2)})
        >>> houses.to_parquet("houses.parquet", row_group_size=20)
        >>> data = ParquetStream("houses.parquet", "price", ignore=["area"], num_workers=0)
        >>> data.connect("regression").input.columns
        numeric: rooms
        ('rooms',)
    """

    def __init__(
        self,
        path: str | None = None,
        target: str | list[str] | None = None,
        numeric: list[str] | None = None,
        categorical: list[str] | None = None,
        dates: dict[str, str] | None = None,
        ignore: list[str] | None = None,
        id_column: str | None = None,
        missing_numbers: Literal["median", "mean", "error"] = "median",
        missing_categories: Literal["category", "error"] = "category",
        embeddings: Embeddings = "auto",
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.targets = target_names(target)
        self.id_column = id_column
        columns = {"numeric": numeric, "categorical": categorical, "dates": dates, "ignore": ignore}
        missing = {"missing_numbers": missing_numbers, "missing_categories": missing_categories}
        self.roles = TableOptions.parse("ParquetStream", **columns, **missing, embeddings=embeddings)
        self.roles.check_roles(self.targets, id_column)

    def open(self, path: str, split: str, spec: InputSpec | None) -> Source:
        """Return the rows of Parquet files.

        Raises:
            DataError: a file that can't be read, or lacks a column that was named.
        """
        source = ParquetSource(path, find_files(path, PARQUET))
        roles = self.roles
        named = [*self.targets, *roles.ignore, *roles.numeric, *roles.categorical, *roles.dates]
        asked = self.split.columns if split == "all" else []
        header = pd.DataFrame(columns=list(source.columns))
        # Rows to predict need no more than what the model was trained on, and what they are called.
        check_columns(header, path, [*([] if split == "predict" else named), *asked, *filter(None, [self.id_column])])
        source.inputs = roles.inputs(source.columns, [*self.targets, self.id_column, *self.split.columns])
        source.targets = self.targets
        source.has_targets = bool(self.targets) and all(name in source.columns for name in self.targets)
        if spec:
            source.narrow(spec)
        return source

    def learn_stream(self, part: Part) -> InputSpec:
        """Learn what the columns are and hold, and say it; leaks are looked for in the sample."""
        sample = part.sample()
        self.findings += find_leaks(sample)
        learner = TableLearner(sample, self.roles)
        for rows, _ in part.read():
            learner.update(rows)
        spec, roles = learner.learn(self.normalize)
        for line in [*roles.describe(), *describe_fill(spec, self.roles)]:
            say(line)
        return spec

    def make_encoder(self, spec: InputSpec) -> Callable[[Rows], Tensor]:
        """Return what encodes rows; of what a column has that training had not, each process says so once."""
        return partial(encode_table, spec=spec, missing_categories=self.roles.missing_categories, said=set())

    def choose_workers(self, processes: int) -> int:
        """Return 0: batches of a table are made faster than processes pass them on."""
        return 0

    def read_ids(self, part: Part) -> tuple[str, Iterator[np.ndarray[Any, Any]]]:
        """Return the values of the id column, else the numbers of the rows in the files."""
        if not self.id_column:
            return super().read_ids(part)
        tables = (rows.columns for rows in part.read_columns([self.id_column]) if rows.columns is not None)
        return self.id_column, (table[self.id_column].to_numpy() for table in tables)


def _read_footer(file: Path) -> tuple[Any, dict[str, str]]:
    """Return what a file says of itself, and of each column what it holds."""
    try:
        with pq.ParquetFile(file) as opened:
            metadata, schema = opened.metadata, opened.schema_arrow
    except (pa.ArrowException, OSError) as cause:
        raise DataError(f"{file} can't be read as Parquet: {cause}.") from cause
    columns: dict[str, str] = {}
    for field in schema:
        if INDEX.fullmatch(field.name):
            continue
        if field.name in columns:
            raise DataError(f"A column name stands once in a table. {file} has {field.name!r} more than once.")
        columns[field.name] = _kind(field.type)
    return metadata, columns


def _kind(kind: Any) -> str:
    if pa.types.is_dictionary(kind):
        return _kind(kind.value_type)
    numeric = pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    if numeric or pa.types.is_decimal(kind):
        return "numbers"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return "text"
    return "dates" if pa.types.is_temporal(kind) else str(kind)


def _check_same_columns(wanted: dict[str, str], columns: dict[str, str], first: Path, file: Path) -> None:
    for name in (*wanted, *columns):
        here, there = (held.get(name, "no such column") for held in (columns, wanted))
        if here != there:
            raise DataError(
                f"The files of a stream have the same columns. Received in column {name!r}: {there} in {first}, {here} "
                f"in {file}."
            )
