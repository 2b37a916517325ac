"""Images: opened from where they are, looked through once when they are loaded, and read when a batch needs them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from torch import Tensor
from torch.utils.data import get_worker_info

from lightlab.data.images.pixels import (
    FORMATS,
    HIGH_8,
    Pixels,
    convert,
    decode,
    dtype_of,
    high_of,
    pil_warnings,
    reason,
    what_is_lost,
)
from lightlab.data.loader import default_workers
from lightlab.data.rows import Places, Stored
from lightlab.errors import DataError, did_you_mean, sentences

#: So many images at most are handed to a thread at once.
MOST_IN_BLOCK = 32


class Opened(NamedTuple):
    """An image whose pixels are not read yet.

    Attributes:
        image: as PIL opened it.
        content: what its fingerprint is taken of; ``None`` for its pixels.
        label: its class, where it comes with one.
    """

    image: Image.Image
    content: bytes | None = None
    label: int = -1


class Reader(Protocol):
    """Opens images by their number; is sent to the processes that read.

    Attributes:
        in_threads: whether several threads may open images at once.
    """

    in_threads: bool

    def __len__(self) -> int: ...

    def open(self, number: int) -> Opened:
        """Open an image; whatever is raised says why it can't be."""

    def name(self, number: int) -> str:
        """Return what people call it."""


class FileReader:
    """Opens image files.

    Args:
        paths: of the files, (images,).
    """

    in_threads = True

    def __init__(self, paths: list[str]) -> None:
        # An array is shared with worker processes; a list would be copied, as they count references to its items.
        self.paths = np.array([os.fsencode(path) for path in paths], dtype=bytes)

    def __len__(self) -> int:
        return len(self.paths)

    def open(self, number: int) -> Opened:
        """Read a file, and open what it holds."""
        if not self.name(number):
            raise ValueError("no path")
        path = Path(self.name(number))
        if not path.is_file():
            raise ValueError(_why_no_file(path))
        content = path.read_bytes()
        if not content:
            raise ValueError("an empty file")
        return Opened(Image.open(BytesIO(content), formats=FORMATS), content)

    def name(self, number: int) -> str:
        """Return the path."""
        return os.fsdecode(bytes(self.paths[number]))


def _why_no_file(path: Path) -> str:
    if path.is_dir():
        return "a folder"
    if path.exists():
        return "no ordinary file"
    if path.is_symlink():
        return "a link that leads nowhere"
    others = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
    return sentences("no such file.", did_you_mean(path.name, others)).removesuffix(".")


class Seen(NamedTuple):
    """What was seen of an image when it was loaded.

    Attributes:
        colour: whether it is more than grey.
        alpha: whether it is transparent.
        high: the largest value that its pixels can have.
        height: of the image as it stands upright, before it is resized.
        width: likewise.
        fingerprint: the same number for the same content.
        lost: what of the file is not read, in words.
        label: its class, where it comes with one.
    """

    colour: bool
    alpha: bool
    high: float
    height: int
    width: int
    fingerprint: int
    lost: str
    label: int


class Images(Stored):
    """Images on disk, of which those that fit are still in memory from when they were looked through.

    Args:
        reader: opens them.
        seen: a `Seen` for each image of the reader.
        held: the pixels of some of them.
        places: which of the reader's images these are, in order.
        shape: (channels, height, width) that they are read as; empty before that is known.
        high: the largest value that a pixel is to have.
    """

    def __init__(
        self,
        reader: Reader,
        seen: pd.DataFrame,
        held: dict[int, Pixels],
        places: Places,
        shape: tuple[int, ...] = (),
        high: float = HIGH_8,
    ) -> None:
        super().__init__(places, shape)
        self.reader = reader
        self.all_seen = seen
        self.held = held
        self.high = high

    @property
    def seen(self) -> pd.DataFrame:
        """What was seen of these images, (rows, fields of `Seen`)."""
        return self.all_seen.loc[self.places]

    @property
    def nbytes(self) -> int:
        """How many bytes of pixels are in memory."""
        return sum(pixels.nbytes for pixels in self.held.values())

    def take(self, places: Places) -> Images:
        """Return those at these places, unread."""
        return Images(self.reader, self.all_seen, self.held, self.places[places], self.sample_shape, self.high)

    def shaped(self, shape: tuple[int, ...], high: float) -> Images:
        """Return the same images, to be read in a shape and range."""
        return Images(self.reader, self.all_seen, self.held, self.places, shape, high)

    def stored(self) -> Images:
        """Return the same images with none held in memory."""
        return Images(self.reader, self.all_seen, {}, self.places, self.sample_shape, self.high)

    def read(self, stored: Places) -> Tensor:
        """Read images by their numbers, (images, *shape).

        Raises:
            DataError: one can't be read any more.
        """
        images = torch.empty(len(stored), *self.sample_shape, dtype=dtype_of(self.high))
        with pil_warnings():
            read = _each(lambda place: self._read_one(int(stored[place])), len(stored), self.reader.in_threads)
            for place, image in enumerate(read):
                images[place] = image  # not in the threads, which know nothing of the inference mode they are called in
        return images

    def _read_one(self, number: int) -> Tensor:
        size = self.sample_shape[1], self.sample_shape[2]
        pixels = self.held.get(number)
        if pixels is None or pixels.shape[1:] != size:
            try:
                with self.reader.open(number).image as image:
                    ImageOps.exif_transpose(image, in_place=True)
                    pixels = decode(image, size)
            except Exception as cause:
                raise DataError(
                    f"Images stay as they were when they were loaded. {self.reader.name(number)} can't be read any "
                    f"more: {reason(cause)}."
                ) from cause
        return convert(_tensor(pixels), high_of(pixels), self.sample_shape[0], self.high)

    def fingerprints(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Return a number for each image that is the same for files of the same bytes, (rows,)."""
        return self.seen["fingerprint"].to_numpy(dtype=np.uint64)


def _tensor(pixels: Pixels) -> Tensor:
    return torch.tensor(pixels.astype(np.int32) if pixels.dtype == np.uint16 else pixels)


def _each(work: Callable[[int], Any], count: int, in_threads: bool) -> Iterator[Any]:
    """Give the results of ``work(0)``, ``work(1)``, …; PIL lets other threads run while it decodes."""
    if not in_threads or get_worker_info() is not None or count < 2:
        yield from map(work, range(count))
        return
    workers = default_workers(1)
    # To hand over small images one by one would take longer than to read them.
    size = min(MOST_IN_BLOCK, -(-count // (4 * workers)))
    blocks = [range(start, min(start + size, count)) for start in range(0, count, size)]
    with ThreadPoolExecutor(workers) as threads:
        for results in threads.map(lambda block: list(map(work, block)), blocks):
            yield from results


def look_through(
    reader: Reader, size: tuple[int, int] | None = None, memory: float = 0
) -> tuple[Images, dict[int, str]]:
    """Read every image once, and see what it is.

    Args:
        reader: opens them.
        size: height and width to resize to.
        memory: the pixels are held if they take no more bytes than this; else none are.

    Returns:
        those that can be read, and for each of the others by its number, why it can't.
    """
    seen: dict[int, Seen] = {}
    held: dict[int, Pixels] = {}
    faults: dict[int, str] = {}
    used = 0.0

    def look(number: int) -> tuple[Seen, Pixels | None] | str:
        try:
            fact, pixels = _look(reader.open(number), size)
        except Exception as cause:  # PIL raises whatever a broken file makes of it
            return reason(cause)
        return fact, pixels if used <= memory else None

    with pil_warnings():
        for number, found in enumerate(_each(look, len(reader), reader.in_threads)):
            if isinstance(found, str):
                faults[number] = found
                continue
            seen[number], pixels = found
            used += 0 if pixels is None else pixels.nbytes
            if pixels is not None and used <= memory:
                held[number] = pixels
            else:
                held.clear()
    table = pd.DataFrame(seen.values(), index=pd.Index(seen, dtype=np.int64), columns=list(Seen._fields))
    return Images(reader, table, held, table.index.to_numpy()), faults


def _look(opened: Opened, size: tuple[int, int] | None) -> tuple[Seen, Pixels]:
    with opened.image as image:
        lost = what_is_lost(image)
        ImageOps.exif_transpose(image, in_place=True)
        pixels = decode(image, size)
        content = opened.content
        if content is None:
            content = b"%d %d %s " % (*image.size, image.mode.encode()) + image.tobytes()
        fingerprint = int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "little")
        kind = len(pixels) > 2, len(pixels) in (2, 4), high_of(pixels)
        return Seen(*kind, image.height, image.width, fingerprint, lost, opened.label), pixels
