"""Tables in files: CSV and TSV, every value as text, and Parquet."""

from __future__ import annotations

import csv
import re
import sys
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
from lightning.pytorch.utilities import rank_zero_only
from pandas.api.types import is_numeric_dtype

from lightlab import terminal
from lightlab.data.tables.columns import MISSING, read_clean_texts
from lightlab.errors import ConfigError, DataError, did_you_mean, sentences

PARQUET = (".parquet", ".pq")
TABS = (".tsv", ".tab")
#: What a first column without a name is called.
UNNAMED = "unnamed"
#: The index of a DataFrame, as pandas writes it into Parquet.
INDEX = re.compile(r"__index_level_\d+__")
#: Bytes of a CSV file that are read at once; more where a line is longer, up to what Arrow can.
BLOCK, LARGEST_BLOCK = 8 << 20, (1 << 31) - 1
#: Other separators that people use, by which a file with one wide column is recognised.
SEPARATORS = ",;\t|"

say = rank_zero_only(terminal.say)


@dataclass(frozen=True)
class TextForm:
    """How a table is written as text.

    Attributes:
        separator: of values; by default a tab in .tsv and .tab files, and a comma elsewhere.
        decimal: what stands before a number's fraction, a point or a comma.
        encoding: of the text.
    """

    separator: str | None = None
    decimal: str = "."
    encoding: str = "utf-8"

    def __post_init__(self) -> None:
        if self.separator == "\\t":  # as it is typed in a shell
            object.__setattr__(self, "separator", "\t")
        if self.separator is not None and len(self.separator) != 1:
            raise ConfigError.at(
                ("data", "separator"), f"separator is one character, such as ';'. Received: {self.separator!r}."
            )

    def separator_of(self, path: str) -> str:
        """Return what separates the values of a file."""
        return self.separator or ("\t" if path.lower().endswith(TABS) else ",")

    def reader(self, path: str, strict: bool = True) -> Iterator[tuple[int, list[str]]]:
        """Give the lines of a file that are not blank: the number of the line that each starts on, and its values."""
        csv.field_size_limit(sys.maxsize)
        # By utf-8-sig a byte order mark is no part of the text.
        encoding = "utf-8-sig" if self.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else self.encoding
        with open(path, newline="", encoding=encoding) as stream:
            lines = csv.reader(stream, delimiter=self.separator_of(path), strict=strict)
            number = 1
            for line in lines:
                if line:
                    yield number, line
                number = lines.line_num + 1


def read_table(path: str, form: TextForm = TextForm(), text: Collection[str] | Literal["all"] = "all") -> pd.DataFrame:
    """Read a table by its file's ending: Parquet, or CSV with a header line.

    Args:
        path: of the file.
        form: how it is written, if it is text.
        text: columns of CSV that stay text. Others become numbers where they hold nothing else, which takes a
            fraction of the memory; what they were written like is lost.

    Raises:
        DataError: no such file, not a table, no rows, lines of another length than the header, or a column name twice.
    """
    file = find_file(path, "A table is read from a CSV or Parquet file")
    if file.suffix.lower() in PARQUET:
        return _read_parquet(file, path)
    header = read_header(path, form)
    table = _read_csv(path, form, set(header) - set(header if text == "all" else text), header, BLOCK)
    if "" in table:  # as pandas writes the numbers of the rows
        table = table.rename(columns={"": UNNAMED})
        say(f"column 1 of {path} has no name: it is called {UNNAMED}")
    if not len(table):
        raise DataError(f"A CSV file has rows below its header. {path} has none.")
    return table


def find_file(path: str, rule: str) -> Path:
    """Return the path of a file that is there.

    Raises:
        DataError: it is not; with the files beside it that are nearly called so.
    """
    file = Path(path)
    try:
        if file.is_file():
            return file
        what = "a folder" if file.is_dir() else "no such file"
        others = [] if file.is_dir() or not file.parent.is_dir() else [other.name for other in file.parent.iterdir()]
    except OSError as cause:
        raise DataError(f"{rule}. Received: {path} ({cause.strerror}).", about=path) from cause
    raise DataError(sentences(f"{rule}. Received: {path} ({what}).", did_you_mean(file.name, others)), about=path)


def locate_row(path: str, form: TextForm, row: Any) -> str:
    """Return where a row of a table stands in its file: by line in text, blank lines and broken ones counted."""
    if path.lower().endswith(PARQUET):
        return f"{path}, row {row}"
    number, _ = next(islice(form.reader(path, strict=False), int(row) + 1, None))
    return f"{path}:{number}"


def read_header(path: str, form: TextForm) -> list[str]:
    """Return the names of the columns of a CSV file.

    Raises:
        DataError: the file can't be read, or its first line is no header.
    """
    try:
        _, header = next(form.reader(path), (1, []))
    except (UnicodeError, LookupError) as cause:
        raise _wrong_encoding(path, form.encoding, cause) from cause
    except (OSError, csv.Error) as cause:
        raise DataError(f"{path} can't be read as CSV: {cause}.") from cause
    separator = form.separator_of(path)
    if not header:
        raise DataError(f"A CSV file starts with a line of column names. {path} is empty.")
    others = [other for other in SEPARATORS if other != separator and other in header[0]]
    if len(header) == 1 and others:
        raise DataError(
            f"The values of a CSV file are separated by {_name(separator)}. Received in {path}:1: {header[0]!r}. "
            f"Set data.separator, as in {others[0]!r}."
        )
    if "" in map(str.strip, header[1:]):
        place = [name.strip() for name in header].index("", 1) + 1
        raise DataError(f"Every column of a CSV file has a name. In {path}:1 column {place} has none.")
    if all(_is_number(name) for name in header):
        raise DataError(
            f"A CSV file starts with a line of column names. {path}:1 has numbers: {', '.join(header[:5])}."
        )
    twice = [name for name, count in Counter(header).items() if count > 1]
    if twice:
        raise DataError(f"A column name stands once in a CSV file's header. {path}:1 has {twice[0]!r} more than once.")
    return header


def _read_csv(path: str, form: TextForm, candidates: set[str], header: list[str], block: int) -> pd.DataFrame:
    """Read a CSV file; those of the candidates that hold nothing but numbers become numbers.

    The first block tells which these are. Where a later one has text in such a column, all is read as text.
    A line has to fit in a block: where one does not, all is read in larger ones.
    """
    try:
        with _open_csv(path, form, dict.fromkeys(header, pa.large_string()), block) as reader:
            first = next(iter(reader), None)
        texts = _as_frame(pa.table(first), form, path) if first is not None else pd.DataFrame()
        numeric = {name for name in candidates & set(texts) if _has_numbers(texts[name])}
        try:
            return _read_whole(path, form, header, numeric, block)
        except pa.ArrowInvalid:
            table = _read_whole(path, form, header, set(), block)
            numbers = {name: read_clean_texts(table[name]) for name in numeric}
            return table.assign(**{name: values for name, values in numbers.items() if values is not None})
    except (pa.ArrowInvalid, pa.ArrowKeyError, UnicodeError, OSError) as cause:
        _find_bad_line(path, form)
        largest = min(2 * Path(path).stat().st_size, LARGEST_BLOCK)  # in UTF-8 text of another encoding may be longer
        if "straddl" in str(cause) and block < largest:
            return _read_csv(path, form, candidates, header, min(8 * block, largest))
        raise DataError(f"{path} can't be read as CSV: {cause}.") from cause


def _has_numbers(column: pd.Series[Any]) -> bool:
    """Return whether a column of text has numbers, and nothing else but missing ones."""
    numbers = read_clean_texts(column)
    return numbers is not None and not np.isnan(numbers).all()


def _open_csv(path: str, form: TextForm, types: dict[str, Any], block: int) -> Any:
    return arrow_csv.open_csv(
        path,
        read_options=arrow_csv.ReadOptions(encoding=form.encoding, block_size=block),
        parse_options=arrow_csv.ParseOptions(delimiter=form.separator_of(path), newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types=types,
            null_values=sorted({cased for word in MISSING for cased in (word, word.upper(), word.title(), "NaN")}),
            strings_can_be_null=False,
            decimal_point=form.decimal,
        ),
    )


def _read_whole(path: str, form: TextForm, header: list[str], numeric: set[str], block: int) -> pd.DataFrame:
    types = {name: pa.float64() if name in numeric else pa.large_string() for name in header}
    with _open_csv(path, form, types, block) as reader:
        return _as_frame(reader.read_all(), form, path)


def _as_frame(table: Any, form: TextForm, path: str) -> pd.DataFrame:
    """Return a table of Arrow's, which is used up, as one of pandas'; its text has points in its numbers."""
    names = table.column_names
    frame: pd.DataFrame = table.to_pandas(split_blocks=True, self_destruct=True)
    if form.decimal == ".":
        return frame
    texts = [name for name in names if not is_numeric_dtype(frame[name])]
    return frame.assign(**{name: _with_points(frame[name], form.decimal, path) for name in texts})


def _find_bad_line(path: str, form: TextForm) -> None:
    """Say which line can't be read."""
    number = 0
    try:
        lines = form.reader(path)
        _, header = next(lines)
        for number, line in lines:
            if len(line) != len(header):
                raise DataError(
                    f"Every line has as many values as the header, {len(header)}. {path}:{number} has {len(line)}."
                )
    except UnicodeError as cause:
        raise _wrong_encoding(path, form.encoding, cause) from cause
    except (OSError, csv.Error) as cause:
        raise DataError(f"{path} can't be read as CSV after line {number}: {cause}.") from cause


def _wrong_encoding(path: str, encoding: str, cause: Exception) -> DataError:
    if isinstance(cause, LookupError):
        return DataError(f"data.encoding is one that Python knows, such as utf-8 or latin-1. Received: {encoding}.")
    return DataError(
        f"A CSV file is text in {encoding.upper()}. Received: {path}: {cause}. Set data.encoding, as in latin-1, if it "
        f"is in another."
    )


def _name(separator: str) -> str:
    return {",": "commas", "\t": "tabs", ";": "semicolons"}.get(separator, repr(separator))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _with_points(column: pd.Series[Any], decimal: str, path: str) -> pd.Series[Any]:
    """Return a column in which numbers are written with a point before the fraction, and none between thousands.

    Raises:
        DataError: a number with a point before its fraction.
    """
    fraction = rf"[-+]?\d*{decimal}\d+([eE][-+]?\d+)?"
    thousands = rf"[-+]?\d{{1,3}}(\.\d{{3}})+({decimal}\d+)?"
    trimmed = column.str.strip()
    number = trimmed.str.fullmatch(rf"{fraction}|{thousands}")
    plain = trimmed.str.replace(".", "", regex=False).str.replace(decimal, ".", regex=False)
    points = trimmed.str.fullmatch(r"[-+]?\d*\.\d+") & ~number
    column = column.where(~number, plain)
    if points.any() and _has_numbers(column):
        place = int(points.to_numpy().argmax())
        raise DataError(
            f"With data.decimal {decimal!r} a point stands between thousands. Received in column {column.name!r} of "
            f"{path}, row {place}: {column.iloc[place]!r}."
        )
    return column


def _read_parquet(file: Path, path: str) -> pd.DataFrame:
    try:
        table = pq.read_table(file)
    except (pa.ArrowException, OSError) as cause:
        raise DataError(f"{path} can't be read as Parquet: {str(cause).rstrip('.')}.") from cause
    twice = [name for name, count in Counter(table.column_names).items() if count > 1]
    if twice:
        raise DataError(f"A column name stands once in a table. {path} has {twice[0]!r} more than once.")
    if not table.num_rows:
        raise DataError(f"A table has rows. {path} has none.")
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return without_index(frame, path)


def without_index(frame: pd.DataFrame, source: str) -> pd.DataFrame:
    """Return a table without the index that pandas kept in it, and say that it is left out."""
    names = [name for name in map(str, frame) if INDEX.fullmatch(name)]
    if names:
        say(f"left out: {', '.join(names)} of {source} (the index of a DataFrame)")
    return frame.drop(columns=names)
