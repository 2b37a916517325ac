"""What others import and seldom use comes when it is used."""


def test_scikit_learn_without_statistics(deferred):
    """Data sets and trees of scikit-learn do without; what needs scipy.stats gets it."""
    code = """
import sys
from sklearn.datasets import load_iris
from sklearn.ensemble import ExtraTreesClassifier
from sklearn.metrics import label_ranking_average_precision_score, roc_auc_score
inputs, classes = load_iris(return_X_y=True)
ExtraTreesClassifier(2).fit(inputs, classes).predict(inputs)
print("scipy.stats._stats_py" in sys.modules)
print(label_ranking_average_precision_score([[1, 0, 0]], [[0.75, 0.5, 1]]))
import scipy.stats
print(scipy.stats.norm.cdf(0), "scipy.stats._stats_py" in sys.modules)
"""
    assert deferred(code) == "False\n0.5\n0.5 True\n"


def test_robust_covariance(deferred):
    """An estimator that takes a distribution of scipy.stats gives what it gives otherwise."""
    code = """
import numpy as np
from sklearn.covariance import MinCovDet
print(MinCovDet(random_state=0).fit(np.random.default_rng(0).normal(size=(50, 2))).covariance_.round(6).tolist())
"""
    assert deferred(code) == deferred(f"import scipy.stats as stats; stats.chi2\n{code}")


def test_splines(deferred):
    """scikit-learn's transformer to splines has scipy.interpolate when it works, and others have it as ever."""
    code = """
import sys
import sklearn.preprocessing
from scipy import interpolate
print("scipy.interpolate._bsplines" in sys.modules)
print(sklearn.preprocessing.SplineTransformer(n_knots=2, degree=1).fit_transform([[0.0], [0.25], [1.0]]).tolist())
print(interpolate.interp1d([0, 1], [0, 2])(0.5), type(interpolate).__name__)
"""
    assert deferred(code) == "False\n[[1.0, 0.0], [0.75, 0.25], [0.0, 1.0]]\n1.0 module\n"


def test_metrics_are_plotted(deferred):
    """matplotlib comes when a metric is plotted; what checks its axes knows them."""
    code = """
import sys, torch
from torchmetrics import MeanMetric, MetricCollection
metrics = MetricCollection({"a": MeanMetric(), "b": MeanMetric()})
metrics.update(torch.ones(2))
print("matplotlib" in sys.modules)
import matplotlib
matplotlib.use("agg")
from matplotlib import pyplot
figure, axes = pyplot.subplots()
_, drawn = metrics.plot(ax=axes, together=True)
print(drawn is axes, axes.get_legend_handles_labels()[1])
"""
    assert deferred(code) == "False\nTrue ['a', 'b']\n"
