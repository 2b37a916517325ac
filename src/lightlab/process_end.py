"""The end of a process that is ours: at once."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from io import IOBase
from typing import NoReturn

#: What all kinds of files are, those that compress too. Unlike io.IOBase it is no abstract class, which asks at length.
FILE = IOBase.__bases__[0]


def run_to_the_end(work: Callable[[], int]) -> NoReturn:
    """Work, and end the process with the exit code that this returns.

    Python would go on to take apart, one by one, all objects that imports have made. That takes longer than a short
    training, and the operating system does it at once.
    """
    codes: list[int] = []
    # What is registered first runs last at the end of the process; who came before us watches us, as coverage does.
    if not getattr(atexit, "_ncallbacks", lambda: 1)():
        atexit.register(_leave, codes)
    codes.append(work())
    sys.exit(codes[0])


def _leave(codes: Sequence[int]) -> None:
    """End the process: threads have ended, and whoever had something to do at the end has done it."""
    if not codes:  # an exception ended the work, and Python chooses the exit code
        return
    with suppress(OSError, ValueError):  # nobody reads any more, which Python has its own way to say
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        _close_files()
        os._exit(codes[0])


def _close_files() -> None:
    """Write out what is still in files that nobody has closed, as a plugin may leave them; Python's own end does."""
    gc.unfreeze()
    files = [each for each in gc.get_objects() if issubclass(type(each), FILE)]
    for write in (_flush, _close_packed, _flush):
        for file in files:
            with suppress(Exception):  # of somebody's own, or a disk that is full
                write(file)


def _flush(file: IOBase) -> None:
    file.flush()


def _close_packed(file: IOBase) -> None:
    """Close what compresses, which writes an end into the file below it; that has to be open, so that it stays so."""
    if type(file).__module__ != "_io":
        file.close()
