"""What every registered augmentation keeps to: a new one needs a line in CASES, and nothing else here."""

import pytest

from lightlab.data.augment import Change, Mix
from lightlab.testing import AugmentationCase, parametrize_with_checks

PLANES = ["images", "arrays"]
CASES = [
    AugmentationCase("color_jitter", ["images"], {"hue": 0.2}, {"hue": 0.6}),
    AugmentationCase("cutmix", PLANES, 1.0, 0),
    AugmentationCase("feature_dropout", ["numbers", "table", "vectors"], 0.5, 1.0),
    AugmentationCase("gaussian_noise", ["images", "numbers", "table", "arrays", "vectors"], 0.3, -0.1),
    AugmentationCase("mixup", ["images", "numbers", "arrays", "vectors"], 1.0, "0.2"),
    AugmentationCase("padded_crop", PLANES, 3, 2.5),
    AugmentationCase("rand_augment", ["images"], {"magnitude": 15, "operations": 3}, {"operations": 0}),
    AugmentationCase("random_erasing", PLANES, {"probability": 1.0}, {"area": [0.5, 0.1]}),
    # Mirrored or not along two axes is four.
    AugmentationCase("random_flip", PLANES, "both", "sideways", outcomes=4, unchanged=0.25),
    AugmentationCase("random_resized_crop", PLANES, {"area": [0.2, 0.6]}, {"ratio": [0.0, 1.0]}),
    AugmentationCase("rotation", PLANES, 90, 181),
    AugmentationCase("translation", PLANES, {"share": 0.3, "fill": "edge"}, {"fill": "reflect"}),
    # One of its operations does nothing, and others do nothing at level 0.
    AugmentationCase("trivial_augment", ["images"], None, {"probability": 1.5}, unchanged=0.55),
    AugmentationCase("zoom", PLANES, 0.5, 1.0),
]


@parametrize_with_checks(CASES, "lightlab.data.augment")
def test_contract(check):
    """Each rule of `lightlab.testing`, for each augmentation."""
    check()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_change_or_mix(case):
    """lightlab's own augmentations change samples one by one, or mix them."""
    assert issubclass(case.component, Change | Mix)
