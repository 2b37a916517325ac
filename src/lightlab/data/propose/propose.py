"""Looking at a file or folder of data, and deciding how it is read: `lightlab init`.

To have another source proposed: write a function from path and targets to a `Proposal`, and name it in `_choose`.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from contextlib import redirect_stdout
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from lightlab.data.arrays.array import ArrayData
from lightlab.data.arrays.read_array import HDF5, NUMPY, ZIPPED, ArrayPlace, find_arrays
from lightlab.data.base import Data
from lightlab.data.files import check_columns
from lightlab.data.images.files import ENDINGS
from lightlab.data.images.image_folder import ImageFolderData
from lightlab.data.images.stored import Images
from lightlab.data.propose.columns import (
    TARGET_NAMES,
    find_date_forms,
    find_faults,
    find_form,
    find_image_column,
    find_prose,
    guess_target,
    is_identifier,
)
from lightlab.data.rows import Rows
from lightlab.data.streams.parquet import ParquetStream
from lightlab.data.streams.shards import ImageShards
from lightlab.data.streams.source import find_files
from lightlab.data.tables.columns import ID_NAME
from lightlab.data.tables.features import list_first
from lightlab.data.tables.read_table import PARQUET, TABS, read_header, read_table, without_index
from lightlab.data.tables.table import TableData
from lightlab.data.texts.text import TextData
from lightlab.data_spec import DataSpec
from lightlab.errors import DataError, did_you_mean, sentences

TEXTS = (".csv", ".txt", *TABS)
ARRAYS = (*NUMPY, *ZIPPED, *HDF5)
INPUT_NAMES = ("x", "inputs", "input", "data", "images", "image", "features", "samples")
#: Parquet files of more bytes in memory than this are read as a stream.
LARGEST = 2 << 30
#: Images of several sizes are brought to the largest of these that most of them have.
SIDES = (16, 32, 64, 96, 128, 224)
#: So many rows of what does not fit in memory are looked at.
LOOKED_AT = 10_000


@dataclass
class Proposal:
    """How data is to be read, and what was seen when it was.

    Attributes:
        source: the class.
        options: what it is given.
        reasons: why, for options that need a word.
        guessed: what was guessed of the target, in words; empty where it was given.
        data: connected.
        spec: what it holds.
        said: what it printed.
    """

    source: type[Data]
    options: dict[str, Any]
    reasons: dict[str, str] = field(default_factory=dict)
    guessed: str = ""
    data: Data = field(init=False)
    spec: DataSpec = field(init=False)
    said: list[str] = field(default_factory=list)

    def add(self, name: str, value: Any, reason: str) -> None:
        """Set an option."""
        self.options[name] = value
        self.reasons[name] = reason

    def connect(self) -> None:
        """Read the data as it is proposed.

        Raises:
            DataError: it can't be used so.
        """
        printed = io.StringIO()
        try:
            with redirect_stdout(printed):
                self.data = self.source(**self.options)
                self.data.setup("fit")
                self.spec = self.data.connect(None)
        except DataError as error:
            ignored = f"Left out before: {self.reasons['ignore']}." if "ignore" in self.options else ""
            raise type(error)(sentences(str(error), self.guessed and f"({self.guessed}).", ignored)) from error
        self.said = printed.getvalue().splitlines()


def propose(path: str, targets: list[str]) -> Proposal:
    """Look at data, and decide how to read it.

    Args:
        path: a table, a file of arrays, or a folder of images, Parquet files or shards.
        targets: what to predict; empty to guess it.

    Raises:
        DataError: nothing is there, or nothing that can be used, or it has no such target.
    """
    proposal = _choose(path)(path, targets)
    proposal.connect()
    return proposal


def _choose(path: str) -> Callable[[str, list[str]], Proposal]:
    """Return what proposes for such a path."""
    given = Path(path)
    if given.is_dir():
        return _choose_for_folder(given)
    ending = given.suffix.lower()
    known = {**dict.fromkeys(TEXTS, _table), **dict.fromkeys(PARQUET, _parquet), **dict.fromkeys(ARRAYS, _arrays)}
    known[".tar"] = _shards
    if not given.is_file():
        others = [str(other) for other in given.parent.iterdir()] if given.parent.is_dir() else []
        raise DataError(
            sentences(f"init looks at a file or folder. There is none at {path}.", did_you_mean(path, others))
        )
    if ending not in known:
        raise DataError(f"init looks at files that end in {', '.join(known)}, and at folders. Received: {path}.")
    if not given.stat().st_size:
        raise DataError(f"init looks at what a file holds. {path} is empty.")
    return known[ending]


def _choose_for_folder(folder: Path) -> Callable[[str, list[str]], Proposal]:
    kinds: dict[str, Callable[[str, list[str]], Proposal]] = dict.fromkeys(ENDINGS, _images)
    kinds |= {**dict.fromkeys(PARQUET, _parquet), ".tar": _shards}
    for file in folder.rglob("*"):
        if file.suffix.lower() in kinds and file.is_file() and not file.name.startswith("."):
            return kinds[file.suffix.lower()]
    raise DataError(
        f"init looks at folders of images (in a folder for each class), of Parquet files or of .tar shards. {folder} "
        f"has none of them."
    )


# Tables


def _table(path: str, targets: list[str]) -> Proposal:
    form, options, reasons = find_form(path)
    # Numbers are as fit has them; what names rows may be longer than they can be.
    table = read_table(path, form, [name for name in read_header(path, form) if ID_NAME.search(name)])
    options = {"path": path, **options}
    if pictures := find_image_column(table, Path(path).parent):
        proposal = Proposal(ImageFolderData, options, reasons)
        proposal.add("image_column", pictures, "the column with the paths of the images")
        _add_target(proposal, path, table.drop(columns=pictures), targets)
        return _fit_images(proposal)
    return _propose_table(path, targets, table, Proposal(TableData, options, reasons))


def _parquet(path: str, targets: list[str]) -> Proposal:
    files = find_files(path, PARQUET)
    if Path(path).is_file() and _size(files) <= LARGEST:
        return _propose_table(path, targets, read_table(path), Proposal(TableData, {"path": path}))
    with pq.ParquetFile(files[0]) as opened:
        head = next(opened.iter_batches(LOOKED_AT), None)
    if head is None:
        raise DataError(f"A table has rows. {files[0]} has none.")
    proposal = Proposal(ParquetStream, {"path": path})
    proposal.reasons["path"] = "read in parts, again in every epoch, since it may not fit in memory"
    return _propose_table(path, targets, without_index(head.to_pandas(ignore_metadata=True), path), proposal)


def _size(files: Iterable[Path]) -> int:
    """Return how many bytes Parquet files take when they are unpacked."""
    size = 0
    for file in files:
        try:
            metadata = pq.read_metadata(file)
        except (pa.ArrowException, OSError) as cause:
            raise DataError(f"{file} can't be read as Parquet: {str(cause).rstrip('.')}.") from cause
        size += sum(metadata.row_group(group).total_byte_size for group in range(metadata.num_row_groups))
    return size


def _propose_table(path: str, targets: list[str], table: pd.DataFrame, proposal: Proposal) -> Proposal:
    """Decide what the columns of a table are for."""
    targets = _add_target(proposal, path, table, targets)
    inputs = table[[name for name in table if name not in targets]]
    if proposal.source is TableData and (prose := find_prose(inputs)):
        proposal.source = TextData
        proposal.add("text", prose, "the column of texts; other columns are not used")
        return proposal
    identifier = next((name for name in map(str, inputs) if is_identifier(inputs[name], name)), None)
    if identifier:
        proposal.add("id_column", identifier, "names the rows in predictions; it is no input")
    rows = Rows(inputs.drop(columns=filter(None, [identifier])), None, np.arange(len(table)), path)
    _add_roles(proposal, rows)
    texts = inputs.select_dtypes(exclude="number").astype(str)
    if bool(inputs.isna().to_numpy().any()) or bool((texts == "").to_numpy().any()):
        proposal.add(
            "missing_numbers",
            "median",
            "a missing number becomes the median of train, and one more input says that it was missing; or mean, error",
        )
        proposal.add("missing_categories", "category", "a missing category is a category of its own; or error")
    return proposal


def _add_target(proposal: Proposal, path: str, table: pd.DataFrame, targets: list[str]) -> list[str]:
    """Set the target, and return its columns; it is guessed where none is given."""
    check_columns(table, path, targets)
    if not targets:
        name, why = guess_target(table)
        targets = [name]
        proposal.guessed = f"target {name!r} was guessed: {why}"
    proposal.add("target", targets[0] if len(targets) == 1 else targets, "what to predict")
    return targets


def _add_roles(proposal: Proposal, rows: Rows) -> None:
    """Set the dates and the columns to ignore: those that would be an error."""
    assert isinstance(rows.inputs, pd.DataFrame)
    found = {name: fitting for name in map(str, rows.inputs) if (fitting := find_date_forms(rows.inputs[name]))}
    forms = {name: fitting[0] for name, fitting in found.items()}
    if forms:
        others = list_first(f"{name} may be {fitting[1]}, too" for name, fitting in found.items() if len(fitting) > 1)
        how = "columns of dates, and how they are written: d day, m month, Y year"
        proposal.add("dates", forms, "; ".join([how, *others]))
    faults = find_faults(replace(rows, inputs=rows.inputs.drop(columns=list(forms))))
    if faults:
        why = "; ".join(list_first(f"{name}: {fault}" for name, fault in faults.items()))
        proposal.add("ignore", list(faults), f"what can't be used as it is. {why}")


# Images


def _images(path: str, targets: list[str]) -> Proposal:
    if targets:
        raise DataError(f"--target names a column. In {path}, a folder of images, the folders are the classes.")
    return _fit_images(Proposal(ImageFolderData, {"path": path}, {"path": "a folder for each class"}))


def _fit_images(proposal: Proposal) -> Proposal:
    """Decide on the size of images, and on those that can't be read."""
    looked = {**proposal.options, "size": SIDES[0], "unreadable": "skip", "memory_limit": 0}
    with redirect_stdout(io.StringIO()):
        loaded = ImageFolderData(**looked).load("fit")
    images = [rows.inputs for rows in loaded.values() if isinstance(rows.inputs, Images)]
    seen = pd.concat([each.seen for each in images])
    sizes = seen[["height", "width"]].drop_duplicates()
    height, width = sizes.to_numpy()[0].tolist()
    if len(sizes) > 1 or max(height, width) > SIDES[-1]:
        side = choose_side(seen["height"].tolist(), seen["width"].tolist())
        what = f"{len(sizes)} different sizes" if len(sizes) > 1 else f"{height} × {width} pixels"
        proposal.add("size", side, f"height and width that all images are brought to; they have {what}")
    if left := sum(len(each.reader) for each in images) - len(seen):
        proposal.add("unreadable", "skip", f"{left} images can't be read, and are left out; or error")
    return proposal


def choose_side(heights: list[int], widths: list[int]) -> int:
    """Return the side of the square that images are brought to: no larger than what half of them have.

    >>> choose_side([100, 140, 300], [100, 150, 200])
    128
    """
    middle = float(np.median(np.minimum(heights, widths)))
    return max((side for side in SIDES if side <= middle), default=SIDES[0])


def _shards(path: str, targets: list[str]) -> Proposal:
    if len(targets) > 1:
        raise DataError(f"Shards have one target: the key of each sample's JSON. Received: {', '.join(targets)}.")
    proposal = Proposal(ImageShards, {"path": path})
    if targets:
        proposal.add("target_key", targets[0], "the key of the target in each sample's JSON")
    proposal.add("size", SIDES[2], "height and width that all images are brought to")
    return proposal


# Arrays


def _arrays(path: str, targets: list[str]) -> Proposal:
    if len(targets) > 1:
        raise DataError(f"A file of arrays has one array of targets. Received: {', '.join(targets)}.")
    arrays = find_arrays(path)
    proposal = Proposal(ArrayData, {"path": path})
    if path.lower().endswith(NUMPY):
        inputs = arrays[""]
        _add_target_file(proposal, Path(path), targets)
    else:
        target = targets[0] if targets else _named(arrays, TARGET_NAMES)
        if target is None or target not in arrays:
            near = did_you_mean(target, arrays) if target else "Name the one to predict with --target."
            what = (
                f"No array of {path} is called {target!r}." if target else f"No array of {path} is called y or target."
            )
            raise DataError(sentences(what, f"There are: {', '.join(arrays)}.", near))
        others = {name: array for name, array in arrays.items() if name != target}
        name = _named(others, INPUT_NAMES) or next(iter(others), None)
        if name is None:
            raise DataError(f"A file has an array of inputs beside that of targets. {path} has but {target!r}.")
        inputs = arrays[name]
        proposal.add("inputs", name, "the array of inputs")
        proposal.add("targets", target, "the array to predict")
        proposal.guessed = "" if targets else f"target {target!r} was guessed: by its name"
    _add_layout(proposal, inputs)
    return proposal


def _named(names: Iterable[str], wanted: Iterable[str]) -> str | None:
    by_last = {name.rsplit("/", 1)[-1].casefold(): name for name in names}
    return next((by_last[name] for name in wanted if name in by_last), None)


def _add_target_file(proposal: Proposal, path: Path, targets: list[str]) -> None:
    """Find the file beside an .npy file that holds its targets."""
    beside = {file.stem.casefold(): str(file) for file in path.parent.glob("*.npy") if file.name != path.name}
    found = targets[0] if targets else next((beside[name] for name in TARGET_NAMES if name in beside), None)
    if found is None:
        raise DataError(
            f"An .npy file holds one array. Name the file of the targets of {path} with --target, as in y.npy."
        )
    proposal.add("target_path", found, "the file of what to predict")
    proposal.guessed = "" if targets else f"target file {found!r} was guessed: by its name"


def _add_layout(proposal: Proposal, place: ArrayPlace) -> None:
    """Say where the channels are, and whether arrays are images."""
    with place.open() as opened:
        shape, some = tuple(opened.shape), np.asarray(opened[:LOOKED_AT])
    if len(shape) != 4:
        return
    last = shape[3] in (1, 3, 4) and shape[1] not in (1, 3, 4)
    if last:
        proposal.add("channels_last", True, f"the arrays are {' × '.join(map(str, shape[1:]))}")
    if shape[3 if last else 1] not in (1, 3, 4):
        return
    if some.dtype == np.uint8 or (some.dtype.kind == "f" and some.min() >= 0 and some.max() <= 1):
        proposal.add("image", True, "the values are those of pixels")
