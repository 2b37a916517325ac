"""CSV files are read whole or refused, by file, line and column."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightlab.data import TableData
from lightlab.errors import ConfigError, DataError


@pytest.fixture
def houses():
    """A file with numbers, categories, booleans and a column that names rows."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "area": generator.normal(100, 20, 60).round(1),
            "city": generator.choice(["Rome", "Oslo"], 60),
            "garden": generator.choice([True, False], 60),
            "address": [f"street {number}" for number in range(60)],
        }
    )
    table["price"] = table.area * 10
    table.to_csv("houses.csv", index=False)
    return table


def test_columns(houses, capsys):
    """Numbers and booleans are numbers, text is categories, and text that differs in every row is left out, aloud."""
    spec = TableData("houses.csv", "price").connect(None)
    assert (spec.problem, spec.target.columns) == ("regression", ("price",))
    assert spec.input.columns == ("area", "garden")
    assert spec.input.categories == {"city": ("Oslo", "Rome")}
    assert "left out: address" in capsys.readouterr().out


def test_ignore_categorical_and_ids(houses):
    """Columns can be left out, taken for categories, or for the rows' names."""
    data = TableData("houses.csv", "price", ignore=["garden"], categorical=["area"], id_column="address")
    spec = data.connect("regression")
    assert (spec.input.columns, set(spec.input.categories)) == ((), {"area", "city"})
    assert set(data.rows["test"].ids) <= set(houses.address)
    assert data.rows["test"].id_name == "address"


def test_given_splits(houses):
    """Files for each split are taken as they are; a test file takes the place of a share."""
    houses[:30].to_csv("train.csv", index=False)
    houses[30:45].to_csv("val.csv", index=False)
    data = TableData(train_path="train.csv", val_path="val.csv", test_path="houses.csv", target="price")
    data.connect("regression")
    assert {split: len(rows) for split, rows in data.rows.items()} == {"train": 30, "val": 15, "test": 60}
    data = TableData("train.csv", "price", test_path="val.csv")
    data.connect("regression")
    assert {split: len(rows) for split, rows in data.rows.items()} == {"train": 25, "val": 5, "test": 15}


def test_predicting_needs_neither_target_nor_training_file(houses):
    """Rows to predict are read alone, and encoded by what the model knows."""
    spec = TableData("houses.csv", "price").connect(None)
    houses.drop(columns=["price", "address"])[:4].to_csv("new.csv", index=False)
    Path("houses.csv").unlink()
    data = TableData("houses.csv", "price", predict_path="new.csv")
    data.setup("predict")
    data.connect(None, spec)
    (batch,) = data.predict_dataloader()
    assert (batch.inputs.shape, batch.targets) == ((4, 3), None)


def test_rows_to_predict_are_read_when_they_are_asked_for(houses):
    """The same object trains without the rows to predict, and gives them, and only them, to predict."""
    data = TableData("houses.csv", "price", predict_path="new.csv")
    data.setup("fit")
    spec = data.connect("regression")
    houses.drop(columns="price")[:4].to_csv("new.csv", index=False)
    data.setup("predict")
    data.connect("regression", spec)
    assert {split: len(rows) for split, rows in data.rows.items()} == {"predict": 4}


def test_byte_order_mark(houses):
    """A file with a byte order mark, as spreadsheets write it, is the same file."""
    Path("bom.csv").write_bytes(b"\xef\xbb\xbf" + Path("houses.csv").read_bytes())
    assert TableData("bom.csv", "price").connect(None) == TableData("houses.csv", "price").connect(None)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"f\.csv is empty"),
        (b"x,y\n", r"f\.csv has none"),
        (b"x,y\n1,2\n1,2,3\n", r"as many values as the header, 2\. f\.csv:3 has 3"),
        (b"x,y\n1,2\n\n1\n", r"as many values as the header, 2\. f\.csv:4 has 1"),
        (b"x,x,y\n1,2,3\n", r"f\.csv:1 has 'x' more than once"),
        (b"x,y\ncaf\xe9,1\n", r"text in UTF-8\. Received: f\.csv"),
        (b"x,y\n1,2\n2,2\n3,2\nx,2\n", r"'x', which is mostly numbers: 'x' at f\.csv:5, and 1 such"),
        (b"x,z\n1,2\n", r"f\.csv has no column 'y'\. There are: x, z"),
        (b"x,Y\n1,2\n", r"f\.csv has no column 'y'\. Did you mean Y\?"),
    ],
)
def test_files_that_are_no_table(content, message):
    """The rule, the file and the line are said."""
    Path("f.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        TableData("f.csv", "y").connect("regression")


def test_places_that_are_no_file(houses):
    """A path that is no file is answered with those that are nearly called so."""
    with pytest.raises(DataError, match=r"house\.csv \(no such file\)\. Did you mean houses\.csv\?"):
        TableData("house.csv", "price").connect(None)
    Path("folder").mkdir()
    with pytest.raises(DataError, match=r"folder \(a folder\)"):
        TableData("folder", "price").connect(None)


@pytest.mark.parametrize("options", [{}, {"path": "a.csv", "train_path": "b.csv"}])
def test_paths_that_contradict(options):
    """There is one file to split, or one for each split."""
    with pytest.raises(ConfigError, match="path"):
        TableData(target="y", **options)
