"""Which image files a folder holds, in which classes and splits."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import pandas as pd

from lightlab.data.splits import SPELLINGS, SPLITS
from lightlab.data.tables.read_table import find_file
from lightlab.data.targets import named_classes
from lightlab.errors import DataError

#: By these endings a folder's images are told from its other files; split from one text, to be read at a glance.
ENDINGS = frozenset(
    ".png .apng .jpg .jpeg .jpe .jfif .gif .bmp .dib .tif .tiff .webp .pbm .pgm .ppm .pnm".split()  # noqa: SIM905
)
#: So many files of one sort are named.
MOST_NAMED = 5
#: What lies in a folder; a loop is a link to a folder that it lies in itself.
Kind = Literal["file", "folder", "loop"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Found:
    """Image files, and what is known of each.

    Args:
        paths: of the files.
        columns: all that is known of each, (images, columns).
        targets: a table of the target columns.
        id_name: the column that says what people call each image.
        locate: returns where people find an image, by its number; by default its path.
        said: what was left out, in words.
    """

    def __init__(
        self,
        paths: list[str],
        columns: pd.DataFrame,
        targets: pd.DataFrame | None = None,
        id_name: str = "path",
        locate: Callable[[Any], str] | None = None,
        said: Sequence[str] = (),
    ) -> None:
        self.paths = paths
        self.columns = columns
        self.targets = targets
        self.id_name = id_name
        self.locate = locate or paths.__getitem__
        self.said = said


def find_images(path: str, with_classes: bool) -> Found:
    """Return the images of a folder and of all folders below it, or one image.

    Args:
        path: of the folder, or the image.
        with_classes: whether subfolders are classes.

    Raises:
        DataError: there are none, or the folder can't be read.
    """
    if Path(path).is_dir():
        return _find_in_folder(path, with_classes)
    file = find_file(path, "Images are read from a folder, or from a table that names them")
    if with_classes:
        raise DataError(f"Images to train on lie in folders, or are named by a table. Received: the image {path}.")
    return Found([path], pd.DataFrame({"path": [_shown(file.name)]}))


def _find_in_folder(path: str, with_classes: bool) -> Found:
    walked = list(_walk(Path(path), ()))
    names = {kind: [name.relative_to(path).as_posix() for name, is_a in walked if is_a == kind] for kind in KINDS}
    images = [name for name in names["file"] if _ending(name) in ENDINGS]
    others = [name for name in names["file"] if _ending(name) not in ENDINGS]
    stray = [name for name in images if "/" not in name] if with_classes else []
    kept = images[:] if not stray else [name for name in images if "/" in name]
    if not kept:
        rule = "Images lie in a folder for each class" if with_classes else "Images are read from a folder"
        there = f"{len(images)} images, but none in such a folder" if images else "no file with an image's ending"
        table = " For other targets, name the images in a table." if images else ""
        raise DataError(f"{rule}. In {path} there is {there} (of {len(walked)} files and folders in all).{table}")
    classes = [name.split("/")[0] for name in kept]
    empty = [name for name in names["folder"] if with_classes and "/" not in name and name not in set(classes)]
    said = [
        f"left out: {len(which)} {what} of {path}: {listed(which)}"
        for what, which in (
            ("files that are no images by their ending", others),
            ("images in no class folder", stray),
            ("classes without images", empty),
            ("links that lead back to a folder they lie in", names["loop"]),
        )
        if which
    ]
    known = {"path": kept, **({"class": classes} if with_classes else {})}
    columns = pd.DataFrame({name: list(map(_shown, values)) for name, values in known.items()})
    targets = pd.DataFrame({"class": named_classes(columns["class"].tolist())}) if with_classes else None
    return Found([str(Path(path) / name) for name in kept], columns, targets, said=said)


def _shown(name: str) -> str:
    """Return a name as text, with what is not UTF-8 in it by its bytes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _ending(name: str) -> str:
    return Path(name).suffix.lower()


def _names(folder: Path) -> list[str]:
    """Return what lies in a folder, in order, without hidden files.

    Raises:
        DataError: it can't be read.
    """
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except OSError as cause:
        raise DataError(f"Folders of images can be read. {folder} can't: {cause.strerror}.") from cause


def _walk(folder: Path, above: tuple[tuple[int, int], ...]) -> Iterator[tuple[Path, Kind]]:
    """Give all that lies below a folder in order, and what each is."""
    status = folder.stat()
    above = (*above, (status.st_dev, status.st_ino))
    for name in _names(folder):
        path = folder / name
        if not path.is_dir():
            yield path, "file"
        elif ((status := path.stat()).st_dev, status.st_ino) in above:
            yield path, "loop"
        else:
            yield path, "folder"
            yield from _walk(path, above)


def find_splits(path: str | None) -> dict[str, str]:
    """Return the folders that are for the splits, where the subfolders of a folder are called so; else nothing.

    Raises:
        DataError: two are for the same split.
    """
    if path is None or not Path(path).is_dir():
        return {}
    names = [name for name in _names(Path(path)) if (Path(path) / name).is_dir()]
    splits = {name: SPELLINGS.get(name.lower()) for name in names}
    if None in splits.values() or "train" not in splits.values():
        return {}
    found: dict[str, str] = {}
    for split in SPLITS:
        folders = [str(Path(path) / name) for name in names if splits[name] == split]
        if len(folders) > 1:
            raise DataError(f"A split is one folder. For {split} there are: {', '.join(folders)}.")
        if folders:
            found[split] = folders[0]
    return found


def listed(names: Iterable[str]) -> str:
    """Return the first of some names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
