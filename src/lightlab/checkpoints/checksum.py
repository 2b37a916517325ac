"""The SHA-256 at the end of a checkpoint: a file that was altered, by a bit or by its length, is told from a whole one.

It stands in the comment that a zip file ends in, which readers of zip files, torch's too, pass over. It is taken of all
that comes before, so that there is no byte in the file that it does not cover.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator
from typing import BinaryIO

MARK = b"lightlab sha256 "
#: How a zip file without a comment ends: with the length of its comment.
NO_COMMENT = (0).to_bytes(2, "little")
#: What stands before the digits: the length of the comment, and its first words.
HEAD = (len(MARK) + 64).to_bytes(2, "little") + MARK
#: How many bytes of a file are looked at together.
BLOCK = 1 << 20


class Hashing:
    """Hashes what is written to a stream.

    Args:
        stream: to write to.

    Attributes:
        failure: what the stream has raised.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()
        self.failure: BaseException | None = None

    def write(self, content: bytes) -> int:
        """Write, and hash."""
        self.digest.update(content)
        try:
            return self.stream.write(content)
        except BaseException as error:
            self.failure = error
            raise

    def flush(self) -> None:
        """Write what waits to be written."""
        self.stream.flush()

    def seal(self) -> None:
        """Put the sum of all that was written at its end, which is that of a zip file without a comment."""
        self.stream.seek(-len(NO_COMMENT), os.SEEK_END)
        self.stream.write(HEAD + self.digest.hexdigest().encode())


def check_seal(stream: BinaryIO) -> None:
    """Hold a file against the sum at its end.

    Raises:
        ValueError: it has none, or another.
    """
    size = stream.seek(0, os.SEEK_END)
    start = max(size - len(HEAD) - 64, 0)
    stream.seek(start)
    end = stream.read()
    if not end.startswith(HEAD):
        raise ValueError("there is no checksum at its end")
    digest = hashlib.sha256()
    for block in read_blocks(stream, start):
        digest.update(block)
    digest.update(NO_COMMENT)
    if end != HEAD + digest.hexdigest().encode():
        raise ValueError("its checksum is that of other bytes")
    stream.seek(0)


def read_blocks(stream: BinaryIO, size: int = sys.maxsize) -> Iterator[bytes]:
    """Yield the first bytes of a file, or all of them, a block at a time."""
    stream.seek(0)
    while size > 0 and (block := stream.read(min(BLOCK, size))):
        size -= len(block)
        yield block
