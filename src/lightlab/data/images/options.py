"""What all sources of images share: their options, what is learned of images, and how a model gets them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas as pd
from PIL import Image
from torch import Tensor

from lightlab.data.arrays.learn import learn_array
from lightlab.data.base import say
from lightlab.data.images.files import Found, listed
from lightlab.data.images.pixels import HIGH_8, convert, dtype_of, resize
from lightlab.data.images.stored import FileReader, Images, Reader, look_through
from lightlab.data.rows import Rows, Stored
from lightlab.data_spec import InputSpec, Normalize
from lightlab.errors import ConfigError, DataError

#: What to do with images that can't be read.
Unreadable = Literal["error", "skip"]
GIB = 2**30
#: Grey, colour, and colour with transparency.
CHANNELS = (1, 3, 4)


@dataclass(frozen=True)
class ImageOptions:
    """What sources of images let people choose.

    Attributes:
        size: height and width that images are resized to.
        channels: 1, 3 or 4.
        unreadable: what to do with images that can't be read.
        memory_limit: GiB of pixels that are held in memory; more stay on disk.
    """

    size: tuple[int, int] | None = None
    channels: int | None = None
    unreadable: Unreadable = "error"
    memory_limit: float = 2.0

    @classmethod
    def parse(
        cls, size: int | list[int] | None, channels: int | None, unreadable: Unreadable, memory_limit: float
    ) -> ImageOptions:
        """Check what a config gives.

        Raises:
            ConfigError: an option has a value that it can't have.
        """
        sides = [size, size] if isinstance(size, int) else list(size or [1, 1])
        if len(sides) != 2 or min(sides) < 1:
            raise ConfigError.at(
                ("data", "size"), f"size is one positive number, or height and width. Received: {size}."
            )
        if sides[0] * sides[1] > (Image.MAX_IMAGE_PIXELS or sides[0] * sides[1]):
            raise ConfigError.at(
                ("data", "size"), f"size is at most {Image.MAX_IMAGE_PIXELS:,} pixels in all. Received: {size}."
            )
        if channels is not None and channels not in CHANNELS:
            raise ConfigError.at(
                ("data", "channels"),
                f"channels is 1 (grey), 3 (colour) or 4 (colour and transparency). Received: {channels}.",
            )
        if unreadable not in ("error", "skip"):
            raise ConfigError.at(("data", "unreadable"), f"unreadable is error or skip. Received: {unreadable}.")
        if memory_limit < 0:
            raise ConfigError.at(("data", "memory_limit"), f"memory_limit is 0 or more. Received: {memory_limit}.")
        return cls((sides[0], sides[1]) if size is not None else None, channels, unreadable, memory_limit)

    def load(
        self, reader: Reader, source: str, locate: Callable[[int], str], trained: InputSpec | None, held: int = 0
    ) -> Images:
        """Look through images, and hold to the policy for those that can't be read; what is left out is said.

        Args:
            reader: opens them.
            source: where they are from, for messages.
            locate: returns where people find an image, by its number.
            trained: what a trained model takes; images get its size.
            held: bytes of pixels that are in memory already.

        Raises:
            DataError: some can't be read, and are not to be skipped; or none can.
        """
        size = (trained.shape[1], trained.shape[2]) if trained else self.size
        images, faults = look_through(reader, size, self.memory_limit * GIB - held)
        for lost, count in images.seen["lost"].value_counts().items():
            if lost:
                say(f"{count} of {len(images)} images of {source} {lost}")
        if not faults:
            return images
        named = (f"{_name(reader.name(number), locate(number))} ({reason})" for number, reason in faults.items())
        which = f"{len(faults)} of {len(reader)} of {source}: {listed(named)}"
        if self.unreadable == "error":
            raise DataError(f"Images can be read whole. Not so {which}. To leave such out, set data.unreadable: skip.")
        if not len(images):
            raise DataError(f"Some images can be read. Not so {which}.")
        say(f"skipped: {which}")
        return images

    def load_files(self, found: Found, source: str, trained: InputSpec | None, held: int = 0) -> Rows:
        """Return the rows of image files; see `load`."""
        for line in found.said:
            say(line)
        images = self.load(FileReader(found.paths), source, found.locate, trained, held)
        columns = found.columns.loc[images.places]
        targets = None if found.targets is None else found.targets.loc[images.places]
        ids = columns[found.id_name].to_numpy()
        return Rows(images, targets, ids, source, found.id_name, columns, found.locate)

    def check_one_size(self, splits: Mapping[str, Rows]) -> None:
        """Refuse images of several sizes where none is given to resize them to.

        Raises:
            DataError: with two of them.
        """
        found: dict[tuple[int, int], str] = {}
        for rows in splits.values():
            if isinstance(rows.inputs, Tensor):
                continue
            images = as_images(rows)
            seen = images.seen.drop_duplicates(["height", "width"])
            for number, height, width in zip(seen.index, seen["height"], seen["width"], strict=True):
                found.setdefault((height, width), images.reader.name(number))
        if self.size or len(found) < 2:
            return
        examples = [f"{height}×{width} ({name})" for (height, width), name in list(found.items())[:2]]
        raise DataError(
            f"Images have one size, or data.size says to which they are resized. Received in "
            f"{', '.join(rows.source for rows in splits.values())}: {len(found)} sizes (height×width), as "
            f"{' and '.join(examples)}. Set data.size, as in {list(next(iter(found)))}."
        )

    def learn(self, rows: Rows, normalize: Normalize) -> InputSpec:
        """Learn from the train split what images are like.

        Raises:
            DataError: they have several sizes, and none was chosen.
        """
        inputs = rows.inputs
        if isinstance(inputs, Tensor):
            height, width = self.size or inputs.shape[2:]
            shape, high = (self.channels or inputs.shape[1], height, width), HIGH_8
            return learn_array(replace(rows, inputs=fit(inputs, shape, high)), normalize, "image", high)
        images = as_images(rows)
        seen = images.seen
        self.check_one_size({"train": rows})
        height, width = self.size or (int(seen["height"].iloc[0]), int(seen["width"].iloc[0]))
        channels = self.channels or (3 if bool(seen["colour"].any()) else 1)
        high = float(seen["high"].max())
        shaped = images.shaped((channels, height, width), high)
        return learn_array(replace(rows, inputs=shaped), normalize, "image", high)

    def encode(self, rows: Rows, spec: InputSpec, splits: Mapping[str, Rows]) -> Tensor | Stored:
        """Return a split's images as a model takes them, in memory or on disk; what is done to them is said.

        Args:
            rows: of the split.
            spec: what the model takes.
            splits: the rows of all splits.

        Raises:
            DataError: the model does not take images.
        """
        check_takes_images(spec, rows.source)
        if isinstance(rows.inputs, Tensor):
            return fit(rows.inputs, spec.shape, spec.high)
        images = as_images(rows).shaped(spec.shape, spec.high)
        if done := _what_is_done(images.seen, spec, self.size):
            split = next((name for name, part in splits.items() if part is rows), rows.source)
            say(f"{split}: of {len(rows)} images {done}")
        total = sum(map(len, splits.values())) * np.prod(spec.shape) * dtype_of(spec.high).itemsize
        if total > self.memory_limit * GIB:
            images.held.clear()
            return images.stored()
        pixels = images.read(images.places)
        for number in images.places.tolist():
            images.held.pop(number, None)
        return pixels


def fit(images: Tensor, shape: tuple[int, ...], high: float) -> Tensor:
    """Return images of 8 bits in memory, (images, channels, height, width), as a model takes them."""
    return convert(resize(images, (shape[1], shape[2])), HIGH_8, shape[0], high)


def as_images(rows: Rows) -> Images:
    """Return the inputs of rows that are images on disk."""
    assert isinstance(rows.inputs, Images)
    return rows.inputs


def check_takes_images(spec: InputSpec, source: str) -> None:
    """Refuse images for a model that was trained on something else.

    Raises:
        DataError: it was.
    """
    if spec.kind != "image" or spec.shape[0] not in CHANNELS:
        what = {"table": "a table", "text": "texts"}.get(spec.kind, f"{spec.kind}s of shape {spec.shape}")
        raise DataError(f"This model was trained on {what}. Received: images of files, from {source}.")


def _name(name: str, where: str) -> str:
    return where if name in ("", where) else f"{name} at {where}"


def _what_is_done(seen: pd.DataFrame, spec: InputSpec, asked: tuple[int, int] | None) -> str:
    """Return what is done to images that was not asked for."""
    channels, height, width = spec.shape
    differ = (seen["height"] != height) | (seen["width"] != width)
    done = {
        f"resized to {height}×{width}": differ & (asked != (height, width)),
        f"grey, in {channels} channels alike": ~seen["colour"] & (channels != 1),
        "made grey": seen["colour"] & (channels == 1),
        "transparent and shown on white": seen["alpha"] & (channels != 4),
        f"scaled to pixels of up to {spec.high:g}": seen["high"] != spec.high,
    }
    return ", ".join(f"{int(which.sum())} {what}" for what, which in done.items() if which.any())
