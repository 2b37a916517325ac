"""Augmentations that move pixels."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from lightlab.data.augment.base import ChangePlanes, chance, needs_planes, per_sample, uniform
from lightlab.data.augment.boxes import random_boxes
from lightlab.data.augment.parameters import Area, Degrees, Fill, Probability, Ratio
from lightlab.data_spec import InputSpec
from lightlab.layers.parameters import PositiveInt, Rate
from lightlab.registry import AUGMENTATIONS


def warp(images: Tensor, coefficients: tuple[Tensor, ...], fill: Fill) -> Tensor:
    """Move pixels by affine maps, a map for each image; between pixels bilinear.

    Args:
        images: (batch, channels, height, width).
        coefficients: a, b, c, d, e, f, each (batch,). What is seen at (x, y) comes from (a·x + b·y + c,
            d·x + e·y + f), in pixels from the centre, x to the right and y downwards.
        fill: what is seen where it comes from outside.
    """
    height, width = images.shape[-2:]
    a, b, c, d, e, f = coefficients
    # grid_sample counts in half heights and half widths.
    across = torch.stack([a, b * (height / width), c * (2 / width)], dim=1)
    down = torch.stack([d * (width / height), e, f * (2 / height)], dim=1)
    grid = F.affine_grid(torch.stack([across, down], dim=1), list(images.shape), align_corners=False)
    mode = "zeros" if fill == "zeros" else "border"
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=mode, align_corners=False)


def shift(images: Tensor, rows: int, columns: int, fill: Fill) -> Tensor:
    """Move each image by whole pixels, at most so many rows up or down and columns to the left or right."""
    height, width = images.shape[-2:]
    mode = "constant" if fill == "zeros" else "replicate"
    padded = F.pad(images, (columns, columns, rows, rows), mode=mode)
    # A view with every window of the images' size, of which each sample takes one: nothing else is copied.
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    size, device = (len(images),), images.device
    top = torch.randint(2 * rows + 1, size, device=device)
    left = torch.randint(2 * columns + 1, size, device=device)
    return windows[torch.arange(len(images), device=device), :, top, left]


def rotate(images: Tensor, degrees: Tensor, fill: Fill) -> Tensor:
    """Turn each image counter-clockwise by an angle, (batch,), around its centre; between pixels bilinear."""
    angles = degrees.deg2rad()
    cos, sin, none = angles.cos(), angles.sin(), torch.zeros_like(angles)
    return warp(images, (cos, -sin, none, sin, cos, none), fill)


@AUGMENTATIONS.register("random_flip")
class RandomFlip(ChangePlanes):
    """Mirror images.

    Args:
        axis: ``horizontal`` swaps left and right, ``vertical`` top and bottom; ``both`` draws for each by itself.
        probability: of each sample to be mirrored.

    Inputs: (batch, channels, height, width).

    Example:
        >>> RandomFlip(probability=1.0)(torch.tensor([[[[1.0, 2.0, 3.0]]]]))
        tensor([[[[3., 2., 1.]]]])
    """

    def __init__(
        self, axis: Literal["horizontal", "vertical", "both"] = "horizontal", probability: Probability = 0.5
    ) -> None:
        super().__init__(probability)
        self.dims = {"horizontal": (-1,), "vertical": (-2,), "both": (-1, -2)}[axis]

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, channels, height, width), each sample as it was or mirrored."""
        for dim in self.dims:
            inputs = torch.where(per_sample(chance(self.probability, inputs), inputs), inputs.flip(dim), inputs)
        return inputs


@AUGMENTATIONS.register("padded_crop")
class PaddedCrop(ChangePlanes):
    """Pad images on all sides, and cut one of the old size out of them: a move by whole pixels (He et al. 2016).

    Args:
        padding: pixels on each side, at most the image's height and width.
        fill: what is seen where an image was moved away: ``zeros``, or its outermost pixels (``edge``).
        probability: of each sample to be moved.

    Inputs: (batch, channels, height, width).

    Example:
        >>> PaddedCrop(4)(torch.ones(2, 3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, padding: PositiveInt = 4, fill: Fill = "zeros", probability: Probability = 1.0) -> None:
        super().__init__(probability)
        self.padding = padding
        self.fill = fill

    def needs(self, spec: InputSpec) -> str:
        """Return what it needs where inputs are no images, or smaller than the padding."""
        if not (needed := needs_planes(spec)) and self.padding > min(spec.shape[1:]):
            return f"images at least as high and wide as its padding of {self.padding}"
        return needed

    def change(self, inputs: Tensor) -> Tensor:
        """Return every image moved."""
        return shift(inputs, self.padding, self.padding, self.fill)


@AUGMENTATIONS.register("random_resized_crop")
class RandomResizedCrop(ChangePlanes):
    """Cut a part out of each image, and stretch it to the old size, bilinear (Szegedy et al. 2015).

    A part is never larger than its image, so nothing shrinks, and no details have to be smoothed away.

    Args:
        area: smallest and largest share of the pixels that the part has.
        ratio: smallest and largest width of the part, divided by its height.
        probability: of each sample to be cut.

    Inputs: (batch, channels, height, width).

    Example:
        >>> RandomResizedCrop((0.5, 1.0))(torch.ones(2, 3, 32, 32)).unique()
        tensor([1.])
    """

    def __init__(self, area: Area = (0.08, 1.0), ratio: Ratio = (3 / 4, 4 / 3), probability: Probability = 1.0) -> None:
        super().__init__(probability)
        self.area = area
        self.ratio = ratio

    def change(self, inputs: Tensor) -> Tensor:
        """Return a part of every image."""
        height, width = inputs.shape[-2:]
        top, left, bottom, right = random_boxes(inputs, self.area, self.ratio)
        none = torch.zeros(len(inputs), device=inputs.device)
        x, y = (left + right - width) / 2, (top + bottom - height) / 2
        return warp(inputs, ((right - left) / width, none, x, none, (bottom - top) / height, y), "edge")


@AUGMENTATIONS.register("rotation")
class Rotation(ChangePlanes):
    """Turn images around their centre, bilinear.

    Args:
        degrees: the largest angle, to the left as to the right; the angle is drawn uniformly.
        fill: what is seen in the corners: ``zeros``, or the image's outermost pixels (``edge``).
        probability: of each sample to be turned.

    Inputs: (batch, channels, height, width).

    Example:
        >>> Rotation(30)(torch.ones(2, 3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, degrees: Degrees = 15.0, fill: Fill = "zeros", probability: Probability = 1.0) -> None:
        super().__init__(probability)
        self.degrees = degrees
        self.fill = fill

    def change(self, inputs: Tensor) -> Tensor:
        """Return every image turned."""
        return rotate(inputs, uniform(-self.degrees, self.degrees, inputs), self.fill)


@AUGMENTATIONS.register("translation")
class Translation(ChangePlanes):
    """Move images by whole pixels, up or down and to the left or right.

    Args:
        share: the longest move as a share of the height, and of the width; the move is drawn uniformly.
        fill: what is seen where an image was moved away: ``zeros``, or its outermost pixels (``edge``).
        probability: of each sample to be moved.

    Inputs: (batch, channels, height, width).

    Example:
        >>> Translation(0.25)(torch.ones(2, 3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, share: Probability = 0.1, fill: Fill = "zeros", probability: Probability = 1.0) -> None:
        super().__init__(probability)
        self.share = share
        self.fill = fill

    def change(self, inputs: Tensor) -> Tensor:
        """Return every image moved."""
        height, width = inputs.shape[-2:]
        return shift(inputs, round(self.share * height), round(self.share * width), self.fill)


@AUGMENTATIONS.register("zoom")
class Zoom(ChangePlanes):
    """Enlarge or shrink images around their centre, bilinear; they keep their size and proportions.

    Args:
        strength: the factor is drawn uniformly from 1 − strength to 1 + strength; more than 1 enlarges.
        fill: what is seen around a smaller image: ``zeros``, or its outermost pixels (``edge``).
        probability: of each sample to be zoomed.

    Inputs: (batch, channels, height, width).

    Example:
        >>> Zoom(0.2, fill="edge")(torch.ones(2, 3, 32, 32)).shape
        torch.Size([2, 3, 32, 32])
    """

    def __init__(self, strength: Rate = 0.1, fill: Fill = "zeros", probability: Probability = 1.0) -> None:
        super().__init__(probability)
        self.strength = strength
        self.fill = fill

    def change(self, inputs: Tensor) -> Tensor:
        """Return every image zoomed."""
        step = 1 / uniform(1 - self.strength, 1 + self.strength, inputs)
        none = torch.zeros_like(step)
        return warp(inputs, (step, none, none, none, step, none), self.fill)
