"""Boxes in images, one for each sample."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

#: How often a box is drawn anew where it does not fit into the image.
TRIES = 10


class Boxes(NamedTuple):
    """Boxes in whole pixels, ``bottom`` and ``right`` no longer inside; each (batch,), int64."""

    top: Tensor
    left: Tensor
    bottom: Tensor
    right: Tensor

    def mask(self, images: Tensor) -> Tensor:
        """Return (batch, 1, height, width), true inside."""
        rows = torch.arange(images.shape[-2], device=images.device)
        columns = torch.arange(images.shape[-1], device=images.device)
        inside_rows = (rows >= self.top[:, None]) & (rows < self.bottom[:, None])
        inside_columns = (columns >= self.left[:, None]) & (columns < self.right[:, None])
        return inside_rows[:, None, :, None] & inside_columns[:, None, None, :]


def random_below(limits: Tensor) -> Tensor:
    """Return whole numbers from 0 to each limit, the limit left out.

    >>> random_below(torch.ones(3)).tolist()
    [0, 0, 0]
    """
    numbers = (torch.rand(limits.shape, device=limits.device) * limits).long()
    return torch.minimum(numbers, limits.long() - 1)  # a product may be rounded up to the limit


def random_boxes(images: Tensor, area: tuple[float, float], ratio: tuple[float, float]) -> Boxes:
    """Draw a box for each image: its area uniformly, the ratio of its sides uniformly on a scale of logarithms.

    Where no box of ten fits into the image, the first is cut to its size.

    Args:
        images: (batch, channels, height, width).
        area: smallest and largest share of the pixels.
        ratio: smallest and largest width divided by height.
    """
    height, width = images.shape[-2:]
    shape = (TRIES, len(images))
    pixels = torch.empty(shape, device=images.device).uniform_(*area) * (height * width)
    ratios = torch.empty(shape, device=images.device).uniform_(math.log(ratio[0]), math.log(ratio[1])).exp()
    heights, widths = (pixels / ratios).sqrt().round(), (pixels * ratios).sqrt().round()
    fits = (heights >= 1) & (heights <= height) & (widths >= 1) & (widths <= width)
    chosen = fits.to(torch.uint8).argmax(0, keepdim=True)
    box_height = heights.gather(0, chosen)[0].clamp(1, height).long()
    box_width = widths.gather(0, chosen)[0].clamp(1, width).long()
    top, left = random_below(height - box_height + 1), random_below(width - box_width + 1)
    return Boxes(top, left, top + box_height, left + box_width)
