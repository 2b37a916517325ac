"""torchmetrics in parts: packages of which submodules are imported, and whose ``__init__`` runs where it is needed.

Lightning asks torchmetrics for two classes, and heads for those of some submodules. The ``__init__`` of torchmetrics
and of torchmetrics.functional would import metrics of sound, images and texts, too, and for them scipy.signal and
torchvision: about a second of the processor's time before a training's first step, and 80 MiB.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from threading import RLock
from types import ModuleType
from typing import Any

PACKAGE = "torchmetrics"
#: What Lightning asks for, by submodule.
NEEDED = {"__about__": "__version__", "metric": "Metric", "collections": "MetricCollection"}
_LOCK = RLock()


def defer_torchmetrics() -> None:
    """Have torchmetrics imported in parts, unless it is imported already."""
    if PACKAGE not in sys.modules:
        sys.meta_path.insert(0, _Finder())


class _Finder(MetaPathFinder):
    """Finds the packages where they are found otherwise, and has them loaded in parts."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in (PACKAGE, f"{PACKAGE}.functional"):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _Loader(spec.loader, self)
        return spec


class _Loader(Loader):
    """Loads a package without its ``__init__``; a release that can't do without is loaded as ever."""

    def __init__(self, whole: Loader, finder: _Finder) -> None:
        self.whole, self.finder = whole, finder

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.whole
        try:
            if module.__name__ == PACKAGE:
                _import_what_is_needed(module)
            module.__class__ = DeferredPackage
        except Exception:  # whatever it is that a release of tomorrow stumbles on
            sys.meta_path.remove(self.finder)
            for name in [name for name in sys.modules if name.startswith(f"{PACKAGE}.")]:
                del sys.modules[name]
            self.whole.exec_module(module)


def _import_what_is_needed(package: Any) -> None:
    import logging  # what it has to do at the end of a process is registered after `lightlab.process_end`

    package._logger = logging.getLogger(PACKAGE)
    import_module(f"{PACKAGE}.utilities")  # before torchmetrics.metric: they import one another
    for submodule, name in NEEDED.items():
        setattr(package, name, getattr(import_module(f"{PACKAGE}.{submodule}"), name))


class DeferredPackage(ModuleType):
    """A package whose ``__init__`` runs at the first question for what is neither there nor a submodule.

    Modules of Python's own importlib.util.LazyLoader would run when a submodule is imported, which asks for their
    ``__path__``.
    """

    _is_searched = False

    def __getattr__(self, name: str) -> Any:
        with _LOCK:
            if not self._is_searched:  # by ourselves, whose imports have brought the question up
                self._is_searched = True
                try:
                    self._search(name)
                finally:
                    self._is_searched = False
        try:
            return vars(self)[name]
        except KeyError:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}") from None

    def _search(self, name: str) -> None:
        if find_spec(f"{self.__name__}.{name}"):
            import_module(f"{self.__name__}.{name}")
        else:
            self.__spec__.loader.exec_module(self)  # type: ignore[union-attr]  # `_Loader` has set both
            self.__class__ = ModuleType  # type: ignore[assignment]  # it is one again
