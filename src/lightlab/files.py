"""Files that are whole at every moment."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lightlab.errors import RunError

if sys.platform != "win32":
    import fcntl

#: What the names of checkpoints end in, and those of weights alone.
CHECKPOINT, WEIGHTS = ".ckpt", ".safetensors"
#: What is written to see whether there is room: more than a run writes at its start.
PROBE = bytes(1 << 16)
#: What the names of files end in that are not whole yet.
UNFINISHED = ".unfinished"
#: Their whole names, as nobody else calls a file.
LEFTOVER = re.compile(r"\..+\.[0-9a-f]{8}" + re.escape(UNFINISHED))


@contextmanager
def explained(path: Path, what: str) -> Iterator[None]:
    """Say of what fails inside what could not be written, where, and why.

    Raises:
        RunError: something failed.
    """
    try:
        yield
    except (OSError, ValueError) as cause:  # a ValueError for a path that can't be one
        reason = getattr(cause, "strerror", None) or cause
        raise RunError(f"The {what} can't be written to {path}: {reason}.") from cause


def check_folder(folder: Path) -> None:
    """See to it that there can be files in a folder, which may have to be made; leave nothing there.

    Raises:
        OSError: there can't: it is no folder, can't be written to, or the disk is full.
    """
    existing = next(place for place in (folder, *folder.absolute().parents) if os.path.lexists(place))
    with tempfile.TemporaryFile(dir=existing) as stream:  # some disks say only on closing that they are full
        stream.write(PROBE)


def check_output(path: Path, what: str, makes_folders: bool = False) -> None:
    """See to it that a file can be written, before the work is done that it is for; leave nothing there.

    Args:
        path: of the file.
        what: the name of what is written, for the message: "report".
        makes_folders: whether what writes it makes the folders on the way.

    Raises:
        RunError: it can't be written.
    """
    with explained(path, what):
        if path.is_dir():
            raise ValueError("it is a folder")
        if is_stream(path):
            return
        folder = Path(os.path.realpath(path)).parent
        if not makes_folders:
            folder.stat()
        check_folder(folder)


def is_stream(path: Path) -> bool:
    """Return whether a path leads to a device or a pipe, such as /dev/stdout, which nothing may replace."""
    return path.exists() and not (path.is_file() or path.is_dir())


def write_text(text: str, path: Path, what: str) -> None:
    """Write a text file, all of it or nothing.

    Args:
        text: what it is to hold.
        path: where.
        what: the name of what is written, for the message: "config".

    Raises:
        RunError: it can't be written; what stood there before still does.
    """
    write_bytes(text.encode("utf-8"), path, what)


def write_bytes(content: bytes, path: Path, what: str) -> None:
    """Write a file, all of it or nothing; see `write_text`.

    Raises:
        RunError: it can't be written; what stood there before still does.
    """
    with explained(path, what):
        if is_stream(path):
            path.write_bytes(content)
            return
        with replacing(Path(os.path.realpath(path))) as stream:  # a link stays one
            stream.write(content)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a stream, to write and read; what it holds in the end stands under the path, once all of it is on the disk.

    It is written beside its place and moved there, so that whoever opens the path finds what was there before, or all
    of what is there then. What killed processes left half-written in the folder goes.

    Raises:
        OSError: it can't be written; what stood there before still does.
    """
    remove_leftovers(path.parent)
    stream = _open_unfinished(path)
    unfinished = Path(stream.name)
    try:
        with stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
            if sys.platform != "win32":  # still locked, so that nobody takes it for a leftover
                os.replace(unfinished, path)
        if sys.platform == "win32":  # where an open file can't be moved, nor removed
            os.replace(unfinished, path)
    except BaseException:
        with suppress(OSError):
            unfinished.unlink()
        raise
    _sync_folder(path.parent)


def remove_leftovers(folder: Path) -> None:
    """Remove the files that killed processes left half-written in a folder; those of living ones stay."""
    with suppress(OSError):  # there is no such folder, or it is another's
        names = [name for name in os.listdir(folder) if LEFTOVER.fullmatch(name)]
        for name in names:
            with suppress(OSError), open(folder / name, "rb+") as stream:  # or a living process has locked it
                _lock(stream, waits=False)
                os.unlink(folder / name)


def _open_unfinished(path: Path) -> BinaryIO:
    """Open a new file beside a path, locked as long as it is open: so others know that who writes it lives."""
    while True:
        # No number of the random module's: what is drawn from it stays as the seed has it.
        unfinished = path.with_name(f".{path.name}.{os.urandom(4).hex()}{UNFINISHED}")
        stream = unfinished.open("xb+")
        with suppress(OSError):  # some network disks have no locks: nobody removes anything there
            _lock(stream, waits=True)
        if unfinished.exists():
            return stream
        stream.close()  # who cleans up was quicker than the lock


def _lock(stream: BinaryIO, waits: bool) -> None:
    if sys.platform != "win32":
        fcntl.flock(stream, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)


def _sync_folder(folder: Path) -> None:
    """Have the disk keep which files there are in a folder, where it can be told to."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
