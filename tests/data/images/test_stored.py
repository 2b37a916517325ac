"""Images are looked through once; what can't be read is named with its reason, the rest is read when needed."""

import os
import pickle
import re
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile

from lightlab.data.images.stored import FileReader, look_through
from lightlab.errors import DataError


def noise(height=6, width=8, channels=3, seed=0):
    """Return an image with something in it."""
    shape = (height, width, channels) if channels > 1 else (height, width)
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


def truncated(name):
    """Write the first part of an image."""
    noise(40, 40).save(name)
    content = Path(name).read_bytes()
    Path(name).write_bytes(content[: len(content) * 2 // 3])


def flipped(name):
    """Write an image with a byte changed in its middle."""
    noise(40, 40).save(name)
    content = bytearray(Path(name).read_bytes())
    content[len(content) // 2] ^= 0xFF
    Path(name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "make", "reason"),
    [
        ("a.jpg", truncated, "truncated"),
        ("a.png", truncated, "truncated"),
        ("a.bmp", truncated, "truncated"),
        ("a.png", flipped, "broken PNG file|broken data stream|[Cc]hecksum|bad"),
        ("a.png", lambda name: Path(name).write_text("no image"), "no image of PNG, JPEG"),
        ("a.pdf.png", lambda name: noise().save(name, format="PDF"), "no image of PNG, JPEG"),
        ("a.png", lambda name: Path(name).write_bytes(b""), "an empty file"),
        ("a.png", lambda name: Path(name).write_bytes(b"\x89PNG\r\n\x1a\n"), "no image of|cut off|truncated"),
        ("a.png", lambda name: Image.new("1", (10_000, 9_000)).save(name), "refused as a decompression bomb: more th"),
        ("a.png", lambda name: Image.new("1", (14_000, 13_000)).save(name), "refused as a decompression bomb: more"),
        ("a.tif", lambda name: Image.new("F", (2, 2)).save(name), "fractions"),
        ("cat.png", lambda name: noise().save("cats.png"), r"no such file\. Did you mean cats\.png\?"),
        ("nowhere/a.png", lambda name: None, "^no such file$"),
        ("a.png", os.mkdir, "a folder"),
        ("a.png", lambda name: os.symlink("nowhere", name), "a link that leads nowhere"),
        ("a.png", lambda name: os.symlink(name, name), "a link that leads nowhere"),
        ("a.png", os.mkfifo, "no ordinary file"),
        ("", lambda name: None, "no path"),
    ],
)
def test_what_can_t_be_read(name, make, reason):
    """The reason is said for each kind of file; those beside it are read."""
    noise().save("good.png")
    make(name)
    images, faults = look_through(FileReader(["good.png", name]))
    assert images.places.tolist() == [0]
    assert list(faults) == [1]
    assert re.search(reason, faults[1]), faults[1]


def test_nothing_of_pil_is_changed():
    """What PIL refuses, and which warnings are shown, is as it was for others in the process."""
    before = warnings.filters[:], Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES
    truncated("a.jpg")
    look_through(FileReader(["a.jpg"]))
    assert (warnings.filters[:], Image.MAX_IMAGE_PIXELS, ImageFile.LOAD_TRUNCATED_IMAGES) == before
    assert not ImageFile.LOAD_TRUNCATED_IMAGES


def test_remarks_on_files_are_no_faults():
    """An image whose metadata is damaged is read, without a warning."""
    noise().save("a.tif", tiffinfo={270: "a text"})
    noise().save("b.jpg", exif=b"Exif\x00\x00nonsense")
    images, faults = look_through(FileReader(["a.tif", "b.jpg"]))
    assert (faults, len(images)) == ({}, 2)


def test_images_stand_upright():
    """EXIF's orientation is applied: all eight files show the same."""
    upright = noise(6, 8)
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # what PIL's transpose does to get there
    names = ["1.png"]
    upright.save("1.png")
    for orientation, turn in turns.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        upright.transpose(Image.Transpose(turn)).save(f"{orientation}.png", exif=exif)
        names.append(f"{orientation}.png")
    images, faults = look_through(FileReader(names))
    assert not faults
    assert set(zip(images.seen["height"], images.seen["width"], strict=True)) == {(6, 8)}
    read = images.shaped((3, 6, 8), 255.0)[torch.arange(8)]
    assert all(torch.equal(image, read[0]) for image in read)


def several():
    """Write images of several kinds and sizes, and return their reader."""
    noise(6, 8, 3).save("a.png")
    noise(9, 5, 1).save("b.png")
    noise(7, 7, 4).save("c.png")
    Image.fromarray(np.full((6, 8), 40000, np.uint16)).save("d.png")
    return FileReader(["a.png", "b.png", "c.png", "d.png"])


@pytest.mark.parametrize(("shape", "high"), [((3, 6, 8), 255.0), ((1, 4, 4), 65535.0), ((4, 9, 9), 1.0)])
def test_memory_makes_no_difference(shape, high):
    """Images held in memory, held in another size, and on disk are read alike, in other processes too."""
    reader = several()
    held, _ = look_through(reader, shape[1:], memory=1e6)
    own_size, _ = look_through(reader, memory=1e6)
    on_disk, _ = look_through(reader)
    assert (len(held.held), len(own_size.held), len(on_disk.held)) == (4, 4, 0)
    read = [images.shaped(shape, high)[torch.tensor([3, 0, 2, 1])] for images in (held, own_size, on_disk)]
    assert read[0].shape == (4, *shape)
    assert torch.equal(read[0], read[1])
    assert torch.equal(read[0], read[2])
    sent = pickle.loads(pickle.dumps(on_disk.shaped(shape, high)))
    assert torch.equal(sent.take(np.array([2, 1]))[torch.tensor([0])], read[0][2:3])
    assert sent[torch.arange(0)].shape == (0, *shape)


def test_memory_is_kept_to():
    """As soon as the pixels take more than they may, none are held."""
    reader = several()
    size = 6 * 8 * 3 + 9 * 5 + 7 * 7 * 4 + 6 * 8 * 2
    assert look_through(reader, memory=size)[0].nbytes == size
    assert look_through(reader, memory=size - 1)[0].nbytes == 0


def test_fingerprints():
    """Files of the same bytes have the same, whatever they are called."""
    reader = several()
    shutil.copy("a.png", "e.png")
    images, _ = look_through(FileReader([*map(reader.name, range(4)), "e.png"]))
    prints = images.fingerprints()
    assert prints[0] == prints[4]
    assert len(set(prints.tolist())) == 4
    assert images.take(np.array([4, 1])).fingerprints().tolist() == [prints[4], prints[1]]


def test_files_that_change_under_way():
    """A file that was read once and can't be any more is named."""
    images, _ = look_through(several())
    Path("c.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"c\.png can't be read any more: an empty file"):
        images.shaped((3, 6, 8), 255.0)[torch.arange(4)]
