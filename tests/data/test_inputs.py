"""Inputs are encoded and normalised by what the train split shows."""

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab.data.inputs import encode_input, learn_input
from lightlab.data.rows import Rows
from lightlab.errors import DataError
from lightlab.preprocess import Preprocess


def rows(inputs):
    """Return rows of a file with these inputs."""
    return Rows(inputs, None, np.arange(len(inputs)), "file.csv", first_line=2)


TABLE = pd.DataFrame(
    {"city": ["Rome", "Oslo", None, "Rome"], "area": [1.0, 2.0, 3.0, 6.0], "big": [True, False, True, False]}
)


def test_table():
    """Numbers come first and are normalised; categories become a feature for each value of the train split."""
    spec = learn_input(rows(TABLE), "standard")
    assert (spec.columns, spec.categories) == (("area", "big"), {"city": ("", "Oslo", "Rome")})
    features = Preprocess(spec)(encode_input(rows(TABLE), spec))
    area = TABLE.area.to_numpy()
    expected = np.column_stack(
        [(area - area.mean()) / area.std(), [1, -1, 1, -1], [0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 1]]
    )
    np.testing.assert_allclose(features.numpy(), expected, atol=1e-6)


def test_unseen_category_is_none_of_the_known():
    """A value that the train split lacks has no feature of its own."""
    spec = learn_input(rows(TABLE), "standard")
    new = pd.DataFrame({"big": [True], "area": [3.0], "city": ["Lima"], "more": [1]})
    np.testing.assert_allclose(Preprocess(spec)(encode_input(rows(new), spec)).numpy(), [[0, 1, 0, 0, 0]], atol=1e-6)


def test_numbers_as_categories():
    """A column of numbers can be taken for categories."""
    assert learn_input(rows(TABLE[["area"]]), "none", frozenset({"area"})).categories == {
        "area": ("1.0", "2.0", "3.0", "6.0")
    }


@pytest.mark.parametrize(("normalize", "expected"), [("standard", (0, 1)), ("min_max", (None, None)), ("none", (5, 3))])
def test_images_are_normalised_by_channel(normalize, expected):
    """Each channel is normalised over all rows and places, whole numbers too."""
    images = (
        (torch.randn(200, 2, 8, 8, generator=torch.Generator().manual_seed(0)) * 3 + 5).round().clamp(0, 255).byte()
    )
    spec = learn_input(rows(images), normalize)
    values = Preprocess(spec)(encode_input(rows(images), spec))
    channels = values.transpose(0, 1).flatten(1)
    if normalize == "min_max":
        assert channels.amin(1).tolist() == [0, 0]
        assert channels.amax(1).tolist() == pytest.approx([1, 1])
    else:
        assert channels.mean(1).tolist() == pytest.approx([expected[0]] * 2, abs=0.1)
        assert channels.std(1).tolist() == pytest.approx([expected[1]] * 2, rel=0.05)


def test_constant_column_stays_finite():
    """A constant is shifted to zero, and not divided by zero."""
    table = pd.DataFrame({"same": [0.1] * 5, "other": range(5)})
    spec = learn_input(rows(table), "standard")
    assert Preprocess(spec)(encode_input(rows(table), spec))[:, 0].abs().max() < 1e-6


@pytest.mark.parametrize(("value", "received"), [(np.nan, "nothing at file.csv:3"), (np.inf, "inf"), (-np.inf, "-inf")])
def test_numbers_that_are_none(value, received):
    """A number that is missing or infinite is an error with column, place and count."""
    table = pd.DataFrame({"area": [1.0, value, 2.0]})
    with pytest.raises(DataError, match=rf"'area': .*{received}.* 1 of 3 rows"):
        learn_input(rows(table), "standard")


def test_text_where_training_had_numbers():
    """New rows with text in a column of numbers are refused by place."""
    spec = learn_input(rows(TABLE), "standard")
    new = pd.DataFrame({"city": ["Rome"], "area": ["wide"], "big": [True]})
    with pytest.raises(DataError, match=r"'area': 'wide' at file\.csv:2"):
        encode_input(rows(new), spec)


def test_missing_column():
    """New rows without a column of the training are refused, with the nearest column."""
    spec = learn_input(rows(TABLE), "standard")
    with pytest.raises(DataError, match="trained with a column 'area'. file.csv has none. Did you mean aera?"):
        encode_input(rows(TABLE.rename(columns={"area": "aera"})), spec)


def test_inputs_of_another_shape():
    """Tensors of another shape than in training are refused."""
    spec = learn_input(rows(torch.randn(5, 1, 8, 8)), "standard")
    with pytest.raises(DataError, match=r"shape \(1, 8, 8\)\. Received from file\.csv: \(1, 9, 9\)"):
        encode_input(rows(torch.randn(5, 1, 9, 9)), spec)


def test_too_many_categories():
    """A text column of very many values is refused, with the way out."""
    with pytest.raises(DataError, match=r"Received: 1001 in column 'name'.*data\.ignore"):
        learn_input(rows(pd.DataFrame({"name": [f"n{i}" for i in range(1001)], "x": 1.0})), "standard")


def test_no_columns():
    """A table with nothing beside the target is refused."""
    with pytest.raises(DataError, match="at least one column"):
        learn_input(rows(pd.DataFrame(index=range(3))), "standard")
