"""Text files are written whole, or not at all."""

import multiprocessing
import os
import random
import signal
import stat
from pathlib import Path

import pytest

from lightlab.errors import RunError
from lightlab.files import check_folder, check_output, replacing, write_text


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


def write_and_die(folder):
    """Begin to write a file, and be killed."""
    with replacing(Path(folder, "a.bin")) as stream:
        stream.write(b"half")
        stream.flush()
        os.kill(os.getpid(), signal.SIGKILL)


def write_slowly(folder, begun, finish):
    """Write a file in two parts."""
    with replacing(Path(folder, "b.bin")) as stream:
        stream.write(b"first ")
        stream.flush()
        begun.set()
        finish.wait(30)
        stream.write(b"second")


def test_what_a_killed_process_leaves_goes_and_what_a_living_one_writes_stays(tmp_path):
    """Whoever writes next in a folder removes the one and not the other, whose file is whole in the end."""
    spawn = multiprocessing.get_context("spawn")
    killed = spawn.Process(target=write_and_die, args=(tmp_path,))
    killed.start()
    killed.join(30)
    (leftover,) = tmp_path.iterdir()
    assert leftover.name.startswith(".a.bin.")
    begun, finish = spawn.Event(), spawn.Event()
    living = spawn.Process(target=write_slowly, args=(tmp_path, begun, finish))
    living.start()
    assert begun.wait(30)
    assert not leftover.exists()
    write_text("another", tmp_path / "c.txt", "text")
    assert len(list(tmp_path.iterdir())) == 2
    finish.set()
    living.join(30)
    assert living.exitcode == 0
    assert (tmp_path / "b.bin").read_bytes() == b"first second"
    assert {path.name for path in tmp_path.iterdir()} == {"b.bin", "c.txt"}


def test_writing_takes_no_random_number():
    """The names of unfinished files leave the seed's numbers to those who draw them."""
    random.seed(0)
    write_text("new", Path("a.txt"), "text")
    drawn = random.random()
    random.seed(0)
    assert random.random() == drawn


def test_mode_of_a_new_file():
    """A file can be read by those whom the process's umask lets read."""
    before = os.umask(0o027)
    try:
        write_text("new", Path("a.txt"), "text")
    finally:
        os.umask(before)
    assert stat.S_IMODE(Path("a.txt").stat().st_mode) == 0o640


def test_a_link_stays_a_link():
    """What it leads to is written, whole; also in another folder."""
    Path("folder").mkdir()
    Path("folder/a.txt").write_text("before")
    Path("link.txt").symlink_to("folder/a.txt")
    write_text("new", Path("link.txt"), "text")
    assert Path("link.txt").is_symlink()
    assert Path("folder/a.txt").read_text() == "new"
    assert [path.name for path in Path("folder").iterdir()] == ["a.txt"]


def test_a_pipe_stays_a_pipe():
    """It is written into, and not replaced by a file; devices likewise."""
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    check_output(Path("pipe"), "text")
    write_text("new", Path("pipe"), "text")
    assert os.read(reader, 9) == b"new"
    os.close(reader)
    assert Path("pipe").is_fifo()


@pytest.mark.parametrize("path", ["no/such.txt", "folder", ".", "file/a.txt", "a\0b", "x" * 300, "/proc/none/a.txt"])
def test_what_can_not_be_written_is_known_before(path):
    """The check says what the writing would say, and leaves nothing."""
    Path("folder").mkdir()
    Path("file").touch()
    for refuse in (check_output, lambda *given: write_text("new", *given)):
        with pytest.raises(RunError) as wrong:
            refuse(Path(path), "text")
        assert str(wrong.value).startswith(f"The text can't be written to {path}: ")
    assert {found.name for found in Path().iterdir()} == {"folder", "file"}


def test_what_can_be_written():
    """The check passes and leaves nothing, where folders have to be made, too."""
    check_output(Path("a.txt"), "text")
    check_output(Path("no/such/a.txt"), "text", makes_folders=True)
    check_folder(Path("no/such"))
    assert not list(Path().iterdir())


def test_files_of_others_stay():
    """Only what lightlab itself left half-written is removed beside what it writes."""
    Path("film.unfinished").touch()
    Path(".a.txt.0123abcd.unfinished").touch()
    write_text("new", Path("a.txt"), "text")
    assert {path.name for path in Path().iterdir()} == {"film.unfinished", "a.txt"}
