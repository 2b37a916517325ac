"""What is read off data: targets, dates, text, forms of files, and a model that suits them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from lightlab.build import build_network
from lightlab.config.documents import Loader
from lightlab.data.propose import columns
from lightlab.data.propose.columns import find_date_forms, find_prose, guess_target
from lightlab.data.propose.config import choose_batch_size, choose_layers, entry, note, scalar
from lightlab.data.propose.propose import choose_side, propose
from lightlab.data.rows import Rows
from lightlab.data.tables.features import learn_table
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.errors import DataError

IDS = range(30)


@pytest.mark.parametrize(
    ("columns", "target"),
    [
        ({"Target": ["a", "b"] * 15, "size": IDS}, "Target"),
        ({"y": [0, 1] * 15, "label": ["a", "b"] * 15, "size": IDS}, "label"),
        ({"size": [1.0, 2.5] * 15, "price": [3.5, 4.0] * 15}, "price"),
        ({"kind": ["a", "b"] * 15, "note": [f"a long text {row}" for row in IDS]}, "kind"),
        ({"kind": ["a", "b"] * 15, "day": pd.date_range("2024-01-01", periods=30).astype(str)}, "kind"),
        ({"kind": ["a", "b"] * 15, "country": ["NO"] * 30, "row_id": IDS}, "kind"),
        ({"one": ["x"] * 30}, "one"),
    ],
)
def test_guessed_target(columns, target):
    """A name that people use wins, else the last column that is neither constant, date, id nor prose."""
    assert guess_target(pd.DataFrame(columns))[0] == target


@pytest.mark.parametrize(
    ("values", "form"),
    [
        (["31/01/2024", "01/02/2024"], "%d/%m/%Y"),
        (["01/31/2024", "02/01/2024"], "%m/%d/%Y"),
        (["31.01.2024", None], "%d.%m.%Y"),
        (["2024-01-31"], ""),
        (["1.5", "2.5"], ""),
        (["31/31/2024"], ""),
        (["", None], ""),
        ([1.5, 2.5], ""),
    ],
)
def test_forms_of_dates(values, form):
    """A form is that of every date of a column; ISO 8601 needs none."""
    assert (find_date_forms(pd.Series(values)) or [""])[0] == form


def test_prose():
    """Prose is the only input, mostly different, and several words long."""
    prose = [f"the film number {row} was good" for row in range(30)]
    assert find_prose(pd.DataFrame({"text": prose})) == "text"
    assert find_prose(pd.DataFrame({"text": prose, "size": np.arange(30) % 7})) is None
    assert find_prose(pd.DataFrame({"text": [f"name {row}" for row in range(30)]})) is None
    assert find_prose(pd.DataFrame({"text": ["the same few words"] * 29 + ["three other words"]})) is None


@pytest.mark.parametrize(
    ("separator", "decimal", "encoding", "options"),
    [
        (",", ".", "utf-8", {}),
        (";", ",", "utf-8", {"separator": ";", "decimal": ","}),
        (";", ".", "cp1252", {"separator": ";", "encoding": "cp1252"}),
        ("|", ".", "utf-8", {"separator": "|"}),
    ],
)
def test_forms_of_files(separator, decimal, encoding, options):
    """How a file is written is found out: what separates values, fractions, and the encoding."""
    frame = pd.DataFrame(
        {"size, of all": np.arange(60) + 0.25, "Straße": ["Köln", "Bonn", "Ulm"] * 20, "y": ["a", "b"] * 30}
    )
    frame.to_csv("a.csv", sep=separator, decimal=decimal, encoding=encoding, index=False)
    proposal = propose("a.csv", [])
    form = {name: proposal.options[name] for name in ("separator", "decimal", "encoding") if name in proposal.options}
    assert form == options
    assert proposal.spec.input.columns == ("size, of all",)
    assert proposal.spec.input.categories["Straße"] == ("Bonn", "Köln", "Ulm")


@pytest.mark.parametrize(
    ("column", "fault"),
    [
        ([*map(str, range(59)), "n.k."], "mostly numbers, but 1 are text, as 'n.k.'"),
        (1e9 + np.arange(60), "Numbers differ by more than single precision rounds them"),
        (["inf", *map(str, range(59))], "finite numbers"),
    ],
)
def test_columns_that_would_be_an_error(column, fault):
    """They are left out, and the reason is said."""
    pd.DataFrame({"good": np.arange(60) % 7, "bad": column, "y": ["a", "b"] * 30}).to_csv("a.csv", index=False)
    proposal = propose("a.csv", [])
    assert proposal.options["ignore"] == ["bad"]
    assert fault in proposal.reasons["ignore"]


def test_one_column_of_many_that_would_be_an_error(monkeypatch):
    """It is found in few looks, however many columns there are."""
    looks = []
    monkeypatch.setattr(columns, "learn_table", lambda *given: looks.append(given) or learn_table(*given))
    table = pd.DataFrame(np.random.default_rng(0).normal(size=(30, 256))).rename(columns=str)
    assert (columns.find_faults(Rows(table, None, np.arange(30), "a.csv")), len(looks)) == ({}, 1)
    table["100"] = [*map(str, range(29)), "n.k."]
    assert list(columns.find_faults(Rows(table, None, np.arange(30), "a.csv"))) == ["100"]
    assert len(looks) == 1 + 17


@pytest.mark.parametrize(("written", "shown"), [("{}%", "'0%'"), ("1,{:03}", "'1,000'")])
def test_no_column_but_one_that_would_be_an_error(written, shown):
    """Why it was left out is said beside why nothing is left, and what to do about it."""
    texts = [written.format(place) for place in range(60)]
    pd.DataFrame({"rate": texts, "unit": "kg", "y": ["a", "b"] * 30}).to_csv("a.csv", index=False)
    with pytest.raises(DataError, match=f"rate: mostly numbers, but 60 are text, as {shown}. Write them as numbers"):
        propose("a.csv", [])


def test_names_of_rows_longer_than_numbers_can_be():
    """They stay what they are, though other columns are numbers."""
    given = pd.DataFrame({"id": [10**19 + row for row in range(60)], "size": range(60), "y": ["a", "b"] * 30})
    given.to_csv("a.csv", index=False)
    assert propose("a.csv", []).options["id_column"] == "id"


def test_a_column_called_as_our_own_is_read():
    """No name of a column is special."""
    pd.DataFrame({"varies": np.arange(60) % 7, "y": ["a", "b"] * 30}).to_csv("a.csv", index=False)
    assert propose("a.csv", []).spec.input.columns == ("varies",)


def test_images_of_several_sizes_and_broken_ones():
    """Images are brought to one size where they have several, and those that can't be read are skipped."""
    for kind in ("a", "b"):
        Path("pets", kind).mkdir(parents=True)
        for number in range(12):
            Image.new("RGB", (70 + number, 90), (number * 20, 0, 0)).save(f"pets/{kind}/{number}.png")
    Path("pets/a/broken.png").write_bytes(b"no image")
    proposal = propose("pets", [])
    assert proposal.options == {"path": "pets", "size": 64, "unreadable": "skip"}
    assert proposal.reasons["unreadable"].startswith("1 images can't be read")


def test_sides():
    """The side is no larger than what half of the images have."""
    assert choose_side([500] * 3, [400] * 3) == 224
    assert choose_side([10], [12]) == 16


def test_array_files():
    """An .npy file has its targets in another; channels that are last are moved, and pixels are images."""
    np.save("x.npy", np.random.default_rng(0).integers(0, 255, (60, 9, 9, 3), dtype=np.uint8))
    np.save("labels.npy", np.arange(60) % 2)
    proposal = propose("x.npy", [])
    assert proposal.options == {"path": "x.npy", "target_path": "labels.npy", "channels_last": True, "image": True}
    assert proposal.spec.input.shape == (3, 9, 9)


def of_shape(shape, kind="array", classes=3, **options):
    """Return a spec of inputs of a shape."""
    channels = (0.0,) * shape[0], (1.0,) * shape[0]
    names = tuple(f"class {number}" for number in range(classes))
    return DataSpec(
        "multiclass", InputSpec(shape, *(channels if kind != "text" else ((), ())), kind=kind, **options),
        TargetSpec(("y",), names, (10,) * classes, rows=10 * classes),
    )  # fmt: skip


@pytest.mark.parametrize("rows", [10, 500, 5_000, 50_000, 1_000_000])
@pytest.mark.parametrize(
    "spec",
    [
        *(of_shape((3, side, side), "image", high=255.0) for side in (1, 2, 3, 4, 7, 8, 12, 28, 64, 224)),
        *(of_shape((1, 8, width)) for width in (1, 3, 500)),
        *(of_shape((4, length)) for length in (1, 5, 4000)),
        *(of_shape((1, side, side, side)) for side in (1, 4, 16)),
        of_shape((30,), classes=400),
        of_shape((20,), "text", vocabulary=("", "[UNK]", "a"), tokens="words"),
    ],
    ids=lambda spec: "×".join(map(str, spec.input.shape)),
)
def test_layers_fit_every_shape(spec, rows):
    """The layers can be built for every shape and number of rows, as YAML has them, and are of a sensible size."""
    layers = yaml.load("\n".join(f"- {layer}" for layer, _ in choose_layers(spec, rows)), Loader=Loader)
    network, _ = build_network(layers, spec.input.shape, vocabulary_size=len(spec.input.vocabulary) or None)
    assert sum(parameter.numel() for parameter in network.parameters()) < 3_000_000


def test_batch_sizes():
    """The batch grows with the rows, between 16 and 512, and is a power of two."""
    sizes = [choose_batch_size(rows) for rows in (1, 29, 30, 480, 960, 4_000, 10**5, 10**9)]
    assert sizes == [16, 16, 16, 16, 32, 128, 512, 512]


@pytest.mark.parametrize(
    "value",
    ["1e3", "no", "~", "", " a", "a: b", "#1", "it's", '"', "a\nb", "a\\b", "Größe", "null", "2024-01-31", "0x1F",
     "- a", "{a}", "[x", "%", "@a", "1_000", "12:30:00", 3, 0.5, True, None, ["a, b", 1], {"a: b": "%d/%m/%Y"}],
)  # fmt: skip
def test_values_are_read_as_what_they_were(value):
    """Whatever a column is called, lightlab's own reader and any other get it back, from one line."""
    text = scalar(value)
    assert "\n" not in text
    assert yaml.load(f"key: {text}", Loader=Loader) == {"key": value}
    assert yaml.safe_load(f"key: {text}  # why") == {"key": value}


def test_comments_stay_comments():
    """A comment is on lines of its own where it is long, and no line break ends it."""
    assert entry(2, "a: 1", "why") == ["  a: 1" + " " * 29 + "  # why"]
    *comments, line = entry(2, "a: 1", "word " * 40)
    assert line == "  a: 1"
    assert all(comment.startswith("  # ") and len(comment) <= 110 for comment in comments)
    assert note(0, "one\ntwo: three") == ["# one two: three"]
