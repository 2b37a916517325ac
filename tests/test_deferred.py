"""torchmetrics in parts: the same names and classes as ever, and of its imports only those that are used."""

import subprocess
import sys

import pytest

DEFER = "import sys; from lightlab.deferred import defer_torchmetrics; defer_torchmetrics(); "
ALL = "import torchmetrics; print(*sorted({*dir(torchmetrics), *dir(torchmetrics.functional)}))"


def said(code, *arguments, cwd=None):
    """Run code in a Python of its own, for which nothing is imported yet, and return what it prints."""
    call = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(call, cwd=cwd, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_training_imports_what_it_uses(tmp_path):
    """A table is trained on, without torchvision, nor what torchmetrics takes from scipy."""
    rows = "".join(f"{number},{number % 2}\n" for number in range(40))
    (tmp_path / "t.csv").write_text(f"x,y\n{rows}")
    (tmp_path / "c.yaml").write_text(
        "data: {class_path: TableData, init_args: {path: t.csv, target: y}}\n"
        "model: {layers: [], problem: binary}\ntrainer: {max_epochs: 1}\n"
    )
    heavy = "{'torchvision', 'scipy.signal', 'torchmetrics.functional.image'}"
    code = (
        f"import atexit, sys; atexit.register(lambda: print('imported', {heavy} & sys.modules.keys()))\n"
        "from lightlab.cli import entry_point; entry_point()"
    )
    assert said(code, "fit", "--config", "c.yaml", cwd=tmp_path).endswith("imported set()\n")


def test_all_names_are_there():
    """Whoever asks for more gets all that the packages have, under the same names."""
    plain = set(said(ALL).split())
    parts = set(
        said(f"{DEFER}import torchmetrics; torchmetrics.Accuracy, torchmetrics.functional.accuracy; {ALL}").split()
    )
    assert plain - parts == set()


def test_classes_are_the_same():
    """A class that Lightning has asked for first is the one that everybody gets; submodules and stars work, too."""
    code = """
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
    assert said(DEFER + code) == "0.5\nFalse False\n"


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
def test_whatever_comes_first(code):
    """A plugin may be what imports torchmetrics first, by whichever door."""
    assert said(DEFER + code) == ""


def test_what_is_imported_stays():
    """A torchmetrics that is imported already, as in a notebook, is left as it is."""
    assert said(f"import torchmetrics; {DEFER}print(type(torchmetrics).__name__)") == "module\n"


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
}


@pytest.mark.parametrize(("release", "is_light"), [(name, name == "of today") for name in RELEASES])
def test_other_releases(release, is_light, tmp_path):
    """A release that is made otherwise is imported whole, and works: the parts are found out, not taken for granted."""
    for name, text in {**FILES, **RELEASES[release]}.items():
        path = tmp_path / "torchmetrics" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r}); {DEFER}from torchmetrics import Metric, __version__\n"
        "print(__version__, 'torchmetrics.image' in sys.modules)\n"
        "assert sys.modules[Metric.__module__].Metric is Metric\n"
        "import torchmetrics; torchmetrics.functional.accuracy()"
    )
    assert said(code) == f"9 {not is_light}\n"
