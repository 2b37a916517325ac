"""Images in tar files, as WebDataset writes them: shards that do not fit in memory."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image, ImageOps
from torch import Tensor

from lightlab.data.arrays.learn import check_array, learn_array
from lightlab.data.base import say
from lightlab.data.images.files import ENDINGS, listed
from lightlab.data.images.options import ImageOptions, check_takes_images
from lightlab.data.images.pixels import FORMATS, HIGH_8, convert, decode, high_of, pil_warnings, reason
from lightlab.data.rows import Places, Rows, Stored
from lightlab.data.streams.source import Part, Source, find_files
from lightlab.data.streams.stream import StreamData
from lightlab.data_spec import InputSpec
from lightlab.errors import ConfigError, DataError, TargetError

#: Images that are decoded at once.
CHUNK_IMAGES = 64
#: What a class file is called behind the key, and the column of its classes.
CLASS, CLASS_COLUMN = "cls", "class"
JSON = "json"


class Shard:
    """Where the samples of a tar file lie.

    Args:
        file: the tar file.
        target_key: what of a sample's JSON is the target; ``None`` if its class file is.
        targets: whether targets are wanted: only then they are read.

    Attributes:
        keys: what each sample is called, (samples,).
        members: the name of each image, (samples,).
        offsets: where each image begins in the file, (samples,).
        sizes: bytes of each image, (samples,).
        targets: of each sample, or ``None`` where one lacks it.
        others: how many members belong to no sample, or to what is not read.

    Raises:
        DataError: the file is no tar file, is truncated, or has a sample without an image or with two.
    """

    def __init__(self, file: Path, target_key: str | None, targets: bool) -> None:
        self.file = file
        images: dict[str, tuple[str, int, int]] = {}
        labels: dict[str, tuple[int, int]] = {}
        keys: dict[str, None] = {}
        self.others = 0
        wanted = JSON if target_key else CLASS
        for name, offset, size in _members(file):
            folder, slash, base = name.rpartition("/")
            stem, _, extension = base.partition(".")
            key = f"{folder}{slash}{stem}"
            is_image = f".{extension.lower().rpartition('.')[2]}" in ENDINGS
            if is_image and key in images:
                raise DataError(
                    f"A sample of a shard has one image. Received in {file} for {key!r}: {images[key][0]} and {name}."
                )
            if is_image:
                images[key] = name, offset, size
            elif extension.lower() == wanted:
                if key in labels:
                    raise DataError(f"A sample of a shard has one target. Received two in {file} for {key!r}.")
                labels[key] = offset, size
            else:
                self.others += 1
                continue
            keys[key] = None
        lost = [key for key in keys if key not in images]
        if lost:
            raise DataError(
                f"A sample of a shard has an image beside its .{wanted}. {file} has none for {len(lost)} of "
                f"{len(keys)} samples: {listed(lost)}."
            )
        self.keys = np.array(list(images), dtype=str)
        self.members = np.array([member for member, _, _ in images.values()], dtype=str)
        self.offsets = np.array([offset for _, offset, _ in images.values()], dtype=np.int64)
        self.sizes = np.array([size for _, _, size in images.values()], dtype=np.int64)
        self.targets: list[Any] | None = None
        if targets and labels:
            self.targets = [self._read_target(key, labels.get(key), target_key) for key in images]

    def __len__(self) -> int:
        return len(self.keys)

    def locate(self, place: int) -> str:
        """Return what people call a sample."""
        return f"{self.file}: {self.members[place]}"

    @contextmanager
    def image(self, place: int) -> Iterator[Image.Image]:
        """Open an image, upright.

        Raises:
            DataError: it can't be read, or what is done with it fails.
        """
        try:
            with self.file.open("rb") as opened, pil_warnings():
                opened.seek(int(self.offsets[place]))
                content = BytesIO(opened.read(int(self.sizes[place])))
                with Image.open(content, formats=FORMATS) as image:
                    ImageOps.exif_transpose(image, in_place=True)
                    yield image
        except Exception as cause:  # PIL raises whatever a broken file makes of it
            raise DataError(
                f"Images can be read whole. Not so {self.locate(place)} ({reason(cause)}). Write the shard anew "
                f"without it."
            ) from cause

    def _read_target(self, key: str, where: tuple[int, int] | None, target_key: str | None) -> Any:
        if where is None:
            raise TargetError(
                f"Every sample of a shard has its target, or none has. {self.file} has no "
                f"{key}.{JSON if target_key else CLASS}."
            )
        with self.file.open("rb") as opened:
            opened.seek(where[0])
            content = opened.read(where[1])
        try:
            text = content.decode("utf-8").strip()
            return json.loads(text)[target_key] if target_key else text
        except (ValueError, KeyError, TypeError) as cause:
            wanted = f"JSON with a key {target_key!r}" if target_key else "text"
            raise TargetError(
                f"The target of a sample is {wanted}. Received in {self.file} for {key!r}: {content[:40]!r}."
            ) from cause


def _members(file: Path) -> Iterator[tuple[str, int, int]]:
    """Give name, offset and size of each file in a tar file; only headers are read."""
    length, end = file.stat().st_size, 0
    try:
        with tarfile.open(file, "r:") as opened:
            while (member := opened.next()) is not None:
                end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if end > length:
                    raise tarfile.ReadError(f"it ends within {member.name}")
                if member.isfile():
                    yield member.name, member.offset_data, member.size
                opened.members.clear()  # type: ignore[attr-defined]  # tarfile keeps all it has seen
        with file.open("rb") as content:
            content.seek(end)
            # tarfile takes what it can't read for the end.
            if content.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"at byte {end} there is neither a member nor the end")
    except (tarfile.TarError, OSError) as cause:
        raise DataError(
            f"A shard is an uncompressed tar file that is whole. {file} is not: {cause}. Write it anew."
        ) from cause


class ShardSource(Source):
    """The samples of shards, a segment a shard.

    Args:
        path: as it was given, for messages.
        shards: in order.
        column: the name of the target.
        shape: (channels, height, width) that images are brought to.
        resized: whether images of another size are resized; else they are an error.
        high: the largest value that a pixel is to have.
    """

    def __init__(
        self, path: str, shards: list[Shard], column: str, shape: tuple[int, ...], resized: bool, high: float = HIGH_8
    ) -> None:
        self.path = path
        self.shards = shards
        self.column = column
        self.shape = shape
        self.resized = resized
        self.high = high
        self.sizes = np.array([len(shard) for shard in shards], dtype=np.int64)
        self.has_targets = all(shard.targets is not None for shard in shards if len(shard))

    def read(self, segment: int, places: Places) -> Iterator[Rows]:
        """Give images of a shard, 64 at most at once; what lies between them is passed over."""
        for start in range(0, len(places), CHUNK_IMAGES):
            part = places[start : start + CHUNK_IMAGES]
            images = torch.stack([self._decode(self.shards[segment], place) for place in part.tolist()])
            yield self._rows(segment, part, images)

    def read_columns(self, segment: int, places: Places, names: list[str]) -> Iterator[Rows]:
        """Give what the index knows: shard and key of each sample, and its target."""
        shard = self.shards[segment]
        rows = self._rows(segment, places, torch.empty(len(places), 0))
        columns = pd.DataFrame(
            {"shard": shard.file.name, "key": shard.keys[places]}, index=places + self.starts[segment]
        )
        for name in names:
            if name not in columns:
                raise DataError(f"Shards can be split by the columns shard and key. Received: {name!r}.")
        yield Rows(rows.inputs, rows.targets, rows.ids, self.path, "key", columns[names], self.locate)

    def identity(self) -> Any:
        """Return name and size of each shard."""
        return [[shard.file.name, shard.file.stat().st_size] for shard in self.shards]

    def locate(self, number: Any) -> str:
        """Return where a sample lies."""
        segment = int(np.searchsorted(self.starts, number, side="right")) - 1
        return self.shards[segment].locate(int(number - self.starts[segment]))

    def _rows(self, segment: int, places: Places, images: Tensor) -> Rows:
        shard = self.shards[segment]
        targets = None
        if self.has_targets and shard.targets is not None:
            values = pd.Series([shard.targets[place] for place in places], index=places + self.starts[segment])
            values = values.astype("str") if pd.api.types.is_object_dtype(values) else values
            targets = pd.DataFrame({self.column: values.where(values != "")})
        return Rows(images, targets, shard.keys[places], self.path, "key", locate=self.locate)

    def _decode(self, shard: Shard, place: int) -> Tensor:
        with shard.image(place) as image:
            pixels = decode(image, (self.shape[1], self.shape[2]) if self.resized else None)
        if pixels.shape[1:] != self.shape[1:]:
            first, other = (" × ".join(map(str, shape[1:])) for shape in (self.shape, pixels.shape))
            raise DataError(
                f"Images have one size unless data.size is set. The first of {self.path} is {first}, "
                f"{shard.locate(place)} is {other}."
            )
        found = torch.tensor(pixels.astype(np.int32) if pixels.dtype == np.uint16 else pixels)
        return convert(found, high_of(pixels), self.shape[0], self.high)


class ImageShards(StreamData):
    """Images in shards: uncompressed tar files, as WebDataset writes them.

    Members whose names are the same up to the first dot are a sample: ``0001.jpg`` and ``0001.cls``, a text with the
    name or number of its class; or ``0001.json`` in place of that, whose ``target_key`` is a class or a number.
    Members of other endings are counted, said and left out. Shards to predict may lack targets.

    Only headers and targets are read at first; what is known of a sample takes some 100 bytes of memory. An image that
    can't be read is an error, with shard and member, when it is met: to skip it, all images would have to be read
    before training. Images of 16 bits are read as 8; transparency is shown on white unless ``channels`` is 4.

    Args:
        path: a file, a folder, or a pattern such as ``shards/*.tar``: its samples are split; by the columns ``shard``
            and ``key`` too, as in ``split: {groups: shard}``.
        size: height and width, or one number for both, to which images are resized. By default all have one size.
        channels: 1 for grey, 3 for colour, 4 for colour and transparency.
        target_key: the key of the target in each sample's JSON; by default it is in the class file.
        shuffle_buffer: images among which a process shuffles: it bounds the memory of each worker.
        options: those of `lightlab.data.streams.stream.StreamData`.

    Raises:
        ConfigError: an option has a value that it can't have.
    """

    def __init__(
        self,
        path: str | None = None,
        size: int | list[int] | None = None,
        channels: int = 3,
        target_key: str | None = None,
        shuffle_buffer: int = 1024,
        **options: Any,
    ) -> None:
        super().__init__(path, shuffle_buffer, **options)
        self.images = ImageOptions.parse(size, channels, "error", 0)
        self.channels = channels
        self.target_key = target_key
        if target_key == "":
            raise ConfigError.at(("data", "target_key"), "target_key names a key. Received an empty one.")

    def adapt(self, spec: InputSpec) -> None:
        """Hold a trained model against images.

        Raises:
            DataError: it was trained on something else.
        """
        check_takes_images(spec, ", ".join(self.paths.values()))

    def open(self, path: str, split: str, spec: InputSpec | None) -> Source:
        """Return the samples of shards.

        Raises:
            DataError: no shards, one that can't be read, or samples that are not whole.
        """
        files = find_files(path, (".tar",))
        shards = [Shard(file, self.target_key, split != "predict") for file in files]
        if not sum(map(len, shards)):
            raise DataError(f"Shards have images. {path} has none in {len(shards)} files.")
        if others := sum(shard.others for shard in shards):
            say(
                f"left out: {others} members of {path} that are neither image nor .{JSON if self.target_key else CLASS}"
            )
        if split != "predict" and len({shard.targets is None for shard in shards if len(shard)}) > 1:
            without = next(shard.file for shard in shards if shard.targets is None and len(shard))
            raise TargetError(f"Every shard has targets, or none has. {without} has none.")
        shape = spec.shape if spec else (self.channels, *(self.images.size or _first_size(shards)))
        resized = spec is not None or self.images.size is not None
        return ShardSource(path, shards, self.target_key or CLASS_COLUMN, shape, resized, spec.high if spec else HIGH_8)

    def learn_stream(self, part: Part) -> InputSpec:
        """Learn how channels are normalised, from 10,000 images at most."""
        images = _PartImages(part)
        rows = Rows(images, None, images.places, part.source.path)
        return learn_array(rows, self.normalize, "image", HIGH_8)

    def make_encoder(self, spec: InputSpec) -> Callable[[Rows], Tensor]:
        """Return what holds images against the shape that the model takes."""
        return partial(_check_images, spec=spec)

    def read_ids(self, part: Part) -> tuple[str, Iterator[np.ndarray[Any, Any]]]:
        """Return the keys."""
        return "key", (rows.ids for rows in part.read_columns())


def _first_size(shards: list[Shard]) -> tuple[int, int]:
    with next(shard for shard in shards if len(shard)).image(0) as image:
        return image.height, image.width


class _PartImages(Stored):
    """The images of a split by their place in it, for what is learned of some of them."""

    def __init__(self, part: Part, places: Places | None = None) -> None:
        assert isinstance(part.source, ShardSource)
        super().__init__(np.arange(len(part)) if places is None else places, part.source.shape)
        self.part = part

    def take(self, places: Places) -> _PartImages:
        """Return those at these places, unread."""
        return _PartImages(self.part, self.places[places])

    def read(self, stored: Places) -> Tensor:
        """Read images by their places in the split, which are in order."""
        segments = np.searchsorted(self.part.starts, stored, side="right") - 1
        images = []
        for segment in np.unique(segments).tolist():
            own = self.part.places(segment)[stored[segments == segment] - self.part.starts[segment]]
            images += [rows.inputs for rows in self.part.source.read(segment, own)]
        return torch.cat([image for image in images if isinstance(image, Tensor)])


def _check_images(rows: Rows, spec: InputSpec) -> Tensor:
    images = check_array(rows, spec)
    assert isinstance(images, Tensor)
    return images
