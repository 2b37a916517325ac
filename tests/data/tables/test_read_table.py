"""Tables are read whole and as text, or refused, by file and line."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightlab.data.tables.read_table import TextForm, locate_row, read_table
from lightlab.errors import DataError


def write(content, name="f.csv", encoding="utf-8"):
    """Write a file, and return its name."""
    Path(name).write_bytes(content.encode(encoding) if isinstance(content, str) else content)
    return name


def test_values_are_text():
    """Codes keep their zeros, NA stays NA, quoted commas and line breaks are part of a value."""
    table = read_table(write('zip,note\n01234,NA\n5,"a, ""b""\nc"\n'))
    assert table.to_dict("list") == {"zip": ["01234", "5"], "note": ["NA", 'a, "b"\nc']}


@pytest.mark.parametrize(("name", "form"), [("f.tsv", TextForm()), ("f.csv", TextForm(separator="\t"))])
def test_tabs(name, form):
    """Tabs separate values in .tsv files, and where it is said."""
    assert read_table(write("a\tb\n1\t2,5\n", name), form).to_dict("list") == {"a": ["1"], "b": ["2,5"]}


def test_semicolons_and_commas():
    """A file as spreadsheets in many countries write it; text with a comma stays as it is."""
    table = read_table(write("a;b\n1,5;Rome, Italy\n-2;3,1\n"), TextForm(separator=";", decimal=","))
    assert table.to_dict("list") == {"a": ["1.5", "-2"], "b": ["Rome, Italy", "3.1"]}


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_encodings(encoding):
    """Text of another encoding is read when it is named."""
    form = TextForm(encoding=encoding)
    assert read_table(write("city\nMalmö\nBær\n", encoding=encoding), form).city.tolist() == ["Malmö", "Bær"]


def test_byte_order_mark():
    """A file with a byte order mark, as spreadsheets write it, is the same file."""
    assert read_table(write("\ufeffa,b\n1,2\n")).columns.tolist() == ["a", "b"]


def test_parquet():
    """Columns of a Parquet file keep their types."""
    pd.DataFrame({"a": [1, 2], "b": ["x", None]}).to_parquet("f.parquet")
    table = read_table("f.parquet")
    assert table.a.tolist() == [1, 2]
    assert table.b.isna().tolist() == [False, True]
    assert locate_row("f.parquet", TextForm(), 1) == "f.parquet, row 1"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", r"f\.csv is empty"),
        ("\n\n", r"f\.csv is empty"),
        ("x,y\n", r"f\.csv has none"),
        ("x,y\n1,2\n1,2,3\n", r"as many values as the header, 2\. f\.csv:3 has 3"),
        ("x,y\n1,2\n\n1\n", r"as many values as the header, 2\. f\.csv:4 has 1"),
        ('x,y\n"a\nb",2\n1\n', r"f\.csv:4 has 1"),
        ("x,x,y\n1,2,3\n", r"f\.csv:1 has 'x' more than once"),
        ("x,,y\n1,2,3\n", r"In f\.csv:1 column 2 has none"),
        ("1,2.5\n3,4\n", r"line of column names\. f\.csv:1 has numbers: 1, 2\.5"),
        ("x;y\n1;2\n", r"separated by commas\. Received in f\.csv:1: 'x;y'\. Set data\.separator, as in ';'"),
        (b"x,y\ncaf\xe9,1\n", r"text in UTF-8\. Received: f\.csv.*data\.encoding"),
        (b"caf\xe9,y\n1,1\n", r"text in UTF-8\. Received: f\.csv"),
    ],
)
def test_files_that_are_no_table(content, message):
    """The rule, the file and the line are said."""
    with pytest.raises(DataError, match=message):
        read_table(write(content))


def test_a_parquet_file_that_is_none():
    """A damaged Parquet file is named."""
    pd.DataFrame({"a": range(100)}).to_parquet("f.parquet")
    write(Path("f.parquet").read_bytes()[:-20], "g.parquet")
    with pytest.raises(DataError, match=r"g\.parquet can't be read as Parquet"):
        read_table("g.parquet")
    pd.DataFrame({"a": []}).to_parquet("h.parquet")
    with pytest.raises(DataError, match=r"h\.parquet has none"):
        read_table("h.parquet")


def test_an_encoding_that_is_none():
    """An encoding that Python does not know is said."""
    with pytest.raises(DataError, match=r"data\.encoding is one that Python knows.*Received: uft-8"):
        read_table(write("a\n1\n"), TextForm(encoding="uft-8"))


def test_places_that_are_no_file():
    """A path that is no file is answered with those that are nearly called so."""
    write("a\n1\n", "houses.csv")
    with pytest.raises(DataError, match=r"house\.csv \(no such file\)\. Did you mean houses\.csv\?"):
        read_table("house.csv")
    Path("folder").mkdir()
    with pytest.raises(DataError, match=r"folder \(a folder\)"):
        read_table("folder")
    Path("loop.csv").symlink_to("loop.csv")
    with pytest.raises(DataError, match=r"loop\.csv"):
        read_table("loop.csv")


def test_lines_of_rows():
    """A row is found by the line that it starts on, blank lines and broken ones counted."""
    write('x,y\n1,2\n\n"a\nb",3\n4,5\n')
    assert [locate_row("f.csv", TextForm(), row) for row in range(3)] == ["f.csv:2", "f.csv:4", "f.csv:6"]


def test_numbers():
    """Columns of nothing but numbers become numbers, unless they are to stay text; others stay as they are written."""
    write("a,zip,flag,c,empty\n 1.5,01234,true,x,\n?,5,FALSE,NA,\n-2e3,6,true,3,nan\n")
    table = read_table("f.csv", text={"zip"})
    np.testing.assert_array_equal(table.a, [1.5, np.nan, -2000])
    assert table["empty"].tolist() == ["", "", "nan"]
    rest = table[["zip", "flag", "c"]].to_dict("list")
    assert rest == {"zip": ["01234", "5", "6"], "flag": ["true", "FALSE", "true"], "c": ["x", "NA", "3"]}
    semicolons = read_table(write("a;b\n1,5;1,5 m\n2;3\n"), TextForm(separator=";", decimal=","), text=())
    assert semicolons.to_dict("list") == {"a": [1.5, 2.0], "b": ["1,5 m", "3"]}


def test_text_far_down_in_a_column_of_numbers(monkeypatch):
    """A column is text if any value of it is, wherever that stands; what else is numbers stays so."""
    monkeypatch.setattr("lightlab.data.tables.read_table.BLOCK", 1000)
    lines = [f"{number:03},{number}" for number in range(2000)]
    table = read_table(write("\n".join(["a,b", *lines, "none here,7"])), text=())
    assert table.a.iloc[[0, -1]].tolist() == ["000", "none here"]
    assert table.b.sum() == sum(range(2000)) + 7


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_line_longer_than_a_block(encoding, monkeypatch):
    """It is read as others are; of one that never ends it is said where it begins."""
    monkeypatch.setattr("lightlab.data.tables.read_table.BLOCK", 1000)
    lines = ["a,b", *["1,short"] * 500, f"2,{'名' * 20_000}", "3,short"]
    table = read_table(write("\n".join(lines), encoding=encoding), TextForm(encoding=encoding), text=())
    assert (table.a.sum(), table.b.str.len().max()) == (505, 20_000)
    write("\n".join([*lines[:501], f'2,"{lines[501]}', *lines[502:]]), encoding=encoding)
    with pytest.raises(DataError, match=r"f.csv can't be read as CSV after line 501: unexpected end of data"):
        read_table("f.csv", TextForm(encoding=encoding))
