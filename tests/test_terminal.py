"""Standard output that has no reader any more, or can't be written."""

import errno
import os
import sys
from contextlib import suppress
from io import StringIO, TextIOWrapper
from pathlib import Path

import pytest

from lightlab.errors import RunError
from lightlab.terminal import lasting_output, say, show


def without_reader():
    """Return a pipe's end for writing that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


@lasting_output("fit")
def speak(*lines):
    """Say lines."""
    for line in lines:
        say(line)


@lasting_output("fit")
def wait(line, divisor):
    """Print a line that waits in Python to be written, and divide by a number."""
    print(line)
    return 1 / divisor


def test_output_without_a_reader(monkeypatch, capfd):
    """What is said by whatever way goes nowhere, for good, and that is said once."""
    with without_reader() as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting_output("fit"):
            say("first")
            print("second")
            sys.stdout.writelines(["third"])
            sys.stdout.buffer.write(b"fourth")
        assert sys.stdout is stream
        stream.write("fifth")
        os.write(stream.fileno(), b"sixth")  # as libraries do that are not written in Python
    assert capfd.readouterr().err == "lightlab: standard output has no reader any more; fit goes on without it.\n"


@pytest.mark.parametrize("buffering", [-1, 0])
def test_output_on_a_full_disk(monkeypatch, capfd, buffering):
    """Work ends, and then it is an error, since somebody wanted to read what it said."""
    with open("/dev/full", "wb", buffering) as file, TextIOWrapper(file, write_through=not buffering) as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(RunError, match="^fit is done, and what it has said is lost: .*No space left on device"):
            speak("first", "second")
    said = "standard output can't be written to: No space left on device; fit goes on without it."
    assert capfd.readouterr().err == f"lightlab: {said}\n"


@pytest.mark.parametrize("speaks", [say, show])
def test_answers_on_a_full_disk(speaks, monkeypatch):
    """What can't be written is an error."""
    with suppress(OSError), open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(RunError, match="^standard output can't be written to: No space left on device"):
            speaks("first")


def test_what_waits_is_written_in_the_end(monkeypatch, capfd):
    """A loss is noticed before it is too late to say so, and an error of the work stays the error that it was."""
    with open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(RunError):
            wait("first", 1)
    with open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with pytest.raises(ZeroDivisionError):
            wait("first", 0)
    assert capfd.readouterr().err.count(f"{os.strerror(errno.ENOSPC)}; fit goes on without it.\n") == 2


def test_terminal_that_has_gone(monkeypatch, capfd):
    """It is no failure of a disk, though the system says so."""
    terminal, side = os.openpty()
    with os.fdopen(side, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        with lasting_output("fit"):
            os.close(terminal)
            say("first")
    assert "has no reader any more" in capfd.readouterr().err


def test_errors_without_a_reader(monkeypatch):
    """Where nobody reads what is wrong either, work goes on in silence."""
    with without_reader() as stream, without_reader() as errors:
        monkeypatch.setattr(sys, "stdout", stream)
        monkeypatch.setattr(sys, "stderr", errors)
        with lasting_output("fit"):
            say("first")
            say("second", is_error=True)


def test_output_stays_as_it_was(monkeypatch, capfd):
    """What can be written comes in its order, with its encoding; what is no file is left alone."""
    with open("out.txt", "w", encoding="latin-1", errors="backslashreplace") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print("before")
        with lasting_output("fit"):
            print("ä", "\u2026")
        print("after")
    assert Path("out.txt").read_bytes() == b"before\n\xe4 \\u2026\nafter\n"
    monkeypatch.setattr(sys, "stdout", StringIO())
    with lasting_output("fit"):
        print("kept")
    assert sys.stdout.getvalue() == "kept\n"
    assert capfd.readouterr() == ("", "")
