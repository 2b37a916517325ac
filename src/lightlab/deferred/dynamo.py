"""torch._dynamo, for those who don't compile: it traces functions for torch.compile.

Lightning and torch import it to keep it off functions of their own, and to ask whether a module is an OptimizedModule.
Before it has run, it traces nothing, and no module is one: so much can be said without the second of the processor's
time and the 150 MiB that it takes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from lightlab.deferred.package import DeferredPackage, Late, LateClass

#: Functions that it is not to trace, and what has it know so, once it has run.
_UNTRACED: WeakKeyDictionary[Callable[..., Any], Callable[[], None]] = WeakKeyDictionary()


class _Disable(Late):
    """Its ``disable``, which says of a function that it is not traced."""

    def __call__(self, fn: Any = None, *arguments: Any, **options: Any) -> Any:
        """Return a function that is not traced; until the package has run, nothing is."""
        if not (self._is_to_come and isinstance(fn, FunctionType)):
            return super().__call__(fn, *arguments, **options)
        call: Callable[..., Any] = fn

        @wraps(fn)
        def untraced(*given: Any, **named: Any) -> Any:
            return call(*given, **named)

        def tell() -> None:
            nonlocal call
            call = self._get()(fn, *arguments, **options)

        _UNTRACED[untraced] = tell
        return untraced


class DeferredDynamo(DeferredPackage):
    """torch._dynamo before it has run."""

    late: ClassVar = {"OptimizedModule": LateClass, "disable": _Disable}
    askers: ClassVar = ("lightning.", "torch._compile", "torch.compiler")

    def settle(self) -> None:
        """Have it know which functions it is not to trace."""
        while _UNTRACED:
            _UNTRACED.popitem()[1]()
