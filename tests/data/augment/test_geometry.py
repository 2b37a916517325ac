import math

import pytest
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as oracle

from lightlab import ConfigError
from lightlab.batch import Batch
from lightlab.data.augment import Augment
from lightlab.data.augment.geometry import (
    PaddedCrop,
    RandomFlip,
    RandomResizedCrop,
    Rotation,
    Translation,
    Zoom,
    rotate,
    shift,
    warp,
)
from lightlab.data_spec import InputSpec

SMOOTH = InterpolationMode.BILINEAR


def images(rows=6, height=9, width=12):
    return torch.rand(rows, 3, height, width)


@pytest.mark.parametrize(("axis", "dims"), [("horizontal", [-1]), ("vertical", [-2]), ("both", [-1, -2])])
def test_flip(axis, dims):
    """A mirrored image is the image mirrored, and mirrored twice it is the image."""
    inputs = images()
    flip = RandomFlip(axis, probability=1.0)
    assert torch.equal(flip(inputs), inputs.flip(dims))
    assert torch.equal(flip(flip(inputs)), inputs)


def test_share_of_flips():
    """Samples are mirrored as often as the probability says, each axis by itself."""
    torch.manual_seed(0)
    inputs = images(1).expand(4000, -1, -1, -1)
    results = RandomFlip("both", probability=0.25)(inputs)
    corners = results[:, 0, 0, 0]
    original = inputs[0, 0]
    for corner, share in [((0, 0), 0.5625), ((0, -1), 0.1875), ((-1, 0), 0.1875), ((-1, -1), 0.0625)]:
        assert (corners == original[corner]).float().mean().item() == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("fill", ["zeros", "edge"])
def test_padded_crop_is_a_window(fill):
    """Each result is one window of the padded image, and all windows come."""
    torch.manual_seed(0)
    inputs = images(1)
    padded = torch.nn.functional.pad(inputs, (2, 2, 2, 2), mode="constant" if fill == "zeros" else "replicate")[0]
    windows = {
        (top, left): padded[:, top : top + 9, left : left + 12].contiguous().numpy().tobytes()
        for top in range(5)
        for left in range(5)
    }
    results = PaddedCrop(2, fill)(inputs.repeat(500, 1, 1, 1))
    assert {result.numpy().tobytes() for result in results} == set(windows.values())


def test_translation_keeps_to_its_share():
    """A move is at most the share of the height and of the width, in whole pixels."""
    torch.manual_seed(0)
    inputs = torch.zeros(500, 1, 11, 21)
    inputs[:, 0, 5, 10] = 1
    places = Translation(0.2)(inputs).nonzero()[:, 2:]
    assert len(places) == 500
    assert places.amin(0).tolist() == [3, 6]
    assert places.amax(0).tolist() == [7, 14]


def test_shift_by_nothing():
    inputs = images()
    assert torch.equal(shift(inputs, 0, 0, "zeros"), inputs)


@pytest.mark.parametrize(("height", "width", "refused"), [(4, 9, True), (9, 4, True), (5, 5, False)])
def test_padding_and_the_size_of_images(height, width, refused):
    """Padding is at most the image's size: more would show nothing of it."""
    spec = InputSpec((1, height, width), (0.0,), (1.0,), kind="image", high=255.0)
    if not refused:
        assert Augment([{"padded_crop": 5}], spec)(Batch(torch.ones(2, 1, 5, 5))).inputs.shape == (2, 1, 5, 5)
        return
    with pytest.raises(ConfigError, match="padded_crop needs images at least as high and wide as its padding of 5"):
        Augment([{"padded_crop": 5}], spec)


@pytest.mark.parametrize("quarters", [-1, 1, 2])
def test_quarter_turns(quarters):
    """A turn by 90° is torch.rot90."""
    inputs = images(height=10, width=10)
    results = rotate(inputs, torch.full((6,), 90.0 * quarters), "zeros")
    torch.testing.assert_close(results, inputs.rot90(quarters, (2, 3)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("degrees", [-170.0, -15.0, 8.0, 45.0])
@pytest.mark.parametrize("size", [(9, 12), (16, 16), (20, 7)])
def test_rotation_is_torchvisions(degrees, size):
    """An angle given, torchvision turns alike, images that are not square too."""
    inputs = images(1, *size)
    results = rotate(inputs, torch.tensor([degrees]), "zeros")
    expected = oracle.rotate(inputs, degrees, interpolation=SMOOTH)
    torch.testing.assert_close(results, expected, rtol=0, atol=2e-5)


def test_angles_are_within_limits():
    """A bright point turns to both sides, up to the largest angle and not beyond."""
    torch.manual_seed(0)
    inputs = torch.zeros(400, 1, 201, 201)
    inputs[:, 0, 100, 196:199] = 1
    results = Rotation(20)(inputs)[:, 0]
    line = torch.arange(201.0) - 100
    mass = results.sum((1, 2))
    x, y = (results.sum(1) * line).sum(1) / mass, (results.sum(2) * line).sum(1) / mass
    angles = torch.atan2(-y, x).rad2deg()
    assert angles.min().item() == pytest.approx(-20, abs=0.5)
    assert angles.max().item() == pytest.approx(20, abs=0.5)
    assert angles.mean().item() == pytest.approx(0, abs=2)


def test_zoom_is_torchvisions_scale():
    """A factor given, torchvision scales alike."""
    inputs = images(1, 15, 11)
    for factor in (0.6, 1.0, 1.7):
        step, none = torch.tensor([1 / factor]), torch.zeros(1)
        results = warp(inputs, (step, none, none, none, step, none), "zeros")
        expected = oracle.affine(inputs, 0.0, [0, 0], factor, [0.0, 0.0], interpolation=SMOOTH)
        torch.testing.assert_close(results, expected, rtol=0, atol=2e-5)


def test_factors_of_zoom():
    """Of a white image, the area that is white after shrinking is the square of the factor."""
    torch.manual_seed(0)
    results = Zoom(0.4)(torch.ones(500, 1, 100, 100))
    factors = results.mean((1, 2, 3)).sqrt()
    assert factors.min().item() == pytest.approx(0.6, abs=0.01)
    assert (factors > 0.99).float().mean().item() == pytest.approx(0.5, abs=0.08)
    assert (Zoom(0.4, "edge")(torch.ones(50, 1, 9, 9)) - 1).abs().max() < 1e-5


def test_random_resized_crop_shows_a_part():
    """Of an image whose colours are the coordinates, each result is a part, stretched to the whole, of allowed size."""
    torch.manual_seed(0)
    height, width = 40, 60
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    inputs = torch.stack([x, y])[None].expand(600, -1, -1, -1)
    results = RandomResizedCrop((0.2, 0.5), (0.8, 1.25))(inputs)
    assert results.shape == inputs.shape
    middle = results[:, :, 10:30, 15:45]
    step_x = (middle[:, 0, :, 1:] - middle[:, 0, :, :-1]).flatten(1)
    step_y = (middle[:, 1, 1:] - middle[:, 1, :-1]).flatten(1)
    for step in (step_x, step_y):
        assert (step.amax(1) - step.amin(1)).max() < 1e-3
    part_width, part_height = step_x.mean(1) * width, step_y.mean(1) * height
    assert (part_width - part_width.round()).abs().max() < 1e-2
    area, ratio = part_width * part_height / (height * width), part_width / part_height
    assert 0.18 < area.min() < 0.22
    assert 0.48 < area.max() < 0.52
    assert 0.75 < ratio.min() < 0.85
    assert 1.2 < ratio.max() < 1.3
    # The middle of the result is the middle of a box that lies within the image.
    centre_x = results[:, 0, height // 2, 29:31].mean(1)
    assert (centre_x - (part_width - 1) / 2).min() > -0.02
    assert (centre_x + (part_width + 1) / 2).max() < width + 0.02


def test_whole_crop_is_the_image():
    inputs = images(height=10, width=10)
    torch.testing.assert_close(RandomResizedCrop((1.0, 1.0), (1.0, 1.0))(inputs), inputs, rtol=0, atol=1e-5)


def test_crop_is_torchvisions_resize():
    """Inside the part, the pixels are those of torchvision's crop and resize."""
    inputs = images(1, 20, 20)
    # The part from (6, 4), 10 wide and 12 high: its centre is 1 to the right of the image's, and on its height.
    none = torch.zeros(1)
    scales = (torch.tensor([10 / 20]), none, torch.tensor([1.0]), none, torch.tensor([12 / 20]), none)
    results = warp(inputs, scales, "edge")
    expected = oracle.resized_crop(inputs, 4, 6, 12, 10, [20, 20], interpolation=SMOOTH)
    torch.testing.assert_close(results[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2], rtol=0, atol=1e-5)
    assert math.isclose(results.mean().item(), expected.mean().item(), abs_tol=0.05)
