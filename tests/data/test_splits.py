"""Splits are seeded, stratified, complete and never empty; groups stay together, time runs forward."""

import numpy as np
import pandas as pd
import pytest

from lightlab.data import Rows, TableData
from lightlab.data.splits import parse_split, split_rows
from lightlab.errors import ConfigError, DataError


def rows(count, **columns):
    """Return rows of a file with columns to split by."""
    table = pd.DataFrame(columns, index=range(count))
    return Rows(table, None, np.arange(count), "f.csv", columns=table, locate=lambda row: f"f.csv:{row + 2}")


def split(count, config=(0.7, 0.15, 0.15), seed=0, strata=None, **columns):
    """Split rows as a config says."""
    return split_rows(rows(count, **columns), parse_split(config), seed, strata)


@pytest.mark.parametrize("count", [7, 20, 103, 1000])
@pytest.mark.parametrize("strata", [None, 3])
def test_every_row_once(count, strata):
    """Each row is in one split, and the shares are those that were asked for."""
    parts = split(count, seed=1, strata=None if strata is None else np.arange(count) % strata)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(count))
    assert [len(parts[name]) for name in ("val", "test")] == [round(count * 0.15)] * 2


def test_seed_decides():
    """The same seed gives the same splits, another gives others."""
    first, again, other = (split(100, seed=seed)["test"].tolist() for seed in (3, 3, 4))
    assert first == again != other


def test_stratified():
    """Each split has the classes in their proportions, nearly to one row, unless that is switched off."""
    classes = np.repeat(["a", "b", "c"], [500, 300, 200])
    for part in split(1000, strata=classes).values():
        shares = [np.mean(classes[part] == name) for name in "abc"]
        assert shares == pytest.approx([0.5, 0.3, 0.2], abs=1 / len(part))
    plain = split(1000, {"stratify": False}, strata=classes)
    assert plain["test"].tolist() == split(1000)["test"].tolist()


def test_many_small_classes():
    """Each class has its share of each split to the row above or below, however many classes there are."""
    classes = np.repeat(np.arange(50), 9)
    counts = np.bincount(classes[split(450, strata=classes)["test"]], minlength=50)
    assert set(counts) == {1, 2}


@pytest.mark.parametrize("strata", [None, np.repeat([0, 1], [40, 20])])
def test_every_row_is_as_likely(strata):
    """No place in a class, and no class, is preferred: over many seeds all rows are tested on about as often."""
    drawn = np.concatenate([split(60, seed=seed, strata=strata)["test"] for seed in range(400)])
    shares = np.bincount(drawn, minlength=60) / 400
    assert shares == pytest.approx(np.full(60, 0.15), abs=0.08)  # 4.5 standard errors


def test_every_small_class_is_as_likely():
    """Where classes have less than a row each to give, chance says which give one."""
    classes = np.repeat(np.arange(20), 5)
    drawn = np.concatenate([classes[split(100, seed=seed, strata=classes)["test"]] for seed in range(400)])
    shares = np.bincount(drawn, minlength=20) / 2000
    assert shares == pytest.approx(np.full(20, 0.15), abs=0.04)  # 4.5 standard errors: a class gives 0 or 1 of 5


def test_rare_classes_are_trained_on():
    """A class of fewer rows than splits goes to the train split."""
    classes = np.array(["common"] * 98 + ["rare"] * 2)
    assert {98, 99} <= set(split(100, strata=classes)["train"].tolist())


def test_many_rare_classes():
    """They take no rows of train away from the common ones."""
    classes = np.array([f"common {number % 5}" for number in range(100)] + [f"rare {number}" for number in range(100)])
    parts = split(200, strata=classes)
    common = {
        name: [int(np.sum(classes[part] == f"common {number}")) for number in range(5)] for name, part in parts.items()
    }
    assert common == {"train": [14] * 5, "val": [3] * 5, "test": [3] * 5}


@pytest.mark.parametrize(
    ("shares", "message"),
    [
        ([0.5, 0.2, 0.2], "split has three shares"),
        ([0, 0.5, 0.5], "split has three shares"),
        ([1.2, -0.2, 0], r"shares\[0\] must be less than or equal to 1.*Received: 1\.2"),
        ([0.5, 0.5], r"Received: \[0\.5, 0\.5\]"),
    ],
)
def test_shares_that_are_none(shares, message):
    """Shares add up to one, and something is left to train on."""
    with pytest.raises(ConfigError, match=message):
        parse_split(shares)


def test_empty_split():
    """A split that was asked for and would be empty is an error; one that was not is left out."""
    with pytest.raises(DataError, match=r"3 rows, of which the split with a share of 0\.15 leaves none for val"):
        split(3)
    assert {name: len(part) for name, part in split(3, [1.0, 0.0, 0.0]).items()} == {"train": 3}


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("config", [{"groups": "who"}, {"groups": "who", "folds": 4, "fold": 1}])
def test_groups_stay_together(seed, config):
    """No value of the column is in two splits, each split has about its share, and the seed decides."""
    who = np.random.default_rng(1).integers(0, 60, 1000)
    parts = split(1000, config, seed, who=who)
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(1000))
    groups = [set(who[part]) for part in parts.values()]
    assert sum(map(len, groups)) == len(set(who))
    assert len(parts["test"]) == pytest.approx(150, abs=25)
    assert split(1000, config, seed + 100, who=who)["test"].tolist() != parts["test"].tolist()


@pytest.mark.parametrize("times", [np.arange(100)[::-1], pd.date_range("2020-01-01", periods=100).strftime("%Y-%m-%d")])
def test_by_time(times):
    """The oldest rows are for training, the latest for testing, however the file is ordered."""
    order = np.random.default_rng(0).permutation(100)
    shuffled = np.asarray(times)[order]
    parts = split(100, {"time": "when"}, when=shuffled)
    for earlier, later in (("train", "val"), ("val", "test")):
        assert max(shuffled[parts[earlier]]) < min(shuffled[parts[later]])
    assert [len(part) for part in parts.values()] == [70, 15, 15]


def test_by_time_in_folds():
    """A later fold validates on later rows, and trains on all before them."""
    when = np.arange(200) // 10
    for fold in range(3):
        parts = split(200, {"time": "when", "folds": 3, "fold": fold}, when=when)
        assert max(when[parts["train"]]) < min(when[parts["val"]])
        assert max(when[parts["val"]]) < min(when[parts["test"]])


def test_rows_of_one_time_stay_together():
    """A cut falls between two times, near the shares."""
    when = np.repeat(np.arange(10), 10)
    parts = split(100, {"time": "when"}, when=np.random.default_rng(0).permutation(when))
    assert [len(part) for part in parts.values()] == [70, 10, 20]


def test_by_column():
    """A column says which split a row is for, in the usual spellings; what it says of no row is no split."""
    parts = split(4, {"column": "part"}, part=["train", "Validation", "train", "test "])
    assert {name: part.tolist() for name, part in parts.items()} == {"train": [0, 2], "val": [1], "test": [3]}
    assert set(split(2, {"column": "part"}, part=["train", "dev"])) == {"train", "val"}


@pytest.mark.parametrize("strata", [None, np.arange(100) % 3])
def test_folds(strata):
    """The folds' validation rows are all rows but those of the test split, which is the same for every fold."""
    folds = [split(100, {"folds": 5, "fold": fold}, strata=strata) for fold in range(5)]
    assert len({tuple(parts["test"]) for parts in folds}) == 1
    validated = np.concatenate([parts["val"] for parts in folds])
    assert sorted([*validated, *folds[0]["test"]]) == list(range(100))
    for parts in folds:
        assert not set(parts["val"]) & set(parts["train"])
        if strata is not None:
            assert np.bincount(strata[parts["val"]]).min() >= 5
    assert "test" not in split(100, {"folds": 5, "shares": [1.0, 0.0, 0.0]})


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"folds": 5, "fold": 5}, r"data\.split\.fold: fold is one of the folds: 0 to 4\. Received: 5"),
        ({"fold": 1}, "0, as folds is not given"),
        ({"folds": 1}, "split's folds must be greater than or equal to 2"),
        ({"groups": "a", "time": "b"}, r"split by one column\. Received: a, b"),
        ({"column": "a", "folds": 3}, "by a column or into folds"),
        ({"group": "a"}, r"no parameter 'group'\. Did you mean groups\?"),
    ],
)
def test_configs_that_contradict(config, message):
    """What can't be meant is said, by key."""
    with pytest.raises(ConfigError, match=message):
        parse_split(config)


@pytest.mark.parametrize(
    ("config", "column", "message"),
    [
        ({"groups": "hwo"}, ["a"] * 9, r"f\.csv has no 'hwo'\. Did you mean who\?"),
        ({"groups": "who"}, ["a", "", *"abcdefg"], r"Missing in column 'who': 1 rows, first at f\.csv:3"),
        ({"column": "who"}, ["train", "tets", *["val"] * 7], r"'who': 'tets' at f\.csv:3, and so in 1 rows"),
        ({"column": "who"}, ["val"] * 9, "leaves none for train"),
        ({"time": "who"}, ["2020-01-01", "soon", *["2020-01-02"] * 7], r"'who': 'soon' at f\.csv:3"),
        ({"groups": "who"}, ["a"] * 9, "by 'who' leaves none for val"),
        ({"groups": "who", "folds": 3}, ["a"] * 5 + ["b"] * 4, "2 groups can't be cut into 3"),
    ],
)
def test_columns_that_can_t_be_split_by(config, column, message):
    """The column, the value and its line are said."""
    with pytest.raises(DataError, match=message):
        split(9, config, who=column)


def test_a_column_to_split_by_is_no_input():
    """What says who or when a row is from would be learned by heart."""
    table = pd.DataFrame({"who": list("abcdefghij") * 4, "x": range(40), "y": np.arange(40) ** 2 % 17})
    data = TableData.from_frame(table, "y", split={"groups": "who"})
    assert data.connect("regression").input.columns == ("x",)
