"""Images of every kind become the numbers that they hold, and those that a model takes."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lightlab.data.images.pixels import HIGH_8, HIGH_16, convert, decode, dtype_of, resize, what_is_lost

RED, GREY = (200, 40, 10), (90, 90, 90)


def saved(image, name, **options):
    """Write an image, and return it as it is opened again."""
    image.save(name, **options)
    return Image.open(BytesIO(Path(name).read_bytes()))


def palette(*colours):
    """Return an image with a palette: a row of its colours."""
    image = Image.new("P", (len(colours), 1))
    image.putpalette([part for colour in colours for part in colour])
    image.putdata(range(len(colours)))
    return image


@pytest.mark.parametrize(
    ("image", "name", "options", "pixels"),
    [
        (Image.new("1", (1, 1), 1), "a.png", {}, [255]),
        (Image.new("L", (1, 1), 90), "a.png", {}, [90]),
        (Image.new("L", (1, 1), 90), "a.pgm", {}, [90]),
        (Image.new("L", (1, 1), 90), "a.png", {"transparency": 90}, [90, 0]),
        (Image.new("LA", (1, 1), (90, 30)), "a.png", {}, [90, 30]),
        (palette(RED), "a.png", {}, [*RED]),
        (palette(RED), "a.bmp", {}, [*RED]),
        (palette(GREY), "a.png", {}, [90]),
        (palette(RED), "a.png", {"transparency": bytes([30])}, [*RED, 30]),
        (palette(GREY), "a.png", {"transparency": bytes([30])}, [90, 30]),
        (palette(RED), "a.gif", {}, [*RED]),
        (Image.new("RGB", (1, 1), RED), "a.png", {}, [*RED]),
        (Image.new("RGB", (1, 1), RED), "a.bmp", {}, [*RED]),
        (Image.new("RGB", (1, 1), RED), "a.webp", {"lossless": True}, [*RED]),
        (Image.new("RGB", (1, 1), RED), "a.png", {"transparency": RED}, [*RED, 0]),
        (Image.new("RGBA", (1, 1), (*RED, 30)), "a.png", {}, [*RED, 30]),
        (Image.new("CMYK", (1, 1), (0, 255, 255, 0)), "a.tif", {}, [255, 0, 0]),
        (Image.fromarray(np.array([[40000]], np.uint16)), "a.png", {}, [40000]),
        (Image.fromarray(np.array([[40000]], np.uint16)), "a.tif", {}, [40000]),
        (Image.fromarray(np.array([[40000]], np.int32)), "a.tif", {}, [40000]),
    ],
)
def test_modes(image, name, options, pixels):
    """Every mode is read whole: bits, colour and transparency; palettes by what they hold."""
    read = decode(saved(image, name, **options))
    assert read.ravel().tolist() == pixels
    assert read.dtype == (np.uint16 if 40000 in pixels else np.uint8)
    assert read.shape == (len(pixels), 1, 1)


def test_jpeg_modes():
    """JPEG's grey and colour, CMYK too, are read as such, but for what its compression costs."""
    for mode, colour, expected in (("L", 90, [90]), ("RGB", RED, [*RED]), ("CMYK", (0, 255, 255, 0), [255, 0, 0])):
        read = decode(saved(Image.new(mode, (8, 8), colour), "a.jpg", quality=95))
        assert np.abs(read[:, 4, 4].astype(int) - expected).max() <= 3


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0.5]], np.float32), "fractions"),
        (np.array([[70000]], np.int32), "from 70000 to 70000"),
        (np.array([[-1]], np.int32), "from -1"),
    ],
)
def test_pixels_that_no_model_takes(values, message):
    """Fractions and more than 16 bits are not cut to size."""
    with pytest.raises(ValueError, match=message):
        decode(saved(Image.fromarray(values), "a.tif"))


def test_resizing():
    """Height comes before width; a checkerboard of single pixels becomes its mean, not one of its colours."""
    board = np.indices((40, 60)).sum(0) % 2
    small = decode(Image.fromarray((board * 255).astype(np.uint8)), (4, 6))
    assert small.shape == (1, 4, 6)
    assert np.abs(small.astype(int) - 127).max() <= 2
    deep = decode(Image.fromarray((board * 65535).astype(np.uint16)), (4, 6))
    assert np.abs(deep.astype(int) - 32767).max() <= 500


def test_resizing_in_memory_is_resizing():
    """Tensors are resized as files are."""
    images = np.random.default_rng(0).integers(0, 256, (3, 2, 17, 23), dtype=np.uint8)
    for size in ((8, 9), (30, 40)):
        alone = np.stack([[decode(Image.fromarray(part), size)[0] for part in image] for image in images])
        together = resize(torch.from_numpy(images), size)
        assert together.dtype == torch.uint8
        assert np.abs(together.numpy().astype(int) - alone).max() <= 1


def pixel(*values):
    """Return an image of a single pixel."""
    return torch.tensor(values)[:, None, None]


@pytest.mark.parametrize(
    ("given", "channels", "expected"),
    [
        ([90], 1, [90]),
        ([90], 3, [90, 90, 90]),
        ([90], 4, [90, 90, 90, 255]),
        ([90, 0], 1, [255]),
        ([90, 255], 3, [90, 90, 90]),
        ([90, 30], 4, [90, 90, 90, 30]),
        ([0, 51], 1, [204]),
        ([200, 40, 10], 3, [200, 40, 10]),
        ([200, 40, 10], 4, [200, 40, 10, 255]),
        ([200, 40, 10, 0], 3, [255, 255, 255]),
        ([200, 40, 10, 51], 3, [244, 212, 206]),
        ([200, 40, 10, 7], 4, [200, 40, 10, 7]),
    ],
)
def test_channels(given, channels, expected):
    """Grey is repeated, transparency is kept or shown on white."""
    assert convert(pixel(*given).to(torch.uint8), HIGH_8, channels, HIGH_8).ravel().tolist() == expected


def test_grey_is_pil_s():
    """Colour becomes grey as in PIL, to the last bit."""
    colours = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    ours = convert(torch.from_numpy(colours).permute(2, 0, 1), HIGH_8, 1, HIGH_8)
    assert np.array_equal(ours[0].numpy(), np.asarray(Image.fromarray(colours).convert("L")))


def test_ranges():
    """8 bits become 16 and come back; other ranges are of floats; what is full stays full."""
    small = torch.arange(256, dtype=torch.uint8)[None, None]
    deep = convert(small, HIGH_8, 1, HIGH_16)
    assert (deep.dtype, deep.max().item(), deep[0, 0, 1].item()) == (torch.int32, 65535, 257)
    assert torch.equal(convert(deep, HIGH_16, 1, HIGH_8), small)
    unit = convert(small, HIGH_8, 1, 1.0)
    assert (unit.dtype, unit.max().item()) == (torch.float32, 1.0)
    assert dtype_of(HIGH_8) == torch.uint8


def test_what_of_a_file_is_not_read():
    """Further frames and pages, and the lower bits of 16-bit colour, are not passed over in silence."""
    frames = [Image.new("L", (2, 2), value) for value in (10, 200)]
    for name in ("a.gif", "a.tif", "a.webp", "a.png"):
        image = saved(frames[0], name, save_all=True, append_images=frames[1:])
        assert "the first" in what_is_lost(image)
        assert np.abs(decode(image)[0].astype(int) - 10).max() <= 2
    assert what_is_lost(saved(frames[0], "b.png")) == ""
    image = Image.open(BytesIO(deep_colour(60000)))
    assert "16 bits a colour" in what_is_lost(image)
    assert decode(image).ravel().tolist() == [60000 >> 8] * 3


def deep_colour(value):
    """Return a PNG of one pixel with 16 bits a colour, which PIL can't write."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    line = zlib.compress(b"\0" + struct.pack(">HHH", value, value, value))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", line) + chunk(b"IEND", b"")
