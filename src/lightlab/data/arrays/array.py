"""Arrays: vectors, sequences, images and volumes, in NumPy's files and HDF5, or from Python."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from lightlab.data.arrays.learn import check_array, learn_array, refuse_rows
from lightlab.data.arrays.read_array import ZIPPED, ArrayFile, ArrayPlace, find_arrays, to_tensor
from lightlab.data.base import say
from lightlab.data.files import FileData
from lightlab.data.rows import Rows, Stored
from lightlab.data.tables.columns import check_precision
from lightlab.data.targets import named_classes
from lightlab.data_spec import InputSpec
from lightlab.errors import ConfigError, DataError, did_you_mean, sentences

#: What single precision holds as it is.
EXACT = ("bool", "uint8", "int8", "uint16", "int16", "float16", "float32")


class ArrayData(FileData):
    """Arrays of numbers in .npy, .npz and HDF5 files; `from_arrays` takes NumPy's arrays and torch's tensors.

    Inputs are of rank 2 (rows, features) to 5 (rows, channels, depth, height, width), with the channels first.
    Targets are of shape (rows,), numbers or the names of classes, or (rows, outputs). Arrays of Python objects are
    refused, as reading them could run any code. What is larger than 2 GiB stays in its file, unless that is .npz, and
    is read a batch at a time.

    Args:
        path: the file whose rows are split.
        inputs: what the array of inputs is called in an .npz or HDF5 file, as in ``group/x``.
        targets: likewise that of targets.
        ids: likewise that of what rows are called in predictions.
        target_path: the file of the targets, where that is another: an .npy file holds but one array.
        train_target_path: likewise beside ``train_path``.
        val_target_path: likewise beside ``val_path``.
        test_target_path: likewise beside ``test_path``.
        channels_last: whether the inputs have their channels in the last dimension; they are moved.
        image: whether inputs are images, of type uint8 or with values from 0 to 1, so that ``augment`` may change
            colours.
        options: those of `lightlab.data.files.FileData`: files for each split, or to predict, and all its own. A
            column to split by is an array of the same file.

    Raises:
        ConfigError: paths that contradict each other.

    Example:
        >>> generator = np.random.default_rng(0)
        >>> signals, kinds = generator.normal(size=(100, 2, 16)), generator.choice(["low", "high"], 100)
        >>> data = ArrayData.from_arrays(signals, kinds)
        >>> spec = data.connect("binary")
        >>> spec.input.shape, spec.target.classes
        ((2, 16), ('high', 'low'))
    """

    #: Arrays of more bytes than this stay in their file.
    largest: ClassVar[int] = 2 << 30

    def __init__(
        self,
        path: str | None = None,
        inputs: str = "x",
        targets: str = "y",
        ids: str | None = None,
        target_path: str | None = None,
        train_target_path: str | None = None,
        val_target_path: str | None = None,
        test_target_path: str | None = None,
        channels_last: bool = False,
        image: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(path, **options)
        given = {"all": target_path, "train": train_target_path, "val": val_target_path, "test": test_target_path}
        self.target_paths = {split: beside for split, beside in given.items() if beside}
        for split in self.target_paths.keys() - self.paths.keys():
            option = "path" if split == "all" else f"{split}_path"
            raise ConfigError.at(("data", option.replace("path", "target_path")), f"It goes with {option}, not given.")
        self.inputs = inputs
        self.targets = targets
        self.ids = ids
        self.channels_last = channels_last
        self.image = image
        self.arrays: dict[str, dict[str, np.ndarray[Any, Any]]] = {}

    @classmethod
    def from_arrays(
        cls,
        x: Any = None,
        y: Any = None,
        *,
        columns: Mapping[str, Any] | None = None,
        train: tuple[Any, Any] | None = None,
        val: tuple[Any, Any] | None = None,
        test: tuple[Any, Any] | None = None,
        predict: Any = None,
        **options: Any,
    ) -> Self:
        """Return the data of arrays or tensors.

        Args:
            x: the inputs whose rows are split, (rows, …).
            y: their targets, (rows,) or (rows, outputs).
            columns: what ``split`` and ``ids`` name, by name, (rows,) each.
            train: in place of ``x`` and ``y``, inputs and targets of each split.
            val: likewise.
            test: likewise; beside ``x``, what to test on instead of a share of it.
            predict: inputs to predict.
            options: those of `ArrayData`.

        Raises:
            DataError: what is no array.
        """
        pairs = {
            "all": None if x is None else (x, y),
            "train": train,
            "val": val,
            "test": test,
            "predict": None if predict is None else (predict, None),
        }
        given = {split: pair for split, pair in pairs.items() if pair is not None}
        paths: dict[str, Any] = {"path" if split == "all" else f"{split}_path": f"arrays {split}" for split in given}
        data = cls(**paths, **options)
        for split, (inputs, targets) in given.items():
            named = {data.inputs: inputs, data.targets: targets, **((columns or {}) if split == "all" else {})}
            data.arrays[f"arrays {split}"] = {
                name: _as_numpy(value, name) for name, value in named.items() if value is not None
            }
        return data

    def adapt(self, spec: InputSpec) -> None:
        """Take over from a trained model whether inputs are images."""
        self.image = spec.kind == "image"

    def load(self, stage: str) -> dict[str, Rows]:
        """Return the rows of each file; in the stage predict of ``predict_path`` alone, where there is one.

        Raises:
            DataError: a file that can't be read, or lacks an array that was named.
        """
        return {split: self._rows(split, path) for split, path in self.wanted(stage).items()}

    def learn_input(self, rows: Rows) -> InputSpec:
        """Learn how each channel is normalised.

        Raises:
            DataError: what is to be images is not.
        """
        if not self.image:
            return learn_array(rows, self.normalize)
        shape = tuple(rows.inputs.shape)
        if len(shape) != 4 or shape[1] not in (1, 3, 4):
            raise DataError(
                f"Images are (rows, channels, height, width) with 1, 3 or 4 channels. Received from {rows.source}: "
                f"{shape}. Set data.channels_last if the channels are last, or leave data.image out."
            )
        return learn_array(rows, self.normalize, "image", 1.0 if _has_fractions(rows) else 255.0)

    def encode_input(self, rows: Rows, spec: InputSpec) -> Tensor | Stored:
        """Return the arrays, (rows, *spec.shape).

        Raises:
            DataError: they are not what the model was trained on.
        """
        if spec.kind not in ("array", "image"):
            raise DataError(f"The model takes inputs of kind {spec.kind}. Received: arrays, from {rows.source}.")
        inputs = check_array(rows, spec)
        if spec.kind == "image" and _has_fractions(rows) != (spec.high == 1.0):
            wanted = "numbers from 0 to 1" if spec.high == 1.0 else f"whole numbers from 0 to {spec.high:g}"
            raise DataError(f"The model takes pixels that are {wanted}. Received others from {rows.source}.")
        return inputs

    # From arrays to rows

    def _rows(self, split: str, path: str) -> Rows:
        arrays = self._arrays_of(split, path)
        inputs = self._read_inputs(_choose(arrays, self.inputs, path, "Set data.inputs."), path)
        columns = self.split.columns if split == "all" else []
        return Rows(
            inputs,
            self._read_targets(arrays, path, len(inputs), needed=split != "predict"),
            np.arange(len(inputs)) if self.ids is None else _read_column(arrays, self.ids, path, len(inputs)),
            path,
            self.ids or "id",
            columns=pd.DataFrame({name: _read_column(arrays, name, path, len(inputs)) for name in columns})
            if columns
            else None,
        )

    def _arrays_of(self, split: str, path: str) -> dict[str, Any]:
        """Return the arrays that belong to a split, by name: in memory, or where they are stored."""
        if path in self.arrays:
            return dict(self.arrays[path])
        arrays = {name or self.inputs: array for name, array in find_arrays(path).items()}
        if beside := self.target_paths.get(split):
            targets = {name or self.targets: array for name, array in find_arrays(beside).items()}
            arrays[self.targets] = _choose(targets, self.targets, beside, "Set data.targets.")
        return arrays

    def _read_inputs(self, array: Any, path: str) -> Tensor | ArrayFile:
        """Return inputs with the channels first.

        Raises:
            DataError: they are no numbers, of another rank, or not finite.
        """
        if not isinstance(array, ArrayPlace):
            tensor = self._in_memory(array, f"{self.inputs!r} of {path}")
            shared = np.may_share_memory(tensor.numpy(), array)  # which people may go on to change
            return tensor.clone() if shared else tensor
        with array.open() as opened:
            shape = self._check_inputs(opened, str(array))
            size = int(np.prod(opened.shape)) * opened.dtype.itemsize
            if array.path.lower().endswith(ZIPPED):  # by now it is unpacked
                return self._in_memory(opened, str(array))
            unit = self.image and opened.dtype != np.uint8
        if size <= self.largest:
            return self._in_memory(array.read(), str(array))
        say(f"stored: {array}, {size / (1 << 30):.1f} GiB, is read a batch at a time")
        return ArrayFile(array, np.arange(shape[0]), shape[1:], self.channels_last, unit)

    def _in_memory(self, array: np.ndarray[Any, Any], name: str) -> Tensor:
        self._check_inputs(array, name)
        tensor = to_tensor(array, self.channels_last)
        refuse_rows(tensor, np.arange(len(tensor)), name, unit=self.image)
        if array.dtype.name not in EXACT:
            rows = Rows(tensor, None, np.arange(len(tensor)), name)
            channels = np.moveaxis(array, -1 if self.channels_last else 1, 0)
            for place, values in enumerate(channels):
                check_precision(rows, str(place), values.astype(np.float64).ravel())
        return tensor

    def _check_inputs(self, array: Any, name: str) -> tuple[int, ...]:
        """Return the shape of inputs with the channels first, if they can be inputs."""
        shape = tuple(array.shape or ())  # HDF5 has arrays without one
        if array.dtype.kind not in "biuf":
            raise DataError(f"Inputs are numbers. Received: {name}, of type {array.dtype}.")
        if not 2 <= len(shape) <= 5 or 0 in shape:
            one = " A single feature is of shape (rows, 1)." if len(shape) == 1 else ""
            raise DataError(
                "Inputs are of rank 2 (rows, features) to 5 (rows, channels, depth, height, width), and not empty. "
                f"Received: {name}, of shape {shape}.{one}"
            )
        if not self.channels_last:
            return shape
        if len(shape) == 2:
            raise DataError(f"With data.channels_last inputs are of rank 3 to 5. Received: {name}, of shape {shape}.")
        return shape[0], shape[-1], *shape[1:-1]

    def _read_targets(self, arrays: dict[str, Any], path: str, rows: int, needed: bool) -> pd.DataFrame | None:
        if not needed and self.targets not in arrays:
            return None
        hint = "Set data.targets, or data.target_path if they are in another file."
        values = _read_values(_choose(arrays, self.targets, path, hint), self.targets, path, rows)
        if values.ndim == 2 and values.shape[1] > 1:
            table = pd.DataFrame(values, columns=[f"y{place}" for place in range(values.shape[1])])
        elif values.size == rows:
            table = pd.DataFrame({"y": values.reshape(rows)})
        else:
            raise DataError(
                f"Targets are of shape (rows,) or (rows, outputs). Received: {self.targets!r} of {path}, of shape "
                f"{values.shape}."
            )
        if values.dtype.kind == "U":
            return table.apply(lambda column: pd.Series(named_classes(column.tolist())))
        return table.where(table != "") if values.dtype.kind == "O" else table


def _as_numpy(value: Any, name: str) -> np.ndarray[Any, Any]:
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = (value.float() if value.dtype == torch.bfloat16 else value).numpy()
    if np.ma.is_masked(value):
        raise DataError(f"Arrays have a value everywhere. Received: {name!r} with a mask.")
    try:
        return np.asarray(value)
    except ValueError as cause:
        raise DataError(f"{name!r} is no array: {cause}.") from cause


def _choose(arrays: dict[str, Any], name: str, path: str, hint: str) -> Any:
    """Return the array of a name.

    Raises:
        DataError: there is none; with the nearest, or those that there are.
    """
    if name in arrays:
        return arrays[name]
    near = did_you_mean(name, arrays) or f"There are: {', '.join(arrays)}." if arrays else "It has none."
    raise DataError(sentences(f"{path} has no array {name!r}.", near, hint))


def _read_column(arrays: dict[str, Any], name: str, path: str, rows: int) -> np.ndarray[Any, Any]:
    values = _read_values(_choose(arrays, name, path, ""), name, path, rows)
    if values.ndim != 1:
        raise DataError(f"What rows are split or named by is of shape (rows,). Received: {name!r}, {values.shape}.")
    return values


def _read_values(array: Any, name: str, path: str, rows: int) -> np.ndarray[Any, Any]:
    """Return numbers or text, one of each for each row.

    Raises:
        DataError: there are more or fewer, or they are something else.
    """
    values = array.read() if isinstance(array, ArrayPlace) else array
    if values.ndim == 0 or len(values) != rows:
        raise DataError(
            f"Inputs and targets, and all that rows are split by, have as many rows. Received from {path}: inputs of "
            f"{rows} rows, and {name!r} of shape {values.shape}."
        )
    if values.dtype.kind == "S":
        try:
            values = np.char.decode(values, "utf-8")
        except UnicodeDecodeError as cause:
            raise DataError(f"Text is in UTF-8. Received in {name!r} of {path}: {cause}.") from cause
    values = values.astype(values.dtype.newbyteorder("="))
    is_text = values.dtype.kind == "U" or pd.api.types.infer_dtype(values.ravel()) == "string"
    if not is_text and values.dtype.kind not in "biuf":
        raise DataError(f"Targets are numbers or text. Received: {name!r} of {path}, of type {values.dtype}.")
    return values


def _has_fractions(rows: Rows) -> bool:
    """Return whether pixels are numbers from 0 to 1, rather than whole numbers."""
    first = rows.inputs[np.arange(1)] if isinstance(rows.inputs, Tensor | Stored) else None
    return first is not None and first.is_floating_point()
