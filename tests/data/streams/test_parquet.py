"""Parquet files are read by row groups, and what is learned of them is what a table in memory would teach."""

from dataclasses import astuple, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch

from lightlab.data import ParquetStream, TableData
from lightlab.data.streams.parquet import ParquetSource
from lightlab.errors import ConfigError, DataError, TargetError
from lightlab.module import Model

ROWS = 300


@pytest.fixture
def table():
    """A table with every kind of column, in two files of ragged row groups."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "area": generator.normal(1e4, 20, ROWS),
            "rooms": np.where(generator.random(ROWS) < 0.2, np.nan, generator.integers(1, 9, ROWS)),
            "city": generator.choice(["Rome", "Oslo", None], ROWS),
            "garden": generator.choice([True, False], ROWS),
            "built": pd.Timestamp("2000-01-01") + pd.to_timedelta(generator.integers(0, 9000, ROWS), "D"),
            "planet": "Earth",
            "name": [f"house {number}" for number in range(ROWS)],
            "kind": generator.choice(["flat", "house", "tent"], ROWS),
        }
    )
    write(table)
    return table


def write(table, folder="houses", cut=170, **options):
    """Write a table as two files."""
    Path(folder).mkdir(exist_ok=True)
    table[:cut].to_parquet(f"{folder}/a.parquet", row_group_size=23, **options)
    table[cut:].to_parquet(f"{folder}/b.parquet", row_group_size=50, **options)


def stream(path="houses", target="kind", **options):
    """Return a stream that reads in this process."""
    return ParquetStream(path, target, **{"num_workers": 0, "batch_size": 20, "shuffle_buffer": 30, **options})


def read(loader, epoch=0):
    """Return the batches of an epoch as one: inputs, targets and places."""
    loader.sampler.set_epoch(epoch)
    return [torch.cat(parts) for parts in zip(*(batch[:3] for batch in loader), strict=True)]


def equal_specs(one, other):
    """Hold two input specs against each other, floats up to rounding."""
    for here, there in zip(astuple(one), astuple(other), strict=True):
        floats = isinstance(here, tuple) and any(isinstance(value, float) for value in here)
        assert (here == pytest.approx(there, rel=1e-9)) if floats else (here == there)


@pytest.mark.parametrize("normalize", ["standard", "min_max", "none"])
@pytest.mark.parametrize("missing", ["median", "mean"])
def test_it_learns_what_a_table_teaches(table, normalize, missing):
    """Columns, categories, statistics and classes are those that TableData learns from the same rows."""
    data = stream(normalize=normalize, missing_numbers=missing)
    spec = data.connect(None)
    train = table.iloc[data.parts["train"].numbers()]
    expected = TableData.from_frame(train=train, target="kind", normalize=normalize, missing_numbers=missing)
    wanted = expected.connect(None)
    equal_specs(spec.input, wanted.input)
    assert (spec.problem, spec.target) == (wanted.problem, wanted.target)
    assert spec.input.indicators == ("rooms",)
    assert "planet" not in spec.input.columns


def test_numbers_as_targets(table):
    """Mean and standard deviation of a target, and the problem, are those of all rows."""
    data = stream(target="area", ignore=["name"])
    spec = data.connect(None)
    values = table.area.iloc[data.parts["train"].numbers()]
    assert spec.problem == "regression"
    assert spec.target.mean == pytest.approx((values.mean(),))
    assert spec.target.std == pytest.approx((values.std(ddof=0),))


@pytest.mark.parametrize("problem", ["multilabel", "multiclass"])
def test_columns_of_zeros_and_ones(table, problem):
    """Several columns of 0 and 1 are labels, or classes, and are counted."""
    ones = pd.get_dummies(table.kind, dtype=int)
    write(pd.concat([table[["area"]], ones], axis=1))
    data = stream(target=list(ones.columns))
    spec = data.connect(problem)
    assert spec.target.counts == tuple(ones.iloc[data.parts["train"].numbers()].sum())
    assert data.connect(problem) is spec
    assert next(iter(data.train_dataloader())).targets.ndim == (2 if problem == "multilabel" else 1)


def test_every_row_once(table):
    """An epoch has each row of a split once, encoded as in memory; the next has another order."""
    data = stream()
    spec = data.connect(None)
    seen = {}
    for split, loader in (
        ("train", data.train_dataloader()),
        ("val", data.val_dataloader()),
        ("test", data.test_dataloader()),
    ):
        numbers = data.parts[split].numbers()
        assert set(seen).isdisjoint(numbers)
        seen |= dict.fromkeys(numbers, split)
        memory = TableData.from_frame(test=table.iloc[numbers], target="kind")
        memory.connect(None, spec)
        inputs, targets, _ = read(memory.test_dataloader())
        for epoch in range(2):
            got, labels, places = read(loader, epoch)
            assert sorted(places.tolist()) == list(range(len(numbers)))
            torch.testing.assert_close(got, inputs[places], equal_nan=True)
            assert torch.equal(labels, targets[places])
            assert (places.tolist() == sorted(places.tolist())) == (split != "train")
    assert len(seen) == ROWS
    first, second = (read(data.train_dataloader(), epoch)[2].tolist() for epoch in (0, 1))
    assert first != second
    assert first == read(data.train_dataloader(), 0)[2].tolist()


def test_row_groups_are_read_in_parts(table, monkeypatch):
    """No more than one row group is open, no more rows than a chunk are decoded at once, and no column in vain."""
    opened, most, asked = [], [], []

    class Spy(pq.ParquetFile):
        def __init__(self, *arguments, **options):
            super().__init__(*arguments, **options)
            opened.append(1)
            most.append(sum(opened))

        def close(self, *arguments, **options):
            opened.append(-1)
            super().close(*arguments, **options)

        def iter_batches(self, size, **options):
            asked.append(options["columns"])
            assert len(options["row_groups"]) == 1
            for batch in super().iter_batches(size, **options):
                assert batch.num_rows <= size == 7
                yield batch

    data = stream(ignore=["city", "name"])
    data.connect(None)
    monkeypatch.setattr("lightlab.data.streams.parquet.pq.ParquetFile", Spy)
    monkeypatch.setattr("lightlab.data.streams.parquet.CHUNK_ROWS", 7)
    inputs, _, _ = read(data.train_dataloader())
    assert len(inputs) == data.counts["train"]
    assert set(most) == {1}
    assert all(set(columns) == {"area", "rooms", "garden", "built", "kind"} for columns in asked)


def test_a_resumed_epoch_opens_what_is_left(table, monkeypatch):
    """Row groups that were read before are not opened again."""
    data = stream(shuffle_buffer=20)
    data.connect(None)
    groups = []
    source_read = ParquetSource.read
    monkeypatch.setattr(
        ParquetSource,
        "read",
        lambda self, segment, places: groups.append(segment) or source_read(self, segment, places),
    )
    whole = [batch.places.tolist() for batch in data.train_dataloader()]
    first, groups[:] = len(groups), []
    loader = data.train_dataloader()
    loader.load_state_dict({**loader.state_dict(), "batches": len(whole) - 1})
    assert [batch.places.tolist() for batch in loader] == whole[-1:]
    assert len(groups) < first / 3


def test_poisoned_rows_teach_nothing(table):
    """Whatever stands in rows of validation and test, all that is learned stays the same."""
    data = stream()
    clean = data.connect(None)
    others = np.concatenate([data.parts[split].numbers() for split in ("val", "test")])
    table.loc[others, "area"] = 1e9
    table.loc[others, "rooms"] = 1e6
    table.loc[others, "city"] = "Atlantis"
    table.loc[others, "garden"] = False
    write(table)
    assert stream().connect(None) == clean


def test_raw_new_rows_are_predicted(table):
    """A model of the stream predicts unlabelled rows of Parquet and of CSV alike, by their ids and in order."""
    data = stream(id_column="name")
    spec = data.connect(None)
    model = Model([{"dense": {"units": 4}}])
    model.build(spec)
    new = table.drop(columns=["kind", "planet"]).iloc[::-1]
    new.to_parquet("new.parquet", row_group_size=40)
    new.to_csv("new.csv", index=False)
    predicted = []
    for source in (
        stream(None, "kind", predict_path="new.parquet", id_column="name"),
        TableData(target="kind", predict_path="new.csv", id_column="name"),
    ):
        source.setup("predict")
        source.connect(None, spec)
        inputs = [batch.inputs for batch in source.predict_dataloader()]
        predicted.append(model.predict(torch.cat(inputs)))
        name, ids = source.name_rows("predict", np.array([0, 5]))
        assert (name, ids.tolist()) == ("name", ["house 299", "house 294"])
    for name in predicted[0]:
        one, other = (prediction[name] for prediction in predicted)
        assert one == (other if name == "prediction" else pytest.approx(other, abs=1e-5))


def test_other_values_than_in_training_are_said_once(table, capsys):
    """An unseen category, and a hole that training has not, are said when they are met, and not for each part."""
    data = stream()
    spec = data.connect(None)
    table.assign(city="Lima", area=np.nan).to_parquet("new.parquet", row_group_size=40)
    new = stream(None, "kind", test_path="new.parquet")
    new.connect(None, spec)
    capsys.readouterr()
    read(new.test_dataloader())
    printed = capsys.readouterr().out
    assert printed.count("in city what training has not: 'Lima'") == printed.count("lack area") == 1


def test_text_columns_are_read_as_in_csv(table):
    """Text that is nothing but numbers is numbers, as input and as target; empty text is missing."""
    texts = pd.DataFrame({"x": [str(number) for number in range(ROWS)], "grade": ["1", "2", "10"] * 100})
    texts.loc[3, "x"] = ""
    texts.to_parquet("texts.parquet", row_group_size=31)
    data = stream("texts.parquet", "grade", split=[1, 0, 0])
    spec = data.connect(None)
    assert (spec.input.columns, spec.input.indicators) == (("x",), ("x",))
    assert spec.target.classes == ("1", "2", "10")
    assert read(data.train_dataloader())[1].bincount().tolist() == [100] * 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"area": ["1", "2"] * 149 + ["1", "x"]}, r"'area'.*: 'x' at .*b\.parquet, row 129 \(row group 2\)"),
        ({"area": [1.0, 2.0] * 149 + [1.0, np.inf]}, r"'area': inf at .*b\.parquet, row 129"),
        ({"kind": ["a", "b", None] * 100}, r"Missing in column 'kind'.*first at .*a\.parquet, row \d+ \(row group 0\)"),
        ({"area": 1e9 + np.arange(300) % 2}, "'area' of houses: values of up to 1e.09 with"),
        ({"kind": "a"}, "at least two classes in the train split. Received in column 'kind' of houses: 1"),
    ],
)  # fmt: skip
def test_values_that_do_not_fit(table, change, message, monkeypatch):
    """A value that a column can't hold is named with file, row and row group, wherever it stands."""
    monkeypatch.setattr("lightlab.data.streams.source.SAMPLE_ROWS", 100)
    write(table.assign(**change))
    with pytest.raises(DataError, match=message):
        stream(numeric=["area"], split=[1, 0, 0]).connect("multiclass")


def test_a_class_of_the_validation_split_alone(table):
    """A class that training has not is an error before training starts."""
    table.to_parquet("train.parquet")
    table.assign(kind="castle").to_parquet("val.parquet")
    data = stream(None, train_path="train.parquet", val_path="val.parquet")
    data.connect(None)
    with pytest.raises(TargetError, match=r"class of val .* 'castle'"):
        data.check_targets(lambda targets: targets >= 0, "rule")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: stream("none"), r"from \.parquet or \.pq files.*Received: none \(nothing is there\)"),
        (lambda: stream("none*"), r"Received: none\* \(nothing is there\)"),
        (lambda: Path("empty").mkdir() or stream("empty"), r"Received: empty \(a folder without any\)"),
        (lambda: stream(target="knd"), "houses has no column 'knd'. Did you mean kind"),
        (lambda: stream(ignore=["cty"]), "houses has no column 'cty'. Did you mean city"),
        (lambda: stream(split={"groups": "cty"}), "houses has no column 'cty'"),
        (lambda: stream(target=None), "Training needs the target. houses is without it"),
        (lambda: stream("houses/bad.parquet"), r"bad\.parquet can't be read as Parquet"),
    ],
)
def test_paths_and_columns_that_are_not_there(table, make, message):
    """What is not there is said, with what is near."""
    data = make()
    Path("houses/bad.parquet").write_bytes(b"PAR1 no")
    if "bad" not in message:
        Path("houses/bad.parquet").unlink()
    with pytest.raises(DataError, match=message):
        data.connect(None)


def test_files_of_other_columns(table):
    """Files of other columns, or of text where the first has numbers, are refused."""
    table.drop(columns="city").to_parquet("houses/c.parquet")
    with pytest.raises(DataError, match=r"column 'city': text in .*a\.parquet, no such column in .*c\.parquet"):
        stream().connect(None)
    table.assign(area="x").to_parquet("houses/c.parquet")
    with pytest.raises(DataError, match=r"column 'area': numbers in .*a\.parquet, text in .*c\.parquet"):
        stream().connect(None)
    table[:0].to_parquet("none.parquet")
    with pytest.raises(DataError, match=r"A table has rows. none\.parquet has none"):
        stream("none.parquet").connect(None)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_file_that_breaks_off(table, workers):
    """Bytes that were overwritten are found when they are read, in a worker too."""
    data = stream(num_workers=workers)
    data.connect(None)
    path = Path("houses/a.parquet")
    content = bytearray(path.read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"^houses/a\.parquet can't be read as Parquet, in row group \d+"):
        read(data.train_dataloader())


def test_a_column_has_one_role(table):
    """A target that is an input, too, is refused."""
    with pytest.raises(
        ConfigError, match=r"data\.ignore: A column has one role\. Received 'kind' under target and ignore"
    ):
        stream(ignore=["kind"])


def test_files_are_told_apart_without_being_read(table):
    """What identifies a split changes with seed, shares and files, and with nothing else."""
    data = stream()
    data.connect(None)
    before = data.digests()
    again = stream(batch_size=7)
    again.connect(None)
    assert again.digests() == before
    other = stream(seed=1)
    other.connect(None)
    assert other.digests()["train"] != before["train"]


def test_specs_compare():
    """The comparison of this file sees a difference."""
    spec = TableData.from_frame(pd.DataFrame({"x": range(40), "y": [0, 1] * 20}), "y").connect(None).input
    with pytest.raises(AssertionError):
        equal_specs(spec, replace(spec, offset=(spec.offset[0] + 1e-3,)))
