import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from lightlab import TargetSpec
from lightlab.heads.base import Head, class_columns, resolve_class_weight

COUNTS = (10, 60, 30)
TARGET = TargetSpec(("y",), ("low", "mid", "high"), COUNTS, rows=100)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (None, [1, 1, 1]),
        ([1.0, 2.5, 3.0], [1, 2.5, 3]),
        ({"high": 3.0, "low": 1.0, "mid": 2.0}, [1, 2, 3]),
    ],
)
def test_class_weight(given, expected):
    """A weight for each class, in the order of the classes, given in order or by name."""
    assert resolve_class_weight(given, TARGET).tolist() == expected


def test_balanced_is_scikit_learns():
    """`balanced` gives scikit-learn's weights for the rows of the train split."""
    labels = np.repeat([0, 1, 2], COUNTS)
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    torch.testing.assert_close(resolve_class_weight("balanced", TARGET), torch.tensor(expected, dtype=torch.float32))


def test_balanced_needs_rows_of_each_class():
    """A class without a row in the train split has no balanced weight; the message names it."""
    target = TargetSpec(("y",), ("low", "mid", "high"), (10, 0, 30), rows=40)
    with pytest.raises(ValueError, match="class_weight 'balanced' needs rows of every class .* Received none of: mid"):
        resolve_class_weight("balanced", target)


@pytest.mark.parametrize(
    "given",
    [
        [],
        [1.0, 2.0],
        [1.0, 2.0, 0.0],
        [1.0, -2.0, 1.0],
        {},
        {"low": 1.0, "mid": 1.0},
        {"low": 1.0, "mid": 1.0, "high": 1.0, "top": 1.0},
        {"low": 1.0, "mid": 1.0, "hihg": 1.0},
    ],
)
def test_class_weights_that_are_none(given):
    """Too few, too many, unknown or not positive: the message has the classes, and what was received."""
    with pytest.raises(ValueError, match="a positive weight for each of the classes low, mid, high") as caught:
        resolve_class_weight(given, TARGET)
    assert str(caught.value).endswith(f"Received: {given}.")


def test_class_columns():
    """A column with the name of the class, and one for the probability of each."""
    columns = class_columns(("no", "yes"), torch.tensor([1, 0]), torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    assert columns == {"prediction": ["yes", "no"], "probability_no": [0.25, 0.5], "probability_yes": [0.75, 0.5]}


def test_subclass_says_the_rest():
    """The base computes logits and refuses what is not a finite number; the rest is for subclasses."""
    head = Head(3, 2, TARGET)
    features = torch.randn(4, 3)
    torch.testing.assert_close(head(features), features @ head.linear.weight.T)
    assert head.valid(torch.tensor([1.0, torch.nan, torch.inf, -2.0])).tolist() == [True, False, False, True]
    for method in (lambda: head.loss(features, features), lambda: head.decode(features), head.metrics):
        with pytest.raises(NotImplementedError):
            method()
