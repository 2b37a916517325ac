"""The data sets for classification that torchvision knows by name."""

from __future__ import annotations

import inspect
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from filelock import FileLock
from torch import Tensor

from lightlab.data.base import Data
from lightlab.data.images.files import find_images
from lightlab.data.images.options import CHANNELS, ImageOptions, Unreadable, check_takes_images
from lightlab.data.images.pixels import decode
from lightlab.data.images.stored import Images, Opened
from lightlab.data.rows import Rows, Stored
from lightlab.data_spec import InputSpec
from lightlab.errors import ConfigError, DataError, did_you_mean, sentences

Layout = dict[str, dict[str, Any]]

BY_TRAIN: Layout = {"all": {"train": True}, "test": {"train": False}}
BY_SPLIT: Layout = {"all": {"split": "train"}, "test": {"split": "test"}}
THREE_SPLITS: Layout = {name: {"split": name} for name in ("train", "val", "test")}
#: The labels of their test split are not published, or it has none.
TRAIN_AND_VAL: Layout = {name: {"split": name} for name in ("train", "val")}
WHOLE: Layout = {"all": {}}

#: The data sets with one class an image, and by which arguments each gives its splits; ``all`` is split by shares.
LAYOUTS: dict[str, Layout] = {
    **dict.fromkeys(["CIFAR10", "CIFAR100", "EMNIST", "FashionMNIST", "KMNIST", "MNIST", "QMNIST", "USPS"], BY_TRAIN),
    **dict.fromkeys(["Food101", "GTSRB", "STL10", "SVHN", "StanfordCars"], BY_SPLIT),
    **dict.fromkeys(["DTD", "FGVCAircraft", "Flowers102", "PCAM", "RenderedSST2"], THREE_SPLITS),
    **dict.fromkeys(["CLEVRClassification", "ImageNet", "Imagenette"], TRAIN_AND_VAL),
    **dict.fromkeys(["Caltech101", "Caltech256", "EuroSAT", "FakeData", "SEMEION", "SUN397"], WHOLE),
    "Country211": {"train": {"split": "train"}, "val": {"split": "valid"}, "test": {"split": "test"}},
    "FER2013": {"all": {"split": "train"}},
    "LFWPeople": {"all": {"split": "10fold"}},
    "Omniglot": {"all": {"background": True}},
    "OxfordIIITPet": {"all": {"split": "trainval"}, "test": {"split": "test"}},
    "Places365": {"train": {"split": "train-standard"}, "val": {"split": "val"}},
}

#: What lightlab gives to torchvision's classes.
OURS = frozenset(("root", "download", "transform", "target_transform", "transforms", "loader"))


class TorchvisionData(Data):
    """A data set for classification of torchvision's: https://pytorch.org/vision/stable/datasets.html.

    Where it has splits of its own, they are used as they are: its test split is for testing, and where it has no
    validation split, what it has for training is shared out between the two. A model trained on one predicts new
    images: with ``predict_path``, or by `lightlab.data.images.image_folder.ImageFolderData`.

    Args:
        name: of the class in ``torchvision.datasets``: ``MNIST``, ``FashionMNIST``, ``CIFAR10``, ``SVHN``, ….
        root: the folder that its files are in, as torchvision lays them out.
        download: whether to get the files if they are not there.
        arguments: what else its class takes, as ``{split: letters}`` for ``EMNIST``.
        size: height and width, or one number for both, to which images are resized (bilinear, with antialiasing). By
            default all images have one size.
        channels: 1 for grey, 3 for colour, 4 for colour and transparency; by default what the images have.
        unreadable: whether images that can't be read are an error, or skipped. They are counted and named.
        memory_limit: GiB of images that each process holds in memory, if the data set keeps them as files.
        predict_path: a folder of images to predict, or one image, instead of the test split.
        options: those of `lightlab.data.base.Data`.

    Raises:
        ConfigError: no such data set, or an option that it can't have.

    Example:
        >>> data = TorchvisionData("FakeData", arguments={"size": 20, "image_size": [3, 8, 8], "num_classes": 2})
        >>> spec = data.connect("binary")
        >>> spec.input.shape, spec.target.classes
        ((3, 8, 8), ('0', '1'))
    """

    def __init__(
        self,
        name: str,
        root: str = "data",
        download: bool = False,
        arguments: dict[str, Any] | None = None,
        size: int | list[int] | None = None,
        channels: int | None = None,
        unreadable: Unreadable = "error",
        memory_limit: float = 2.0,
        predict_path: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if name not in LAYOUTS:
            near = did_you_mean(name, LAYOUTS) or f"There are: {', '.join(sorted(LAYOUTS))}."
            raise ConfigError.at(
                ("data", "name"), sentences(f"torchvision has no data set for classification called {name!r}.", near)
            )
        self.dataset = name
        self.root = root
        self.download = download
        self.arguments = arguments or {}
        self.images = ImageOptions.parse(size, channels, unreadable, memory_limit)
        self.predict_path = predict_path
        self._trained: InputSpec | None = None

    def prepare_data(self) -> None:
        """Download the files, once on each node, unless that was done when a model connected."""
        if self.download and not self.rows:
            for arguments in LAYOUTS[self.dataset].values():
                self._open(arguments)

    def adapt(self, spec: InputSpec) -> None:
        """Read images in the size that a trained model takes.

        Raises:
            DataError: it does not take images.
        """
        check_takes_images(spec, self.dataset)
        self._trained = spec

    def load(self, stage: str) -> dict[str, Rows]:
        """Return the splits that the data set has; in the stage predict, only what is predicted.

        Raises:
            DataError: its files are not there, or can't be read.
            ConfigError: arguments that its class does not take.
        """
        layout = LAYOUTS[self.dataset]
        if stage == "predict" and self.predict_path:
            found = find_images(self.predict_path, with_classes=False)
            return {"predict": self.images.load_files(found, self.predict_path, self._trained)}
        if stage == "predict" and "test" in layout:
            layout = {"test": layout["test"]}
        if layout.keys() == {"all", "test"}:
            self.split = self.split.without_test()
        splits: dict[str, Rows] = {}
        held = 0
        for split, arguments in layout.items():
            source = f"{self.dataset} {'train' if split == 'all' else split}" if len(layout) > 1 else self.dataset
            rows = splits[split] = self._rows(self._open(arguments), source, held)
            held += rows.inputs.nbytes if isinstance(rows.inputs, Images) else 0
        if self._trained is None:
            self.images.check_one_size(splits)
        return splits

    def learn_input(self, rows: Rows) -> InputSpec:
        """Learn what images are like, and how their channels are normalised."""
        return self.images.learn(rows, self.normalize)

    def encode_input(self, rows: Rows, spec: InputSpec) -> Tensor | Stored:
        """Return a split's images as the model takes them, in memory or on disk; what is done to them is said."""
        return self.images.encode(rows, spec, self.rows)

    def _open(self, arguments: dict[str, Any]) -> Any:
        """Return the data set of torchvision's for some arguments.

        Raises:
            ConfigError: arguments that its class does not take.
            DataError: its files are not there, or can't be read.
        """
        from torchvision import datasets  # type: ignore[import-untyped]  # it publishes no types; and it takes seconds

        make = getattr(datasets, self.dataset)
        given = self._arguments(make, arguments)
        try:
            with self._alone():
                return make(**given)
        except Exception as cause:  # torchvision raises whatever its files make of it
            hint = "" if self.download else "If its files are not there, data.download: true gets them."
            rule = f"{self.dataset} is read from the folder {self.root}, as torchvision lays it out."
            raise DataError(sentences(rule, f"It can't be: {cause}".rstrip(".") + ".", hint)) from cause

    def _alone(self) -> AbstractContextManager[Any]:
        """Keep processes that start at once from writing the same files; those that come later find them."""
        if not self.download:
            return nullcontext()
        root = Path(self.root).expanduser()  # as torchvision does it
        root.mkdir(parents=True, exist_ok=True)
        return FileLock(root / f".{self.dataset}.lock")

    def _arguments(self, make: Any, arguments: dict[str, Any]) -> dict[str, Any]:
        known = parameters(make)
        for name in self.arguments:
            key = ("data", "arguments", name)
            if name in (*arguments, *OURS):
                raise ConfigError.at(key, f"lightlab gives {self.dataset} its {name} by itself.")
            if name not in known:
                there = did_you_mean(name, known) or f"It takes: {', '.join(sorted(known.keys() - OURS))}."
                raise ConfigError.at(key, sentences(f"{self.dataset} takes no {name}.", there))
        if self.download and "download" not in known:
            raise ConfigError.at(
                ("data", "download"), f"torchvision can't download {self.dataset}. Put its files into {self.root}."
            )
        ours = {"root": self.root, "download": self.download}
        given = {**{name: ours[name] for name in ours if name in known}, **arguments, **self.arguments}
        for name, parameter in known.items():
            if name not in given and parameter.default is parameter.empty:
                raise ConfigError.at(("data", "arguments"), f"{self.dataset} needs {name}: set it there.")
        return given

    def _rows(self, dataset: Any, source: str, held: int) -> Rows:
        if not len(dataset):
            raise DataError(f"A data set has images. {source} has none.")
        inputs: Tensor | Images
        whole = in_memory(dataset)
        if whole is None:
            reader = DatasetReader(dataset)
            inputs = self.images.load(reader, source, reader.name, self._trained, held)
            places, labels = inputs.places, inputs.seen["label"].to_numpy()
        else:
            inputs, labels = whole
            places = np.arange(len(labels))
        classes = name_labels(labels, getattr(dataset, "classes", None))
        return Rows(inputs, pd.DataFrame({"class": classes}, index=places), places, source)


def parameters(make: type) -> dict[str, inspect.Parameter]:
    """Return what a class takes; where it passes arguments on to the class it is derived from, that one's, too."""
    found: dict[str, inspect.Parameter] = {}
    for part in make.__mro__:
        own = dict(inspect.signature(vars(part)["__init__"]).parameters) if "__init__" in vars(part) else {}
        passes_on = any(parameter.kind is parameter.VAR_KEYWORD for parameter in own.values())
        named = {name: parameter for name, parameter in own.items() if parameter.kind is not parameter.VAR_KEYWORD}
        named.pop("self", None)
        found = {**named, **found}
        if own and not passes_on:
            break
    return found


class DatasetReader:
    """Opens the images of a data set of torchvision's.

    Args:
        dataset: gives pairs of an image of PIL's and the number of its class.
    """

    # Some use what threads share, such as torch's random numbers.
    in_threads = False

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def open(self, number: int) -> Opened:
        """Have an image, and its class."""
        image, label = self.dataset[number]
        return Opened(image, label=int(label))

    def name(self, number: int) -> str:
        """Return its number."""
        return f"image {number}"


def in_memory(dataset: Any) -> tuple[Tensor, np.ndarray[Any, Any]] | None:
    """Return all images, (images, channels, height, width), and labels, (images,), of a data set that holds them.

    ``None`` if it does not, or not in a way that its own first image bears out.
    """
    data, labels = getattr(dataset, "data", None), getattr(dataset, "targets", getattr(dataset, "labels", None))
    if not isinstance(data, np.ndarray | Tensor) or labels is None or not len(data):
        return None
    images = torch.as_tensor(data)
    if images.dtype != torch.uint8 or images.ndim not in (3, 4):
        return None
    if images.ndim == 3:
        images = images[:, None]
    elif images.shape[1] not in CHANNELS:
        images = images.permute(0, 3, 1, 2)
    codes = np.asarray(labels)
    codes = codes[:, 0] if codes.ndim == 2 else codes  # QMNIST's, which says more than the class
    if len(codes) != len(images):
        raise DataError(
            f"{type(dataset).__name__} has a class for each image. Its files hold {len(images)} images and "
            f"{len(codes)} classes."
        )
    image, label = dataset[0]
    same = np.array_equal(decode(image), images[0].numpy()) and int(label) == int(codes[0])
    return (images, codes) if same else None


def name_labels(labels: np.ndarray[Any, Any], names: Any) -> pd.Categorical[Any]:
    """Return the class of each image by name, or by number where classes have no names of their own.

    The order of the classes is that of the data set.
    """
    codes = range(int(labels.max()) + 1)
    known = [", ".join(name) if isinstance(name, tuple) else str(name) for name in names or ()]
    if len(known) < len(codes) or len(set(known)) < len(known):
        known = list(map(str, codes))
    return pd.Categorical.from_codes(labels.astype(np.int64), pd.Index(known))
