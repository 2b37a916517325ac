"""Imports that are put off: of packages that others import, and seldom use.

Lightning imports torchmetrics whole for two classes, and torch._dynamo for an ``isinstance``; scikit-learn imports
scipy.stats for four functions. Together that is two seconds of the processor's time before a training's first step, and
250 MiB. Here such a package waits, and runs, which is what an import has a package do, when something is asked of it
that it does not have without. Nothing is done in a package's place but for what is certain of it while it has not run;
a release that is made otherwise asks for more, has it run sooner, and works.
"""

from __future__ import annotations

import sys

from lightlab.deferred import triton
from lightlab.deferred.dynamo import DeferredDynamo
from lightlab.deferred.package import DeferredPackage, Finder
from lightlab.deferred.seldom import DeferredPlots, DeferredStats
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
        **dict.fromkeys(triton.PARTS, triton.DeferredTriton),
    }
    sys.meta_path.insert(0, Finder({name: kind for name, kind in kinds.items() if name not in sys.modules}))
