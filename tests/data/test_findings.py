"""What may spoil a training is found and said; healthy data is not accused."""

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab.data import Rows, TableData
from lightlab.data.findings import find_imbalance, find_leaks, find_shared_rows


def rows(inputs, targets):
    """Return rows of a file."""
    table = pd.DataFrame(inputs)
    columns = pd.DataFrame(targets)
    return Rows(table, columns, np.arange(len(table)), "f.csv", locate=lambda row: f"f.csv:{row + 2}", columns=table)


NUMBERS = np.random.default_rng(0).normal(size=60)


@pytest.mark.parametrize(
    ("feature", "target"),
    [
        (NUMBERS, NUMBERS),
        (NUMBERS * -3.6 + 2, NUMBERS),
        (["y", "n", "n"] * 20, ["yes", "no", "no"] * 20),
        ([3, 1, 2] * 20, ["c", "a", "b"] * 20),
        ([0, 1] * 30, ["no", "yes"] * 30),
    ],
)
def test_a_feature_that_tells_the_target(feature, target):
    """A copy of the target is found, in other units and by other names, too."""
    (finding,) = find_leaks(rows({"copy": feature, "other": np.arange(60) % 7}, {"y": target}))
    assert "column 'copy' tells the target 'y' by itself" in finding.text
    assert (finding.kind, finding.name, finding.target) == ("telling column", "copy", "y")


@pytest.mark.parametrize(
    ("feature", "target"),
    [
        (NUMBERS, NUMBERS + np.random.default_rng(1).normal(scale=0.01, size=60)),
        (["y", "n", "n"] * 19 + ["n", "n", "n"], ["yes", "no", "no"] * 20),
        ([f"id{number}" for number in range(60)], list(range(60))),
        (np.arange(60), ["a", "b"] * 30),
    ],
)
def test_a_feature_that_helps(feature, target):
    """What is nearly the target, or differs in every row, is not accused."""
    assert find_leaks(rows({"x": feature}, {"y": target})) == []


def shared(splits):
    """Return what is said of rows in two splits."""
    return find_shared_rows(splits, {name: part.fingerprints() for name, part in splits.items()})


def test_rows_in_two_splits():
    """Rows of validation and test that were trained on are counted, and the first pair is named."""
    table = pd.DataFrame({"a": [1, 2, 3, 4, 5], "b": list("vwxyz")})
    targets = pd.DataFrame({"y": [0, 1, 0, 1, 0]})
    whole = rows(table, targets)
    splits = {name: whole.take(np.array(places)) for name, places in {"train": [0, 1, 2], "val": [3, 1]}.items()}
    (finding,) = shared(splits)
    assert finding.text.startswith("1 of 2 rows of val also stand in train")
    assert "f.csv:3 is f.csv:3" in finding.text
    assert (finding.kind, finding.name, finding.rows, finding.of) == ("shared rows", "val", 1, 2)
    assert shared({"train": splits["train"]}) == []
    relabelled = Rows(table, 1 - targets, whole.ids, "f.csv")
    assert shared({"train": whole, "val": relabelled}) == []


def test_the_same_image_with_another_label():
    """An array that stands in two splits is found whatever its targets are."""
    images, ids = torch.arange(12.0).reshape(3, 1, 2, 2), np.arange(3)
    splits = {
        name: Rows(images, pd.DataFrame({"y": [label] * 3}), ids, "f") for name, label in (("train", 0), ("val", 1))
    }
    assert shared(splits)[0].text.startswith("3 of 3 rows of val also stand in train")


def test_imbalance():
    """A class with ten times the rows of another is said, with the remedies."""
    (finding,) = find_imbalance(("no", "yes"), (1000, 30))
    assert "class 'no' has 1000 rows in train and 'yes' 30" in finding.text
    assert "class_weight: balanced" in finding.text
    assert find_imbalance(("no", "yes"), (100, 30)) == []
    assert find_imbalance((), ()) == []


def test_findings_are_said_once_when_learning(capsys):
    """Training says what was found; healthy data says nothing; a trained model's data is not searched."""
    table = pd.DataFrame({"x": np.arange(40) % 9, "copy": ["a", "b"] * 20, "y": ["no", "yes"] * 20})
    data = TableData.from_frame(table, "y")
    spec = data.connect("binary")
    said = capsys.readouterr().out
    assert said.count("warning: ") == len(data.findings)
    assert "warning: column 'copy' tells the target 'y' by itself" in said
    other = TableData.from_frame(table, "y")
    other.connect(None, spec)
    assert other.findings == []
    assert "warning" not in capsys.readouterr().out
