"""Augmentations that disturb values: noise, and the loss of features."""

from __future__ import annotations

import torch
from torch import Tensor

from lightlab.data.augment.base import Change, statistics
from lightlab.data.augment.parameters import Probability
from lightlab.data_spec import InputSpec
from lightlab.layers.parameters import NonNegative, Rate
from lightlab.registry import AUGMENTATIONS


@AUGMENTATIONS.register("gaussian_noise")
class GaussianNoise(Change):
    """Add normal noise to each number: pixels, entries of an array, numeric columns of a table.

    Images stay within the range of their pixels. In a table, categories stay, and so do missing numbers.

    Args:
        std: the noise's standard deviation, in the units of the normalised inputs.
        probability: of each sample to be disturbed.

    Inputs: (batch, …), anything but texts.

    Example:
        >>> spec = InputSpec((2,), (10.0, 0.0), (5.0, 1.0), ("height", "weight"), kind="table")
        >>> noise = GaussianNoise(0.1)
        >>> noise.adapt(spec)
        >>> noise(torch.tensor([[12.0, torch.nan]])).isnan()
        tensor([[False,  True]])
    """

    std: Tensor

    def __init__(self, std: NonNegative = 0.1, probability: Probability = 1.0) -> None:
        super().__init__(probability)
        self.register_buffer("std", torch.tensor(std), persistent=False)
        self.bounded = False

    def needs(self, spec: InputSpec) -> str:
        """Return what it needs where inputs are texts."""
        return "numbers: tables, images or arrays" if spec.kind == "text" else ""

    def adapt(self, spec: InputSpec) -> None:
        """Take over what one unit of the normalised inputs is, and whether there is a range to keep to."""
        self.std = self.std * statistics(spec.scale, spec, rest=0)
        self.bounded = spec.kind == "image"

    def change(self, inputs: Tensor) -> Tensor:
        """Return every sample disturbed."""
        disturbed = inputs + self.std * torch.randn_like(inputs)
        return disturbed.clamp(0, 1) if self.bounded else disturbed


@AUGMENTATIONS.register("feature_dropout")
class FeatureDropout(Change):
    """Take features away: a number becomes one that normalises to 0, a category an unknown one.

    What normalises to 0 is the mean of the train split with ``normalize: standard``, its least value with
    ``min_max``, and 0 with ``none``. A missing number stays missing.

    Args:
        rate: the share of the features, drawn for each sample and column.

    Inputs: (batch, columns), tables or arrays of one dimension.

    Example:
        >>> spec = InputSpec((2,), (10.0,), (5.0,), ("height",), {"city": ("Bonn", "Köln")}, kind="table")
        >>> dropout = FeatureDropout(0.5)
        >>> dropout.adapt(spec)
        >>> dropout(torch.tensor([[12.0, 1.0]]).repeat(100, 1)).unique(dim=0)
        tensor([[10., -1.],
                [10.,  1.],
                [12., -1.],
                [12.,  1.]])
    """

    neutral: Tensor

    def __init__(self, rate: Rate = 0.1) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("neutral", torch.zeros(1), persistent=False)

    def needs(self, spec: InputSpec) -> str:
        """Return what it needs where a sample is no row of features."""
        fits = spec.kind in ("table", "array") and len(spec.shape) == 1
        return "" if fits else "a table, or arrays of one dimension"

    def adapt(self, spec: InputSpec) -> None:
        """Take over what stands for each feature that is taken away."""
        self.neutral = statistics(spec.offset, spec, rest=-1)

    def change(self, inputs: Tensor) -> Tensor:
        """Return every sample without some of its features."""
        lost = (torch.rand_like(inputs) < self.rate) & ~inputs.isnan()
        return torch.where(lost, self.neutral, inputs)
