import dataclasses

import pytest

from lightlab import Problem
from lightlab.registry import HEADS, PROBLEMS

ROWS = [PROBLEMS.get(name) for name in PROBLEMS.names() if PROBLEMS.entry(name).provider == "lightlab.problems"]
for_each_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)

#: What a course's table of last activations and losses has, in lightlab's words.
TABLE = {
    "binary": ("class", "sigmoid", "binary_cross_entropy"),
    "multiclass": ("class", "softmax", "cross_entropy"),
    "multilabel": ("labels", "sigmoid", "binary_cross_entropy"),
    "regression": ("numbers", "numbers", "mse"),
    "bounded_regression": ("numbers", "sigmoid", "mse"),
}


def test_the_five_problems():
    """The table has the five types of the course, by these names."""
    assert {row.name for row in ROWS} == TABLE.keys()


@for_each_row
def test_target_activation_and_loss(row):
    """Each row has the target, the last activation and the default loss of the course's table."""
    target, activation, loss = TABLE[row.name]
    assert row.target == target
    assert activation in row.output
    assert row.losses[0] == loss


@for_each_row
def test_watched(row):
    """What is watched is the loss or a metric of the row, on the validation split."""
    split, name = row.monitor.split("/")
    assert split == "val"
    assert name in {"loss", *row.metrics}
    assert name != "loss" or row.mode == "min"


@for_each_row
def test_a_head_stands_under_the_same_name(row):
    """Every problem has a head."""
    assert row.name in HEADS


@for_each_row
def test_rows_are_plain_and_fixed(row):
    """A row can't be changed, and every field is filled."""
    assert all(dataclasses.asdict(row).values())
    with pytest.raises(dataclasses.FrozenInstanceError):
        row.mode = "max"


def test_defaults():
    """A new row watches the validation loss, and less of it is better."""
    row = Problem("ranking", "numbers", "1 number", ("mse",), "a number", ("mse",))
    assert (row.monitor, row.mode) == ("val/loss", "min")
