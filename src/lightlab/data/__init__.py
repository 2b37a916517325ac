"""Where data comes from, how it is split, encoded and batched.

To add a source: write a subclass of `lightlab.data.base.Data` whose ``load`` returns rows, in a file of its own,
and name it here; splits, encoding, checks and loaders come with the base class.
"""

from lightlab.data.base import Data
from lightlab.data.bundled import BundledData
from lightlab.data.rows import Rows
from lightlab.data.synthetic import SyntheticData
from lightlab.data.table import TableData

__all__ = ["BundledData", "Data", "Rows", "SyntheticData", "TableData"]
