"""Augmentations that change the colours of images, whose values are from 0 to 1."""

from __future__ import annotations

from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from lightlab.data.augment.base import Change, per_sample, uniform
from lightlab.data.augment.parameters import Probability
from lightlab.data_spec import InputSpec
from lightlab.layers.parameters import NonNegative
from lightlab.registry import AUGMENTATIONS

#: The shares of red, green and blue in what the eye sees as bright (ITU-R BT.601).
BRIGHTNESS_SHARES = (0.2989, 0.587, 0.114)


def needs_colours(spec: InputSpec) -> str:
    """Return what is needed where inputs are no images whose colours are known; nothing where they are."""
    fits = spec.kind == "image" and len(spec.shape) == 3 and spec.shape[0] in (1, 3) and spec.high > 0
    return "" if fits else "images of 1 or 3 channels (channels, height, width)"


def grey(images: Tensor) -> Tensor:
    """Return images, (batch, 1 or 3, height, width), without their colours: (batch, 1, height, width)."""
    if images.shape[1] == 1:
        return images
    red, green, blue = (share * images[:, place] for place, share in enumerate(BRIGHTNESS_SHARES))
    return (red + green + blue)[:, None]


def blend(images: Tensor, others: Tensor, factors: Tensor) -> Tensor:
    """Go from ``others`` (factor 0) to ``images`` (1), or beyond, by a factor for each, (batch,)."""
    return torch.lerp(others, images, per_sample(factors, images)).clamp(0, 1)


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend each image with black."""
    return (images * per_sample(factors, images)).clamp(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blend each image with its mean grey."""
    return blend(images, grey(images).mean(dim=(1, 2, 3), keepdim=True), factors)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend each image with its own grey."""
    return images if images.shape[1] == 1 else blend(images, grey(images), factors)


def adjust_sharpness(images: Tensor, factors: Tensor) -> Tensor:
    """Blend each image with itself smoothed, (1 1 1; 1 5 1; 1 1 1) / 13; its outermost pixels stay."""
    if min(images.shape[-2:]) < 3:
        return images
    inner = images[:, :, 1:-1, 1:-1]
    smooth = (9 * F.avg_pool2d(images, 3, stride=1) + 4 * inner) / 13
    sharpened = images.clone()
    sharpened[:, :, 1:-1, 1:-1] = blend(inner, smooth, factors)
    return sharpened


def adjust_hue(images: Tensor, turns: Tensor) -> Tensor:
    """Move each image's colours around the circle of hues, by a share of the whole circle for each, (batch,).

    The way to hue, value and spread and back is that of Smith (1978).
    """
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(1)
    low, value = images.aminmax(dim=1)
    spread = value - low
    divisor = torch.where(spread > 0, spread, 1)
    from_green = torch.where(value == green, 2 + (blue - red) / divisor, 4 + (red - green) / divisor)
    hue = torch.where(value == red, (green - blue) / divisor, from_green) + 6 * turns[:, None, None]
    away = [((hue + place) % 6) for place in (5, 3, 1)]
    shares = [torch.minimum(distance, 4 - distance).clamp(0, 1) for distance in away]
    return torch.stack([value - spread * share for share in shares], dim=1)


def posterize(images: Tensor, bits: Tensor) -> Tensor:
    """Keep of each of 256 levels the highest bits, as many for each image as ``bits``, (batch,), says."""
    steps = per_sample(2 ** (8 - bits), images)
    return (images * 255).round().div(steps).floor() * steps / 255


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Invert what is not below a threshold for each image, (batch,)."""
    return torch.where(images >= per_sample(thresholds, images), 1 - images, images)


@AUGMENTATIONS.register("color_jitter")
class ColorJitter(Change):
    """Change brightness, contrast, saturation and hue of images, in this order.

    An image of one channel has neither saturation nor hue, and keeps what it has.

    Args:
        brightness: the image is blended with black by a factor drawn uniformly from 1 ± brightness, not below 0.
        contrast: the same with the image's mean grey.
        saturation: the same with the image without colours.
        hue: the hues are moved by up to this share of their circle, to either side.
        probability: of each sample to be changed.

    Inputs: images (batch, 1 or 3, height, width).

    Example:
        >>> ColorJitter(brightness=0.4)(torch.ones(2, 3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(
        self,
        brightness: NonNegative = 0.2,
        contrast: NonNegative = 0.2,
        saturation: NonNegative = 0.2,
        hue: Annotated[float, Field(ge=0, le=0.5)] = 0.05,
        probability: Probability = 1.0,
    ) -> None:
        super().__init__(probability)
        self.blends = (
            (adjust_brightness, brightness),
            (adjust_contrast, contrast),
            (adjust_saturation, saturation),
        )
        self.hue = hue

    def needs(self, spec: InputSpec) -> str:
        """Return what it needs where inputs are no images whose colours are known."""
        return needs_colours(spec)

    def change(self, inputs: Tensor) -> Tensor:
        """Return every image in other colours."""
        for adjust, strength in self.blends:
            if strength:
                inputs = adjust(inputs, uniform(max(0, 1 - strength), 1 + strength, inputs))
        return adjust_hue(inputs, uniform(-self.hue, self.hue, inputs)) if self.hue else inputs
