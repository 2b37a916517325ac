"""Where data comes from, how it is split, encoded and batched.

To add a source: write a subclass of `lightlab.data.base.Data` whose ``load`` returns rows, in a file of its own,
and name it here; splits, encoding, checks and loaders come with the base class.
"""

from lightlab.data.array import ArrayData
from lightlab.data.base import Data
from lightlab.data.bundled import BundledData
from lightlab.data.image_folder import ImageFolderData
from lightlab.data.iterable import IterableData
from lightlab.data.parquet_stream import ParquetStream
from lightlab.data.rows import Rows
from lightlab.data.shards import ImageShards
from lightlab.data.synthetic import SyntheticData
from lightlab.data.table import TableData
from lightlab.data.text import TextData
from lightlab.data.torchvision_data import TorchvisionData

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
