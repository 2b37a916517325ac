"""The pixels of one image: read by PIL as they are, and converted to what a model takes.

What a file holds is kept as it is at first: 8 or 16 bits, grey or colour, with transparency or without. Only for a
model it is converted, always in the same order: size, channels, range.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.nn import functional

#: What is read; PIL knows more formats, but some of them start other programs.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")
#: The largest value of a pixel with 8 bits, and with 16.
HIGH_8, HIGH_16 = 255.0, 65535.0
#: (channels, height, width), uint8, or uint16 where a file has 16 bits of grey. Channels are grey, grey and alpha,
#: colour, or colour and alpha.
Pixels = np.ndarray[Any, np.dtype[Any]]


@contextmanager
def pil_warnings() -> Iterator[None]:
    """Make an error of what PIL suspects to be a decompression bomb; what else it remarks on files is not shown."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        yield


def decode(image: Image.Image, size: tuple[int, int] | None = None) -> Pixels:
    """Return the pixels of an image that stands upright, (channels, height, width).

    Args:
        image: in any mode of PIL's; palettes become grey or colour, whichever they hold.
        size: height and width to resize to, bilinear and with antialiasing.

    Raises:
        ValueError: its pixels are fractions, or have more than 16 bits.
    """
    mode = _plain_mode(image)
    if image.mode != mode:
        image = image.convert(mode)
    if size and image.size != (size[1], size[0]):
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR)
    pixels: Pixels = np.asarray(image)
    if mode == "I":
        if pixels.min() < 0 or pixels.max() > HIGH_16:
            raise ValueError(f"pixels from {pixels.min()} to {pixels.max()}, which are not 16 bits")
        pixels = pixels.astype(np.uint16)
    return pixels[None] if pixels.ndim == 2 else np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _plain_mode(image: Image.Image) -> str:
    """Return the mode that holds all of an image: I for 16 bits, L, LA, RGB or RGBA."""
    if image.mode.startswith("I"):
        return "I"
    if image.mode == "F":
        raise ValueError("pixels that are fractions (mode F)")
    transparent = image.has_transparency_data
    if image.mode in ("P", "PA"):
        colours = np.asarray(image.convert("RGBA" if transparent else "RGB"))[..., :3]
        mode = "L" if bool((colours == colours[..., :1]).all()) else "RGB"
    else:
        mode = "L" if image.mode in ("1", "L", "LA", "La") else "RGB"
    return f"{mode}A" if transparent else mode


def what_is_lost(image: Image.Image) -> str:
    """Return what of a file is not among its pixels."""
    if image.format != "MPO" and getattr(image, "is_animated", False):
        return "have several frames or pages, of which the first is read"
    deep = image.mode in ("RGB", "RGBA") and any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    return "have 16 bits a colour, of which 8 are read" if deep else ""


def reason(cause: Exception) -> str:
    """Return why an image can't be read, in words."""
    if isinstance(cause, UnidentifiedImageError):
        return f"no image of {', '.join(FORMATS)}"
    if isinstance(cause, Image.DecompressionBombError | Image.DecompressionBombWarning):
        return f"refused as a decompression bomb: more than {Image.MAX_IMAGE_PIXELS:,} pixels"
    return str(cause).rstrip(".") or type(cause).__name__


def high_of(pixels: Pixels) -> float:
    """Return the largest value that such pixels can have."""
    return HIGH_16 if pixels.dtype == np.uint16 else HIGH_8


def dtype_of(high: float) -> torch.dtype:
    """Return the type of pixels with a largest value: whole numbers for 8 and 16 bits.

    16 bits take four bytes, since torch computes little with uint16.
    """
    return {HIGH_8: torch.uint8, HIGH_16: torch.int32}.get(high, torch.float32)


def convert(pixels: Tensor, high: float, channels: int, wanted_high: float) -> Tensor:
    """Bring pixels to a number of channels and a range.

    Transparent images are shown on white, unless alpha is wanted. Grey is the ITU-R 601-2 luma, as PIL has it.

    Args:
        pixels: (…, channels, height, width), whole numbers; channels as in `Pixels`.
        high: the largest value that they can have.
        channels: 1 for grey, 3 for colour, 4 for colour and alpha.
        wanted_high: the largest value that they are to have.

    Example:
        >>> convert(torch.tensor([[[51]], [[255]]], dtype=torch.uint8), 255.0, 3, 65535.0).flatten().tolist()
        [13107, 13107, 13107]
    """
    pixels = _scale(_with_channels(pixels, high, channels), high, wanted_high)
    return pixels.to(dtype_of(wanted_high))


def _with_channels(pixels: Tensor, high: float, channels: int) -> Tensor:
    has_alpha = pixels.shape[-3] in (2, 4)
    colour, alpha = (pixels[..., :-1, :, :], pixels[..., -1:, :, :]) if has_alpha else (pixels, None)
    if channels != 4 and alpha is not None:
        colour = (high - (high - colour.float()) * alpha / high).round().to(torch.int32)
    if channels == 1 and colour.shape[-3] == 3:
        red, green, blue = colour.to(torch.int32).unbind(dim=-3)
        grey: Tensor = (red * 19595 + green * 38470 + blue * 7471 + 32768) >> 16
        return grey.unsqueeze(-3)
    if channels != 1 and colour.shape[-3] == 1:
        colour = torch.cat([colour] * 3, dim=-3)
    if channels == 4:
        opaque = torch.full_like(colour[..., :1, :, :], int(high))
        return torch.cat([colour, opaque if alpha is None else alpha], dim=-3)
    return colour


def _scale(pixels: Tensor, high: float, wanted: float) -> Tensor:
    if high == wanted:
        return pixels
    scaled = pixels.double() * (wanted / high)
    return scaled if dtype_of(wanted).is_floating_point else scaled.round()


def resize(images: Tensor, size: tuple[int, int]) -> Tensor:
    """Return images in memory, (images, channels, *size), resized as `decode` does it, up to rounding."""
    if tuple(images.shape[2:]) == size:
        return images
    parts = [
        functional.interpolate(part.float(), size, mode="bilinear", antialias=True).round().to(images.dtype)
        for part in torch.split(images, 1000)
    ]
    return torch.cat(parts)
