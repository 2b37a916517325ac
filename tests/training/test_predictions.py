"""Predictions are written whole, or not at all, in the order of the rows, and never held all at once."""

import subprocess
import sys
from itertools import count
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lightlab.cli import main
from lightlab.errors import ConfigError, RunError
from lightlab.training import predictions
from lightlab.training.predictions import Spool, check_overwrites_no_source, write_tables

PROGRAM = Path(sys.executable).with_name("lightlab")
OVERLAY = Path(__file__).parents[2] / "configs" / "overlays" / "ddp.yaml"
TABLE = pd.DataFrame({"id": [1, 2], "prediction": ["a", "b, c"]})
CONFIG = """\
seed_everything: 1
data:
  class_path: ParquetStream
  init_args: {path: rows.parquet, target: y, batch_size: 40, num_workers: 0, id_column: name}
model:
  problem: binary
  layers:
    - dense: {units: 8, activation: relu}
trainer: {max_epochs: 1, accelerator: cpu}
"""


@pytest.mark.parametrize(("name", "read"), [("p.csv", pd.read_csv), ("p.parquet", pd.read_parquet)])
def test_written_by_its_ending(name, read):
    """The file is read back as the tables were, one below the other, and is readable as other new files are."""
    write_tables([TABLE, TABLE[:1]], Path(name))
    pd.testing.assert_frame_equal(read(name), pd.concat([TABLE, TABLE[:1]], ignore_index=True))
    Path("other").touch()
    assert Path(name).stat().st_mode == Path("other").stat().st_mode


def test_a_file_that_can_t_be_written():
    """A place that can't be written to is named, and nothing is left there."""
    Path("p.csv").mkdir()
    with pytest.raises(RunError, match=r"p\.csv"):
        write_tables([TABLE], Path("p.csv"))
    assert [path.name for path in Path().iterdir()] == ["p.csv"]


@pytest.mark.parametrize("name", ["p.csv", "p.parquet"])
def test_what_breaks_off_leaves_what_was_there(name):
    """When tables end in an error, the file that stood there still does, and nothing else."""

    def tables():
        yield TABLE
        raise RunError("no more")

    write_tables([TABLE], Path(name))
    before = Path(name).read_bytes()
    with pytest.raises(RunError, match="no more"):
        write_tables(tables(), Path(name))
    assert Path(name).read_bytes() == before
    assert [path.name for path in Path().iterdir()] == [name]


def record(*places):
    """Return predictions of rows that are their own places."""
    return pa.RecordBatch.from_pydict({"places": list(places), "prediction": [str(place) for place in places]})


def test_rows_come_back_in_order(monkeypatch):
    """Whatever the order of the batches, in tables of about so many values, and from a file without a name."""
    monkeypatch.setattr(predictions, "VALUES_AT_ONCE", 10)
    spool = Spool(Path())
    for first in (6, 0, 9, 3, 12):
        spool.add(record(*range(first, first + 3)))
    tables = list(spool.read())
    assert list(Path().iterdir()) == []
    assert [len(table) for table in tables] == [6, 6, 3]
    whole = pd.concat(tables)
    assert whole.places.tolist() == list(range(15))
    assert whole.prediction.tolist() == [str(place) for place in range(15)]
    spool.close()


@pytest.mark.parametrize("length", [1, 2, 5, 100])
def test_rows_are_called_by_their_names(length):
    """Names come in parts of any length, and where rows are left out, so are their names."""
    tables = [pd.DataFrame({"places": places}) for places in ([0, 1, 2], [3], [9, 10, 14], [15])]
    names = (np.array([f"row {place}" for place in range(begin, begin + length)]) for begin in count(step=length))
    named = pd.concat(predictions._named(tables, "name", names))
    assert named.name.tolist() == [f"row {place}" for place in (0, 1, 2, 3, 9, 10, 14, 15)]


def test_a_column_of_that_name_stands_already():
    """Names are called id, where a prediction has their name."""
    (named,) = predictions._named([pd.DataFrame({"places": [0], "a": [1.5]})], "a", iter([np.array([7])]))
    assert named.to_dict("list") == {"id": [7], "a": [1.5]}


@pytest.fixture
def trained():
    """A model that was trained on a stream, with an id column in it."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"x": generator.normal(size=400), "z": generator.normal(size=400)})
    table["y"] = np.where(table.x + table.z > 0, "up", "down")
    table["name"] = [f"row {number}" for number in range(400)]
    table.to_parquet("rows.parquet", row_group_size=33)
    Path("c.yaml").write_text(CONFIG)
    assert main(["fit", "--config", "c.yaml", "--tensorboard=null"]) == 0
    return table


NEW = ["predict", "--config", "c.yaml", "--data.predict_path", "new.parquet"]


@pytest.mark.xdist_group("distributed")
def test_readers_and_processes_change_nothing(trained, capsys):
    """Rows that several workers of several processes read are written in order, by their names."""
    trained[["x", "z", "name"]].to_parquet("new.parquet", row_group_size=33)
    small = ["--data.eval_batch_size", "16"]
    assert main([*NEW, "--output", "alone.csv"]) == 0
    assert main([*NEW, *small, "--data.num_workers", "2", "--output", "out/workers.parquet"]) == 0
    two = ["--config", str(OVERLAY), "--trainer.accelerator", "cpu", "--trainer.devices", "2"]
    arguments = [*NEW, *small, "--data.num_workers", "2", "--output", "processes.csv", *two]
    result = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    alone = pd.read_csv("alone.csv")
    assert alone.name.tolist() == trained.name.tolist()
    pd.testing.assert_frame_equal(pd.read_parquet("out/workers.parquet"), alone, rtol=1e-5)
    pd.testing.assert_frame_equal(pd.read_csv("processes.csv"), alone, rtol=1e-5)
    assert pq.ParquetFile("out/workers.parquet").num_row_groups == 1
    assert sorted(path.name for path in Path("out").iterdir()) == ["workers.parquet"]


def test_a_row_that_can_t_be_predicted(trained, capsys):
    """Predictions that break off in the middle leave the file of an earlier time, and nothing of their own."""
    trained.to_parquet("new.parquet", row_group_size=33)
    assert main([*NEW, "--output", "out/p.csv"]) == 0
    before = Path("out/p.csv").read_bytes()
    trained.assign(x=trained.x.where(trained.index < 300, 3e38), z=3e38).to_parquet("new.parquet", row_group_size=33)
    assert main([*NEW, "--data.eval_batch_size", "16", "--output", "out/p.csv"]) != 0
    assert "finite" in capsys.readouterr().err
    assert Path("out/p.csv").read_bytes() == before
    assert [path.name for path in Path("out").iterdir()] == ["p.csv"]


def test_an_output_that_can_t_be(trained, capsys):
    """A folder that can't be made is named."""
    trained.to_parquet("new.parquet")
    Path("file").touch()
    assert main([*NEW, "--output", "file/p.csv"]) != 0
    assert "file/p.csv" in capsys.readouterr().err


@pytest.mark.parametrize("source", ["d/t.csv", "soft.csv", "hard.csv", "d", ".", "*/*.csv", "[d]/t.c?v"])
def test_what_is_never_written_over(source):
    """A file by all its names, the folder that it lies in, and a pattern that it fits."""
    Path("d").mkdir()
    Path("d/t.csv").touch()
    Path("soft.csv").symlink_to("d/t.csv")
    Path("hard.csv").hardlink_to("d/t.csv")
    others = {"e": "", "x\0": "", "y" * 999: "", "*.parquet": "", source: "data.path"}
    with pytest.raises(ConfigError, match="not written over data, config or checkpoint") as raised:
        check_overwrites_no_source(Path("d/t.csv"), others)
    assert f"data.path ({source})" in str(raised.value)
    del others[source]
    check_overwrites_no_source(Path("d/t.csv"), others)
    check_overwrites_no_source(Path("d/new.csv"), {source: "data.path"})
