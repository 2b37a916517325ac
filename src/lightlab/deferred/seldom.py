"""Packages of which others import a few names, and use them seldom."""

from __future__ import annotations

from typing import ClassVar

from lightlab.deferred.package import DeferredPackage, Late, LateClass


class DeferredPlots(DeferredPackage):
    """torchmetrics.utilities.plot, which imports matplotlib: a quarter of a second, and 30 MiB.

    Metrics take types from it for annotations, and functions for those who have them plotted.
    """

    late: ClassVar = dict.fromkeys(
        ("_AX_TYPE", "_CMAP_TYPE", "_PLOT_OUT_TYPE", "plot_confusion_matrix", "plot_curve", "plot_single_or_multi_val"),
        Late,
    )
    askers: ClassVar = ("torchmetrics.",)


class DeferredStats(DeferredPackage):
    """scipy.stats, half a second, of which scikit-learn imports these for what few of its estimators do."""

    late: ClassVar = dict.fromkeys(("chi2", "gmean", "rankdata", "spearmanr"), Late)
    askers: ClassVar = ("sklearn.",)


class DeferredInterpolation(DeferredPackage):
    """scipy.interpolate, a tenth of a second, of which scikit-learn imports a class for its transformer to splines."""

    late: ClassVar = {"BSpline": Late}
    askers: ClassVar = ("sklearn.",)


class DeferredTriton(DeferredPackage):
    """triton, triton.runtime or triton.runtime.jit: an eighth of a second, and 70 MiB.

    torch's counter of FLOPs takes a class of the last, to know triton's functions from torch's.
    """

    late: ClassVar = {"JITFunction": LateClass}
    askers: ClassVar = ("torch.utils.flop_counter",)
