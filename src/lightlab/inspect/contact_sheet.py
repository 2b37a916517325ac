"""A picture of images: some of each class and split, and some of them as augmentation changes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from lightlab.batch import Batch
from lightlab.data.augment import Augment
from lightlab.data.base import Data
from lightlab.data.rows import Rows
from lightlab.data_spec import DataSpec, InputSpec
from lightlab.errors import RunError
from lightlab.files import write_bytes
from lightlab.inspect.data import encode_known_targets, encode_some
from lightlab.inspect.pictures import are_images, pixel_range, to_pixels, to_png

#: How many images of each class, or in each line, a split has.
SHOWN = {"train": 4, "val": 2, "test": 2}
AUGMENTED = 4
#: So many classes have a line; where there are no classes, so many lines are filled.
MOST_CLASSES, LINES = 20, 6
#: Sides of an image, and what is around it, in pixels.
SIDE, GAP, MARGIN, GROUP_GAP, LETTERS = 96, 4, 16, 24, 15
INK, FAINT, PAPER = (20, 20, 20), (110, 110, 110), (255, 255, 255)


def can_be_drawn(data: Data, spec: InputSpec) -> bool:
    """Return whether inputs are images, or arrays in the shape of some, and their rows at hand."""
    return are_images(spec) and bool(data.rows.get("train"))


@dataclass
class Tile:
    """An image on the sheet.

    Attributes:
        pixels: (height, width, 3), bytes.
        caption: what stands below it.
    """

    pixels: np.ndarray[Any, Any]
    caption: str = ""


@dataclass
class Sheet:
    """What is drawn: lines of images, in groups that stand beside each other.

    Attributes:
        lines: what stands at the left of each line.
        groups: for each heading, the images of each line.
        note: what stands at the bottom.
    """

    lines: list[str]
    groups: dict[str, list[list[Tile]]] = field(default_factory=dict)
    note: str = ""

    def draw(self) -> Image.Image:
        """Return the picture."""
        font = ImageFont.load_default(13)
        captions = any(tile.caption for lines in self.groups.values() for line in lines for tile in line)
        step = SIDE + GAP + (LETTERS + GAP if captions else 0)
        left = MARGIN + max((round(font.getlength(name)) for name in self.lines), default=0)
        left += 12 if left > MARGIN else 0
        widths = {name: max(map(len, lines)) * (SIDE + GAP) for name, lines in self.groups.items()}
        widths = {name: max(width, round(font.getlength(name))) for name, width in widths.items()}
        top = MARGIN + LETTERS + 8
        width = left + sum(widths.values()) + GROUP_GAP * (len(widths) - 1) + MARGIN
        height = top + step * len(self.lines) + MARGIN + (LETTERS if self.note else 0)
        sheet = Image.new("RGB", (max(width, left + round(font.getlength(self.note))), height), PAPER)
        pen = ImageDraw.Draw(sheet)
        for place, name in enumerate(self.lines):
            pen.text((MARGIN, top + step * place + SIDE // 2), name, INK, font, anchor="lm")
        for name, lines in self.groups.items():
            pen.text((left, MARGIN), name, FAINT, font)
            for place, line in enumerate(lines):
                for number, tile in enumerate(line):
                    corner = left + number * (SIDE + GAP), top + step * place
                    image = _fit(tile.pixels)
                    sheet.paste(image, (corner[0] + (SIDE - image.width) // 2, corner[1] + (SIDE - image.height) // 2))
                    pen.text((corner[0], corner[1] + SIDE + 2), _cut(tile.caption, font), INK, font)
            left += widths[name] + GROUP_GAP
        pen.text((MARGIN, height - MARGIN - 4), self.note, FAINT, font)
        return sheet

    def write(self, path: Path) -> None:
        """Write the picture as PNG, so that the file under its name is whole at every moment.

        Raises:
            RunError: it can't be written; what stood there before still does.
        """
        if path.suffix.lower() != ".png":
            raise RunError(f"The picture of images is written as .png. Received: {path}.")
        write_bytes(to_png(self.draw()), path, "picture of images")


def draw_contact_sheet(data: Data, spec: DataSpec) -> Sheet:
    """Return some images of each class and split, chosen by the data's seed; and some of them augmented.

    Args:
        data: connected, with inputs of (channels, height, width).
        spec: what it returned.
    """
    generator = np.random.default_rng(data.seed)
    classes = spec.target.classes[:MOST_CLASSES]
    chosen = {split: _choose(data, spec, split, generator) for split in SHOWN if data.rows.get(split)}
    read = {split: _read(data, spec.input, split, lines) for split, lines in chosen.items()}
    low, high = pixel_range(read["train"], spec.input)
    sheet = Sheet([_short(name) for name in classes] or [""] * len(chosen["train"]))
    for split, lines in chosen.items():
        images = iter(to_pixels(read[split], low, high))
        captions = iter([] if classes else _captions(data.rows[split], np.concatenate(lines)))
        sheet.groups[split] = [[Tile(next(images), next(captions, "")) for _ in line] for line in lines]
    if data.augment_config:
        name = f"first of {'each line' if len(chosen['train']) > 1 else 'train'}, augmented"
        sheet.groups[name] = _augmented(data, spec.input, read["train"], list(map(len, chosen["train"])), low, high)
    left = len(spec.target.classes) - len(classes)
    sheet.note = f"and {left} more classes" if left else ""
    return sheet


def _choose(data: Data, spec: DataSpec, split: str, generator: np.random.Generator) -> list[np.ndarray[Any, Any]]:
    """Return the places of the images of each line."""
    rows, count = data.rows[split], SHOWN[split]
    if not spec.target.classes:
        drawn = generator.permutation(len(rows))[: LINES * count]
        return [drawn[start : start + count] for start in range(0, len(drawn), count)]
    codes = encode_known_targets(data, spec, split)
    assert codes is not None
    places = [np.flatnonzero(codes.numpy() == code) for code in range(len(spec.target.classes[:MOST_CLASSES]))]
    return [generator.permutation(part)[:count] for part in places]


def _read(data: Data, spec: InputSpec, split: str, lines: list[np.ndarray[Any, Any]]) -> Tensor:
    return encode_some(data, data.rows[split], spec, np.concatenate(lines)).float()


def _augmented(
    data: Data, spec: InputSpec, images: Tensor, sizes: list[int], low: float, high: float
) -> list[list[Tile]]:
    """Return the first image of each line as several epochs would see it; all are one batch, which some mix."""
    augment = Augment(data.augment_config, spec, ("data", "augment"))
    firsts = np.cumsum([0, *sizes[:-1]])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(data.seed)
        epochs = [to_pixels(augment(Batch(images.clone())).inputs, low, high) for _ in range(AUGMENTED)]
    return [
        [Tile(epoch[first]) for epoch in epochs] if size else []
        for first, size in zip(firsts.tolist(), sizes, strict=True)
    ]


def _captions(rows: Rows, places: np.ndarray[Any, Any]) -> list[str]:
    """Return what the targets of rows without classes are: the labels that hold, or numbers."""
    if rows.targets is None:
        return [""] * len(places)
    targets = rows.targets.iloc[places]
    several = targets.shape[1] > 1
    labels = several and bool(targets.isin([0, 1]).all(axis=None))
    return [
        ", ".join(str(name) for name, value in row.items() if value == 1) if labels else ", ".join(map(_number, row))
        for _, row in targets.iterrows()
    ]


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _fit(pixels: np.ndarray[Any, Any]) -> Image.Image:
    """Return an image with its longer side as long as a tile's; small ones are enlarged pixel by pixel."""
    image = Image.fromarray(pixels)
    factor = SIDE / max(image.size)
    if factor >= 1:
        return image.resize((image.width * int(factor), image.height * int(factor)), Image.Resampling.NEAREST)
    size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
    return image.resize(size, Image.Resampling.LANCZOS)


def _short(name: str, most: int = 24) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"


def _cut(text: str, font: Any) -> str:
    """Return as much of a text as fits below an image."""
    if font.getlength(text) <= SIDE:
        return text
    while text and font.getlength(f"{text}…") > SIDE:
        text = text[:-1]
    return f"{text}…"
