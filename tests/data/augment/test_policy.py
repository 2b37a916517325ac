import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode, RandAugment, TrivialAugmentWide

from lightlab.batch import Batch
from lightlab.data.augment import Augment, policy
from lightlab.data.augment.policy import OPERATIONS, apply_operations
from lightlab.data_spec import InputSpec

#: torchvision's names, in our order.
THEIRS = (
    *("ShearX", "ShearY", "TranslateX", "TranslateY", "Rotate", "Brightness", "Color", "Contrast", "Sharpness"),
    *("Posterize", "Solarize", "AutoContrast", "Equalize", "Identity"),
)
SMOOTH = InterpolationMode.BILINEAR


def images(rows, channels=3, size=(20, 28)):
    """Return images of 8 bit that are no mere noise."""
    coarse = torch.rand(rows, channels, 5, 7)
    large = torch.nn.functional.interpolate(coarse, size, mode="bilinear", align_corners=False)
    return (large * 200 + 20).round() / 255


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("theirs", THEIRS)
def test_operations_are_torchvisions(theirs, channels):
    """Each operation at its strengths gives the image that torchvision's TrivialAugment makes of it."""
    inputs = images(4, channels)
    place = THEIRS.index(theirs)
    name = OPERATIONS[place]
    low, high = policy.wide_space(*inputs.shape[-2:]).get(name, (0, 0))
    strengths = torch.linspace(low, high, 4)
    if place < 9:
        strengths[1::2] *= -1
    results = apply_operations(inputs, torch.full((4,), place), strengths, "zeros")
    if theirs == "Posterize":
        strengths = strengths.round()
    transform = TrivialAugmentWide(interpolation=SMOOTH)
    for image, strength, result in zip(inputs, strengths.tolist(), results, strict=True):
        given = (image * 255).round().to(torch.uint8) if theirs == "Posterize" else image
        given_strength = int(strength) if theirs == "Posterize" else strength
        expected = transform._apply_image_or_video_transform(
            given, theirs, given_strength, SMOOTH, {torch.Tensor: None}
        )
        expected = expected / 255 if theirs == "Posterize" else expected
        expected = image if theirs == "Identity" else expected
        torch.testing.assert_close(result, expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(("space", "theirs"), [("wide_space", TrivialAugmentWide), ("narrow_space", RandAugment)])
def test_spaces_are_the_papers(space, theirs):
    """The limits of every operation are torchvision's, for images of at least 32 pixels."""
    ours = getattr(policy, space)(40, 50)
    for name, key in zip(OPERATIONS, THEIRS, strict=True):
        magnitudes, _ = theirs._AUGMENTATION_SPACE[key]
        levels = magnitudes(31, 40, 50)
        limits = (0, 0) if levels is None else (levels[0].item(), levels[-1].item())
        assert ours.get(name, (0, 0)) == pytest.approx(limits)
    assert set(ours) <= set(OPERATIONS)


def test_small_images_are_not_moved_out_of_sight():
    assert policy.wide_space(8, 12)["translate_x"] == (0, 12)
    assert policy.wide_space(8, 12)["translate_y"] == (0, 8)


def test_order_of_samples_stays():
    """Grouped by operation and put back, each result is that of its own sample alone."""
    torch.manual_seed(0)
    inputs = images(60)
    operations = torch.randint(len(OPERATIONS), (60,))
    strengths = torch.where(operations == OPERATIONS.index("posterize"), 4.0, 0.5)
    results = apply_operations(inputs, operations, strengths, "edge")
    for row in range(60):
        alone = apply_operations(inputs[row : row + 1], operations[row : row + 1], strengths[row : row + 1], "edge")
        torch.testing.assert_close(results[row : row + 1], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["trivial_augment", "rand_augment"])
def test_each_sample_draws_for_itself(name, monkeypatch):
    """In one batch all operations come about equally often, on both sides, at all levels or at the one given."""
    seen = []

    def spy(images, operations, strengths, fill):
        seen.append((operations, strengths))
        return images

    monkeypatch.setattr(policy, "apply_operations", spy)
    torch.manual_seed(0)
    spec = InputSpec((3, 8, 8), (0.0,) * 3, (1.0,) * 3, kind="image", high=1.0)
    Augment([name], spec)(Batch(torch.rand(14000, 3, 8, 8)))
    assert len(seen) == {"trivial_augment": 1, "rand_augment": 2}[name]
    for operations, strengths in seen:
        counts = operations.bincount(minlength=14)
        assert (counts - 1000).abs().max() < 150
        for place in range(9):
            mine = strengths[operations == place]
            assert len(mine.abs().round(decimals=5).unique()) == {"trivial_augment": 31, "rand_augment": 1}[name]
            assert (mine < 0).float().mean().item() == pytest.approx(0.5, abs=0.1)
        assert (strengths[operations >= 9] >= 0).all()
        brightness = strengths[operations == OPERATIONS.index("brightness")].abs().max().item()
        assert brightness == pytest.approx({"trivial_augment": 0.99, "rand_augment": 0.9 * 9 / 30}[name])


def test_oracle_has_the_names():
    """What is compared with torchvision is all of it."""
    assert set(THEIRS) == set(TrivialAugmentWide._AUGMENTATION_SPACE) == set(RandAugment._AUGMENTATION_SPACE)
    assert len(OPERATIONS) == len(THEIRS)
