"""Tables: columns get their roles from the train split, and are encoded by what it shows."""

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab.data.rows import Rows
from lightlab.data.tables.features import TableOptions, describe_fill, encode_table, find_roles, learn_table
from lightlab.errors import ConfigError, DataError
from lightlab.preprocess import make_preprocess

TABLE = pd.DataFrame(
    {"city": ["Rome", "Oslo", None, "Rome"], "area": [1.0, 2.0, 3.0, 6.0], "big": [True, False, True, False]}
)


def rows(inputs):
    """Return rows of a file with these inputs."""
    return Rows(inputs, None, np.arange(len(inputs)), "file.csv", locate=lambda row: f"file.csv:{row + 2}")


def learn(table, normalize="standard", **options):
    """Return what is learned from a table."""
    return learn_table(rows(table), normalize, TableOptions(**options))[0]


def features(table, spec):
    """Return what the first layer is given."""
    return make_preprocess(spec)(encode_table(rows(table), spec))


def test_table():
    """Numbers come first and are normalised; categories become a feature for each value of the train split."""
    spec = learn(TABLE)
    assert (spec.kind, spec.columns, spec.categories) == ("table", ("area", "big"), {"city": ("", "Oslo", "Rome")})
    area = TABLE.area.to_numpy()
    expected = np.column_stack(
        [(area - area.mean()) / area.std(), [1, -1, 1, -1], [0, 0, 1, 0], [0, 1, 0, 0], [1, 0, 0, 1]]
    )
    np.testing.assert_allclose(features(TABLE, spec).numpy(), expected, atol=1e-6)


def test_unseen_category_is_none_of_the_known(capsys):
    """A value that the train split lacks has no feature of its own, and is counted and named."""
    new = pd.DataFrame({"big": [True], "area": [3.0], "city": ["Lima"], "more": [1]})
    np.testing.assert_allclose(features(new, learn(TABLE)).numpy(), [[0, 1, 0, 0, 0]], atol=1e-6)
    assert "unknown: 1 of 1 rows of file.csv have in city what training has not: 'Lima'" in capsys.readouterr().out


@pytest.mark.parametrize("holes", [[], [None]])
def test_numbers_as_categories(holes):
    """Numbers can be taken for categories; whole ones are written as such, with holes or without."""
    spec = learn(pd.DataFrame({"grade": [1.0, 2.0, 10.0, *holes]}), categorical=("grade",))
    assert spec.categories == {"grade": (*([""] if holes else []), "1", "10", "2")}


def test_roles():
    """Kinds are told apart, and what names rows or never changes is left out, with the reason."""
    count = 40
    table = pd.DataFrame(
        {
            "PassengerId": range(count),
            "name": [f"n{number}" for number in range(count)],
            "age": np.linspace(1, 9, count),
            "alive": ["true", "false"] * 20,
            "deck": ["A", "B"] * 20,
            "born": ["1990-05-01", "1991-01-31"] * 20,
            "ship": "Titanic",
            "cabin": "",
        }
    )
    roles = find_roles(rows(table.astype("str")), TableOptions())
    assert roles.kinds == {"age": "numeric", "alive": "boolean", "deck": "categorical", "born": "date"}
    assert roles.left_out == {
        "PassengerId": "whole numbers that all differ, called like an id",
        "name": "40 different texts in 40 rows",
        "ship": "the same in every row of the train split: 'Titanic'",
        "cabin": "the same in every row of the train split: empty",
    }
    assert roles.describe()[0] == "numeric: age"
    overridden = find_roles(
        rows(table), TableOptions(categorical=("name",), numeric=("PassengerId",), ignore=("deck",))
    )
    assert overridden.kinds["name"] == "categorical"
    assert overridden.kinds["PassengerId"] == "numeric"
    assert "deck" not in overridden.kinds


@pytest.mark.parametrize(("policy", "filled"), [("median", 3.0), ("mean", 4.0)])
def test_missing_numbers(policy, filled, capsys):
    """A missing number is the median or mean of the train split, and a feature says where; new rows may miss more."""
    table = pd.DataFrame({"a": [1.0, 3.0, 8.0, np.nan], "b": [1.0, 2.0, 3.0, 4.0]})
    spec = learn(table, "none", missing_numbers=policy)
    assert (spec.fill[0], spec.indicators) == (filled, ("a",))
    assert features(table, spec)[:, [0, 2]].tolist() == [[1, 0], [3, 0], [8, 0], [filled, 1]]
    assert capsys.readouterr().out == ""
    assert features(pd.DataFrame({"a": [2.0], "b": [None]}), spec).tolist() == [[2, 2.5, 0]]
    assert "filled: 1 of 1 rows of file.csv lack b, which training has" in capsys.readouterr().out


def test_missing_values_as_errors():
    """With the policy error a hole is refused by column and place, in the train split and in others."""
    table = pd.DataFrame({"a": [1.0, 2.0], "c": ["x", "y"]})
    options = {"missing_numbers": "error", "missing_categories": "error"}
    spec = learn(table, **options)
    with pytest.raises(DataError, match=r"'a': nothing at file\.csv:3, and so in 1 of 2 rows"):
        encode_table(rows(pd.DataFrame({"a": [1.0, None], "c": ["x", "y"]})), spec)
    with pytest.raises(DataError, match=r"'c': nothing at file\.csv:2"):
        encode_table(rows(pd.DataFrame({"a": [1.0], "c": [""]})), spec, "error")
    with pytest.raises(DataError, match=r"'c': nothing at file\.csv:3"):
        learn(pd.DataFrame({"a": [1.0, 2.0], "c": ["x", ""]}), **options)


def test_dates():
    """Dates become numbers that a network can use; a part that never changes is left out."""
    table = pd.DataFrame({"when": ["2024-01-01", "2024-04-01", "2024-07-01", "2024-10-01"]})
    spec = learn(table, "none")
    assert spec.dates == {"when": "ISO8601"}
    assert spec.columns == ("when.days", "when.month_sin", "when.month_cos", "when.weekday_sin", "when.weekday_cos")
    encoded = encode_table(rows(table), spec)
    assert encoded[:, 0].tolist() == [19723, 19814, 19905, 19997]
    np.testing.assert_allclose(encoded[:, 1], [0, 1, 0, -1], atol=1e-6)
    german = learn(pd.DataFrame({"when": ["01.01.2024", "31.12.2024"]}), "none", dates={"when": "%d.%m.%Y"})
    assert german.columns[0] == "when.days"


def test_many_columns_alike_are_counted():
    """Of those left out, and of those filled in, the first are named."""
    holes = {f"hole{place}": [float(place), None, 1e3] for place in range(20)}
    table = pd.DataFrame({f"same{place}": [7, 7, 7] for place in range(20)} | holes)
    spec, roles = learn_table(rows(table), "standard", TableOptions())
    left_out, filled = roles.describe()[1:], describe_fill(spec, TableOptions())
    assert left_out[7:] == [
        "left out: same7 (the same in every row of the train split: 7)",
        "left out: 12 more columns",
    ]
    assert filled[7:] == ["filled: hole7, where it is missing, by the median 503.5", "filled: 12 more columns"]
    with pytest.raises(DataError, match=r"same7: the same in [^;]*; 12 more columns$"):
        learn(table.filter(like="same"))


def test_a_date_that_is_none():
    """A value of another form is refused by place."""
    with pytest.raises(DataError, match=r"'when': '01\.04\.2024' at file\.csv:3.*Name the form in data\.dates"):
        learn(pd.DataFrame({"when": ["2024-01-01", "01.04.2024"]}), dates={"when": "ISO8601"})


def test_missing_dates_follow_the_policy_of_numbers():
    """The parts of a missing date are filled in."""
    table = pd.DataFrame({"when": ["2024-01-01", "", "2024-01-03"]})
    spec = learn(table, "none")
    assert features(table, spec)[1, 0] == 19724
    assert spec.indicators[0] == "when.days"


@pytest.mark.parametrize(
    ("embeddings", "expected"),
    [("auto", {"many": 11}), ("all", {"few": 2, "many": 11}), ("none", {}), ({"few": 5}, {"few": 5})],
)
def test_embeddings(embeddings, expected):
    """Categories of many values become vectors; which, and how long, can be said."""
    table = pd.DataFrame({"few": ["a", "b"] * 33, "many": [f"v{number % 33}" for number in range(66)]})
    spec = learn(table, embeddings=embeddings)
    assert spec.embeddings == expected
    one_hot = sum(len(values) for name, values in spec.categories.items() if name not in expected)
    assert features(table, spec).shape == (66, one_hot + sum(expected.values()))


def test_embeddings_of_what_is_no_category():
    """A vector needs a column of categories."""
    with pytest.raises(ConfigError, match=r"data\.embeddings: .*Received: citi\. Did you mean city\?"):
        learn(TABLE, embeddings={"citi": 3})


def test_a_column_has_one_role():
    """Options that contradict each other are refused."""
    with pytest.raises(ConfigError, match="'a' under numeric and categorical"):
        TableOptions(numeric=("a",), categorical=("a",)).check_roles([], None)


@pytest.mark.parametrize(("value", "received"), [(np.inf, "inf"), (-np.inf, "-inf")])
def test_numbers_that_are_none(value, received):
    """A number that is infinite is an error with column, place and count."""
    with pytest.raises(DataError, match=rf"'area': {received} at file\.csv:3, and so in 1 of 3 rows"):
        learn(pd.DataFrame({"area": [1.0, value, 2.0]}))


def test_text_where_training_had_numbers():
    """New rows with text in a column of numbers are refused by place."""
    new = pd.DataFrame({"city": ["Rome"], "area": ["wide"], "big": [True]})
    with pytest.raises(DataError, match=r"'area': 'wide' at file\.csv:2"):
        encode_table(rows(new), learn(TABLE))


def test_missing_column():
    """New rows without a column of the training are refused, with the nearest column."""
    with pytest.raises(DataError, match="trained with a column 'area'. file.csv has none. Did you mean aera?"):
        encode_table(rows(TABLE.rename(columns={"area": "aera"})), learn(TABLE))


def test_too_many_categories():
    """A text column of very many values is refused, with the way out."""
    table = pd.DataFrame({"name": [f"n{number}" for number in range(1001)] * 3, "x": range(3003)})
    with pytest.raises(DataError, match=r"Received: 1001 in column 'name'.*data\.ignore"):
        learn(table)


@pytest.mark.parametrize("table", [pd.DataFrame(index=range(3)), pd.DataFrame({"same": [1, 1, 1]})])
def test_no_columns(table):
    """A table with nothing that varies beside the target is refused."""
    with pytest.raises(DataError, match="at least one column that varies"):
        learn(table)


def test_typed_columns():
    """What a DataFrame or Parquet file says of its columns is believed."""
    table = pd.DataFrame(
        {
            "whole": pd.array([1, None, 3], dtype="Int64"),
            "kind": pd.Categorical(["a", None, "b"]),
            "when": pd.to_datetime(["2024-01-01", None, "2024-01-05"], utc=True),
            "flag": pd.array([True, None, False], dtype="boolean"),
        }
    )
    spec = learn(table, "none")
    assert spec.categories == {"kind": ("", "a", "b")}
    assert spec.columns[:2] == ("whole", "flag")
    assert torch.isfinite(features(table, spec)).all()


@pytest.mark.parametrize(
    ("factor", "shift", "message"),
    [
        (1e-60, 0, "differ by at least 1e-37.* column 'x' of f.csv"),
        (1e-200, 0, "differ by at least 1e-37"),
        (1e38, 0, "at most 1e[+]37.* column 'x'"),
        (1, 1e9, "more than single precision rounds them.* column 'x'"),
    ],
)
def test_numbers_with_which_networks_can_t_compute(factor, shift, message):
    """Too large, too near to one another, or too far from 0 for how little they differ: the column is named."""
    table = pd.DataFrame({"x": np.linspace(-1, 1, 20) * factor + shift, "y": range(20)})
    with pytest.raises(DataError, match=message):
        learn_table(Rows(table, None, np.arange(20), "f.csv"), "standard", TableOptions())


@pytest.mark.parametrize("normalize", ["standard", "min_max", "none"])
def test_extreme_numbers_that_are_fine(normalize):
    """Numbers of 1e30 and of 1e-30 are normalised like any others, to features that are finite."""
    table = pd.DataFrame({"x": np.linspace(-1, 1, 20) * 1e-30, "y": np.arange(20.0)})
    if normalize != "none":
        table["x"] *= 1e60
    rows = Rows(table, None, np.arange(20), "f.csv")
    spec = learn_table(rows, normalize, TableOptions())[0]
    features = make_preprocess(spec)(encode_table(rows, spec))
    assert bool(torch.isfinite(features).all())
    assert normalize == "none" or features[:, 0].std() > 0.2


def test_numbers_far_from_those_of_training():
    """A number whose square single precision does not hold is refused, with its row; any other outlier is taken."""
    table = pd.DataFrame({"x": np.linspace(-1, 1, 20), "y": range(20)})
    spec = learn_table(Rows(table, None, np.arange(20), "f.csv"), "standard", TableOptions())[0]
    table.loc[4, "x"] = 1e12
    assert bool(torch.isfinite(encode_table(Rows(table, None, np.arange(20), "g.csv"), spec)).all())
    table.loc[4, "x"] = 1e30
    with pytest.raises(DataError, match=r"at most 1e\+18.* column 'x': 1e\+30 at g\.csv, row 4, normalised 1\.6"):
        encode_table(Rows(table, None, np.arange(20), "g.csv"), spec)
