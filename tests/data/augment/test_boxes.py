import pytest
import torch

from lightlab.data.augment.boxes import Boxes, random_below, random_boxes


def test_mask_is_true_inside():
    """Top and left belong to the box, bottom and right don't."""
    boxes = Boxes(*(torch.tensor(values) for values in ([0, 1], [2, 0], [2, 2], [3, 4])))
    mask = boxes.mask(torch.zeros(2, 3, 3, 4))
    assert mask.shape == (2, 1, 3, 4)
    assert mask[:, 0].int().tolist() == [
        [[0, 0, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]],
        [[0, 0, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0]],
    ]


def test_random_below():
    """Every number below the limit comes, about equally often, and the limit never."""
    torch.manual_seed(0)
    numbers = random_below(torch.full((60000,), 6))
    assert numbers.dtype == torch.int64
    counts = numbers.bincount()
    assert len(counts) == 6
    assert counts.float().div(60000).sub(1 / 6).abs().max() < 0.01


def test_limits_of_boxes():
    """Areas and ratios are within their limits, up to the rounding to pixels, and spread over them."""
    torch.manual_seed(0)
    images = torch.zeros(5000, 1, 60, 100)
    top, left, bottom, right = random_boxes(images, (0.1, 0.3), (0.5, 2.0))
    height, width = bottom - top, right - left
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (bottom <= 60).all()
    assert (right <= 100).all()
    area, ratio = height * width / 6000, width / height
    assert area.min() == pytest.approx(0.1, abs=0.005)
    assert area.max() == pytest.approx(0.3, abs=0.01)
    assert area.mean() == pytest.approx(0.2, abs=0.005)
    assert ratio.min() == pytest.approx(0.5, abs=0.03)
    assert ratio.max() == pytest.approx(2.0, abs=0.1)
    assert ratio.log().mean() == pytest.approx(0, abs=0.03)
    # Every place that a box can have is as likely as another.
    assert (top / (60 - height).clamp(min=1)).mean() == pytest.approx(0.5, abs=0.02)
    assert (left / (100 - width).clamp(min=1)).mean() == pytest.approx(0.5, abs=0.02)


def test_box_that_does_not_fit():
    """A box too wide for its image is cut to it; one of less than a pixel is a pixel."""
    wide = random_boxes(torch.zeros(10, 1, 4, 4), (1.0, 1.0), (4.0, 4.0))
    assert (wide.right - wide.left == 4).all()
    assert (wide.bottom - wide.top == 2).all()
    small = random_boxes(torch.zeros(10, 1, 4, 4), (0.001, 0.001), (1.0, 1.0))
    assert ((small.right - small.left) * (small.bottom - small.top) == 1).all()
