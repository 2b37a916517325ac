"""Files that are whole at every moment."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from lightlab.errors import RunError


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
    temporary = path.parent / f".{path.name}.{os.getpid()}.tmp"
    try:
        try:
            with temporary.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        finally:
            with suppress(OSError):  # it has moved, or was never made
                temporary.unlink()
    except OSError as cause:
        raise RunError(f"The {what} can't be written to {path}: {cause}.") from cause
