"""Augmentations that cover a part of an image."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from lightlab.data.augment.base import ChangePlanes, statistics
from lightlab.data.augment.boxes import random_boxes
from lightlab.data.augment.parameters import Area, Probability, Ratio
from lightlab.data_spec import InputSpec
from lightlab.registry import AUGMENTATIONS


@AUGMENTATIONS.register("random_erasing")
class RandomErasing(ChangePlanes):
    """Cover a box of each image (Zhong et al. 2020).

    Args:
        probability: of each sample to be covered in part.
        area: smallest and largest share of the pixels that the box has.
        ratio: smallest and largest width of the box, divided by its height.
        fill: what covers it: ``neutral`` is what normalises to 0 (each channel's mean in the train split with
            ``normalize: standard``), ``noise`` is normal noise around it of the same scale as the normalised
            inputs, within the range of the pixels, and ``zeros`` is black.

    Inputs: (batch, channels, height, width).

    Example:
        >>> RandomErasing(1.0, area=(0.25, 0.25), ratio=(1.0, 1.0))(torch.ones(1, 1, 8, 8)).sum()
        tensor(48.)
    """

    offset: Tensor
    scale: Tensor

    def __init__(
        self,
        probability: Probability = 0.5,
        area: Area = (0.02, 0.33),
        ratio: Ratio = (0.3, 3.3),
        fill: Literal["neutral", "noise", "zeros"] = "neutral",
    ) -> None:
        super().__init__(probability)
        self.area = area
        self.ratio = ratio
        self.fill = fill
        self.bounded = False
        self.register_buffer("offset", torch.zeros(1), persistent=False)
        self.register_buffer("scale", torch.ones(1), persistent=False)

    def adapt(self, spec: InputSpec) -> None:
        """Take over each channel's normalisation, and whether there is a range to keep to."""
        self.offset = statistics(spec.offset, spec, rest=0)
        self.scale = statistics(spec.scale, spec, rest=0)
        self.bounded = spec.kind == "image"

    def change(self, inputs: Tensor) -> Tensor:
        """Return every image covered in part."""
        return torch.where(random_boxes(inputs, self.area, self.ratio).mask(inputs), self.cover(inputs), inputs)

    def cover(self, inputs: Tensor) -> Tensor:
        """Return what covers a box, to broadcast over (batch, channels, height, width)."""
        if self.fill == "zeros":
            return torch.zeros_like(self.offset)
        if self.fill == "neutral":
            return self.offset
        noise = self.offset + self.scale * torch.randn_like(inputs)
        return noise.clamp(0, 1) if self.bounded else noise
