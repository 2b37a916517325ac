"""The ``pickle_module`` of torch.save, which refuses objects and functions that `archive` would not read."""

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
        name: what it is called.
    """

    def __init__(self, value: Any, name: str) -> None:
        super().__init__(name)
        self.value = value
        self.name = name


class Pickler(pickle.Pickler):
    """Writes plain data and tensors."""

    _latest: Any = None

    def reducer_override(self, value: Any) -> Any:
        """Have what may be read again written as always; plain data never comes here.

        Raises:
            UnreadableError: it may not.
        """
        kind = value if isinstance(value, NAMED) else type(value)
        may_be_read = may_name(kind.__module__, kind.__qualname__) if kind is value else kind in OBJECTS
        if may_be_read:
            self._latest = value
            return NotImplemented
        name = f"{kind.__module__}.{kind.__qualname__}"
        if isinstance(self._latest, Tensor) and kind.__module__ == "torch._utils":  # what would build it is refused
            raise UnreadableError(self._latest, f"a tensor of type {self._latest.dtype}, which {name} builds")
        raise UnreadableError(value, name)


def find(value: Any, data: Any, seen: set[int] | None = None) -> list[str]:
    """Return the names on the way to a value in nested data; none where it isn't found."""
    seen = set() if seen is None else seen
    parts = data.items() if isinstance(data, Mapping) else enumerate(data) if isinstance(data, list | tuple) else ()
    if id(data) in seen:
        return []
    seen.add(id(data))
    for name, part in parts:
        if part is value:
            return [str(name)]
        if way := find(value, part, seen):
            return [str(name), *way]
    return []
