"""torchmetrics in parts: the same names and classes as ever, and of its imports only those that are used."""

import pytest

DEFER = "from lightlab.deferred import defer_imports; defer_imports()\n"
ALL = "import torchmetrics; print(*sorted({*dir(torchmetrics), *dir(torchmetrics.functional)}))"


def test_all_names_are_there(said, deferred):
    """Whoever asks for more gets all that the packages have, under the same names."""
    plain = set(said(ALL).split())
    parts = set(
        deferred(f"import torchmetrics; torchmetrics.Accuracy, torchmetrics.functional.accuracy; {ALL}").split()
    )
    assert plain - parts == set()


def test_classes_are_the_same(deferred):
    """A class that Lightning has asked for first is the one that everybody gets; submodules and stars work, too."""
    code = """
import sys
from lightning.pytorch import LightningModule
from torchmetrics import Metric, classification
assert "torchmetrics.text" not in sys.modules
assert issubclass(classification.BinaryAccuracy, Metric)
from torchmetrics import *
import torch, torchmetrics.metric, lightning.pytorch.core.module as core
assert Accuracy is torchmetrics.Accuracy
assert Metric is torchmetrics.Metric is torchmetrics.metric.Metric is core.Metric
assert MetricCollection is core.MetricCollection
print(torchmetrics.functional.accuracy(torch.tensor([1, 0]), torch.tensor([1, 1]), "binary").item())
print(hasattr(torchmetrics, "absent"), hasattr(torchmetrics.functional, "absent"))
"""
    assert deferred(code) == "0.5\nFalse False\n"


@pytest.mark.parametrize(
    "code",
    [
        "import torchmetrics.metric as first; from torchmetrics import Metric; assert Metric is first.Metric",
        "from torchmetrics.text import Perplexity as one; from torchmetrics import text; assert text.Perplexity is one",
        "from torchmetrics import text, Accuracy; assert text.Perplexity",
        "import torchmetrics.functional.regression, torchmetrics; assert torchmetrics.functional.accuracy",
        "from torchmetrics.functional import accuracy; import torchmetrics; assert torchmetrics.MeanMetric",
        "import importlib.resources; assert (importlib.resources.files('torchmetrics') / 'metric.py').is_file()",
    ],
)
def test_whatever_comes_first(code, deferred):
    """A plugin may be what imports torchmetrics first, by whichever door."""
    assert deferred(code) == ""


FILES = {
    "__init__.py": """
SETTING = 1
from torchmetrics import functional
from torchmetrics.__about__ import __version__
import torchmetrics.image
from torchmetrics.metric import Metric
from torchmetrics.collections import MetricCollection
""",
    "__about__.py": "__version__ = '9'",
    "collections.py": "class MetricCollection: pass",
    "functional/__init__.py": "def accuracy(): pass",
    "image.py": "",
    "metric.py": "class Metric: pass",
    "regression.py": "",
    "utilities.py": "from torchmetrics.metric import Metric",
}
#: What is otherwise in a release.
RELEASES = {
    "of today": {},
    "a submodule has gone": {"utilities.py": "raise ImportError"},
    "a class has another home": {
        "__init__.py": FILES["__init__.py"].replace("torchmetrics.metric", "torchmetrics.base"),
        "base.py": FILES["metric.py"],
        "metric.py": "",
        "utilities.py": "",
    },
    "submodules need the package": {"metric.py": "from torchmetrics import SETTING\nclass Metric: pass"},
    "others need it later": {"regression.py": "from torchmetrics import SETTING"},
}


@pytest.mark.parametrize("release", RELEASES)
def test_other_releases(release, said, tmp_path):
    """A release that is made otherwise is imported whole, and works: the parts are found out, not taken for granted."""
    for name, text in {**FILES, **RELEASES[release]}.items():
        path = tmp_path / "torchmetrics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code = (
        f"import sys; sys.path.insert(0, '.')\n{DEFER}from torchmetrics import Metric, __version__\n"
        "print(__version__, 'torchmetrics.image' in sys.modules)\n"
        "from torchmetrics import regression\n"
        "assert sys.modules[Metric.__module__].Metric is Metric\n"
        "import torchmetrics; torchmetrics.functional.accuracy()"
    )
    is_whole = release not in ("of today", "others need it later")
    assert said(code, cwd=tmp_path) == f"9 {is_whole}\n"
