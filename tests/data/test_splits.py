"""Splits are seeded, stratified, complete and never empty."""

import numpy as np
import pytest

from lightlab.data.splits import split_rows
from lightlab.errors import ConfigError, DataError


@pytest.mark.parametrize("rows", [7, 20, 103, 1000])
@pytest.mark.parametrize("strata", [None, 3])
def test_every_row_once(rows, strata):
    """Each row is in one split, and the shares are those that were asked for."""
    classes = None if strata is None else np.arange(rows) % strata
    parts = split_rows(rows, (0.7, 0.15, 0.15), seed=1, strata=classes)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(rows))
    assert [len(parts[name]) for name in ("val", "test")] == [round(rows * 0.15)] * 2


def test_seed_decides():
    """The same seed gives the same splits, another gives others."""
    first, again, other = (split_rows(100, (0.7, 0.15, 0.15), seed)["test"].tolist() for seed in (3, 3, 4))
    assert first == again != other


def test_stratified():
    """Each split has the classes in their proportions, to one row."""
    classes = np.repeat(["a", "b", "c"], [500, 300, 200])
    for part in split_rows(1000, (0.7, 0.15, 0.15), 0, classes).values():
        shares = [np.mean(classes[part] == name) for name in "abc"]
        assert shares == pytest.approx([0.5, 0.3, 0.2], abs=1 / len(part))


def test_rare_classes_are_trained_on():
    """A class of fewer rows than splits goes to the train split."""
    classes = np.array(["common"] * 98 + ["rare"] * 2)
    parts = split_rows(100, (0.7, 0.15, 0.15), 0, classes)
    assert {98, 99} <= set(parts["train"].tolist())


@pytest.mark.parametrize("fractions", [(0.5, 0.2, 0.2), (0, 0.5, 0.5), (1.2, -0.2, 0), (0.5, 0.5)])
def test_shares_that_are_none(fractions):
    """Shares add up to one, and something is left to train on."""
    with pytest.raises(ConfigError, match="split has three shares"):
        split_rows(100, fractions, 0)


def test_empty_split():
    """A split that was asked for and would be empty is an error; one that was not is simply empty."""
    with pytest.raises(DataError, match="a share of 0.15 leaves 0 for val"):
        split_rows(3, (0.7, 0.15, 0.15), 0)
    assert [len(part) for part in split_rows(3, (1.0, 0.0, 0.0), 0).values()] == [3, 0, 0]
