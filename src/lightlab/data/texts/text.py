"""Texts: a column of a table, as codes of words or characters."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightlab.data.base import say
from lightlab.data.rows import Rows, Stored, shorten
from lightlab.data.tables.frames import FrameData
from lightlab.data.texts.tokens import (
    SPECIAL,
    UNKNOWN,
    Tokenized,
    encode_tokens,
    find_codes,
    learn_vocabulary,
    tokenize,
)
from lightlab.data_spec import InputSpec, Tokens
from lightlab.errors import ConfigError, DataError

#: By default so many of 100 texts of the train split keep all of their tokens.
PERCENTILE = 95


class TextData(FrameData):
    """A column of texts in a CSV, TSV or Parquet file, and a target; `from_frame` takes pandas' DataFrames.

    Texts become codes of their words, for a layer ``embedding``, which finds out by itself how many there are. The
    vocabulary and the length are learned from the train split. A text that is longer loses its end; a shorter one has
    padding before it, and one that is missing or empty has nothing else. A word that is not in the vocabulary has a
    code of its own. All of these are counted and said.

    Args:
        path: the file whose rows are split.
        text: the column of texts; by default ``text``, or that which a trained model knows.
        target: the column to predict, or several of them.
        tokens: what a text is cut into: ``words`` (a mark of punctuation is one, too) or ``characters``.
        length: of all texts, in words or characters; by default what 95 of 100 texts of the train split keep to.
        vocabulary_size: how many words have a code of their own at most, the most frequent first.
        lower: whether texts are put in lower case.
        min_count: how often a word stands in the train split at least, to have a code of its own.
        options: those of `lightlab.data.tables.frames.FrameData`: how the file is written, an id column, files for each
            split, or to predict, and all its own.

    Raises:
        ConfigError: options that contradict each other.

    Example:
        >>> import pandas as pd
        >>> reviews = pd.DataFrame({"text": ["Good fun!", "Not good."] * 50, "liked": ["yes", "no"] * 50})
        >>> data = TextData.from_frame(reviews, "liked", length=4)
        >>> spec = data.connect("binary")
        vocabulary: 5 different words in the 70 texts of train
        warning: ...
        >>> spec.input.vocabulary
        ('', '[UNK]', 'good', '.', 'not', '!', 'fun')
        >>> data.encode_input(data.rows["train"].take(np.array([0])), spec.input).tolist()
        [[0, 2, 6, 5]]
    """

    def __init__(
        self,
        path: str | None = None,
        text: str | None = None,
        target: str | list[str] | None = None,
        tokens: Tokens = "words",
        length: int | None = None,
        vocabulary_size: int = 10_000,
        lower: bool = True,
        min_count: int = 1,
        **options: Any,
    ) -> None:
        super().__init__(path, target, **options)
        self.text_column = text or "text"
        if self.text_column in [*self.targets, self.id_column]:
            raise ConfigError.at(
                ("data", "text"), f"A column has one role. Received: {self.text_column!r} for another, too."
            )
        for name, value in (("length", length), ("vocabulary_size", vocabulary_size), ("min_count", min_count)):
            if value is not None and value < 1:
                raise ConfigError.at(("data", name), f"{name} is 1 or more. Received: {value}.")
        self._column_given = text is not None
        self.tokens: Tokens = tokens
        self.length = length
        self.vocabulary_size = vocabulary_size
        self.lower = lower
        self.min_count = min_count

    def needed_columns(self, split: str) -> list[str]:
        """Return the column of texts, and those of the target where it is learned or compared."""
        return [self.text_column, *([] if split == "predict" else self.targets)]

    def input_columns(self, table: pd.DataFrame) -> list[str]:
        """Return the column of texts."""
        return [self.text_column]

    def adapt(self, spec: InputSpec) -> None:
        """Read the column that a trained model knows, unless another is named."""
        if spec.text and not self._column_given:
            self.text_column = spec.text

    def learn_input(self, rows: Rows) -> InputSpec:
        """Learn the vocabulary, and how long texts are, and say it.

        Raises:
            DataError: no text has a word.
        """
        texts = tokenize(_texts(rows), self.tokens, self.lower)
        if not len(texts.places):
            raise DataError(f"Texts have {self.tokens}. Received: none in all {len(rows)} rows of {rows.source}.")
        vocabulary = learn_vocabulary(texts, self.vocabulary_size, self.min_count)
        if len(vocabulary) == len(SPECIAL):
            raise DataError(f"No word stands {self.min_count} times in the train split: lower data.min_count.")
        kept, found = len(vocabulary) - len(SPECIAL), len(texts.tokens)
        rare = "" if kept == found else f", of which the {kept} most frequent have codes"
        say(f"vocabulary: {found} different {self.tokens} in the {len(rows)} texts of train{rare}")
        length = self.length
        if length is None:
            length = max(1, int(np.ceil(np.percentile(texts.lengths, PERCENTILE))))
            say(f"length: {length} {self.tokens}, which {PERCENTILE} of 100 texts of train keep to; see data.length")
        known: dict[str, Any] = {"vocabulary": vocabulary, "tokens": self.tokens, "lower": self.lower}
        return InputSpec((length,), (), (), kind="text", text=self.text_column, **known)

    def encode_input(self, rows: Rows, spec: InputSpec) -> Tensor | Stored:
        """Return codes, (rows, length).

        Raises:
            DataError: the model takes no texts.
        """
        if spec.kind != "text" or spec.tokens is None:
            raise DataError(f"The model takes inputs of kind {spec.kind}. Received: texts, from {rows.source}.")
        column = _texts(rows)
        texts = tokenize(column, spec.tokens, spec.lower)
        for line in _describe(rows, column, texts, spec):
            say(line)
        return torch.from_numpy(encode_tokens(texts, spec.vocabulary, spec.shape[0]))


def _texts(rows: Rows) -> pd.Series[Any]:
    """Return the column of texts.

    Raises:
        DataError: a value is something else.
    """
    if not isinstance(rows.inputs, pd.DataFrame):
        raise DataError(f"Texts stand in a column of a table. Received: arrays, from {rows.source}.")
    column = rows.inputs.iloc[:, 0].astype(object)
    other = ~(column.isna() | column.map(lambda value: isinstance(value, str))).to_numpy(dtype=bool)
    if other.any():
        place = int(other.argmax())
        raise DataError(
            f"A column of texts has nothing but text. Received in column {column.name!r}: {column.iloc[place]!r} at "
            f"{rows.where(column, place)}, and so in {int(other.sum())} of {len(rows)} rows."
        )
    return column


def _describe(rows: Rows, column: pd.Series[Any], texts: Tokenized, spec: InputSpec) -> list[str]:
    """Return what is to be said of texts that a model does not see whole."""
    lines, length = [], spec.shape[0]
    of_rows = f"of {len(rows)} texts of {rows.source}"
    empty, long = texts.lengths == 0, texts.lengths > length
    if empty.any():
        first = rows.where(column, int(empty.argmax()))
        lines.append(f"empty: {int(empty.sum())} {of_rows} have no {spec.tokens}, the first at {first}")
    if long.any():
        lines.append(f"cut off: {int(long.sum())} {of_rows} after {length} {spec.tokens}")
    counts = np.bincount(texts.places, minlength=len(texts.tokens))
    counts[find_codes(texts, spec.vocabulary) != UNKNOWN] = 0
    unknown, total = int(counts.sum()), len(texts.places)
    if unknown:
        shown = ", ".join(
            repr(shorten(texts.tokens[place])) for place in np.argsort(-counts, kind="stable")[:3] if counts[place]
        )
        lines.append(
            f"unknown: {unknown} of {total} {spec.tokens} ({unknown / total:.1%}) of {rows.source} are not in the "
            f"vocabulary: {shown}"
        )
    return lines
