"""Texts become codes: pure functions, over all texts at once."""

import pandas as pd
import pytest

from lightlab.data.texts.tokens import SPECIAL, encode_tokens, learn_vocabulary, tokenize


def cut(text, *options):
    """Return the tokens of one text."""
    found = tokenize(pd.Series([text], dtype=object), *options)
    assert found.lengths.tolist() == [len(found.places)]
    return [found.tokens[place] for place in found.places]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("  Good   FUN\t\n", ["good", "fun"]),
        ("Well, don't!", ["well", ",", "don", "'", "t", "!"]),
        ("3.5% of €10", ["3", ".", "5", "%", "of", "€", "10"]),
        ("snake_case", ["snake", "_", "case"]),
        ("हिन्दी भाषा", ["हिन्दी", "भाषा"]),
        ("cafe\u0301 caf\u00e9", ["caf\u00e9", "caf\u00e9"]),
        ("ÄRGER\u00a0ЖЩ", ["ärger", "жщ"]),
        ("🙂🙂", ["🙂", "🙂"]),
        ("\u3000", []),
        ("", []),
        (None, []),
        (float("nan"), []),
    ],
)
def test_words(text, words):
    """Words stand between spaces of any kind; marks and symbols are words; é is é in either form."""
    assert cut(text) == words


def test_case_is_kept_where_it_matters():
    """Texts are put in lower case only when that is asked for."""
    assert cut("Good FUN", "words", False) == ["Good", "FUN"]
    assert cut("Ab", "characters", False) == ["A", "b"]


def test_characters():
    """Each character is a token, spaces and those beyond 16 bits too."""
    assert cut("A b🙂", "characters") == ["a", " ", "b", "🙂"]
    assert cut(None, "characters") == []


@pytest.mark.parametrize("tokens", ["words", "characters"])
def test_texts_stay_apart(tokens):
    """Tokens are counted for the text that they stand in, and empty texts between are not lost."""
    texts = tokenize(pd.Series(["", "a b", None, " ", "c", ""]), tokens)
    assert texts.lengths.tolist() == {"words": [0, 2, 0, 0, 1, 0], "characters": [0, 3, 0, 1, 1, 0]}[tokens]
    vocabulary = (*SPECIAL, " ", "a", "b", "c")
    expected = {
        "words": [[0, 0], [3, 4], [0, 0], [0, 0], [0, 5], [0, 0]],
        "characters": [[0, 0], [3, 2], [0, 0], [0, 2], [0, 5], [0, 0]],
    }
    assert encode_tokens(texts, vocabulary, 2).tolist() == expected[tokens]


def test_order_of_the_vocabulary():
    """The most frequent come first, and those that are as frequent by the alphabet, whatever the order of the texts."""
    texts = ["b a a", "c b d", "d c", "e"]
    for order in (texts, texts[::-1]):
        assert learn_vocabulary(tokenize(pd.Series(order)), most=9) == (*SPECIAL, "a", "b", "c", "d", "e")
    tokenized = tokenize(pd.Series([*texts, "d"]))
    assert learn_vocabulary(tokenized, most=2) == (*SPECIAL, "d", "a")
    assert learn_vocabulary(tokenized, most=9, min_count=3) == (*SPECIAL, "d")


def test_no_text_can_write_the_special_tokens():
    """What stands for padding and for the unknown can't be written in a text."""
    texts = tokenize(pd.Series(["[UNK] unk"]), "words", False)
    vocabulary = learn_vocabulary(texts, most=9)
    assert vocabulary[:2] == SPECIAL
    assert len(set(vocabulary)) == len(vocabulary)
    assert encode_tokens(texts, SPECIAL, 4).tolist() == [[1, 1, 1, 1]]
    assert (encode_tokens(texts, vocabulary, 4) > 1).all()


def test_length():
    """Long texts lose their end, short ones are padded before their first token, unknown tokens keep their place."""
    texts = tokenize(pd.Series(["a", "a b", "b a b", "x a", "b b b b a"]))
    encoded = encode_tokens(texts, (*SPECIAL, "a", "b"), 3)
    assert encoded.tolist() == [[0, 0, 2], [0, 2, 3], [3, 2, 3], [0, 1, 2], [3, 3, 3]]
    assert encoded.dtype == "int64"
