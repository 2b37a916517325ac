"""Images in files: in a folder for each class, or named by a table."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from lightlab.data.base import say
from lightlab.data.files import FileData, check_columns, target_names
from lightlab.data.images.files import ENDINGS, Found, find_images, find_splits
from lightlab.data.images.options import ImageOptions, Unreadable, as_images, check_takes_images
from lightlab.data.rows import Rows, Stored
from lightlab.data.tables.read_table import TextForm, locate_row, read_table
from lightlab.data_spec import InputSpec
from lightlab.errors import ConfigError


class ImageFolderData(FileData):
    """Images in a folder for each class, or named by a table with a column of paths and one or more targets.

    In a folder, each subfolder is a class, with all that lies below it. Where the subfolders are ``train``, ``val``
    and ``test`` (or ``valid``, …) and hold the classes, these are the splits. Hidden files are passed over. Files
    that are no images by their ending, images in no class folder, classes without images, and links that lead back
    to a folder they lie in are left out, and said to be.

    In a table (CSV, TSV or Parquet), paths are relative to the table's folder. Rows can be split by its columns.

    To predict, a folder need have no classes; one image does, too.

    PNG, JPEG, GIF, BMP, TIFF, WebP and PPM are read: grey, colour, palettes, transparency, 16 bits of grey; of
    animations and pages the first. Pictures are turned as their EXIF data says. Every image is read whole when the
    data is loaded: what is truncated, missing, no image or a decompression bomb (more pixels than PIL's
    ``Image.MAX_IMAGE_PIXELS``) shows then. What is known of a trained model's images is taken over from it: images
    are brought to its size, channels and range.

    Args:
        path: the folder or table whose images are split.
        target: the column to predict, or several of them, of a table.
        image_column: of a table, the column with the paths of the images.
        size: height and width, or one number for both, to which images are resized (bilinear, with antialiasing). By
            default all images have one size.
        channels: 1 for grey, 3 for colour, 4 for colour and transparency. By default 1 if no image of the train split
            has colour, else 3. Without a channel for it, what is transparent is shown on white.
        unreadable: whether images that can't be read are an error, or skipped. They are counted and named.
        memory_limit: GiB of images that each process holds in memory; more are read from disk again and again, by
            worker processes.
        separator: of values in CSV; by default a tab in .tsv files, and a comma elsewhere.
        decimal: what stands before a number's fraction in CSV, ``.`` or ``,``.
        encoding: of the text in CSV.
        options: those of `lightlab.data.files.FileData`: paths for each split, or to predict, and all its own.

    Raises:
        ConfigError: options that contradict each other, or have a value that they can't have.

    Example:
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> for name, grey in (("day", 250), ("night", 5)):
        ...     Path("sky", name).mkdir(parents=True)
        ...     for number in range(10):
        ...         Image.new("L", (8, 6), grey + number % 5).save(f"sky/{name}/{number}.png")
        >>> spec = ImageFolderData("sky", normalize="none").connect("binary")
        warning: ...
        >>> spec.input.shape, spec.input.high, spec.target.classes
        ((1, 6, 8), 255.0, ('day', 'night'))
    """

    def __init__(
        self,
        path: str | None = None,
        target: str | list[str] | None = None,
        image_column: str = "path",
        size: int | list[int] | None = None,
        channels: int | None = None,
        unreadable: Unreadable = "error",
        memory_limit: float = 2.0,
        separator: str | None = None,
        decimal: Literal[".", ","] = ".",
        encoding: str = "utf-8",
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        self.targets = target_names(target)
        if image_column in self.targets:
            raise ConfigError.at(
                ("data", "target"), f"A column has one role. Received: {image_column!r}, which is image_column, too."
            )
        self.image_column = image_column
        self.images = ImageOptions.parse(size, channels, unreadable, memory_limit)
        self.form = TextForm(separator, decimal, encoding)
        self._trained: InputSpec | None = None

    def adapt(self, spec: InputSpec) -> None:
        """Read images in the size that a trained model takes.

        Raises:
            DataError: it does not take images.
        """
        check_takes_images(spec, ", ".join(self.paths.values()))
        self._trained = spec

    def load(self, stage: str) -> dict[str, Rows]:
        """Look through the images of each path; in the stage predict of ``predict_path`` alone, where there is one.

        Raises:
            DataError: images that can't be read, are in no folder of a class, or have several sizes.
        """
        splits: dict[str, Rows] = {}
        held = 0
        for split, path in self.wanted(stage).items():
            found = self._look_up(split, path)
            rows = splits[split] = self.images.load_files(found, path, self._trained, held)
            held += as_images(rows).nbytes
        if self._trained is None:
            self.images.check_one_size(splits)
        return splits

    def wanted(self, stage: str) -> dict[str, str]:
        """Return the path of each split that a stage uses, those that are folders of ``path`` among them.

        Raises:
            ConfigError: a split is given by a folder of ``path`` and by an option.
        """
        paths = super().wanted(stage)
        found = find_splits(paths.get("all"))
        if not found:
            return paths
        for split in found:
            if split in paths:
                raise ConfigError.at(
                    ("data", f"{split}_path"), f"A split is given once. {found[split]} is for {split}, too."
                )
        say(f"splits: {', '.join(f'{split} is {path}' for split, path in found.items())}")
        if "val" not in found:
            found = {"all": found.pop("train"), **found}
            self.split = self.split.without_test() if "test" in found else self.split
        return {**found, **{split: path for split, path in paths.items() if split != "all"}}

    def learn_input(self, rows: Rows) -> InputSpec:
        """Learn what images are like, and how their channels are normalised."""
        return self.images.learn(rows, self.normalize)

    def encode_input(self, rows: Rows, spec: InputSpec) -> Tensor | Stored:
        """Return a split's images as the model takes them, in memory or on disk; what is done to them is said."""
        return self.images.encode(rows, spec, self.rows)

    def _look_up(self, split: str, path: str) -> Found:
        if Path(path).is_file() and Path(path).suffix.lower() not in ENDINGS:
            return self._look_up_table(split, path)
        if self.targets and Path(path).is_dir():
            raise ConfigError.at(
                ("data", "target"),
                f"target names columns of a table. In a folder the subfolders are the classes. Received: {path}.",
            )
        return find_images(path, with_classes=split != "predict")

    def _look_up_table(self, split: str, path: str) -> Found:
        table = read_table(path, self.form)
        check_columns(table, path, [self.image_column, *([] if split == "predict" else self.targets)])
        has_targets = bool(self.targets) and all(name in table for name in self.targets)
        names = table[self.image_column].fillna("").astype(str)
        return Found(
            [str(Path(path).parent / name) if name else "" for name in names],
            table,
            table[self.targets].where(table[self.targets] != "") if has_targets else None,
            self.image_column,
            partial(locate_row, path, self.form),
        )
