"""Vectors for TensorBoard's projector: files beside the event files, with labels and thumbnails."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from lightlab.files import write_bytes, write_text
from lightlab.inspect.pictures import to_png

#: What the vectors are called.
NAME = "features"
#: Sides of a thumbnail, and of the sheet that has them all at most, in pixels: what the graphics of browsers take.
SIDE, SHEET = 64, 8192

Array = np.ndarray[Any, Any]


def write_projector(
    folder: Path, features: Array, columns: Mapping[str, Sequence[Any]], images: Sequence[Array] | None = None
) -> None:
    """Write vectors, what is known of each, and thumbnails.

    Args:
        folder: one with event files.
        features: (rows, features).
        columns: what is known of each row, such as its label, by name.
        images: of each row, (height, width, 3) of bytes.

    Raises:
        RunError: a file can't be written.
    """
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    config = ProjectorConfig()
    embedding = config.embeddings.add(tensor_name=NAME, tensor_path=f"{NAME}.tsv", metadata_path="labels.tsv")
    lines = ("\t".join(f"{number:.6g}" for number in row) for row in turn(features).tolist())
    write_text("\n".join(lines) + "\n", folder / embedding.tensor_path, "projector's vectors")
    write_text(tabulate(columns), folder / embedding.metadata_path, "projector's labels")
    if images is not None:
        side = min(SIDE, SHEET // _per_line(len(images)))
        embedding.sprite.image_path = "thumbnails.png"
        embedding.sprite.single_image_dim.extend([side, side])
        write_bytes(to_png(draw_sheet(images, side)), folder / embedding.sprite.image_path, "projector's thumbnails")
    # What names the other files comes last: TensorBoard may be looking.
    write_text(text_format.MessageToString(config), folder / "projector_config.pbtxt", "projector's config")


def turn(features: Array) -> Array:
    """Return vectors of no more features than there are rows, with the same distances and angles.

    Vectors of a convolution may have a hundred thousand features, too many for a browser; that many rows can't differ
    in more directions than there are rows.

    Args:
        features: (rows, features).

    Example:
        >>> turn(np.array([[3.0, 0.0, 4.0, 0.0]]))
        array([[5.]])
    """
    if features.shape[1] <= features.shape[0]:
        return features
    numbers = features.astype(np.float64)
    variances, directions = np.linalg.eigh(numbers @ numbers.T)
    turned: Array = directions * np.sqrt(variances.clip(min=0))
    return turned[:, ::-1]  # the widest direction first


def tabulate(columns: Mapping[str, Sequence[Any]]) -> str:
    r"""Return columns as tab-separated text, with no tabs, line ends or empty cells inside.

    >>> tabulate({"label": ["a\tb", ""], "row": [1, 2]})
    'label\trow\na b\t1\n-\t2\n'
    """
    rows = [[" ".join(str(value).split()) or "-" for value in row] for row in zip(*columns.values(), strict=True)]
    # The projector takes the first line for a heading only where there are several columns.
    heading = [list(columns)] if len(columns) > 1 else []
    return "".join("\t".join(row) + "\n" for row in [*heading, *rows])


def draw_sheet(images: Sequence[Array], side: int) -> Image.Image:
    """Return thumbnails of a size, line by line in a square."""
    per_line = _per_line(len(images))
    sheet = Image.new("RGB", (side * per_line, side * per_line))
    for place, pixels in enumerate(images):
        image = Image.fromarray(pixels)
        method = Image.Resampling.NEAREST if max(image.size) < side else Image.Resampling.BICUBIC
        corner = side * (place % per_line), side * (place // per_line)
        sheet.paste(ImageOps.pad(image, (side, side), method), corner)
    return sheet


def _per_line(count: int) -> int:
    return math.isqrt(max(count - 1, 0)) + 1
