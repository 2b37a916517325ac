"""Predictions are written whole, or not at all."""

from pathlib import Path

import pandas as pd
import pytest

from lightlab.errors import RunError
from lightlab.training.predictions import write_table

TABLE = pd.DataFrame({"id": [1, 2], "prediction": ["a", "b, c"]})


@pytest.mark.parametrize(("name", "read"), [("p.csv", pd.read_csv), ("deep/er/p.parquet", pd.read_parquet)])
def test_written_by_its_ending(name, read):
    """The file is read back as it was, in folders that are made, readable as other new files are."""
    write_table(TABLE, Path(name))
    pd.testing.assert_frame_equal(read(name), TABLE)
    Path("other").touch()
    assert Path(name).stat().st_mode == Path("other").stat().st_mode


def test_a_file_that_can_t_be_written():
    """A place that can't be written to is named, and nothing is left there."""
    Path("file").touch()
    with pytest.raises(RunError, match=r"file/p\.csv"):
        write_table(TABLE, Path("file/p.csv"))
    Path("p.csv").mkdir()
    with pytest.raises(RunError, match=r"p\.csv"):
        write_table(TABLE, Path("p.csv"))
    assert sorted(path.name for path in Path().iterdir()) == ["file", "p.csv"]
