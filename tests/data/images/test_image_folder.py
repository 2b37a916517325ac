"""Folders and tables of images: which are taken, what is said of the others, and what a model gets of them."""

import os
import shutil
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from lightlab.cli import main
from lightlab.data import BundledData, ImageFolderData, SyntheticData
from lightlab.data.images.stored import Images
from lightlab.errors import ConfigError, DataError, TargetError


def write(name, low=0, size=(6, 8), channels=3, seed=None):
    """Write an image of noise whose darkest pixel is ``low``."""
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    shape = (*size, channels) if channels > 1 else size
    seed = zlib.crc32(str(name).encode()) if seed is None else seed
    pixels = np.random.default_rng(seed).integers(low, low + 56, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(name)


def write_classes(folder="pets", count=10, **options):
    """Write a folder of cats, which are dark, and dogs, which are light."""
    for name, low in (("cat", 0), ("dog", 200)):
        for number in range(count):
            write(f"{folder}/{name}/{number}.png", low, **options)


def write_table(name="pets.csv", rows=20):
    """Write a table of images with targets of several kinds; how light an image is follows the first."""
    table = pd.DataFrame(
        {
            "path": [f"images/{row}.png" for row in range(rows)],
            "price": [row / rows * 100 for row in range(rows)],
            "furry": [row % 2 for row in range(rows)],
            "loud": [row // 2 % 2 for row in range(rows)],
            "owner": [f"owner {row // 4}" for row in range(rows)],
        }
    )
    Path(name).parent.mkdir(exist_ok=True)
    table.to_csv(name, index=False)
    for row in range(rows):
        write(str(Path(name).parent / f"images/{row}.png"), row * 5)
    return table


def batches(loader):
    """Return all inputs of a loader."""
    return torch.cat([batch.inputs for batch in loader])


def test_class_folders():
    """Classes are the folders, with all that lies below them; rows are called by their path in the folder."""
    write_classes()
    Path("pets/cat/deep/er").mkdir(parents=True)
    shutil.move("pets/cat/3.png", "pets/cat/deep/er/3.png")
    data = ImageFolderData("pets")
    spec = data.connect(None)
    assert (spec.problem, spec.target.columns, spec.target.classes) == ("binary", ("class",), ("cat", "dog"))
    assert (spec.input.kind, spec.input.shape, spec.input.high) == ("image", (3, 6, 8), 255.0)
    ids = {name for rows in data.rows.values() for name in rows.ids}
    assert ids == {f"{name}/{number}.png" for name in ("cat", "dog") for number in range(10)} - {"cat/3.png"} | {
        "cat/deep/er/3.png"
    }
    for rows in data.rows.values():
        assert [name.split("/")[0] for name in rows.ids] == rows.targets["class"].tolist()
        assert rows.id_name == "path"
    train = next(iter(data.train_dataloader()))
    assert train.inputs.dtype == torch.uint8
    dark = train.inputs.float().mean(dim=(1, 2, 3)) < 100
    assert torch.equal(dark, train.targets == 0)


def test_what_is_left_out_is_said(capsys):
    """Files that are no images, images without a class, classes without images and links in a loop are named."""
    write_classes()
    write("pets/stray.png")
    write("pets/.hidden/1.png")
    write("pets/cat/.1.png")
    Path("pets/notes.txt").write_text("")
    Path("pets/dog/Thumbs.db").write_text("")
    Path("pets/bird/none/yet").mkdir(parents=True)
    os.symlink("..", "pets/cat/loop")
    os.symlink("itself", "pets/itself")
    data = ImageFolderData("pets")
    data.connect("binary")
    assert sum(map(len, data.rows.values())) == 20
    said = capsys.readouterr().out
    assert "3 files that are no images by their ending of pets: dog/Thumbs.db, itself, notes.txt" in said
    assert "1 images in no class folder of pets: stray.png" in said
    assert "1 classes without images of pets: bird" in said
    assert "1 links that lead back to a folder they lie in of pets: cat/loop" in said


def test_links_are_followed():
    """A linked folder is a class like another, and a linked file an image."""
    write_classes("elsewhere")
    Path("pets").mkdir()
    os.symlink("../elsewhere/cat", "pets/cat")
    Path("pets/dog").mkdir()
    for number in range(10):
        os.symlink(f"../../elsewhere/dog/{number}.png", f"pets/dog/{number}.PNG")
    assert ImageFolderData("pets").connect("binary").target.rows == 14


@pytest.mark.parametrize(
    ("folders", "counts"),
    [
        (("train", "val", "test"), {"train": 8, "val": 8, "test": 8}),
        (("Train", "valid"), {"train": 8, "val": 8}),
        (("train", "test"), {"train": 7, "val": 1, "test": 8}),
        (("train",), {"train": 6, "val": 1, "test": 1}),
    ],
)
def test_splits_as_folders(folders, counts, capsys):
    """Folders called so are the splits, and are said to be; what is missing is split off."""
    for folder in folders:
        write_classes(f"pets/{folder}", 4)
    data = ImageFolderData("pets")
    assert data.connect("binary").target.classes == ("cat", "dog")
    assert data.counts == counts
    assert f"is pets/{folders[0]}" in capsys.readouterr().out
    data.setup("predict")
    data.connect("binary", data.spec)
    assert data.counts == counts


def test_splits_as_folders_that_contradict():
    """A split is given once; a class that is called like a split is a class."""
    write_classes("pets/train")
    write_classes("pets/test")
    with pytest.raises(ConfigError, match=r"test_path.*pets/test is for test, too"):
        ImageFolderData("pets", test_path="pets/test").connect("binary")
    write_classes("pets/Testing")
    with pytest.raises(DataError, match=r"one folder\. For test there are: pets/Testing, pets/test"):
        ImageFolderData("pets").connect("binary")
    write("pets/bus/1.png")
    assert set(ImageFolderData("pets", split=(1, 0, 0)).connect("multiclass").target.classes) == {
        "Testing",
        "bus",
        "test",
        "train",
    }


def test_the_same_image_in_two_splits_is_said(capsys):
    """A copy under another name is found, and both are named."""
    write_classes("pets/train")
    write_classes("pets/val")
    shutil.copy("pets/train/cat/3.png", "pets/val/cat/other.png")
    ImageFolderData("pets").connect("binary")
    found = [line for line in capsys.readouterr().out.splitlines() if "also stand in train" in line]
    assert len(found) == 1
    assert "1 of 21 rows of val" in found[0]
    assert "pets/val/cat/other.png is pets/train/cat/3.png" in found[0]


@pytest.mark.parametrize(
    ("path", "options", "error", "message"),
    [
        ("nowhere", {}, DataError, r"Received: nowhere \(no such file\)"),
        ("pet", {}, DataError, r"Did you mean pets\?"),
        ("empty", {}, DataError, "In empty there is no file with an image's ending"),
        ("flat", {}, DataError, r"a folder for each class. In flat there is 1 images, but none in such"),
        ("pets/cat/1.png", {}, DataError, "Received: the image pets/cat/1.png"),
        ("one", {}, TargetError, "at least two classes"),
        ("pets", {"target": "y"}, ConfigError, "data.target: target names columns of a table"),
        ("pets", {"size": 0}, ConfigError, "data.size: .*Received: 0"),
        ("pets", {"size": [4, 5, 6]}, ConfigError, "data.size"),
        ("pets", {"channels": 2}, ConfigError, "data.channels"),
        ("pets", {"memory_limit": -1}, ConfigError, "data.memory_limit"),
        ("pets", {"unreadable": "hide"}, ConfigError, "data.unreadable"),
        (None, {}, ConfigError, "data.path"),
        ("pets.csv", {"target": "path"}, ConfigError, "one role"),
        ("pets.csv", {"target": "prize"}, DataError, r"no column 'prize'\. Did you mean price\?"),
        ("pets.csv", {"target": "price", "image_column": "file"}, DataError, "no column 'file'"),
        ("pets.csv", {}, TargetError, "set data.target"),
    ],
)
def test_what_can_t_be(path, options, error, message):
    """The rule and what was given are said."""
    write_classes()
    write_table()
    write("flat/1.png")
    for number in range(10):
        write(f"one/class/{number}.png")
    Path("empty").mkdir()
    problem = None if "target" in options or path == "pets.csv" else "multiclass"
    with pytest.raises(error, match=message):
        ImageFolderData(path, **options).connect(problem)


def test_a_folder_that_can_t_be_read():
    """Of a folder that the system keeps shut, which one it is."""
    write_classes()
    os.chmod("pets/dog", 0)
    if os.access("pets/dog", os.R_OK):
        pytest.skip("this user can read everything")
    with pytest.raises(DataError, match=r"pets/dog can't: Permission denied"):
        ImageFolderData("pets").connect("binary")


def test_sizes():
    """Images of several sizes are an error that names two, or are resized; height comes first."""
    write_classes()
    write("pets/dog/wide.png", 200, size=(6, 9))
    with pytest.raises(
        DataError, match=r"2 sizes .*6×8 \(pets/cat/0.png\) and 6×9 \(pets/dog/wide.png\).*as in \[6, 8"
    ):
        ImageFolderData("pets").connect("binary")
    assert ImageFolderData("pets", size=5).connect("binary").input.shape == (3, 5, 5)
    data = ImageFolderData("pets", size=[4, 7])
    assert data.connect("binary").input.shape == (3, 4, 7)
    assert batches(data._loader("train", data._plan("train"))).shape[1:] == (3, 4, 7)


def test_sizes_differ_between_splits():
    """Another size in another split is no less an error."""
    write_classes("pets/train")
    write_classes("pets/val", size=(5, 5))
    with pytest.raises(DataError, match=r"pets/train, pets/val: 2 sizes"):
        ImageFolderData("pets").connect("binary")


def test_channels_come_from_the_train_split(capsys):
    """Grey images are of one channel, whatever other splits hold; colour in one is enough for three."""
    write_classes("pets/train", channels=1)
    write_classes("pets/val", channels=3)
    data = ImageFolderData("pets", normalize="none")
    assert data.connect("binary").input.shape == (1, 6, 8)
    assert "val: of 20 images 20 made grey" in capsys.readouterr().out
    write("pets/train/cat/0.png")
    data = ImageFolderData("pets")
    assert data.connect("binary").input.shape == (3, 6, 8)
    assert "train: of 20 images 19 grey, in 3 channels alike" in capsys.readouterr().out
    assert ImageFolderData("pets", channels=1).connect("binary").input.shape == (1, 6, 8)
    assert ImageFolderData("pets", channels=4).connect("binary").input.shape == (4, 6, 8)


def test_sixteen_bits(capsys):
    """They are kept; among them, 8 bits are scaled to the same range."""
    write_classes("pets/train", channels=1)
    for number in range(10):
        Image.fromarray(np.full((6, 8), 50_000 + number, np.uint16)).save(f"pets/train/dog/{number}.png")
    data = ImageFolderData("pets/train", split=(1, 0, 0))
    assert data.connect("binary").input.high == 65535
    batch = next(iter(data.train_dataloader()))
    assert sorted(batch.inputs[batch.targets == 1, 0, 0, 0].tolist()) == [50_000 + number for number in range(10)]
    assert (batch.inputs[batch.targets == 0] % 257 == 0).all()
    assert batch.inputs[batch.targets == 0].max() > 50 * 257
    assert "train: of 20 images 10 scaled to pixels of up to 65535" in capsys.readouterr().out


def break_some():
    """Make two images of the folder unreadable."""
    Path("pets/cat/4.png").write_bytes(Path("pets/cat/4.png").read_bytes()[:60])
    Path("pets/dog/7.png").write_text("no image")


def test_unreadable_images_are_an_error():
    """They are counted and named, with the reason, and how to leave them out."""
    write_classes()
    break_some()
    with pytest.raises(
        DataError,
        match=r"2 of 20 of pets: pets/cat/4.png \(.*truncated.*\), pets/dog/7.png \(no image.*data.unreadable: skip",
    ):
        ImageFolderData("pets").connect("binary")


def test_unreadable_images_can_be_skipped(capsys):
    """They are named all the same; the other rows keep their names and targets."""
    write_classes()
    break_some()
    data = ImageFolderData("pets", unreadable="skip", split=(1, 0, 0))
    data.connect("binary")
    assert "skipped: 2 of 20 of pets: pets/cat/4.png" in capsys.readouterr().out
    rows = data.rows["train"]
    assert len(rows) == len(rows.targets) == len(rows.ids) == len(rows.columns) == 18
    assert not {"cat/4.png", "dog/7.png"} & set(rows.ids)
    batch = next(iter(data.train_dataloader()))
    assert torch.equal(batch.inputs.float().mean(dim=(1, 2, 3)) > 100, batch.targets == 1)
    for path in Path("pets").rglob("*.png"):
        path.write_text("")
    with pytest.raises(DataError, match=r"Some images can be read\. Not so 20 of 20 of pets.*and 15 more"):
        ImageFolderData("pets", unreadable="skip").connect("binary")


@pytest.mark.parametrize(
    ("target", "problem"), [("price", "regression"), (["furry", "loud"], "multilabel"), ("furry", "binary")]
)
def test_tables(target, problem):
    """A table names images beside it, with one target or several, from wherever the program runs."""
    table = write_table("shop/pets.csv")
    data = ImageFolderData("shop/pets.csv", target, split=(0.5, 0.5, 0))
    assert data.connect(None).problem == problem
    rows = data.rows["train"]
    assert (rows.id_name, len(rows)) == ("path", 10)
    expected = table.set_index("path").loc[rows.ids, rows.targets.columns]
    assert (expected.to_numpy() == rows.targets.to_numpy()).all()
    darkest = batches(data._loader("train", data._plan("train"))).flatten(1).amin(1)
    assert [value // 5 for value in darkest.tolist()] == [int(name[7:-4]) for name in rows.ids]


def test_tables_can_be_split_by_their_columns():
    """Images of one owner stand in one split, though some rows are skipped."""
    write_table()
    Path("images/1.png").unlink()
    data = ImageFolderData("pets.csv", "price", split={"groups": "owner"}, unreadable="skip")
    data.connect("regression")
    owners = [set(rows.columns["owner"]) for rows in data.rows.values()]
    assert sum(map(len, owners)) == 5
    assert sum(map(len, data.rows.values())) == 19


def test_tables_that_name_no_image():
    """The line of the table is named, with the file and what is nearly called so."""
    table = write_table()
    table.loc[3, "path"] = "images/3.jpg"
    table.loc[5, "path"] = ""
    table.to_csv("pets.csv", index=False)
    with pytest.raises(
        DataError,
        match=r"2 of 20 of pets.csv: images/3.jpg at pets.csv:5 \(no such file. Did you mean 3.png.*\), "
        r"pets.csv:7 \(no path\)",
    ):
        ImageFolderData("pets.csv", "price").connect("regression")


def test_targets_are_checked_by_line():
    """A target that is missing is found in the table, though a row before it was skipped."""
    table = write_table()
    table.loc[4, "price"] = None
    table.to_csv("pets.csv", index=False)
    Path("images/1.png").unlink()
    with pytest.raises(DataError, match=r"first at pets\.csv:6"):
        ImageFolderData("pets.csv", "price", unreadable="skip").connect("regression")


def test_poisoned_validation_images_change_nothing_learned():
    """Other images for validation and testing, and one that is broken, leave what was learned as it was."""
    for split in ("train", "val", "test"):
        write_classes(f"pets/{split}")
    spec = ImageFolderData("pets").connect("binary")
    for split in ("val", "test"):
        for number in range(10):
            Image.fromarray(np.full((6, 8), 65535, np.uint16)).save(f"pets/{split}/cat/{number}.png")
    Path("pets/val/dog/0.png").write_text("")
    assert ImageFolderData("pets", unreadable="skip").connect("binary") == spec


def test_poison_in_the_same_table_changes_nothing_learned():
    """Colour and 16 bits in other rows of the table leave channels, range and statistics to the train split."""
    table = write_table()
    table["split"] = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
    table.to_csv("pets.csv", index=False)
    for row in range(20):
        write(f"images/{row}.png", row * 5, channels=1)
    spec = ImageFolderData("pets.csv", "price", split={"column": "split"}).connect("regression")
    assert (spec.input.shape, spec.input.high) == ((1, 6, 8), 255)
    write("images/13.png", 200, channels=3)
    Image.fromarray(np.full((6, 8), 65535, np.uint16)).save("images/17.png")
    poisoned = ImageFolderData("pets.csv", "price", split={"column": "split"})
    assert poisoned.connect("regression") == spec
    assert batches(poisoned.test_dataloader()).max() == 255


@pytest.mark.parametrize("workers", [0, 2])
def test_images_on_disk_are_those_in_memory(workers):
    """Whether pixels are held changes neither what is learned, nor batches, nor what rows are known by."""
    write_classes(size=(9, 7))
    for number in range(3):
        write(f"pets/cat/{number}.png", channels=1, size=(9, 7))
    held = ImageFolderData("pets", size=[6, 5])
    stored = ImageFolderData("pets", size=[6, 5], memory_limit=0, num_workers=workers)
    assert held.connect("binary") == stored.connect("binary")
    assert isinstance(held._encoded["train"][0], torch.Tensor)
    assert isinstance(stored._encoded["train"][0], Images)
    for one, other in zip(held.train_dataloader(), stored.train_dataloader(), strict=True):
        assert torch.equal(one.inputs, other.inputs)
        assert torch.equal(one.targets, other.targets)
    assert held.digests() == stored.digests()
    held.connect("multiclass")
    with torch.inference_mode():  # as Lightning validates
        assert torch.equal(batches(held.val_dataloader()), batches(stored.val_dataloader()))


def test_new_images_become_what_the_model_takes(capsys):
    """A trained model's size, channels and range are taken over, and what is done to images is said."""
    write_classes()
    spec = ImageFolderData("pets").connect("binary")
    write("new/b/wide.png", 200, size=(9, 20), channels=1)
    Image.fromarray(np.full((6, 8), 65535, np.uint16)).save("new/a.png")
    Image.new("RGBA", (8, 6), (0, 0, 0, 0)).save("new/c.png")
    capsys.readouterr()
    for path, count, size in (("new", 3, None), ("new/a.png", 1, 3)):
        data = ImageFolderData("pets", size=size, predict_path=path)
        data.setup("predict")
        data.connect(None, spec)
        (batch,) = data.predict_dataloader()
        assert (batch.inputs.shape, batch.inputs.dtype) == ((count, 3, 6, 8), torch.uint8)
        assert (batch.inputs[0] == 255).all()
        assert batch.targets is None
        if count == 3:
            assert (batch.inputs[2] == 255).all()
            assert data.rows["predict"].ids.tolist() == ["a.png", "b/wide.png", "c.png"]
            assert (
                "predict: of 3 images 1 resized to 6×8, 2 grey, in 3 channels alike, 1 transparent and shown on "
                "white, 1 scaled to pixels of up to 255" in capsys.readouterr().out
            )
    data = ImageFolderData("pets")
    assert data.connect("binary", spec) == spec


def test_a_model_that_takes_no_images():
    """A model that was trained on a table, or on arrays of which nothing else is known, is refused."""
    write_classes()
    for source, trained_on in ((BundledData("iris"), "a table"), (SyntheticData([1, 8, 8]), "arrays of shape")):
        spec = source.connect("multiclass")
        with pytest.raises(DataError, match=f"trained on {trained_on}.*Received: images of files, from pets"):
            ImageFolderData("pets").connect(None, spec)


CONFIG = """
seed_everything: 1
data:
  class_path: ImageFolderData
  init_args: {path: pets, batch_size: 8}
model:
  layers:
    - conv2d: {filters: 4, kernel_size: 3, activation: relu}
    - global_avg_pool
  optimizer: {class_path: Adam, init_args: {lr: 0.05}}
trainer: {max_epochs: 8, accelerator: cpu}
"""


def test_from_files_to_predictions(capsys):
    """A model trained on folders predicts new images that carry no class, by a table as well."""
    write_classes(count=20)
    Path("c.yaml").write_text(CONFIG)
    assert main(["fit", "--config", "c.yaml"]) == 0
    for number in range(6):
        write(f"new/{number}.png", 200 * (number % 2), size=(7, 9), seed=number)
    Path("new/later").mkdir()
    assert main(["predict", "--config", "c.yaml", "--data.predict_path", "new", "--output", "p.csv"]) == 0
    predictions = pd.read_csv("p.csv")
    assert predictions["path"].tolist() == [f"{number}.png" for number in range(6)]
    assert predictions["prediction"].tolist() == ["cat", "dog"] * 3
    pd.DataFrame({"file": ["new/1.png", "new/0.png"]}).to_csv("new.csv", index=False)
    arguments = ["--data.predict_path", "new.csv", "--data.image_column", "file", "--output", "q.csv"]
    assert main(["predict", "--config", "c.yaml", *arguments]) == 0
    predictions = pd.read_csv("q.csv")
    assert predictions["file"].tolist() == ["new/1.png", "new/0.png"]
    assert predictions["prediction"].tolist() == ["dog", "cat"]
    Path("new/broken.png").write_text("")
    capsys.readouterr()
    assert main(["predict", "--config", "c.yaml", "--data.predict_path", "new"]) == 2
    assert "new/broken.png (an empty file)" in capsys.readouterr().err


def test_folders_are_names():
    """A class is called what its folder is called, whatever it looks like."""
    for name in ("true", "1", "+1", "01", "null", "10", "2"):
        Path("odd", name).mkdir(parents=True)
        for number in range(8):
            Image.new("L", (4, 4), 10 * number + len(name)).save(f"odd/{name}/{number}.png")
    assert ImageFolderData("odd").connect(None).target.classes == ("+1", "01", "1", "10", "2", "null", "true")
