"""Augmentations that break a rule each, and what the contract says of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightlab import AUGMENTATIONS, InputSpec
from lightlab.batch import Mixed
from lightlab.data.augment import Change, Mix
from lightlab.data.augment.base import chance, per_sample, uniform
from lightlab.data.augment.parameters import Probability
from lightlab.layers.parameters import Rate
from lightlab.testing import AugmentationCase


class Darker(Change):
    """Multiply each image by a number of its own, from 1 − share to 1.

    Args:
        share: how far from 1.
        probability: of each sample to be changed.

    Inputs: (batch, channels, height, width).

    Example:
        >>> bool((Darker(0.5)(torch.ones(3, 1, 2, 2)) <= 1).all())
        True
    """

    def __init__(self, share: Rate = 0.5, probability: Probability = 1.0) -> None:
        super().__init__(probability)
        self.share = share

    def needs(self, spec: InputSpec) -> str:
        return "" if spec.kind == "image" else "images"

    def change(self, inputs: Tensor) -> Tensor:
        return inputs * per_sample(uniform(1 - self.share, 1, inputs), inputs)


class OneNumber(Darker):
    def change(self, inputs):
        return inputs * torch.rand(1)


class OtherGenerator(Darker):
    generator = np.random.default_rng(0)

    def change(self, inputs):
        return inputs * per_sample(torch.from_numpy(self.generator.random(len(inputs), np.float32)), inputs)


class Same(Darker):
    def change(self, inputs):
        return inputs * per_sample(torch.linspace(0.5, 1, len(inputs)), inputs)


class WritesInto(Darker):
    def needs(self, spec):
        return ""

    def change(self, inputs):
        return inputs.mul_(per_sample(uniform(0.5, 1, inputs), inputs))


class Brighter(Darker):
    def change(self, inputs):
        return inputs + 0.5


class Smaller(Darker):
    def change(self, inputs):
        return super().change(inputs)[..., 1:]


class OtherType(Darker):
    def change(self, inputs):
        return super().change(inputs).double()


class Infinite(Darker):
    def change(self, inputs):
        return super().change(inputs) / 0


class AlwaysChanges(Darker):
    def forward(self, inputs):
        return self.change(inputs)


class HalfAsOften(Darker):
    def forward(self, inputs):
        return torch.where(per_sample(chance(0.5, inputs), inputs), super().forward(inputs), inputs)


class InTheCheckpoint(Darker):
    def adapt(self, spec):
        self.register_buffer("offset", torch.tensor(spec.offset))


class Of255(Darker):
    def change(self, inputs):
        return (inputs * 255).clamp(max=128) / 255 * per_sample(uniform(0.5, 1, inputs), inputs)

    def adapt(self, spec):
        self.high = spec.high

    def forward(self, inputs):
        return super().forward(inputs) if self.high == 255 else inputs


class TakesAll(Darker):
    def needs(self, spec):
        return ""


class TakesAnyShare(Darker):
    def __init__(self, share: float = 0.5, probability: Probability = 1.0) -> None:
        super().__init__(share, probability)


class MixesWithOneWeight(Mix):
    def forward(self, inputs):
        partner = torch.randperm(len(inputs))
        return torch.rand_like(inputs), Mixed(partner, torch.full((len(inputs),), 0.3))


class MixesWithTheFirst(Mix):
    def forward(self, inputs):
        weight = torch.rand(len(inputs))
        partner = torch.zeros(len(inputs), dtype=torch.long)
        return torch.lerp(inputs[partner], inputs, per_sample(weight, inputs)), Mixed(partner, weight)


def case(augmentation, **options):
    AUGMENTATIONS.add("part", augmentation, __name__)
    return AugmentationCase("part", **{"fits": ["images"], "refused": 1.0, **options})


def test_fine_augmentation(broken):
    """An augmentation that keeps to everything passes."""
    assert broken(case(Darker)) == {}


@pytest.mark.parametrize(
    ("augmentation", "rule", "said"),
    [
        (OneNumber, "every_sample_has_random_numbers_of_its_own", "have at least 20 different results. Received: 1."),
        (OtherGenerator, "seed_reproduces", "The same seed of torch's gives the same batch."),
        (Same, "seed_reproduces", "The next batch is augmented differently."),
        (Brighter, "shape_type_and_input_stay", "Pixels stay within their range, 0 to 255.0. Received: 12"),
        (Smaller, "shape_type_and_input_stay", "The shape stays, (1, 3, 12, 10). Received: (1, 3, 12, 9)."),
        (OtherType, "shape_type_and_input_stay", "of the type torch.float32. Received: torch.float64."),
        (Infinite, "shape_type_and_input_stay", "Outputs of finite inputs are finite."),
        (AlwaysChanges, "probability_is_kept", "With probability 0 samples stay as they are."),
        (HalfAsOften, "probability_is_kept", "samples that stay as they were is about 0.5. Received: 0.7"),
        (InTheCheckpoint, "nothing_is_left_in_a_checkpoint", "adapt() makes them. Received: steps.0.offset."),
        (Of255, "all_ranges_of_pixels_agree", "Pixels from 0 to 65535 and from 0 to 255 give the same images."),
        (TakesAll, "other_inputs_are_refused", "refuses what it does not fit: all but images. Received: no error for"),
        (TakesAnyShare, "refuses_what_can_not_be", "The type of share says what it can be. Received: no error for 1.0"),
    ],
)
def test_broken_augmentation(broken, augmentation, rule, said):
    """What an augmentation does is held against the rules."""
    found = broken(case(augmentation))[rule]
    assert found.startswith("augmentation part: ")
    assert said in found


def test_inputs_that_are_written_into(broken):
    """Pixels are copied before they are augmented; other inputs are the loader's own."""
    said = broken(case(WritesInto, fits=["arrays"]))["shape_type_and_input_stay"]
    assert said.startswith("augmentation part: The inputs are not written into.")


@pytest.mark.parametrize(
    ("augmentation", "said"),
    [
        (MixesWithOneWeight, "Samples have at least 20 different weights. Received: 1."),
        (MixesWithTheFirst, "Each sample is partner of one: places in the batch, int64."),
    ],
)
def test_broken_mix(broken, augmentation, said):
    """One that mixes has a partner and a weight for each sample."""
    found = broken(case(augmentation, fits=["vectors"]))["every_sample_has_random_numbers_of_its_own"]
    assert said in found


def test_plain_module_fits_everything(broken):
    """A plain module, tensor to tensor, can refuse nothing, and is to be a `Change` where it does not fit all."""

    class Plain(nn.Module):
        def forward(self, inputs):
            return inputs + torch.rand_like(inputs)

    found = broken(case(Plain, fits=["vectors"], refused=None))
    assert set(found) == {"other_inputs_are_refused", "is_documented", "example_runs"}


def test_refused_value_is_needed(broken):
    """A case of one that has parameters says what they can't be."""
    said = broken(case(Darker, refused=None))["refuses_what_can_not_be"]
    assert said.startswith("augmentation part: A case of one that has parameters has 'refused'")
