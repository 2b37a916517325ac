"""Data sets of torchvision's are read by its own code from files in their formats, which these tests write."""

import bz2
import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.io
import torch
import torchvision.datasets
from PIL import Image

from lightlab.cli import main
from lightlab.data import BundledData, ImageFolderData, TorchvisionData
from lightlab.data.images.stored import Images
from lightlab.errors import ConfigError, DataError

IN_MEMORY = {"CIFAR10", "CIFAR100", "EMNIST", "FashionMNIST", "KMNIST", "MNIST", "QMNIST", "SVHN", "USPS"}
KEEP_ALL = {"split": (0.8, 0.2, 0)}


def samples(count, shape, seed=0, classes=10):
    """Return images, whose left half is the lighter the higher their class, and their classes."""
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 30, (count, *shape), dtype=np.uint8)
    labels = np.arange(count) % classes
    images[..., : shape[-1] // 2] += (labels * 22).astype(np.uint8).reshape(-1, *(1,) * len(shape))
    return images, labels


def idx(values, kind=8):
    """Return an array in the format of MNIST's files."""
    head = struct.pack(f">BBBB{values.ndim}I", 0, 0, kind, values.ndim, *values.shape)
    return head + values.astype({8: ">u1", 12: ">i4"}[kind]).tobytes()


def write_mnist(name="MNIST", train=60, test=20, root="data"):
    """Write the files of MNIST or one of its kin, and return its images and labels."""
    folder = Path(root, name, "raw")
    folder.mkdir(parents=True)
    truth = {}
    for split, count, seed in (("train", train, 0), ("t10k", test, 1)):
        truth[split] = images, labels = samples(count, (28, 28), seed)
        (folder / f"{split}-images-idx3-ubyte").write_bytes(idx(images))
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(idx(labels))
    return truth


def sorted_rows(data, *splits):
    """Return inputs and class names of some splits, in the order that the rows have in the data set."""
    inputs = torch.cat([batch.inputs for split in splits for batch in data._loader(split, data._plan(split))])
    assert all(isinstance(data.rows[split].inputs, torch.Tensor) == (data.dataset in IN_MEMORY) for split in splits)
    names = np.concatenate([data.rows[split].targets["class"].astype(str) for split in splits])
    order = np.argsort(np.concatenate([data.rows[split].ids for split in splits]))
    return inputs[torch.from_numpy(order)].numpy(), names[order]


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
def test_mnist_and_its_kin(name):
    """All images are there as they were written, the test split is for testing, and classes have their names."""
    truth = write_mnist(name)
    data = TorchvisionData(name)
    spec = data.connect(None)
    assert (spec.problem, spec.input.kind, spec.input.shape, spec.input.high) == (
        "multiclass",
        "image",
        (1, 28, 28),
        255,
    )
    assert data.counts == {"train": 49, "val": 11, "test": 20}
    classes = getattr(torchvision.datasets, name).classes
    assert spec.target.classes == tuple(classes)
    for splits, key in ((["train", "val"], "train"), (["test"], "t10k")):
        images, names = sorted_rows(data, *splits)
        assert images.dtype == np.uint8
        assert np.array_equal(images[:, 0], truth[key][0])
        assert names.tolist() == [classes[label] for label in truth[key][1]]


def test_qmnist_and_emnist():
    """Labels of several columns, and a data set of several sets, of which one is chosen."""
    folder = Path("data/QMNIST/raw")
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        images, labels = samples(60, (28, 28))
        (folder / f"qmnist-{split}-images-idx3-ubyte").write_bytes(idx(images))
        table = np.stack([labels, *[np.full(60, 7)] * 7], axis=1)
        (folder / f"qmnist-{split}-labels-idx2-int").write_bytes(idx(table, 12))
    data = TorchvisionData("QMNIST", **KEEP_ALL)
    assert len(data.connect("multiclass").target.classes) == 10
    assert [name[0] for name in sorted_rows(data, "train", "val")[1]] == [str(label) for label in labels]

    with pytest.raises(ConfigError, match="data.arguments: EMNIST needs split"):
        TorchvisionData("EMNIST").connect("multiclass")
    folder = Path("data/EMNIST/raw")
    folder.mkdir(parents=True)
    for split in ("train", "test"):
        images, labels = samples(52, (28, 28), classes=26)
        (folder / f"emnist-letters-{split}-images-idx3-ubyte").write_bytes(idx(images // 8))
        (folder / f"emnist-letters-{split}-labels-idx1-ubyte").write_bytes(idx(labels + 1))
    data = TorchvisionData("EMNIST", arguments={"split": "letters"}, split=(0.5, 0.5, 0))
    assert data.connect("multiclass").target.classes == tuple("abcdefghijklmnopqrstuvwxyz")


def test_idx_gz_by_download(monkeypatch):
    """Files that are there need no network: they are unpacked once, by either hook, and with no others' consent."""
    truth = write_mnist(root="written")
    folder = Path("data/MNIST/raw")
    folder.mkdir(parents=True)
    resources = []
    for name, _ in torchvision.datasets.MNIST.resources:
        content = gzip.compress(Path("written/MNIST/raw", Path(name).stem).read_bytes())
        (folder / name).write_bytes(content)
        resources.append((name, hashlib.md5(content).hexdigest()))
    # The sums of the real files, which are no part of the loading code.
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", resources)
    with pytest.raises(DataError, match=r"MNIST is read from the folder data.*not found.*data\.download: true"):
        TorchvisionData("MNIST").connect("multiclass")
    data = TorchvisionData("MNIST", download=True)
    data.prepare_data()
    assert (folder / "t10k-images-idx3-ubyte").is_file()
    for path in folder.glob("*ubyte"):
        path.unlink()
    data.connect("multiclass")
    assert np.array_equal(sorted_rows(data, "test")[0][:, 0], truth["t10k"][0])


def write_cifar(monkeypatch, name, files):
    """Write the files of CIFAR10 or CIFAR100, and return images and labels of each."""
    made = getattr(torchvision.datasets, name)
    folder = Path("data", made.base_folder)
    folder.mkdir(parents=True)
    fine = name == "CIFAR100"
    truth, sums = {}, {}
    for seed, file in enumerate(files):
        images, labels = samples(60, (3, 32, 32), seed)
        truth[file] = images, labels
        entry = {"data": images.reshape(60, -1), "fine_labels" if fine else "labels": labels.tolist()}
        (folder / file).write_bytes(pickle.dumps(entry))
    names = [f"thing {number}" for number in range(100 if fine else 10)]
    (folder / made.meta["filename"]).write_bytes(pickle.dumps({made.meta["key"]: names}))
    sums = {path.name: hashlib.md5(path.read_bytes()).hexdigest() for path in folder.iterdir()}
    # The sums of the real files, which are no part of the loading code.
    for listed in ("train_list", "test_list"):
        monkeypatch.setattr(made, listed, [[file, sums[file]] for file, _ in getattr(made, listed)])
    monkeypatch.setattr(made, "meta", {**made.meta, "md5": sums[made.meta["filename"]]})
    return truth


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [("CIFAR10", [f"data_batch_{number}" for number in range(1, 6)], "test_batch"), ("CIFAR100", ["train"], "test")],
)
def test_cifar(monkeypatch, name, train, test):
    """Pickles of flat rows become images of three channels; classes are in the order of their numbers."""
    truth = write_cifar(monkeypatch, name, [*train, test])
    data = TorchvisionData(name, **KEEP_ALL)
    assert data.connect("multiclass").input.shape == (3, 32, 32)
    assert data.spec.target.classes == tuple(f"thing {number}" for number in range(10))
    images, names = sorted_rows(data, "train", "val")
    assert np.array_equal(images, np.concatenate([truth[file][0] for file in train]))
    assert names.tolist() == [f"thing {label}" for file in train for label in truth[file][1]]
    assert np.array_equal(sorted_rows(data, "test")[0], truth[test][0])


def test_svhn_and_usps(monkeypatch):
    """Matlab's files and compressed text; classes without names are called by their numbers, in their order."""
    Path("data").mkdir()
    lists = {}
    truth = samples(40, (3, 32, 32))
    for split in ("train", "test"):
        labels = np.where(truth[1] == 0, 10, truth[1])[:, None]
        path = f"data/{split}_32x32.mat"
        scipy.io.savemat(path, {"X": truth[0].transpose(2, 3, 1, 0), "y": labels})
        lists[split] = ["", Path(path).name, hashlib.md5(Path(path).read_bytes()).hexdigest()]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", lists)
    data = TorchvisionData("SVHN", **KEEP_ALL)
    assert data.connect(None).target.classes == tuple("0123456789")
    images, names = sorted_rows(data, "train", "val")
    assert np.array_equal(images, truth[0])
    assert names.tolist() == [str(label) for label in truth[1]]

    for file in ("usps.bz2", "usps.t.bz2"):
        rows = (f"{label + 1} " + " ".join(f"{place}:{label / 10}" for place in range(1, 257)) for label in truth[1])
        Path("data", file).write_bytes(bz2.compress("\n".join(rows).encode()))
    data = TorchvisionData("USPS", **KEEP_ALL)
    assert data.connect("multiclass").input.shape == (1, 16, 16)
    assert (sorted_rows(data, "test")[0][3] == int((0.3 + 1) / 2 * 255)).all()


def write_files(folder, count=6, size=(9, 7)):
    """Write a folder of dark and light images."""
    for name, value in (("dark", 20), ("light", 220)):
        Path(folder, name).mkdir(parents=True)
        for number in range(count):
            pixels = np.random.default_rng(number).integers(value, value + 30, (*size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"{folder}/{name}/{number}.png")


@pytest.mark.parametrize("memory_limit", [2.0, 0.0])
def test_data_sets_of_files(memory_limit):
    """Data sets that keep images as files are read like folders; three splits are taken as they are."""
    for folder in ("train", "valid", "test"):
        write_files(f"data/country211/{folder}")
    data = TorchvisionData("Country211", memory_limit=memory_limit, num_workers=0)
    spec = data.connect("binary")
    assert spec.input.shape == (3, 9, 7)
    assert spec.target.classes == ("dark", "light")
    assert data.counts == {"train": 12, "val": 12, "test": 12}
    assert isinstance(data._encoded["train"][0], Images) == (memory_limit == 0)
    folder = ImageFolderData("data/country211/train", split=(1, 0, 0))
    assert folder.connect("binary") == spec
    for split in ("train", "val", "test"):
        assert np.array_equal(sorted_rows(data, split)[0], folder._encoded["train"][0].numpy())
    write_files("data/eurosat/2750", size=(8, 8))
    data = TorchvisionData("EuroSAT", size=[4, 5], channels=1, memory_limit=memory_limit)
    assert data.connect("binary").input.shape == (1, 4, 5)
    assert data.counts == {"train": 8, "val": 2, "test": 2}


def test_files_of_several_sizes_and_broken_ones():
    """They are errors as in folders."""
    write_files("data/eurosat/2750")
    Image.new("RGB", (5, 5)).save("data/eurosat/2750/dark/0.png")
    with pytest.raises(DataError, match=r"Received in EuroSAT: 2 sizes \(height×width\), as 5×5 \(image 0\) and 9×7"):
        TorchvisionData("EuroSAT").connect("binary")
    Path("data/eurosat/2750/light/5.png").write_text("")
    with pytest.raises(DataError, match=r"1 of 12 of EuroSAT: image 11 \(no image of"):
        TorchvisionData("EuroSAT", size=4).connect("binary")


def test_broken_files_can_be_skipped(capsys):
    """The others keep their numbers and classes."""
    write_files("data/eurosat/2750")
    Path("data/eurosat/2750/dark/2.png").write_text("")
    data = TorchvisionData("EuroSAT", unreadable="skip", split=(1, 0, 0))
    data.connect("binary")
    assert "skipped: 1 of 12 of EuroSAT: image 2 (no image of" in capsys.readouterr().out
    images, names = sorted_rows(data, "train")
    assert data.rows["train"].ids.tolist() == [0, 1, *range(3, 12)]
    assert [image.mean() > 100 for image in images] == [name == "light" for name in names]


def test_images_are_those_of_the_data_set():
    """Where images are made as they are asked for, each comes as the data set itself gives it."""
    arguments = {"size": 40, "image_size": [3, 8, 9], "num_classes": 2}
    state = torch.get_rng_state()
    data = TorchvisionData("FakeData", arguments=arguments, split=(1, 0, 0))
    data.connect("binary")
    assert torch.equal(torch.get_rng_state(), state)
    images, names = sorted_rows(data, "train")
    for (image, label), ours, name in zip(torchvision.datasets.FakeData(**arguments), images, names, strict=False):
        assert np.array_equal(np.asarray(image).transpose(2, 0, 1), ours)
        assert str(int(label)) == name
    with pytest.raises(DataError, match="FakeData has none"):
        TorchvisionData("FakeData", arguments={"size": 0}).connect("binary")


def test_size_and_channels():
    """Images in memory are resized and given channels like others."""
    truth = write_mnist()
    data = TorchvisionData("MNIST", size=[14, 7], channels=3, **KEEP_ALL)
    assert data.connect("multiclass").input.shape == (3, 14, 7)
    images, _ = sorted_rows(data, "test")
    expected = np.asarray(Image.fromarray(truth["t10k"][0][4]).resize((7, 14), Image.Resampling.BILINEAR))
    assert images.dtype == np.uint8
    assert np.abs(images[4].astype(int) - expected).max() <= 1


def test_poisoned_test_images_change_nothing_learned():
    """What is learned is learned from the train split."""
    write_mnist()
    spec = TorchvisionData("MNIST").connect("multiclass")
    Path("data/MNIST/raw/t10k-images-idx3-ubyte").write_bytes(idx(np.full((20, 28, 28), 255)))
    assert TorchvisionData("MNIST").connect("multiclass") == spec


@pytest.mark.parametrize(
    ("name", "options", "error", "message"),
    [
        ("MNSIT", {}, ConfigError, r"data\.name: .*'MNSIT'\. Did you mean .*MNIST"),
        ("VOCSegmentation", {}, ConfigError, "no data set for classification called 'VOCSegmentation'"),
        (
            "MNIST",
            {"arguments": {"trian": 1}},
            ConfigError,
            r"arguments.trian: MNIST takes no trian\. Did you mean train",
        ),
        ("MNIST", {"arguments": {"train": False}}, ConfigError, "gives MNIST its train by itself"),
        ("MNIST", {"arguments": {"root": "x"}}, ConfigError, "gives MNIST its root by itself"),
        ("ImageNet", {"download": True}, ConfigError, "data.download: torchvision can't download ImageNet"),
        (
            "CIFAR10",
            {},
            DataError,
            r"CIFAR10 is read from the folder data.*not found or corrupted.*data\.download: true",
        ),
        ("USPS", {"root": "else/where"}, DataError, "USPS is read from the folder else/where.*No such file"),
        ("MNIST", {"size": -1}, ConfigError, "data.size"),
    ],
)
def test_what_can_t_be(name, options, error, message):
    """Names, arguments and files that are not there are answered with what is."""
    with pytest.raises(error, match=message):
        TorchvisionData(name, **options).connect("multiclass")


def test_files_that_are_cut_off():
    """A file that ends too soon, and one with a label too few, are errors."""
    write_mnist()
    path = Path("data/MNIST/raw/train-labels-idx1-ubyte")
    path.write_bytes(idx(np.zeros(59)))
    with pytest.raises(DataError, match="MNIST has a class for each image. Its files hold 60 images and 59 classes"):
        TorchvisionData("MNIST").connect("multiclass")
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match="MNIST is read from the folder data"):
        TorchvisionData("MNIST").connect("multiclass")
    Path("data/MNIST/raw/train-images-idx3-ubyte").write_bytes(idx(np.zeros((0, 28, 28))))
    with pytest.raises(DataError, match="MNIST is read from the folder data"):
        TorchvisionData("MNIST").connect("multiclass")


def test_a_model_that_takes_no_images():
    """A model that was trained on a table is refused."""
    write_mnist()
    with pytest.raises(DataError, match="trained on a table. Received: images of files, from MNIST"):
        TorchvisionData("MNIST").connect(None, BundledData("iris").connect("multiclass"))


CONFIG = """
seed_everything: 1
data:
  class_path: TorchvisionData
  init_args: {name: MNIST, batch_size: 16}
model:
  layers: [flatten, {dense: {units: 16, activation: relu}}]
  optimizer: {class_path: Adam, init_args: {lr: 0.01}}
trainer: {max_epochs: 20, accelerator: cpu}
"""


def test_from_files_to_predictions():
    """A model predicts its test split, and new files: by this source and by that of folders."""
    truth = write_mnist(train=200)
    Path("c.yaml").write_text(CONFIG)
    assert main(["fit", "--config", "c.yaml"]) == 0
    assert main(["predict", "--config", "c.yaml", "--output", "test.csv"]) == 0
    expected = pd.read_csv("test.csv")["prediction"].tolist()
    right = [name.startswith(str(label)) for name, label in zip(expected, truth["t10k"][1], strict=True)]
    assert np.mean(right) >= 0.4
    Path("new").mkdir()
    for number, image in enumerate(truth["t10k"][0]):
        Image.fromarray(image).convert("RGB").save(f"new/{number:02}.png")
    own = ["--data.predict_path", "new", "--output", "own.csv"]
    assert main(["predict", "--config", "c.yaml", *own]) == 0
    (checkpoint,) = Path("runs").rglob("best.ckpt")
    other = ["--data", "ImageFolderData", "--data.predict_path", "new", "--output", "other.csv"]
    assert main(["predict", "--ckpt_path", str(checkpoint), *other]) == 0
    for name in ("own.csv", "other.csv"):
        predictions = pd.read_csv(name)
        assert predictions["prediction"].tolist() == expected
        assert predictions["path"].tolist() == [f"{number:02}.png" for number in range(20)]
