"""The files that TensorBoard's projector reads."""

from pathlib import Path

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from lightlab.errors import RunError
from lightlab.inspect.tensorboard.projector import draw_sheet, tabulate, turn, write_projector

RANDOM = np.random.default_rng(0)


def distances(vectors):
    """Return the distance of each pair of rows."""
    return np.linalg.norm(vectors[:, None] - vectors[None], axis=-1)


def embedding(folder):
    """Return what the projector's config says of the only embedding."""
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (found,) = config.embeddings
    return found


def test_files(tmp_path):
    """Vectors, labels and thumbnails lie side by side, and the config names them."""
    features = RANDOM.normal(size=(5, 3))
    images = list(RANDOM.integers(0, 255, (5, 8, 8, 3), np.uint8))
    write_projector(tmp_path, features, {"true": list("abcde"), "row": range(5)}, images)
    found = embedding(tmp_path)
    assert np.allclose(np.loadtxt(tmp_path / found.tensor_path), features, rtol=1e-5)
    assert (tmp_path / found.metadata_path).read_text() == "true\trow\na\t0\nb\t1\nc\t2\nd\t3\ne\t4\n"
    width, height = found.sprite.single_image_dim
    with Image.open(tmp_path / found.sprite.image_path) as sheet:
        assert sheet.size == (3 * width, 3 * height)


def test_no_images(tmp_path):
    """Rows of a table have no thumbnails."""
    write_projector(tmp_path, np.ones((2, 2)), {"true": [1, 2]})
    assert not embedding(tmp_path).sprite.image_path
    assert {path.name for path in tmp_path.iterdir()} == {"features.tsv", "labels.tsv", "projector_config.pbtxt"}


def test_more_features_than_rows():
    """They become as many as there are rows, and all distances and angles stay."""
    features = RANDOM.normal(size=(20, 1000)).astype(np.float32) + 3
    turned = turn(features)
    assert turned.shape == (20, 20)
    assert np.allclose(distances(turned), distances(features), rtol=1e-4)
    assert np.allclose(turned @ turned.T, features @ features.T, rtol=1e-4)
    assert np.linalg.norm(turned, axis=0).argmax() == 0


def test_rows_that_are_alike():
    """Directions in which nothing differs are zero, and no square root of less."""
    assert np.isfinite(turn(np.ones((4, 100)))).all()


def test_labels():
    """What would end a cell or a line is a blank; an empty cell, which the projector would pass over, is a dash."""
    text = tabulate({"true": ["a\tb", "c\nd", ""], "predicted": ["\r", None, 1.5]})
    assert text == "true\tpredicted\na b\t-\nc d\tNone\n-\t1.5\n"


def test_one_column_has_no_heading():
    """The projector would take it for the first row's label."""
    assert tabulate({"true": ["a", "b"]}) == "a\nb\n"


def test_thumbnails():
    """They stand line by line; small ones are enlarged sharply, and those that are no squares keep their shape."""
    red, tall = np.zeros((2, 2, 3), np.uint8), np.full((8, 4, 3), 255, np.uint8)
    red[0, 0] = (255, 0, 0)
    sheet = np.asarray(draw_sheet([red, tall, red], 64))
    assert sheet.shape == (128, 128, 3)
    assert (sheet[:32, :32] == (255, 0, 0)).all()
    assert not sheet[32:64, :64].any()
    assert (sheet[:64, 64 + 16 : 64 + 48] == 255).all()
    assert not sheet[:64, 64 : 64 + 15].any()
    assert (sheet[64:96, :32] == (255, 0, 0)).all()


def test_many_thumbnails_are_smaller(tmp_path):
    """The sheet is no larger than browsers take."""
    count = 130 * 130
    images = [np.full((1, 1, 3), 7, np.uint8)] * count
    write_projector(tmp_path, np.zeros((count, 1)), {"row": range(count)}, images)
    with Image.open(tmp_path / embedding(tmp_path).sprite.image_path) as sheet:
        assert max(sheet.size) <= 8192
        assert sheet.width // embedding(tmp_path).sprite.single_image_dim[0] == 130


def test_folder_that_is_not_there():
    """The error says which file."""
    with pytest.raises(RunError, match=r"The projector's vectors can't be written to nowhere/features\.tsv"):
        write_projector(Path("nowhere"), np.ones((1, 1)), {"true": [1]})
