"""Targets are inferred, learned from the train split, encoded and checked."""

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab.data.rows import Rows
from lightlab.data.targets import check_encoded, class_names, encode_target, infer_problem, learn_target, typed_targets
from lightlab.errors import TargetError
from lightlab.problems import BINARY, BOUNDED_REGRESSION, MULTICLASS, MULTILABEL, REGRESSION


def rows(**columns):
    """Return rows of a file with these target columns."""
    targets = pd.DataFrame(columns)
    inputs = torch.zeros(len(targets), 1)
    return Rows(inputs, targets, np.arange(len(targets)), "file.csv", locate=lambda row: f"file.csv:{row + 2}")


@pytest.mark.parametrize(
    ("columns", "problem"),
    [
        ({"y": ["no", "yes"] * 5}, "binary"),
        ({"y": [True, False] * 5}, "binary"),
        ({"y": [0, 1] * 5}, "binary"),
        ({"y": [0.0, 1.0] * 5}, "binary"),
        ({"y": ["a", "b", "c"] * 5}, "multiclass"),
        ({"y": list(range(20)) * 2}, "multiclass"),
        ({"y": list(range(21)) * 2}, "regression"),
        ({"y": [0.5, 1.0, 2.0]}, "regression"),
        ({"a": [0, 1, 1], "b": [1, 1, 0]}, "multilabel"),
        ({"a": [0, 1, 0], "b": [1, 0, 0], "c": [0, 0, 1]}, "multiclass"),
        ({"a": [0, 1, 2], "b": [1, 1, 0]}, "regression"),
    ],
)
def test_infer_problem(columns, problem):
    """The problem follows from the kind of values, how many differ, and the number of columns."""
    assert infer_problem(pd.DataFrame(columns))[0] == problem


def test_classes_are_in_the_order_of_their_values():
    """10 comes after 2, and whole floats are written as whole numbers."""
    target = learn_target(rows(y=[10.0, 2.0, 2.0, 1.0]), MULTICLASS)
    assert (target.classes, target.counts) == (("1", "2", "10"), (1, 2, 1))
    assert encode_target(rows(y=[2, 10]), target, "class", MULTICLASS, "val").tolist() == [1, 2]


def test_one_hot_targets():
    """Columns of 0 and 1 with one 1 in each row are classes, named after the columns."""
    given = rows(cat=[1, 0, 0], dog=[0, 1, 1])
    target = learn_target(given, MULTICLASS)
    assert target.classes == ("cat", "dog")
    assert encode_target(given, target, "class", MULTICLASS, "train").tolist() == [0, 1, 1]


def test_numbers_have_statistics():
    """Mean and standard deviation are those of the columns; a constant one has scale 1."""
    target = learn_target(rows(a=[1.0, 3.0], b=[5.0, 5.0]), REGRESSION)
    assert (target.mean, target.std) == ((2.0, 5.0), (1.0, 1.0))


@pytest.mark.parametrize(
    ("problem", "columns", "message"),
    [
        (
            BINARY,
            {"y": ["a", "b", "c"]},
            r"exactly two classes.*'y' of file\.csv: 3 \('a', 'b', 'c'\)\. It looks like multiclass",
        ),
        (MULTICLASS, {"y": ["a", "a"]}, r"at least two classes.*1 \('a'\)"),
        (REGRESSION, {"y": ["1", "two"]}, r"needs numbers.*'y': 'two' at file\.csv:3, and so in 1 of 2 rows"),
        (REGRESSION, {"y": [1.0, np.inf]}, r"finite numbers.*'y': inf at file\.csv:3"),
        (MULTICLASS, {"y": ["a", None, None]}, r"Missing in column 'y': 2 of 3 rows, first at file\.csv:3"),
        (BINARY, {"a": [0, 1], "b": [1, 0]}, "one column of classes.*2 columns"),
        (MULTICLASS, {"a": [0, 1], "b": [1, 1]}, "one 1 in each row.*It looks like multilabel"),
    ],
)
def test_targets_that_do_not_fit(problem, columns, message):
    """The rule, the column, the value and the place are said."""
    with pytest.raises(TargetError, match=message):
        learn_target(rows(**columns), problem)


def test_class_that_the_train_split_lacks():
    """A new class is an error with value, place and count."""
    target = learn_target(rows(y=["a", "b"]), MULTICLASS)
    with pytest.raises(
        TargetError, match=r"of val .*: 'a', 'b'\. .*'y', first at file\.csv:3: 'z' \(2 rows\), 'x' \(1 rows\)"
    ):
        encode_target(rows(y=["a", "z", "z", "x"]), target, "class", MULTICLASS, "val")


@pytest.mark.parametrize("slip", ["inf", "-inf", "Infinity", "1e999", "1e38"])
@pytest.mark.parametrize("others", [["0", "1", "2"], ["0.5", "1", "2.25"]])
def test_a_number_that_is_not_finite(slip, others):
    """It makes no class of numbers, and is named by column, value and place, whatever is asked for."""
    given = typed_targets(rows(y=[*others * 5, slip]))
    assert infer_problem(given.targets) == ("regression", "numbers")
    with pytest.raises(TargetError, match=r"at most 1e\+37, .*'y': (-?inf|1e\+38) at file\.csv:17, and so in 1 of 16"):
        learn_target(given, REGRESSION)
    with pytest.raises(TargetError, match=r"Classes are names or whole numbers\. Received in column 'y'"):
        learn_target(given, MULTICLASS)


def test_classes_of_several_types():
    """Each value has its own name, in whatever order they come; and what has the same name is one class."""
    mixed = pd.Series([True, 1, "b", 1.0, 2] * 2, dtype=object)
    assert class_names(mixed).tolist()[:5] == ["True", "1", "b", "1.0", "2"]
    assert class_names(mixed[::-1]).tolist()[-5:] == ["2", "1.0", "b", "1", "True"]
    assert class_names(pd.Series([b"cat", b"dog"], dtype=object)).tolist() == ["cat", "dog"]
    given = rows(y=pd.Series([1, "1", "b"] * 4, dtype=object))
    spec = learn_target(given, BINARY)
    assert (spec.classes, spec.counts) == (("1", "b"), (8, 4))
    assert encode_target(given, spec, "class", BINARY, "val").tolist() == [0, 0, 1] * 4


def test_names_of_classes_that_look_like_numbers():
    """Among names inf is one, and so are whole numbers that floats can't tell apart."""
    names = learn_target(typed_targets(rows(y=["low", "inf"])), BINARY)
    assert names.classes == ("inf", "low")
    large = [str(2**53), str(2**53 + 1)]
    assert learn_target(typed_targets(rows(y=large)), BINARY).classes == tuple(large)
    with pytest.raises(TargetError, match="Missing in column 'y': 1 of 3 rows"):
        learn_target(typed_targets(rows(y=[*large, ""])), BINARY)


def test_check_encoded():
    """A target that the head can't learn is named by column, value, place and count."""
    given = rows(a=[0.5, 0.5, 0.5], b=[0.5, 2.0, 3.0])
    target = learn_target(given, BOUNDED_REGRESSION)
    encoded = encode_target(given, target, "numbers", BOUNDED_REGRESSION, "test")
    check_encoded(given, encoded, torch.isfinite, "", "test")
    with pytest.raises(
        TargetError, match=r"The rule\. Received in column 'b' of test: 2\.0 at file\.csv:3, and so in 2 of 3 rows"
    ):
        check_encoded(given, encoded, lambda values: values <= 1, "The rule.", "test")


def test_labels_are_counted():
    """Rows with each label are counted in the train split."""
    target = learn_target(rows(a=[0, 1, 1], b=[0, 0, 1]), MULTILABEL)
    assert (target.columns, target.counts, target.rows) == (("a", "b"), (2, 1), 3)


def test_classes_with_fractions():
    """Numbers that are measured are no classes: the first is named, with its row, and how many there are."""
    table = pd.DataFrame({"k": [0.0, 1.0, 0.5, 1.5]})
    with pytest.raises(TargetError, match=r"'k': 0\.5 at f\.csv, row 2, and so in 2 of 4 rows. Set model\.problem"):
        learn_target(Rows(table[[]], table, np.arange(4), "f.csv"), MULTICLASS)


def test_one_class_looks_like_nothing():
    """Where all targets are the same, no other problem is proposed."""
    table = pd.DataFrame({"k": ["x"] * 4})
    with pytest.raises(TargetError, match=r"1 \('x'\)\.$"):
        learn_target(Rows(table[[]], table, np.arange(4), "f.csv"), BINARY)
