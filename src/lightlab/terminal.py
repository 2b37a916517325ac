"""What lightlab says: names come from files, and files may come from anyone, so that no text steers a terminal."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from io import BufferedWriter, FileIO, TextIOWrapper
from typing import Any, TextIO

from lightlab.credentials import without_logins
from lightlab.errors import RunError

#: What steers a terminal, turns the direction of writing, or is half a character: all control characters but ends of
#: lines and tabs.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")

UNWRITABLE = "standard output can't be written to"


def printable(text: object) -> str:
    r"""Return a text in which what would steer a terminal is shown, as JSON and YAML write it, and does nothing.

    Passwords in addresses are left out.

    >>> print(printable("price\x1b]0;yours\x07"))
    price\u001b]0;yours\u0007
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", without_logins(str(text)))


def say(*parts: object, sep: str = " ", end: str = "\n", is_error: bool = False) -> None:
    """Print parts of a text as `print` does, at once, and `printable`.

    Args:
        parts: of the text.
        sep: between them.
        end: behind them.
        is_error: whether it goes to standard error.

    Raises:
        RunError: standard output can't be written to, as on a full disk.
        BrokenPipeError: nobody reads it any more.
    """
    _write(sep.join(map(printable, parts)) + end, is_error)


def show(text: str) -> None:
    """Print a text whose parts are `printable` already, and that may steer a terminal, to make them stand out.

    Raises:
        RunError: standard output can't be written to, as on a full disk.
        BrokenPipeError: nobody reads it any more.
    """
    _write(f"{text}\n", is_error=False)


def _write(text: str, is_error: bool) -> None:
    try:
        print(text, end="", file=sys.stderr if is_error else None, flush=True)
    except OSError as error:
        if is_error or isinstance(error, BrokenPipeError):
            raise
        raise RunError(f"{UNWRITABLE}: {error.strerror}.") from error


@contextmanager
def lasting_output(work: str) -> Iterator[None]:
    """Have work go on where what it says has no reader any more, or can't be written, as on a full disk.

    That is said once, on standard error. Whatever writes in this process is spared, and what it starts from then on.

    Args:
        work: what goes on, in a word.

    Raises:
        RunError: the work is done, and what it has said could not be written, though it had a reader.
    """
    failures: list[str] = []

    def lose(error: OSError, was_terminal: bool) -> None:
        if error.errno == errno.EPIPE or was_terminal:
            say(f"lightlab: standard output has no reader any more; {work} goes on without it.", is_error=True)
        else:
            failures.append(f"{UNWRITABLE}: {error.strerror}")
            say(f"lightlab: {failures[0]}; {work} goes on without it.", is_error=True)

    before = sys.stdout, sys.stderr
    lasting = _made_to_last(sys.stdout, lose), _made_to_last(sys.stderr, lambda *given: None)
    sys.stdout, sys.stderr = lasting
    try:
        yield
    finally:
        for stream in lasting:
            with suppress(ValueError):  # somebody has closed it
                stream.flush()
        sys.stdout, sys.stderr = before
    if failures:
        raise RunError(f"{work} is done, and what it has said is lost: {failures[0]}.")


class _LastingFile(FileIO):
    """A file descriptor that takes what is written to it, wherever it leads: from the first failure on, nowhere.

    Args:
        number: of the descriptor.
        lose: called with the failure, and whether it was a terminal that is lost.
    """

    def __init__(self, number: int, lose: Callable[[OSError, bool], None]) -> None:
        super().__init__(number, "w", closefd=False)
        self._lose = lose
        self._was_terminal = self.isatty()  # which one that has gone doesn't say

    def write(self, data: Any) -> int:
        """Write bytes, and return how many."""
        try:
            return super().write(data)
        except OSError as error:
            with open(os.devnull, "wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            self._lose(error, self._was_terminal)
            return super().write(data)


def _made_to_last(stream: TextIO, lose: Callable[[OSError, bool], None]) -> TextIO:
    """Return a stream that writes where another does; the same one where that is no file, as in notebooks."""
    if not isinstance(stream, TextIOWrapper):
        return stream
    is_buffered = isinstance(stream.buffer, BufferedWriter)
    if not isinstance(stream.buffer.raw if is_buffered else stream.buffer, FileIO):
        return stream
    with suppress(OSError):  # what comes next meets it, too
        stream.flush()
    raw = _LastingFile(stream.fileno(), lose)
    return TextIOWrapper(
        BufferedWriter(raw) if is_buffered else raw,
        stream.encoding,
        stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
