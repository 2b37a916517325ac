"""Where data comes from, how it is split, encoded, batched and augmented.

What all sources share lies here: `base` (from rows to loaders), `splits`, `targets`, `findings`, `loader`; the
sources lie by kind in `tables`, `images`, `arrays`, `texts` and `streams` (what does not fit in memory).

To add a source: write a subclass of `lightlab.data.base.Data` whose ``load`` returns rows, and name it here; splits,
encoding, checks and loaders come with the base class.

The names are imported when they are first used, so that augmentations and splits can be had without what sources need.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lightlab.data.arrays.array import ArrayData
    from lightlab.data.base import Data
    from lightlab.data.bundled import BundledData
    from lightlab.data.images.image_folder import ImageFolderData
    from lightlab.data.images.torchvision_data import TorchvisionData
    from lightlab.data.rows import Rows
    from lightlab.data.streams.iterable import IterableData
    from lightlab.data.streams.parquet import ParquetStream
    from lightlab.data.streams.shards import ImageShards
    from lightlab.data.synthetic import SyntheticData
    from lightlab.data.tables.table import TableData
    from lightlab.data.texts.text import TextData

__all__ = [
    "ArrayData",
    "BundledData",
    "Data",
    "ImageFolderData",
    "ImageShards",
    "IterableData",
    "ParquetStream",
    "Rows",
    "SyntheticData",
    "TableData",
    "TextData",
    "TorchvisionData",
]

_HOMES = {
    "lightlab.data.arrays.array": ("ArrayData",),
    "lightlab.data.base": ("Data",),
    "lightlab.data.bundled": ("BundledData",),
    "lightlab.data.images.image_folder": ("ImageFolderData",),
    "lightlab.data.images.torchvision_data": ("TorchvisionData",),
    "lightlab.data.rows": ("Rows",),
    "lightlab.data.streams.iterable": ("IterableData",),
    "lightlab.data.streams.parquet": ("ParquetStream",),
    "lightlab.data.streams.shards": ("ImageShards",),
    "lightlab.data.synthetic": ("SyntheticData",),
    "lightlab.data.tables.table": ("TableData",),
    "lightlab.data.texts.text": ("TextData",),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'lightlab.data' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
