"""Texts as codes of their words or characters: pure functions, over all texts at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from lightlab.data_spec import Tokens

#: The first two entries of every vocabulary, as in Keras: what fills up short texts, and what training has not.
PADDING, UNKNOWN = 0, 1
SPECIAL = ("", "[UNK]")


@dataclass(frozen=True)
class Tokenized:
    """Texts, cut into tokens.

    Attributes:
        tokens: the different ones.
        places: of each token of all texts, one text after the other, where it stands in ``tokens``.
        lengths: how many tokens each text has, (texts,).
    """

    tokens: tuple[str, ...]
    places: np.ndarray[Any, np.dtype[np.int64]]
    lengths: np.ndarray[Any, np.dtype[np.int64]]


def tokenize(texts: pd.Series[Any], tokens: Tokens = "words", lower: bool = True) -> Tokenized:
    """Cut texts into words or characters; a missing text has none.

    Words are what stands between spaces, and each mark of punctuation and each symbol is a word of its own: much as
    torchtext's ``basic_english`` has it, but by the classes of Unicode, and so in every script. Text is brought into
    Unicode's normal form C first: an é is the same however it was typed.

    Args:
        texts: of text, (texts,).
        tokens: ``words`` or ``characters``.
        lower: whether a text is put in lower case first.

    Example:
        >>> found = tokenize(pd.Series(["Well, don't!", None]))
        >>> [found.tokens[place] for place in found.places], found.lengths.tolist()
        (['well', ',', 'don', "'", 't', '!'], [6, 0])
    """
    array = pc.utf8_normalize(pc.fill_null(pa.array(texts, type=pa.large_string(), from_pandas=True), ""), form="NFC")
    array = pc.utf8_lower(array) if lower else array
    return _characters(array) if tokens == "characters" else _words(array)


def _words(array: Any) -> Tokenized:
    apart = pc.replace_substring_regex(array, pattern=r"([\p{P}\p{S}])", replacement=r" \1 ")
    lists = pc.utf8_split_whitespace(apart)
    words, texts = pc.list_flatten(lists), pc.list_parent_indices(lists).to_numpy()
    kept = pc.not_equal(words, "")  # what is cut off at the ends
    encoded = words.filter(kept).dictionary_encode()
    lengths = np.bincount(texts[kept.to_numpy(zero_copy_only=False)], minlength=len(array))
    return Tokenized(tuple(encoded.dictionary.to_pylist()), encoded.indices.to_numpy().astype(np.int64), lengths)


def _characters(array: Any) -> Tokenized:
    points = np.frombuffer("".join(array.to_pylist()).encode("utf-32-le"), dtype="<u4")
    distinct, places = np.unique(points, return_inverse=True)
    lengths = pc.utf8_length(array).to_numpy().astype(np.int64)
    return Tokenized(tuple(map(chr, distinct.tolist())), places.astype(np.int64), lengths)


def learn_vocabulary(texts: Tokenized, most: int, min_count: int = 1) -> tuple[str, ...]:
    """Return the tokens in the order of their codes: padding, what is unknown, then the most frequent first.

    Args:
        texts: of the train split.
        most: how many tokens have a code at most.
        min_count: how often a token stands in the texts at least.

    Example:
        >>> learn_vocabulary(tokenize(pd.Series(["b a c b"])), most=2)
        ('', '[UNK]', 'b', 'a')
    """
    counts = np.bincount(texts.places, minlength=len(texts.tokens)).tolist()
    common = [(-count, token) for token, count in zip(texts.tokens, counts, strict=True) if count >= min_count]
    return *SPECIAL, *(token for _, token in sorted(common)[:most])


def find_codes(texts: Tokenized, vocabulary: tuple[str, ...]) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return the code of each of the different tokens, (tokens,); that of unknown ones for those without."""
    known = {token: code for code, token in enumerate(vocabulary)}
    # No token of a text is special: words keep no brackets, and characters are one long.
    return np.array([known.get(token, UNKNOWN) for token in texts.tokens], dtype=np.int64)


def encode_tokens(texts: Tokenized, vocabulary: tuple[str, ...], length: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return texts as codes, (texts, length): long ones without their end, short ones with padding before them.

    What is read last is then a text's own last token: with padding there, a recurrent layer has forgotten the text
    by the time that it is asked (Dwarampudi and Reddy 2019, https://arxiv.org/abs/1903.07288).

    Args:
        texts: the texts.
        vocabulary: tokens in the order of their codes.
        length: of all texts, in tokens.

    Example:
        >>> encode_tokens(tokenize(pd.Series(["a b", "b c b a"])), ("", "[UNK]", "a", "b"), 3).tolist()
        [[0, 2, 3], [3, 1, 3]]
    """
    text = np.repeat(np.arange(len(texts.lengths)), texts.lengths)
    step = np.arange(len(text)) - np.repeat(np.cumsum(texts.lengths) - texts.lengths, texts.lengths)
    kept = step < length
    column = step + np.repeat(length - np.minimum(texts.lengths, length), texts.lengths)
    encoded = np.full((len(texts.lengths), length), PADDING, dtype=np.int64)
    encoded[text[kept], column[kept]] = find_codes(texts, vocabulary)[texts.places[kept]]
    return encoded
