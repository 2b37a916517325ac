"""Imports that are put off: of packages that others import, and seldom use.

Lightning imports torchmetrics whole for two classes, and torch._dynamo for an ``isinstance``; scikit-learn imports
scipy.stats for four functions, and scipy.interpolate for a class. Together that is two seconds of the processor's time
before a training's first step, and 250 MiB. Here such a package waits, and runs, which is what an import has a package
do, when somebody asks it for something. Only those that are known to import a name and seldom use it
(`DeferredPackage.askers`) get that without: a stand-in, which has the package run when it is used. A release that is
made otherwise has packages run sooner, and works; an installation in which such a package is broken says so later than
it would.
"""

from __future__ import annotations

import sys

from lightlab.deferred.dynamo import DeferredDynamo
from lightlab.deferred.package import DeferredPackage, Finder
from lightlab.deferred.seldom import DeferredInterpolation, DeferredPlots, DeferredStats, DeferredTriton
from lightlab.deferred.torchmetrics import DeferredTorchmetrics

__all__ = ["defer_imports"]


def defer_imports() -> None:
    """Put these packages off, unless they are imported already."""
    kinds: dict[str, type[DeferredPackage]] = {
        "torchmetrics": DeferredTorchmetrics,
        "torchmetrics.functional": DeferredTorchmetrics,
        "torchmetrics.utilities.plot": DeferredPlots,
        "torch._dynamo": DeferredDynamo,
        "scipy.stats": DeferredStats,
        "scipy.interpolate": DeferredInterpolation,
        "triton": DeferredTriton,
        "triton.runtime": DeferredTriton,
        "triton.runtime.jit": DeferredTriton,
    }
    sys.meta_path.insert(0, Finder({name: kind for name, kind in kinds.items() if name not in sys.modules}))
