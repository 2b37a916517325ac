"""What is measured of data, against figures that are counted by hand or by pandas; and how it is printed."""

import json

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab import BundledData, SyntheticData, TableData
from lightlab.data import ArrayData, ParquetStream, TextData
from lightlab.inspect.data import describe, number_figures, plain
from lightlab.inspect.data_text import as_text, table


def described(data, problem=None):
    """Return what is there of data, and that it can be written as JSON."""
    data.setup("fit")
    found = describe(data, data.connect(problem), [])
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    return found


@pytest.fixture
def houses():
    """A table with a column of each kind, and holes."""
    rows = np.arange(100)
    return pd.DataFrame(
        {
            "area": np.where(rows % 10, rows * 1.5, np.nan),
            "city": np.where(rows % 4, "Oslo", None),
            "built": pd.date_range("2000-01-01", periods=100),
            "garden": rows % 3 == 0,
            "country": "NO",
            "plot": rows,
            "price": np.random.default_rng(0).normal(size=100),
        }
    )


def test_columns(houses):
    """Figures are those of the train split, missing values those of all rows, and what is left out has a reason."""
    data = TableData.from_frame(houses, "price", ignore=["plot"])
    found = described(data)["inputs"]
    train = data.rows["train"].inputs
    area = found["columns"]["area"]
    assert (area["kind"], area["missing"], area["missing_share"]) == ("numeric", 10, 0.1)
    for measure in ("mean", "min", "median", "max"):
        assert area[measure] == pytest.approx(getattr(train["area"], measure)())
    assert area["std"] == pytest.approx(train["area"].std(ddof=0))
    oslo = int((train["city"] == "Oslo").sum())
    assert found["columns"]["city"] == {
        "kind": "categorical",
        "missing": 25, "missing_share": 0.25, "values": 1, "most_frequent": "Oslo", "times": oslo,
    }  # fmt: skip
    assert found["columns"]["built"]["first"] == str(train["built"].min())
    assert found["columns"]["garden"]["kind"] == "boolean"
    assert found["left_out"].keys() == {"country", "plot"}
    assert found["left_out"]["plot"] == "data.ignore"


def test_target_of_numbers(houses):
    """Each split has mean, spread and quartiles of the target."""
    data = TableData.from_frame(houses, "price")
    figures = described(data)["target"]["figures"]["price"]
    assert figures.keys() == {"train", "val", "test"}
    prices = data.rows["val"].targets["price"].astype(np.float32)
    assert figures["val"]["q25"] == pytest.approx(prices.quantile(0.25), rel=1e-5)
    assert figures["val"]["max"] == pytest.approx(prices.max())


def test_target_of_classes_and_labels():
    """Classes are counted in each split, a class without rows as 0; labels by the rows that have them."""
    frame = pd.DataFrame({"x": np.arange(60.0) ** 2, "kind": ["a"] * 30 + ["b"] * 29 + ["c"]})
    counts = described(TableData.from_frame(frame, "kind"))["target"]["counts"]
    assert sum(counts["train"].values()) + sum(counts["val"].values()) + sum(counts["test"].values()) == 60
    assert [counts[split]["c"] for split in ("train", "val", "test")] == [1, 0, 0]
    data = SyntheticData([3], problem="multilabel", outputs=2, rows=100)
    counts = described(data, "multilabel")["target"]["counts"]
    assert list(counts["train"].values()) == data.rows["train"].targets.sum().tolist()


def test_splits():
    """Shares add up to 1, and the hashes are those that go into a checkpoint."""
    data = BundledData("iris")
    splits = described(data, "multiclass")["splits"]
    assert sum(facts["share"] for facts in splits.values()) == pytest.approx(1)
    assert {split: facts["sha256"] for split, facts in splits.items()} == {
        split: facts["sha256"] for split, facts in data.digests().items()
    }


def test_arrays():
    """Channels have their own mean and spread."""
    x = torch.stack([torch.zeros(40, 6), torch.arange(240.0).reshape(40, 6)], dim=1)
    found = described(ArrayData.from_arrays(x, np.arange(40) % 2))["inputs"]
    assert (found["kind"], found["shape"], found["dtype"], found["min"]) == ("array", [2, 6], "float32", 0.0)
    assert found["mean"][0] == found["std"][0] == 0
    assert found["std"][1] > 60


def test_texts():
    """Words that training has not are counted in the other splits, and the frequent ones are named."""
    frame = pd.DataFrame({"text": ["a b a"] * 30 + ["b c new"] * 10, "y": [0, 1] * 20})
    frame["split"] = ["train"] * 30 + ["val"] * 10
    data = TextData.from_frame(frame, "y", split={"column": "split"}, length=3)
    found = described(data)["inputs"]
    assert found["most_frequent"] == {"a": 60, "b": 30}
    assert found["unknown"]["train"] == 0
    assert found["unknown"]["val"] == pytest.approx(2 / 3)
    assert found["vocabulary"] == 4


def test_streams(houses):
    """Of a stream, whose rows are not at hand, there is what was learned in passing."""
    houses.drop(columns="country").to_parquet("houses.parquet", row_group_size=20)
    found = described(ParquetStream("houses.parquet", "price", num_workers=0))
    assert found["sample"] == {}
    assert found["inputs"]["columns"]["area"]["kind"] == "numeric"
    assert found["target"]["figures"]["price"]["train"].keys() == {"mean", "std"}
    assert "ParquetStream: houses.parquet" in as_text(found)


def test_sample_is_drawn_by_the_seed(houses):
    """The same seed shows the same rows of train; another shows others."""
    samples = [described(TableData.from_frame(houses, "price", seed=seed))["sample"] for seed in (0, 0, 1)]
    assert samples[0] == samples[1] != samples[2]
    assert len(samples[0]["area"]) == 5
    assert {"area", "country", "price"} <= samples[0].keys()


def test_text_has_every_part(houses):
    """The text names each column, and says how it is left out."""
    text = as_text(described(TableData.from_frame(houses, "price", ignore=["plot"])))
    assert "  area    numeric  10 (10.0%)" in text
    assert "  plot      data.ignore" in text
    assert "  country   the same in every row of the train split: 'NO'" in text
    assert all(len(line) < 200 for line in text.splitlines())


def test_wide_tables_are_cut():
    """Of very many columns or classes the first are printed, and the others counted."""
    lines = table([["class", "rows"], *([str(number), "1"] for number in range(100))]).splitlines()
    assert len(lines) == 42
    assert lines[-1] == "  and 60 more (all with --format json)"


def test_values_of_json():
    """What JSON has no word for is null, and numbers of NumPy's are numbers."""
    values = [np.float32(np.nan), np.int64(3), pd.NaT, pd.NA, None, float("inf"), np.bool_(True), "a"]
    assert [plain(value) for value in values] == [None, 3, None, None, None, None, True, "a"]
    assert number_figures(np.array([np.nan]))["mean"] is None
