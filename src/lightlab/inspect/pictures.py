"""Inputs that are images, as people look at them."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from lightlab.data_spec import InputSpec

#: (images, height, width, 3) or (height, width, 3), bytes.
Pixels = np.ndarray[Any, Any]


def are_images(spec: InputSpec) -> bool:
    """Return whether inputs are images, or arrays in the shape of some."""
    return len(spec.shape) == 3 and (spec.kind == "image" or (spec.kind == "array" and spec.shape[0] in (1, 3)))


def pixel_range(images: Tensor, spec: InputSpec) -> tuple[float, float]:
    """Return what is drawn black and white: the range of pixels, or what is found where values have none."""
    return (0.0, spec.high) if spec.high else (images.min().item(), images.max().item())


def to_pixels(images: Tensor, low: float, high: float) -> Pixels:
    """Return images as bytes in three colours, (images, height, width, 3); alpha is not drawn.

    Args:
        images: (images, channels, height, width), floats.
        low: what is black.
        high: what is white.
    """
    colours = images[:, :3] if images.shape[1] >= 3 else images[:, :1].expand(-1, 3, -1, -1)
    scaled = ((colours - low) / ((high - low) or 1) * 255).round().clamp(0, 255)
    pixels: Pixels = scaled.to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return pixels


def to_png(image: Image.Image | Pixels) -> bytes:
    """Return an image, or its pixels, (height, width, 3), as PNG."""
    stream = io.BytesIO()
    drawn = image if isinstance(image, Image.Image) else Image.fromarray(image)
    drawn.save(stream, "PNG", compress_level=1)  # as fast as can be: it is small
    return stream.getvalue()


def from_text(text: str) -> Pixels:
    """Return an image, (height, width, 3), from PNG in base64."""
    with Image.open(io.BytesIO(base64.b64decode(text)), formats=("PNG",)) as image:
        return np.asarray(image.convert("RGB"))


def draw_inputs(inputs: Tensor, spec: InputSpec) -> list[str | None]:
    """Return each input as PNG in base64; ``None`` for each where they are no images.

    Args:
        inputs: (rows, …), as the loaders give them.
        spec: what is known of them.
    """
    if not are_images(spec) or not len(inputs):
        return [None] * len(inputs)
    images = inputs.float()
    pictures = to_pixels(images, *pixel_range(images, spec))
    return [base64.b64encode(to_png(pixels)).decode("ascii") for pixels in pictures]
