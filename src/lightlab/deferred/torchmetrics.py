"""torchmetrics in parts.

Lightning asks torchmetrics for two classes, and heads for those of some submodules. The ``__init__`` of torchmetrics
and of torchmetrics.functional would import metrics of sound, images and texts, too, and for them scipy.signal and
torchvision: about a second of the processor's time, and 80 MiB.
"""

from __future__ import annotations

from importlib import import_module
from importlib.machinery import PathFinder
from types import ModuleType

from lightlab.deferred.package import DeferredPackage

PACKAGE = "torchmetrics"
#: What Lightning asks for, by submodule.
NEEDED = {"__about__": "__version__", "metric": "Metric", "collections": "MetricCollection"}


class DeferredTorchmetrics(DeferredPackage):
    """torchmetrics or torchmetrics.functional, whose submodules are imported one by one.

    A release whose submodules need what the ``__init__`` sets gets that when they ask for it.
    """

    runs_first = False

    @classmethod
    def prepare(cls, package: ModuleType) -> None:
        """Import what Lightning asks for, which does without the rest.

        Raises:
            Exception: of some kind; it does not, in this release.
        """
        import logging  # what it has to do at the end of a process is registered after `lightlab.process_end`

        if package.__name__ == PACKAGE:
            vars(package)["_logger"] = logging.getLogger(PACKAGE)
            import_module(f"{PACKAGE}.utilities")  # before torchmetrics.metric: they import one another
            for submodule, name in NEEDED.items():
                setattr(package, name, getattr(import_module(f"{PACKAGE}.{submodule}"), name))

    def supply(self, name: str) -> None:
        """Import the submodule of that name; if there is none, run the ``__init__``."""
        submodule = f"{self.__name__}.{name}"
        if name.isidentifier() and PathFinder.find_spec(submodule, self.__path__):
            import_module(submodule)
        else:
            self.run()
