"""Where data comes from, how it is split, encoded, batched and augmented.

What all sources share lies here: `base` (from rows to loaders), `splits`, `targets`, `findings`, `loader`; the
sources lie by kind in `tables`, `images`, `arrays`, `texts` and `streams` (what does not fit in memory).

To add a source: write a subclass of `lightlab.data.base.Data` whose ``load`` returns rows, and name it here; splits,
encoding, checks and loaders come with the base class.
"""

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
