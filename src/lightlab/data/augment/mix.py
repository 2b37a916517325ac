"""Augmentations that mix each sample with another of its batch, and the loss with it."""

from __future__ import annotations

import torch
from torch import Tensor

from lightlab.batch import Mixed
from lightlab.data.augment.base import Mix, chance, needs_planes, per_sample
from lightlab.data.augment.boxes import Boxes, random_below
from lightlab.data.augment.parameters import Probability
from lightlab.data_spec import InputSpec
from lightlab.layers.parameters import Positive
from lightlab.registry import AUGMENTATIONS


def beta(alpha: float, inputs: Tensor) -> Tensor:
    """Return (batch,), each drawn for itself from Beta(alpha, alpha).

    It is G / (G + H) of two numbers from Gamma(alpha). Theirs are drawn as logarithms, from Gamma(alpha + 1) and a
    power of a uniform number (Marsaglia & Tsang 2000): with a small alpha both would be 0 as floats.
    """
    shape = (2, len(inputs))
    rates = torch.ones(shape, device=inputs.device)
    larger = torch.distributions.Gamma(rates * (alpha + 1), rates, validate_args=False).sample()
    first, second = larger.log() - torch.empty(shape, device=inputs.device).exponential_() / alpha
    return torch.sigmoid(first - second)


def partners(probability: float, inputs: Tensor) -> Tensor:
    """Return (batch,), int64: a partner for each sample with the given probability, otherwise itself."""
    alone = torch.arange(len(inputs), device=inputs.device)
    return torch.where(chance(probability, inputs), torch.randperm(len(inputs), device=inputs.device), alone)


@AUGMENTATIONS.register("mixup")
class Mixup(Mix):
    """Add up samples in pairs, weighted, and their losses alike (Zhang et al. 2018).

    Each sample has a partner and a weight of its own. A number of a table that is missing in one is missing in
    the sum.

    Args:
        alpha: the weight is drawn from Beta(alpha, alpha): near 0 or 1 for a small alpha, near ½ for a large one.
        probability: of each sample to be mixed.

    Inputs: (batch, …), numbers only.

    Example:
        >>> inputs, mixed = Mixup(1.0)(torch.eye(2))
        >>> torch.equal(inputs.diag(), torch.where(mixed.partner == torch.arange(2), 1.0, mixed.weight))
        True
    """

    def __init__(self, alpha: Positive = 0.2, probability: Probability = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.probability = probability

    def needs(self, spec: InputSpec) -> str:
        """Return what it needs where a sample has parts that can't be added up."""
        if spec.kind == "text":
            return "numbers, since there is no word between two words"
        return "columns of numbers, since there is no category between two categories" if spec.categories else ""

    def forward(self, inputs: Tensor) -> tuple[Tensor, Mixed]:
        """Return the sums, (batch, …), and what they were made of."""
        partner = partners(self.probability, inputs)
        weight = beta(self.alpha, inputs)
        mixture = torch.lerp(inputs[partner], inputs, per_sample(weight, inputs))
        return mixture, Mixed(partner, weight)


@AUGMENTATIONS.register("cutmix")
class CutMix(Mix):
    """Put a box of another image into each, and weight their losses by the pixels seen (Yun et al. 2019).

    Each sample has a partner and a box of its own. The box's centre is drawn uniformly, and what of the box is
    outside the image is cut off; the weight is the share of the pixels that are left.

    Args:
        alpha: the share outside the box is drawn from Beta(alpha, alpha).
        probability: of each sample to be mixed.

    Inputs: (batch, channels, height, width).

    Example:
        >>> inputs, mixed = CutMix()(torch.arange(4.0).reshape(4, 1, 1, 1).expand(4, 1, 8, 8))
        >>> own = (inputs == torch.arange(4.0).reshape(4, 1, 1, 1)).float().mean((1, 2, 3))
        >>> torch.equal(own, torch.where(mixed.partner == torch.arange(4), 1.0, mixed.weight))
        True
    """

    def __init__(self, alpha: Positive = 1.0, probability: Probability = 1.0) -> None:
        super().__init__()
        self.alpha = alpha
        self.probability = probability

    def needs(self, spec: InputSpec) -> str:
        """Return what it needs where inputs have no height and width."""
        return needs_planes(spec)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Mixed]:
        """Return the images, (batch, channels, height, width), and what they were made of."""
        height, width = inputs.shape[-2:]
        partner = partners(self.probability, inputs)
        side = (1 - beta(self.alpha, inputs)).sqrt()
        box_height, box_width = (side * height).long(), (side * width).long()
        top = random_below(torch.full_like(side, height)) - box_height // 2
        left = random_below(torch.full_like(side, width)) - box_width // 2
        bottom, right = (top + box_height).clamp(max=height), (left + box_width).clamp(max=width)
        box = Boxes(top.clamp(min=0), left.clamp(min=0), bottom, right)
        mixture = torch.where(box.mask(inputs), inputs[partner], inputs)
        covered = (box.bottom - box.top) * (box.right - box.left)
        return mixture, Mixed(partner, 1 - covered / (height * width))
