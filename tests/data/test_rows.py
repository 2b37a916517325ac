"""Rows can be taken, found again, and told apart."""

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab.data.rows import ROWS_AT_ONCE, Rows, digest


def rows(inputs, targets=None):
    """Return rows of these inputs."""
    return Rows(inputs, targets, np.arange(len(inputs)), "f.csv", columns=pd.DataFrame({"who": range(len(inputs))}))


@pytest.mark.parametrize(
    "inputs",
    [
        torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.5], [1.0, 2.0, 3.0]]),
        torch.tensor([[[1, 2], [3, 4]], [[1, 2], [4, 3]], [[1, 2], [3, 4]]], dtype=torch.uint8),
        pd.DataFrame({"a": ["x", "y", "x"], "b": [1.0, 2.0, 1.0]}),
    ],
)
def test_fingerprints(inputs):
    """Rows of the same inputs and targets have the same number, others have others, wherever they stand."""
    first, other, again = rows(inputs).fingerprints()
    assert first == again != other
    by_target = rows(inputs, pd.DataFrame({"y": [0, 0, 1]})).target_fingerprints()
    assert by_target[0] == by_target[1] != by_target[2]
    assert rows(inputs).take(np.array([2])).fingerprints()[0] == first


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.int8])
def test_fingerprints_of_rows_that_are_alike(dtype):
    """Rows that differ in signs only are told apart, and very many at once."""
    signs = torch.cartesian_prod(*[torch.tensor([-1, 1], dtype=dtype)] * 13)
    assert len(set(rows(signs).fingerprints())) == 2**13


def test_fingerprints_of_more_rows_than_are_hashed_at_once():
    """A row has the same number wherever it stands, in tables and arrays."""
    count = 2 * ROWS_AT_ONCE + 5
    numbers, texts = np.arange(count) % 1000 / 7, np.array(["a", "b", ""], dtype=object)[np.arange(count) % 3]
    for inputs in (pd.DataFrame({"x": numbers, "t": texts}), torch.from_numpy(numbers)[:, None].repeat(1, 20)):
        many = rows(inputs)
        prints = many.fingerprints()
        assert len(prints) == count
        for places in (np.arange(3), np.array([ROWS_AT_ONCE - 1, ROWS_AT_ONCE, count - 1])):
            assert many.take(places).fingerprints().tolist() == prints[places].tolist()


def test_digest():
    """The hash of a split changes with its rows and their order, and is the same in every process."""
    numbers = rows(torch.arange(6.0)[:, None]).fingerprints()
    assert digest(numbers) != digest(numbers[::-1])
    assert digest(numbers) == digest(rows(torch.arange(6.0)[:, None]).fingerprints())


def test_take_and_where():
    """Taken rows keep what they are called, what they can be split by, and where they stand."""
    taken = rows(torch.arange(5.0)[:, None]).take(np.array([4, 1]))
    assert taken.inputs.flatten().tolist() == [4, 1]
    assert taken.ids.tolist() == taken.columns.who.tolist() == [4, 1]
    assert taken.where(taken.columns, 0) == "f.csv, row 4"
