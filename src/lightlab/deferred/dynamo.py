"""torch._dynamo, for those who don't compile: it traces functions for torch.compile.

Lightning and torch import it to keep it off functions of their own, and to ask whether a module is an OptimizedModule.
Before its ``__init__`` has run, it traces nothing, and no module is one: so much can be said without the second of the
processor's time and the 150 MiB that it takes. Any other question has it run.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from types import FunctionType
from typing import Any, ClassVar
from weakref import WeakKeyDictionary

from lightlab.deferred.package import DeferredPackage, LateClass, run

#: Functions that it is not to trace, and what has it know so, once it has run.
_UNTRACED: WeakKeyDictionary[Callable[..., Any], Callable[[], None]] = WeakKeyDictionary()


class DeferredDynamo(DeferredPackage):
    """torch._dynamo before it has run."""

    late: ClassVar = {"OptimizedModule": LateClass}

    def disable(self, fn: Any = None, *arguments: Any, **options: Any) -> Any:
        """Return a function that is not traced, as the package's own ``disable`` does."""
        if not isinstance(fn, FunctionType):
            run(self)
            return vars(self)["disable"](fn, *arguments, **options)
        call: Callable[..., Any] = fn

        @wraps(fn)
        def untraced(*given: Any, **named: Any) -> Any:
            return call(*given, **named)

        def disable() -> None:
            nonlocal call
            call = vars(self)["disable"](fn, *arguments, **options)

        _UNTRACED[untraced] = disable
        return untraced

    def run(self) -> None:
        """Run it, and have it know which functions it is not to trace."""
        super().run()
        while _UNTRACED:
            _UNTRACED.popitem()[1]()
