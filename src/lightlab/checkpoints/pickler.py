"""The ``pickle_module`` of torch.save, which refuses what `archive` would not read: neither plain data nor a tensor."""

from __future__ import annotations

import pickle
from collections import Counter, OrderedDict
from collections.abc import Mapping
from types import BuiltinFunctionType, FunctionType
from typing import Any

from torch import Tensor

from lightlab.checkpoints.archive import may_name

#: Objects that are written by names that may be read. Plain ones need none.
OBJECTS = (Tensor, OrderedDict, Counter, complex)
NAMED = (type, FunctionType, BuiltinFunctionType)


class UnreadableError(pickle.PicklingError):
    """Something that can't be read again was to be written.

    Attributes:
        value: what it is, or what would be called to make it.
        name: of its type, or its own.
    """

    def __init__(self, value: Any, kind: Any) -> None:
        self.value = value
        self.name = f"{kind.__module__}.{kind.__qualname__}"
        super().__init__(self.name)


class Pickler(pickle.Pickler):
    """Writes plain data and tensors."""

    def reducer_override(self, value: Any) -> Any:
        """Have what may be read again written as always; plain data never comes here.

        Raises:
            UnreadableError: it may not.
        """
        kind = value if isinstance(value, NAMED) else type(value)
        may_be_read = may_name(kind.__module__, kind.__qualname__) if kind is value else kind in OBJECTS
        if not may_be_read:
            raise UnreadableError(value, kind)
        return NotImplemented


def find(value: Any, data: Any, depth: int = 100) -> list[str]:
    """Return the names on the way to a value in nested data; none where it isn't found so deep."""
    parts = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list | tuple) else ()
    for name, part in parts if depth else ():
        if part is value:
            return [str(name)]
        if way := find(value, part, depth - 1):
            return [str(name), *way]
    return []
