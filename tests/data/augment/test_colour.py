import pytest
import torch
from torchvision.transforms.v2 import functional as oracle

from lightlab import ConfigError
from lightlab.batch import Batch
from lightlab.data.augment import Augment, colour
from lightlab.data_spec import InputSpec


def spec(channels=3, kind="image", high=255.0):
    return InputSpec((channels, 8, 8), (0.0,) * channels, (1.0,) * channels, kind=kind, high=high)


def images(rows=5, channels=3):
    """Return images of 8 bit as floats; one is grey, and one a single colour."""
    result = torch.randint(256, (rows, channels, 8, 8)) / 255
    result[1] = result[1, :1]
    result[2] = result[2, :, :1, :1]
    return result


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(
    ("adjust", "theirs", "factors"),
    [
        (colour.adjust_brightness, oracle.adjust_brightness, [0.0, 0.4, 1.0, 1.3, 2.0]),
        (colour.adjust_contrast, oracle.adjust_contrast, [0.0, 0.4, 1.0, 1.3, 2.0]),
        (colour.adjust_saturation, oracle.adjust_saturation, [0.0, 0.4, 1.0, 1.3, 2.0]),
        (colour.adjust_sharpness, oracle.adjust_sharpness, [0.0, 0.4, 1.0, 1.3, 2.0]),
        (colour.adjust_hue, oracle.adjust_hue, [-0.5, -0.2, 0.0, 0.13, 0.5]),
        (colour.solarize, oracle.solarize, [0.0, 0.25, 0.5, 0.8, 1.0]),
    ],
)
def test_is_torchvisions(adjust, theirs, factors, channels):
    """A factor for each image at once is torchvision's way with one image after the other."""
    inputs = images(channels=channels)
    expected = torch.stack([theirs(image, factor) for image, factor in zip(inputs, factors, strict=True)])
    results = adjust(inputs, torch.tensor(factors))
    torch.testing.assert_close(results, expected, rtol=0, atol=2e-6)


def test_posterize_is_torchvisions_of_8_bit():
    """Of images of 8 bit the highest bits are kept, exactly."""
    inputs = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    expected = torch.stack([oracle.posterize(image, bits) for image, bits in zip(inputs, [8, 5, 2, 1], strict=True)])
    results = colour.posterize(inputs / 255, torch.tensor([8.0, 5.0, 2.0, 1.0])) * 255
    torch.testing.assert_close(results, expected.float(), rtol=0, atol=1e-4)


@pytest.mark.parametrize("size", [(2, 9), (9, 1)])
def test_sharpness_of_images_without_inside(size):
    inputs = torch.rand(2, 3, *size)
    assert torch.equal(colour.adjust_sharpness(inputs, torch.tensor([0.0, 2.0])), inputs)


def test_no_strength_is_identity():
    """With all strengths at zero, the pixels are what they were."""
    inputs = torch.randint(256, (4, 3, 8, 8), dtype=torch.uint8)
    none = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0}
    results = Augment([{"color_jitter": none}], spec())(Batch(inputs)).inputs
    torch.testing.assert_close(results, inputs.float(), rtol=1e-6, atol=0)
    assert torch.equal(colour.adjust_contrast(inputs / 255, torch.ones(4)), inputs / 255)


@pytest.mark.parametrize(
    ("parameter", "strength", "low", "high"),
    [("brightness", 0.3, 0.7, 1.3), ("brightness", 1.5, 0, 2.5), ("contrast", 0.4, 0.6, 1.4)],
)
def test_range_of_factors(parameter, strength, low, high):
    """Factors are 1 ± strength, not below 0, spread uniformly."""
    torch.manual_seed(0)
    inputs = torch.full((2000, 1, 8, 8), 0.3)
    inputs[:, :, :4] = 0.35
    others = dict.fromkeys(("brightness", "contrast", "saturation", "hue"), 0)
    augment = Augment([{"color_jitter": {**others, parameter: strength}}], spec(1, high=1.0))
    results = augment(Batch(inputs)).inputs
    factors = (results[:, 0, 0, 0] - results[:, 0, -1, 0]) / 0.05
    assert factors.min().item() == pytest.approx(low, abs=0.02)
    assert factors.max().item() == pytest.approx(high, abs=0.02)
    assert factors.mean().item() == pytest.approx((low + high) / 2, abs=0.05)


def test_hue_turns_within_limits():
    """Red becomes at most so much of yellow, and of violet, and stays as bright."""
    torch.manual_seed(0)
    inputs = torch.zeros(1000, 3, 8, 8)
    inputs[:, 0] = 1
    config = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0.1}
    red, green, blue = Augment([{"color_jitter": config}], spec(high=1.0))(Batch(inputs)).inputs[..., 0, 0].unbind(1)
    assert (red - 1).abs().max() < 1e-6
    assert [green.max().item(), blue.max().item()] == pytest.approx([0.6, 0.6], abs=0.02)
    assert torch.minimum(green, blue).max() < 1e-6


@pytest.mark.parametrize("name", ["color_jitter", "trivial_augment", "rand_augment"])
@pytest.mark.parametrize("given", [spec(4), spec(3, kind="array", high=0.0)])
def test_colours_must_be_known(name, given):
    """Two or four channels, and arrays without a range, have no colours."""
    with pytest.raises(ConfigError, match=rf"{name} needs images of 1 or 3 channels .* Received: \w+ of shape"):
        Augment([name], given)
