"""Text files are written whole, or not at all."""

from pathlib import Path

import pytest

from lightlab.errors import RunError
from lightlab.files import write_text


def test_replaces_a_file():
    """What stood there is gone, and nothing is left beside it; text is in UTF-8."""
    Path("a.txt").write_text("before, and longer")
    write_text("müde\n", Path("a.txt"), "text")
    assert Path("a.txt").read_bytes() == "müde\n".encode()
    assert [path.name for path in Path().iterdir()] == ["a.txt"]


@pytest.mark.parametrize("path", ["no/such.txt", "folder", ".", "file/a.txt"])
def test_where_nothing_can_be_written(path):
    """The message names what was to be written and where; what was there stays, and nothing comes beside it."""
    Path("folder").mkdir()
    Path("file").write_text("mine")
    with pytest.raises(RunError, match=f"The text can't be written to {path}: "):
        write_text("new", Path(path), "text")
    assert {path.name for path in Path().iterdir()} == {"folder", "file"}
    assert Path("file").read_text() == "mine"


def test_text_that_can_not_be_encoded():
    """A fault of the text leaves nothing behind, either."""
    Path("a.txt").write_text("mine")
    with pytest.raises(UnicodeEncodeError):
        write_text("\ud800", Path("a.txt"), "text")
    assert Path("a.txt").read_text() == "mine"
    assert [path.name for path in Path().iterdir()] == ["a.txt"]
