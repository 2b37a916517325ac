"""Augmentations that draw an operation for each image, and how strong it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from lightlab.data.augment import colour
from lightlab.data.augment.base import Change
from lightlab.data.augment.geometry import warp
from lightlab.data.augment.parameters import Fill, Probability
from lightlab.data_spec import InputSpec
from lightlab.layers.parameters import PositiveInt
from lightlab.registry import AUGMENTATIONS

#: How many levels of strength there are.
LEVELS = 31
#: Operations that are affine maps.
AFFINE = ("shear_x", "shear_y", "translate_x", "translate_y", "rotate")
#: Operations that are made stronger or weaker: their strength is a distance from 1.
BLENDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "brightness": colour.adjust_brightness,
    "color": colour.adjust_saturation,
    "contrast": colour.adjust_contrast,
    "sharpness": colour.adjust_sharpness,
}
#: What else an image is given to, with a strength for each image.
OTHERS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "posterize": lambda images, strengths: colour.posterize(images, strengths.round()),
    "solarize": colour.solarize,
    "autocontrast": lambda images, _: _torchvision().autocontrast(images),
    "equalize": lambda images, _: _torchvision().equalize(images),
    "identity": lambda images, _: images,
}
OPERATIONS = (*AFFINE, *BLENDS, *OTHERS)

#: For each operation the strength at the lowest and at the highest level.
Space = dict[str, tuple[float, float]]


def wide_space(height: int, width: int) -> Space:
    """Return the space "wide" of TrivialAugment, for images of a size."""
    return {
        **dict.fromkeys(("shear_x", "shear_y", *BLENDS), (0, 0.99)),
        "translate_x": (0, min(32, width)),
        "translate_y": (0, min(32, height)),
        "rotate": (0, 135),
        "posterize": (8, 2),
        "solarize": (1, 0),
    }


def narrow_space(height: int, width: int) -> Space:
    """Return the space of RandAugment, for images of a size."""
    return {
        **dict.fromkeys(("shear_x", "shear_y"), (0, 0.3)),
        **dict.fromkeys(BLENDS, (0, 0.9)),
        "translate_x": (0, 150 / 331 * width),
        "translate_y": (0, 150 / 331 * height),
        "rotate": (0, 30),
        "posterize": (8, 4),
        "solarize": (1, 0),
    }


def _torchvision() -> Any:
    # Some seconds of import for two operations of fourteen, which other configs need not wait for.
    from torchvision.transforms.v2 import functional  # type: ignore[import-untyped]  # it publishes no types

    return functional


def affine_coefficients(operations: Tensor, strengths: Tensor, height: int, width: int) -> Tensor:
    """Return what `warp` takes, (6, batch), of operations of which each is one of `AFFINE`, (batch,)."""
    each = strengths[:, None] * F.one_hot(operations, len(AFFINE))
    shear_x, shear_y, right, down, degrees = each.unbind(1)
    angles = degrees.deg2rad()
    # The corner at the top left stays where it is when an image is sheared.
    x = shear_x * (height / 2) - right.trunc()
    y = shear_y * (width / 2) - down.trunc()
    return torch.stack([angles.cos(), shear_x - angles.sin(), x, shear_y + angles.sin(), angles.cos(), y])


def apply_operations(images: Tensor, operations: Tensor, strengths: Tensor, fill: Fill) -> Tensor:
    """Give each image to one operation.

    Args:
        images: (batch, 1 or 3, height, width).
        operations: (batch,), places in `OPERATIONS`; on the CPU wherever the images are, since the sizes of the
            groups are then known without waiting for the device.
        strengths: (batch,), on the CPU too.
        fill: what is seen where an image was moved away.
    """
    order = operations.argsort()
    operations, strengths = operations[order], strengths[order]
    counts = operations.bincount(minlength=len(OPERATIONS)).tolist()
    moved = sum(counts[: len(AFFINE)])
    places = order.to(images.device, non_blocking=True)
    factors = strengths.to(images.device, non_blocking=True)
    sizes = [moved, *counts[len(AFFINE) :]]
    to_move, *groups = torch.split(images[places], sizes)
    _, *group_factors = torch.split(factors, sizes)
    results = []
    if moved:
        coefficients = affine_coefficients(operations[:moved], strengths[:moved], *images.shape[-2:])
        results.append(warp(to_move, coefficients.to(images.device, non_blocking=True).unbind(0), fill))
    for (name, operation), group, factor in zip((BLENDS | OTHERS).items(), groups, group_factors, strict=True):
        if len(group):
            results.append(operation(group, 1 + factor if name in BLENDS else factor))
    changed = torch.empty_like(images)
    changed[places] = torch.cat(results)
    return changed


class Policy(Change):
    """Operations one after the other, each drawn for each image; the strength as a level from 0 to 1."""

    def __init__(self, space: Callable[[int, int], Space], operations: int, fill: Fill, probability: float) -> None:
        super().__init__(probability)
        self.space = space
        self.operations = operations
        self.fill = fill

    def needs(self, spec: InputSpec) -> str:
        """Return what it needs where inputs are no images whose colours are known."""
        return colour.needs_colours(spec)

    def levels(self, rows: int) -> Tensor:
        """Return how strong an operation is for each image: (rows,), on the CPU."""
        raise NotImplementedError

    def change(self, inputs: Tensor) -> Tensor:
        """Return every image after its operations."""
        space = self.space(*inputs.shape[-2:])
        limits = torch.tensor([space.get(name, (0, 0)) for name in OPERATIONS])
        for _ in range(self.operations):
            operations = torch.randint(len(OPERATIONS), (len(inputs),))
            lowest, highest = limits[operations].unbind(1)
            strengths = torch.lerp(lowest, highest, self.levels(len(inputs)))
            negative = (torch.rand(len(inputs)) < 0.5) & (operations < len(AFFINE) + len(BLENDS))
            strengths = torch.where(negative, -strengths, strengths)
            inputs = apply_operations(inputs, operations, strengths, self.fill)
        return inputs


@AUGMENTATIONS.register("trivial_augment")
class TrivialAugment(Policy):
    """Give each image to one of 14 operations, at one of 31 levels, both drawn uniformly (Müller & Hutter 2021).

    The operations are those of the paper's space "wide": shear and translate along x and y, rotate, brightness,
    color, contrast, sharpness, posterize, solarize, autocontrast, equalize, and none. An image moves by at most 32
    pixels, or its own size where that is less; between pixels it is bilinear.

    Args:
        fill: what is seen where an image was moved away: ``zeros``, or its outermost pixels (``edge``).
        probability: of each sample to be changed.

    Inputs: images (batch, 1 or 3, height, width).

    Example:
        >>> TrivialAugment()(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 32, 32])
    """

    def __init__(self, fill: Fill = "zeros", probability: Probability = 1.0) -> None:
        super().__init__(wide_space, 1, fill, probability)

    def levels(self, rows: int) -> Tensor:
        """Return a level for each image, (rows,), on the CPU."""
        return torch.randint(LEVELS, (rows,)) / (LEVELS - 1)


@AUGMENTATIONS.register("rand_augment")
class RandAugment(Policy):
    """Give each image to some of 14 operations one after the other, all at one level (Cubuk et al. 2020).

    The operations are those of `trivial_augment`, drawn uniformly for each image, but weaker.

    Args:
        magnitude: the level, from 0 to 30.
        operations: how many an image is given to.
        fill: what is seen where an image was moved away: ``zeros``, or its outermost pixels (``edge``).
        probability: of each sample to be changed.

    Inputs: images (batch, 1 or 3, height, width).

    Example:
        >>> RandAugment(magnitude=5)(torch.rand(8, 3, 32, 32)).shape
        torch.Size([8, 3, 32, 32])
    """

    def __init__(
        self,
        magnitude: Annotated[int, Field(ge=0, le=30)] = 9,
        operations: PositiveInt = 2,
        fill: Fill = "zeros",
        probability: Probability = 1.0,
    ) -> None:
        super().__init__(narrow_space, operations, fill, probability)
        self.magnitude = magnitude

    def levels(self, rows: int) -> Tensor:
        """Return the one level for each image, (rows,), on the CPU."""
        return torch.full((rows,), self.magnitude / (LEVELS - 1))
