"""CSV files are read whole or refused, by file, line and column."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab.cli import main
from lightlab.data import TableData
from lightlab.errors import ConfigError, DataError, TargetError


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


@pytest.mark.parametrize("options", [{}, {"path": "a.csv", "train_path": "b.csv"}])
def test_paths_that_contradict(options):
    """There is one file to split, or one for each split."""
    with pytest.raises(ConfigError, match="path"):
        TableData(target="y", **options)


def test_what_a_category_is_does_not_hang_on_its_file():
    """Codes keep their zeros, and whole numbers their form, whatever else the file holds."""
    table = pd.DataFrame({"zip": ["01234", "A5555", "9999X"] * 10, "grade": ["1", "2", "10"] * 10, "y": range(30)})
    table.to_csv("train.csv", index=False)
    spec = TableData("train.csv", "y", categorical=["grade"]).connect("regression")
    assert spec.input.categories == {"zip": ("01234", "9999X", "A5555"), "grade": ("1", "10", "2")}
    pd.DataFrame({"zip": ["01234", "9999X"], "grade": ["10", ""]}).to_csv("new.csv", index=False)
    data = TableData(target="y", predict_path="new.csv")
    data.setup("predict")
    data.connect(None, spec)
    (batch,) = data.predict_dataloader()
    assert batch.inputs.tolist() == [[0, 1], [1, -1]]


def test_unknown_categories_are_said(capsys):
    """Values that the train split lacks are counted and named."""
    pd.DataFrame({"city": ["Rome", "Oslo"] * 10, "y": range(20)}).to_csv("train.csv", index=False)
    spec = TableData("train.csv", "y").connect("regression")
    pd.DataFrame({"city": ["ROME", "Oslo", "Lima"]}).to_csv("new.csv", index=False)
    data = TableData(target="y", predict_path="new.csv")
    data.setup("predict")
    data.connect(None, spec)
    assert (
        "unknown: 2 of 3 rows of new.csv have in city what training has not: 'ROME', 'Lima'" in capsys.readouterr().out
    )


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (["1"] * 18 + ["abc", "3"], r"'x', which is mostly numbers: 'abc' at f\.csv:20, and 1 such"),
        ([f"{number},000" for number in range(20)], r"'x', which is mostly numbers: '0,000' at f\.csv:2, and 20 such"),
        (
            [f"{1.7e9 + number:.0f}" for number in range(20)],
            r"'x' of f\.csv: values of up to 1\.7e\+09 with",
        ),
    ],
)
def test_columns_that_would_be_misread(column, message):
    """Numbers with text among them, written for people, or alike in single precision are refused."""
    pd.DataFrame({"x": column, "z": range(20), "y": ["a", "b"] * 10}).to_csv("f.csv", index=False)
    with pytest.raises(DataError, match=message):
        TableData("f.csv", "y", split=(1, 0, 0)).connect(None)


def test_a_stray_text_in_a_numeric_target():
    """The problem is not inferred from a slip: the value is named instead."""
    pd.DataFrame({"x": range(20), "y": [*map(str, range(19)), "abc"]}).to_csv("f.csv", index=False)
    with pytest.raises(DataError, match=r"'y', which is mostly numbers: 'abc' at f\.csv:21"):
        TableData("f.csv", "y").connect(None)


def test_labels_that_look_like_missing_values():
    """NA and None are classes like others; booleans are numbers where they are inputs, missing or not."""
    table = pd.DataFrame({"x": range(20), "flag": ["True", "False"] * 10, "y": ["NA", "None"] * 10})
    table.to_csv("f.csv", index=False)
    spec = TableData("f.csv", "y").connect(None)
    assert (spec.target.classes, spec.input.columns) == (("NA", "None"), ("x", "flag"))
    table.assign(flag="").to_csv("g.csv", index=False)
    data = TableData("f.csv", "y", test_path="g.csv", missing_numbers="error")
    with pytest.raises(DataError, match="'flag': nothing at g.csv:2, and so in 20 of 20 rows"):
        data.connect(None)


def test_one_hot_targets_are_checked_in_every_split():
    """A row without its one 1 is named, in a test file too."""
    table = pd.DataFrame({"x": range(20), "a": [1, 0] * 10, "b": [0, 1] * 10})
    table.to_csv("train.csv", index=False)
    table.assign(b=0).to_csv("test.csv", index=False)
    with pytest.raises(DataError, match=r"one 1 in each row.*test\.csv:3: 0, 0 in 'a', 'b', and so in 10 of 20 rows"):
        TableData("train.csv", ["a", "b"], test_path="test.csv").connect("multiclass")


def write(name="f.csv", **columns):
    """Write a CSV file, and return its name."""
    pd.DataFrame(columns).to_csv(name, index=False)
    return name


GOOD = {"x": range(40), "c": ["a", "b"] * 20, "y": ["no", "yes", "yes", "no"] * 10}


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        (
            {"x": [1], "c": ["a"], "y": ["no"]},
            {},
            "has rows. Received: 1 rows, of which the split with a share of 0.15",
        ),
        ({**GOOD, "y": ["no"] * 40}, {}, r"at least two classes in the train split.*'y' of f\.csv: 1 \('no'\)"),
        ({**GOOD, "x": [*range(39), "inf"]}, {}, r"'x': inf at f\.csv:41, and so in 1 of"),
        ({**GOOD, "x": [*range(38), "a", "b"]}, {}, r"mostly numbers: '[ab]' at f\.csv:4[01], and . such in all"),
        ({**GOOD, "y": [*GOOD["y"][:39], None]}, {}, r"Missing in column 'y': 1 of \d+ rows, first at f\.csv:41"),
        ({"x": [3] * 40, "y": GOOD["y"]}, {}, "column that varies.*x: the same in every row of the train split: 3"),
        ({"y": GOOD["y"]}, {}, r"at least one column that varies\. f\.csv has none beside the target"),
        (GOOD, {"ignore": ["z"]}, r"f\.csv has no column 'z'"),
        (GOOD, {"split": {"groups": "z"}}, r"f\.csv has no column 'z'"),
        (GOOD, {"id_column": "idd"}, r"f\.csv has no column 'idd'"),
    ],
)
def test_tables_that_nothing_can_be_learned_from(columns, options, message):
    """File, row, column and rule are said, before anything is trained."""
    with pytest.raises(DataError, match=message):
        TableData(write(**columns), "y", split=options.pop("split", [0.7, 0.15, 0.15]), **options).connect(None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"numeric": ["y"]}, r"data\.numeric: A column has one role\. Received 'y' under target and numeric"),
        ({"ignore": ["y"]}, r"data\.ignore: .*'y' under target and ignore"),
        ({"id_column": "c", "categorical": ["c"]}, r"data\.categorical: .*'c' under id_column and categorical"),
        ({"categorical": ["c"], "ignore": ["c"]}, r"'c' under categorical and ignore"),
        ({"missing_numbers": "zero"}, r"data\.missing_numbers: .*'median', 'mean' or 'error'.*Received: 'zero'"),
    ],
)
def test_options_that_contradict(options, message):
    """A column has one role, and an option one of its values."""
    with pytest.raises(ConfigError, match=message):
        TableData("f.csv", "y", **options)


def test_new_classes_and_categories_in_other_splits(capsys):
    """A class that training lacks is an error with value and count; a category is counted, and said."""
    train, test = write(**GOOD), write("test.csv", x=[1, 2, 3], c=["a", "z", "z"], y=["no", "maybe", "maybe"])
    with pytest.raises(DataError, match=r"'y', first at test\.csv:3: 'maybe' \(2 rows\)"):
        TableData(train, "y", test_path=test).connect(None)
    data = TableData(train, "y", test_path=write("test.csv", x=[1, 2, 3], c=["a", "z", "z"], y=["no", "yes", "yes"]))
    data.connect(None)
    assert "unknown: 2 of 3 rows of test.csv have in c what training has not: 'z'" in capsys.readouterr().out


def test_nothing_is_learned_from_other_splits():
    """Poison in validation and test files (sizes, categories, holes, dates) changes nothing of what is learned."""
    table = pd.DataFrame({**GOOD, "when": ["2024-01-01", "2024-02-01"] * 20, "h": [1.0, None] * 20})
    poisoned = table.assign(x=1e9, c="poison", when="1900-01-01", h=-1e9)
    data = {
        name: TableData.from_frame(train=table, val=val, test=val, target="y")
        for name, val in (("clean", table), ("poisoned", poisoned))
    }
    assert data["clean"].connect("binary") == data["poisoned"].connect("binary")


def test_mixed_types_in_a_data_frame():
    """Objects of many types in one column are categories by what they are written as."""
    table = pd.DataFrame({"x": range(40), "m": [1, "one", None, 2.5] * 10, "y": ["no", "yes"] * 20})
    spec = TableData.from_frame(table, "y", categorical=["m"]).connect("binary")
    assert spec.input.categories == {"m": ("", "1", "2.5", "one")}


def test_codes_in_files_without_letters():
    """A column of codes stays text in files where all happen to be digits, to test on and to predict."""
    train = write(zip=["01234", "A5555", "B5555", "C555"] * 10, y=GOOD["y"])
    test = write("test.csv", zip=["01234", "01234"], y=["no", "yes"])
    data = TableData(train, "y", test_path=test)
    spec = data.connect("binary")
    assert next(iter(data.test_dataloader())).inputs.tolist() == [[0], [0]]
    predict = TableData(predict_path=write("new.csv", zip=["01234"]))
    predict.setup("predict")
    predict.connect(None, spec)
    assert next(iter(predict.predict_dataloader())).inputs.tolist() == [[0]]


def test_splits_by_columns_of_the_file():
    """The config's column says which rows are for what."""
    part = ["train"] * 30 + ["val"] * 6 + ["test"] * 4
    data = TableData(write(**GOOD, part=part), "y", split={"column": "part"})
    assert data.connect("binary").input.columns == ("x",)
    assert data.counts == {"train": 30, "val": 6, "test": 4}


def test_numbers_that_single_precision_can_t_hold():
    """A number that would become infinite is refused like infinity, in training and after."""
    with pytest.raises(DataError, match=r"single precision can compute\. Received in column 'x': 1e\+39 at f\.csv:41"):
        TableData(write(**{**GOOD, "x": [*range(39), 1e39]}), "y").connect(None)


def test_columns_that_are_called_like_parts_of_a_date():
    """Neither is silently taken for the other."""
    dates = ["2024-01-01", "2024-02-01", "2024-04-01", "2025-01-01"] * 10
    with pytest.raises(DataError, match="'born.year'.*has a column of that name already"):
        TableData(write(**GOOD, born=dates, **{"born.year": range(40)}), "y").connect(None)
    spec = TableData(write(**GOOD, born=dates, **{"born.place": range(40)}), "y").connect(None)
    assert "born.place" in spec.input.columns


def test_two_boolean_targets():
    """True and false are labels, from every form of file; two columns of text are none."""
    columns = {"x": range(40), "p": [True, False] * 20, "q": [True, True, False, False] * 10}
    pd.DataFrame(columns).to_parquet("f.parquet")
    for path in (write(**columns), "f.parquet"):
        assert TableData(path, ["p", "q"]).connect(None).problem == "multilabel"
    with pytest.raises(TargetError, match=r"Several targets are columns of numbers\. .*'y': 'no' at f\.csv:2"):
        TableData(write(**GOOD, z=["a", "b"] * 20), ["y", "z"]).connect(None)


def test_the_same_values_in_every_form_of_file():
    """Categories, classes, predictions and hashes are the same from CSV, Parquet and DataFrames of any types."""
    table = pd.DataFrame(
        {
            "number": [1.0, 2.0, 3.5, None] * 10,
            "code": [1.0, 2.0, 10.0, 3.5] * 10,
            "flag": [True, False] * 20,
            "when": pd.to_datetime(["2024-01-01", "2024-03-05"] * 20),
            "city": ["Rome", "Oslo", None, "Lima"] * 10,
            "y": [True, False, False, True] * 10,
        }
    )
    table.to_csv("f.csv", index=False)
    table.to_parquet("f.parquet")
    options = {"target": "y", "categorical": ["code", "flag"], "split": [1.0, 0.0, 0.0]}
    sources = [
        TableData("f.csv", **options),
        TableData("f.parquet", **options),
        TableData.from_frame(table, **options),
        TableData.from_frame(table.convert_dtypes(), **options),
        TableData.from_frame(table.convert_dtypes(dtype_backend="pyarrow"), **options),
        TableData.from_frame(table.astype(object), **options),
    ]
    specs = [source.connect("binary") for source in sources]
    assert specs[0].input.categories == {
        "code": ("1", "10", "2", "3.5"),
        "flag": ("false", "true"),
        "city": ("", "Lima", "Oslo", "Rome"),
    }
    assert specs[0].target.classes == ("false", "true")
    for source, spec in zip(sources, specs, strict=True):
        assert spec == specs[0]
        inputs = (next(iter(each.val_dataloader() or each.train_dataloader())).places for each in (source, sources[0]))
        assert torch.equal(*inputs)
        assert torch.equal(*(each._encoded["train"][0].nan_to_num(-9) for each in (source, sources[0])))


def test_duplicates_are_found_across_types():
    """A row is the same whether its column of numbers is of whole numbers or not."""
    train = pd.DataFrame({"age": [1, 2, None, 4], "y": ["a", "b", "a", "b"]})
    data = TableData.from_frame(train=train, val=train[:2].astype({"age": int}), target="y")
    data.connect("binary")
    assert any("2 of 2 rows of val also stand in train" in str(finding) for finding in data.findings)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([[1, 2]] * 40, r"one number, text or date in each row\. Received in column 'v' of f\.parquet: .*data\.ignore"),
        ([{"a": 1}] * 40, "'v' of f.parquet"),
        ([b"\xff\x00"] * 40, "'v' of f.parquet"),
    ],
)
def test_values_that_are_no_single_value(values, message):
    """Lists, structures and bytes are refused, unless the column is ignored."""
    pd.DataFrame({**GOOD, "v": values}).to_parquet("f.parquet")
    with pytest.raises(DataError, match=message):
        TableData("f.parquet", "y").connect(None)
    assert TableData("f.parquet", "y", ignore=["v"]).connect(None).input.columns == ("x",)


def test_data_frames_as_files_keep_them(capsys):
    """The index that pandas writes is no input: it is left out of Parquet, and without a name in CSV."""
    table = pd.DataFrame(GOOD).sample(frac=1, random_state=0)
    table.to_parquet("f.parquet")
    table.to_csv("f.csv")
    for path in ("f.parquet", "f.csv"):
        assert TableData(path, "y").connect(None).input.columns == ("x",)
    said = capsys.readouterr().out
    assert "left out: __index_level_0__ of f.parquet (the index of a DataFrame)" in said
    assert "column 1 of f.csv has no name: it is called unnamed" in said
    with pytest.raises(DataError, match=r"from_frame takes pandas' DataFrames\. Received: list"):
        TableData.from_frame([1, 2], "y")


def test_thousands_written_for_people():
    """Commas between thousands are refused where smaller numbers have none."""
    with pytest.raises(DataError, match=r"'pay', which is mostly numbers: '1,\d+' at f\.csv"):
        TableData(write(**GOOD, pay=[f"{500 + 40 * number:,}" for number in range(40)]), "y").connect(None)


def test_files_to_test_on_need_no_ignored_columns():
    """What is left out need not be there."""
    train = write(**GOOD, note=["n"] * 40)
    data = TableData(train, "y", ignore=["note"], test_path=write("test.csv", **GOOD))
    assert data.connect("binary").input.columns == ("x",)


def test_classes_are_text_where_training_has_text():
    """What a class is called does not hang on which classes a file happens to hold."""
    train = write(x=range(60), z=[1, 2] * 30, y=["01", "A2", "A3"] * 20)
    data = TableData(train_path=train, val_path=write("val.csv", x=[1, 2], z=[1, 2], y=["01", "01"]), target="y")
    assert data.connect(None).target.classes == ("01", "A2", "A3")
    (batch,) = data.val_dataloader()
    assert batch.targets.tolist() == [0, 0]


def test_dates_far_away_and_empty_columns(capsys):
    """No end is a date like others; a column with nothing but words for nothing is left out."""
    spec = TableData(write(**GOOD, end=["2024-01-01", "9999-12-31"] * 20, e=["NA", "nan"] * 20), "y").connect(None)
    assert "end.days" in spec.input.columns
    assert "left out: e (the same in every row of the train split: empty)" in capsys.readouterr().out


def test_names_of_columns_with_line_breaks(capsys):
    """A column that is missed among them is said like any other."""
    Path("rows.csv").write_text('"a\u2028b","c\u0085d"\n1,2\n3,4\n')
    call = ["summary", "--data", "TableData", "--data.path", "rows.csv", "--data.target", "y", "--model.layers", "[]"]
    assert main(call) == 2
    assert "command line: data.target: rows.csv has no column 'y'. There are: a" in capsys.readouterr().err
