"""Arrays in files: NumPy's .npy and .npz, and HDF5."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightlab.data.arrays.learn import refuse_rows
from lightlab.data.rows import Places, Rows, Stored
from lightlab.data.tables.read_table import find_file
from lightlab.errors import DataError

NUMPY, ZIPPED, HDF5 = (".npy",), (".npz",), (".h5", ".hdf5", ".hdf")
#: So many stored samples are read at once where all of them are looked at.
READ_AT_ONCE = 256
#: Rows that lie so near to each other are read with what lies between them: that is faster than one by one.
NEAR = 4


@dataclass(frozen=True)
class ArrayPlace:
    """Where an array is stored.

    Attributes:
        path: of its file.
        name: in the file; empty in a .npy file, which holds but one.
    """

    path: str
    name: str = ""

    def __str__(self) -> str:
        return f"{self.name!r} of {self.path}" if self.name else self.path

    @contextmanager
    def open(self) -> Iterator[Any]:
        """Give the array as something with a shape and a dtype that is read when it is indexed.

        It is opened for each reading: so nothing is left open that processes could share by mistake.

        Raises:
            DataError: it can't be read, or holds Python objects, which could run any code.
        """
        with _reading(self.path):
            if self.path.lower().endswith(HDF5):
                import h5py

                with h5py.File(self.path) as file:
                    dataset = file[self.name]
                    _check_own(dataset)
                    yield dataset.asstr("utf-8") if h5py.check_string_dtype(dataset.dtype) else dataset
            elif self.path.lower().endswith(ZIPPED):
                with _open_zipped(self.path) as file:
                    yield np.asarray(file[self.name])
            else:
                yield _open_npy(self.path)

    def read(self) -> np.ndarray[Any, Any]:
        """Return the whole array, in memory of its own."""
        with self.open() as array:
            if isinstance(array, np.memmap):  # what is read of one counts as the process' memory, beside its copy
                return np.asarray(np.load(self.path, allow_pickle=False))
            return np.asarray(array[...])


def find_arrays(path: str) -> dict[str, ArrayPlace]:
    """Return the arrays of a file by their names; that of a .npy file has none.

    Raises:
        DataError: no such file, or none that holds arrays.
    """
    find_file(path, "Arrays are read from an .npy, .npz or HDF5 file")
    ending = path.lower()
    if not ending.endswith((*NUMPY, *ZIPPED, *HDF5)):
        known = ", ".join((*NUMPY, *ZIPPED, *HDF5))
        raise DataError(f"A file of arrays ends in {known}. Received: {path}.")
    if ending.endswith(NUMPY):
        return {"": ArrayPlace(path)}
    names: list[str] = []
    with _reading(path):
        if ending.endswith(ZIPPED):
            with _open_zipped(path) as file:
                names = list(file.files)
        else:
            import h5py

            with h5py.File(path) as file:
                file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return {name: ArrayPlace(path, name) for name in names}


def _check_own(dataset: Any) -> None:
    """See to it that all of a data set lies in its file: one of a stranger's is not to have any other file read.

    Raises:
        ValueError: it is put together of other files.
    """
    if dataset.is_virtual or dataset.external:
        raise ValueError(f"its array {dataset.name.removeprefix('/')!r} lies in another file, which it only names")


@contextmanager
def _reading(path: str) -> Iterator[None]:
    """Say which file can't be read."""
    try:
        yield
    except (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as cause:
        raise DataError(f"{path} can't be read: {str(cause).strip() or type(cause).__name__}.") from cause


@contextmanager
def _open_zipped(path: str) -> Iterator[Any]:
    # NumPy leaves a file that it opened by itself open where it can't read it.
    with open(path, "rb") as stream:
        file = np.load(stream, allow_pickle=False)
        if isinstance(file, np.ndarray):
            raise ValueError("it is one array, which belongs in an .npy file")
        with file:
            yield file


def _open_npy(path: str) -> Any:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise ValueError("it is an archive of arrays, which belongs in an .npz file")
    return array


def to_tensor(values: np.ndarray[Any, Any], channels_last: bool = False) -> Tensor:
    """Return an array as a tensor, (rows, channels, …): of type uint8 as it is, of others in single precision.

    Args:
        values: numbers or booleans, (rows, …). The tensor has the same memory where it can.
        channels_last: whether the channels are its last dimension.
    """
    if channels_last:
        values = np.moveaxis(values, -1, 1)
    with np.errstate(over="ignore"):  # what becomes infinite is found with all that is
        values = np.asarray(values, dtype=np.uint8 if values.dtype == np.uint8 else np.float32, order="C")
    return torch.from_numpy(values)


class ArrayFile(Stored):
    """Samples in an array that is too large for memory.

    Args:
        array: where it is stored.
        places: which of its rows these are, in order.
        shape: of one sample, channels first.
        channels_last: whether the file has the channels last.
        unit: whether values must lie between 0 and 1.
    """

    def __init__(
        self, array: ArrayPlace, places: Places, shape: tuple[int, ...], channels_last: bool = False, unit: bool = False
    ) -> None:
        super().__init__(places, shape)
        self.array = array
        self.channels_last = channels_last
        self.unit = unit

    def take(self, places: Places) -> ArrayFile:
        """Return those at these places, unread."""
        return ArrayFile(self.array, self.places[places], self.sample_shape, self.channels_last, self.unit)

    def read(self, stored: Places) -> Tensor:
        """Read samples by where they are stored, in any order and as often as they are asked for, (samples, …).

        Raises:
            DataError: the file can't be read, or holds what is not finite.
        """
        distinct, back = np.unique(stored, return_inverse=True)  # HDF5 reads rows in order, and once
        with self.array.open() as array:
            first, end = int(distinct[0]), int(distinct[-1]) + 1
            near = end - first <= NEAR * len(distinct)
            values = array[first:end][distinct - first] if near else array[distinct]
        samples = to_tensor(values, self.channels_last)
        refuse_rows(samples, distinct, str(self.array), self.unit)
        return samples[torch.from_numpy(back)]

    def fingerprints(self) -> np.ndarray[Any, np.dtype[np.uint64]]:
        """Return a number for each sample that is the same for samples of the same content, (rows,)."""
        parts = np.split(np.arange(len(self)), range(READ_AT_ONCE, len(self), READ_AT_ONCE))
        return np.concatenate([Rows(self[part], None, part, self.array.path).fingerprints() for part in parts])
