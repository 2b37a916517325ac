"""The picture of images: what is on it, where, and that looking changes nothing."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightlab import BundledData, SyntheticData
from lightlab.data import ArrayData
from lightlab.errors import RunError
from lightlab.inspect.contact_sheet import Sheet, Tile, can_be_drawn, draw_contact_sheet


def sheet(data, problem=None):
    """Return the sheet of data."""
    data.setup("fit")
    spec = data.connect(problem)
    assert can_be_drawn(data, spec.input)
    return draw_contact_sheet(data, spec)


def shades(*values, rows=20, **options):
    """Return images that are all of one shade, and their classes: the shades."""
    x = torch.cat([torch.full((rows, 1, 4, 4), value) for value in values])
    return ArrayData.from_arrays(x, np.repeat([str(value) for value in values], rows), **options)


def test_each_line_is_a_class():
    """A line has images of its class in every split."""
    drawn = sheet(shades(0.0, 0.5, 1.0), "multiclass")
    assert drawn.lines == ["0.0", "0.5", "1.0"]
    assert list(drawn.groups) == ["train", "val", "test"]
    for lines in drawn.groups.values():
        for line, value in zip(lines, (0, 128, 255), strict=True):
            assert line
            assert all((tile.pixels == value).all() for tile in line)


def test_augmented_images():
    """The first image of each line is shown as training would see it, several times differently, and stays as it is."""
    data = BundledData("digits", augment=["random_flip", {"rotation": 30}])
    before = torch.random.get_rng_state()
    drawn = sheet(data, "multiclass")
    assert torch.equal(torch.random.get_rng_state(), before)
    (name,) = set(drawn.groups) - {"train", "val", "test"}
    for first, line in zip(drawn.groups["train"], drawn.groups[name], strict=True):
        assert len({tile.pixels.tobytes() for tile in line}) > 1
        assert any((tile.pixels != first[0].pixels).any() for tile in line)
    again = sheet(BundledData("digits", augment=["random_flip", {"rotation": 30}]), "multiclass")
    assert np.array_equal(np.asarray(drawn.draw()), np.asarray(again.draw()))
    plain = sheet(BundledData("digits"), "multiclass")
    for one, other in zip(plain.groups["train"], drawn.groups["train"], strict=True):
        assert all((a.pixels == b.pixels).all() for a, b in zip(one, other, strict=True))


def test_mixtures():
    """Images are mixed with others that are shown."""
    drawn = sheet(shades(0.0, 1.0, augment=[{"mixup": 1.0}]))
    mixed = {int(tile.pixels[0, 0, 0]) for line in drawn.groups["first of each line, augmented"] for tile in line}
    assert mixed - {0, 255}


@pytest.mark.parametrize(("high", "dtype"), [(255, np.uint8), (65535, np.int32)])
def test_ranges_of_pixels(high, dtype):
    """8 bits are shown as they are; other values are scaled to them."""
    x = np.tile(np.array([0, high // 2, high], dtype=dtype), 120).reshape(-1, 1, 3, 3)
    drawn = sheet(ArrayData.from_arrays(x, np.arange(len(x)) % 2))
    assert drawn.groups["train"][0][0].pixels[0, :, 0].tolist() == [0, 127, 255] or high == 65535
    assert drawn.groups["train"][0][0].pixels.max() == 255


def test_captions_where_there_are_no_classes():
    """Numbers, and the labels that hold, stand below the images."""
    labels = sheet(SyntheticData([1, 6, 6], problem="multilabel", outputs=2, rows=60), "multilabel")
    captions = {tile.caption for line in labels.groups["train"] for tile in line}
    assert captions <= {"", "y0", "y1", "y0, y1"}
    assert len(captions) > 1
    figures = sheet(SyntheticData([3, 6, 6], problem="regression", rows=60), "regression")
    assert all(float(tile.caption) is not None for line in figures.groups["test"] for tile in line)


def test_many_classes():
    """Twenty classes have a line, and the others are counted."""
    drawn = sheet(shades(*[value / 30 for value in range(30)]), "multiclass")
    assert len(drawn.lines) == 20
    assert drawn.note == "and 10 more classes"


@pytest.mark.parametrize("shape", [[5], [5, 6], [2, 6, 6], [1, 4, 4, 4]])
def test_what_is_no_image(shape):
    """Vectors, sequences, volumes and arrays of two channels are not drawn."""
    data = SyntheticData(shape, problem="binary", rows=60)
    assert not can_be_drawn(data, data.connect("binary").input)


@pytest.mark.parametrize("size", [(8, 8), (28, 28), (300, 200), (1, 500)])
def test_images_fit_on_the_sheet(size):
    """Small images are enlarged pixel by pixel, large ones are made smaller; the sheet has their place."""
    pixels = np.zeros((*size, 3), dtype=np.uint8)
    picture = np.asarray(Sheet(["a"], {"train": [[Tile(pixels)]]}).draw())
    black = np.argwhere((picture[30:, 30:] == 0).all(axis=2))
    height, width = black.max(axis=0) - black.min(axis=0) + 1
    assert 48 < max(height, width) <= 96


def test_writing_is_all_or_nothing():
    """A picture that can't be written leaves the old one, and nothing beside it."""
    drawn = Sheet(["a"], {"train": [[Tile(np.zeros((4, 4, 3), dtype=np.uint8))]]})
    drawn.write(Path("a.png"))
    with Image.open("a.png") as picture:
        assert picture.mode == "RGB"
    Path("taken.png").mkdir()
    with pytest.raises(RunError, match=r"can't be written to taken\.png"):
        drawn.write(Path("taken.png"))
    assert sorted(os.listdir()) == ["a.png", "taken.png"]
