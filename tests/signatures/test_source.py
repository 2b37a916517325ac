"""Signatures read from source: the same as Python's own, and nothing is imported for them."""

import inspect
import subprocess
import sys
import typing
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest

from lightlab.config.classes import FAMILIES
from lightlab.signatures import REQUIRED, Code, read_signature
from lightlab.signatures.source import Reference, ancestors, read_module

TRAINER = "lightning.pytorch.trainer.trainer.Trainer"
CLASSES = [TRAINER, *(path for family in FAMILIES for path in family.names().values())]
#: Defaults that only code can write.
COMPUTED = {
    "BackboneFinetuning.lambda_func",
    "RichProgressBar.theme",
    "StochasticWeightAveraging.device",
    "Timer.interval",
    "MLFlowLogger.tracking_uri",
    "DDPStrategy.timeout",
    "DeepSpeedStrategy.timeout",
    "DeepSpeedStrategy.logging_level",
    "FSDPStrategy.timeout",
    "ModelParallelStrategy.timeout",
}

MODULE = '''
from __future__ import annotations
import typing as t
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, Optional
from pydantic import Field
from helpers import Other, Renamed as Again
import helpers
if TYPE_CHECKING:
    from helpers import Hidden
try:
    import nowhere
except ImportError:
    nowhere = None

Choice = Literal["a b", "1+"]
Plain = t.Union[str, Path]

class Mine(Other):
    """Mine.

    Args:
        a: first.
    """

    def __init__(self, a: "int | None", b: Choice = "a b", c: Optional["Hidden"] = None, d: Plain = Path("."),
                 e: Annotated[int, Field(ge=1, description="no code: at all")] = 1, f: int = None, g: nowhere.X = -1,
                 *, h: helpers.Other = {"x": [1.5]}, i=(1, 2), j: any = 3, **kwargs: t.Any) -> None:
        """
        Args:
            b: second.
        """
        super().__init__(1, given=2, **kwargs)

class Inherits(Mine):
    pass

class OnlyMore(Other):
    def __init__(self, *args, more: bool = False, **kwargs):
        """What the constructor says."""
        super().__init__(*args, **kwargs)

@dataclass
class Table:
    rows: int = 3

class TableChild(Table):
    pass

class Left(Other):
    def __init__(self, left: int = 1, **kwargs):
        super().__init__(**kwargs)

class Right(Other):
    def __init__(self, right: int = 2, **kwargs):
        super().__init__(**kwargs)

class Both(Left, Right):
    pass
'''
HELPERS = """
from helpers_deep.inner import Other, Renamed, Hidden
"""
INNER = '''
class Root:
    def __init__(self, given=0, last: str = "x"):
        pass

class Other(Root):
    def __init__(self, place: int, other: float = 0.5, b: str = "unused", **kwargs):
        super().__init__(**kwargs)

class Renamed:
    """No constructor."""

class Hidden:
    pass
'''


@pytest.fixture
def modules(monkeypatch):
    """A module that stands on two others, as files that can be imported and are not."""
    Path("mine.py").write_text(MODULE)
    Path("helpers.py").write_text(HELPERS)
    Path("helpers_deep").mkdir()
    Path("helpers_deep/__init__.py").write_text("raise RuntimeError('imported')")
    Path("helpers_deep/inner.py").write_text(INNER)
    Path("broken_source.py").write_text("def (")
    monkeypatch.syspath_prepend("")
    read_module.cache_clear()
    read_signature.cache_clear()
    yield
    assert not {"mine", "helpers", "helpers_deep"} & sys.modules.keys()
    read_module.cache_clear()
    read_signature.cache_clear()


def test_no_class_is_imported():
    """Every class that a config can name is read in a process that has neither lightning nor what reads data."""
    code = """
import sys
from lightlab.config.classes import FAMILIES
from lightlab.signatures import read_signature
assert all(read_signature(path) for family in FAMILIES for path in family.names().values())
trainer = read_signature("lightning.pytorch.trainer.trainer.Trainer")
assert len(trainer.parameters) > 35
sys.exit(" ".join({"lightning", "torchvision", "torchmetrics", "pandas", "sklearn"} & sys.modules.keys()) or 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("path", CLASSES)
def test_source_and_python_agree(path):
    """Names, their order, defaults and home are what Python itself tells; then come the parameters of the bases."""
    module, _, name = path.rpartition(".")
    component = getattr(import_module(module), name)
    read = read_signature(path)
    own = {
        each.name: each.default
        for each in inspect.signature(component).parameters.values()
        if each.kind not in (each.VAR_KEYWORD, each.VAR_POSITIONAL)
    }
    assert read.path == f"{component.__module__}.{component.__qualname__}"
    assert read.names[: len(own)] == list(own)
    assert len(set(read.names)) == len(read.names)
    for parameter in read.parameters[: len(own)]:
        if f"{name}.{parameter.name}" in COMPUTED:
            assert isinstance(parameter.default, Code)
        else:
            assert repr(parameter.default) == repr(own[parameter.name])


@pytest.mark.parametrize("path", CLASSES)
def test_parameters_of_bases(path):
    """What a constructor passes on goes to constructors of its bases, in the order in which Python asks them."""
    module, _, name = path.rpartition(".")
    line = [
        f"{each.__module__}.{each.__qualname__}"
        for each in getattr(import_module(module), name).__mro__
        if each.__module__.startswith(("lightlab.", "lightning.pytorch."))
    ]
    read = [f"{module.name}.{statement.name}" for module, statement in ancestors(path)]
    assert [each for each in read if each.startswith(("lightlab.", "lightning.pytorch."))] == line


def test_the_trainer():
    """Each of its parameters has a type and a description; classes in them are references."""
    trainer = read_signature(TRAINER)
    assert not [each.name for each in trainer.parameters if each.type is Any or not each.description]
    assert not trainer.open_ended
    assert type(None) in typing.get_args(trainer.get("max_epochs").type)
    reference = next(each for each in typing.get_args(trainer.get("strategy").type) if isinstance(each, Reference))
    assert reference.path == "lightning.pytorch.strategies.strategy.Strategy"


@pytest.mark.parametrize(
    ("path", "has", "has_not", "open_ended"),
    [
        ("loggers.TensorBoardLogger", ["save_dir", "log_graph", "default_hp_metric"], ["root_dir", "self"], True),
        ("strategies.DDPStrategy", ["process_group_backend", "accelerator"], [], True),
        ("callbacks.ModelCheckpoint", ["dirpath", "save_top_k"], [], False),
        ("callbacks.EMAWeightAveraging", ["decay", "update_every_n_steps"], ["avg_fn"], True),
    ],
)
def test_some_of_lightning(path, has, has_not, open_ended):
    """What a constructor gives its base itself is no parameter; what it takes besides is said."""
    read = read_signature(f"lightning.pytorch.{path}")
    assert set(has) <= set(read.names)
    assert not set(has_not) & set(read.names)
    assert read.open_ended is open_ended


def test_parameters_of_a_source_of_data():
    """They are its own and those of its bases, all of them: a data source takes no others."""
    read = read_signature("lightlab.data.TableData")
    assert read.names[:2] == ["path", "target"]
    assert "batch_size" in read.names
    assert not read.open_ended
    assert all(each.description and each.type is not Any for each in read.parameters)


def test_types(modules):
    """Annotations in quotation marks, of names from elsewhere, and of what can't be found."""
    read = read_signature("mine.Mine")
    types = {each.name: each.type for each in read.parameters}
    hidden = next(each for each in typing.get_args(types["c"]) if each is not type(None))
    assert types["a"] == int | None
    assert types["b"] == Literal["a b", "1+"]
    assert (type(hidden), hidden.path) == (Reference, "helpers_deep.inner.Hidden")
    assert types["d"] == typing.Union[str, Path]  # noqa: UP007 - as it is written
    assert typing.get_origin(types["e"]) is Annotated
    assert types["f"] == int | None
    assert types["g"] is Any
    assert types["h"].path == "helpers_deep.inner.Other"
    assert types["j"] is Any
    assert read.get("c").written == "Optional['Hidden']"


def test_defaults_and_descriptions(modules):
    """Plain values are values, others are code; class and constructor describe."""
    read = read_signature("mine.Mine")
    defaults = {each.name: each.default for each in read.parameters}
    assert defaults["a"] is REQUIRED
    assert (defaults["g"], defaults["h"], defaults["i"]) == (-1, {"x": [1.5]}, (1, 2))
    assert (defaults["d"], type(defaults["d"])) == ("Path('.')", Code)
    assert (read.get("a").description, read.get("b").description) == ("first.", "second.")
    assert read.docstring.startswith("Mine.")


def test_bases(modules):
    """Of the bases' parameters those are left out that are given by place or name, or taken already."""
    assert read_signature("mine.Mine").names == [*"abcdefghij", "other", "last"]
    assert not read_signature("mine.Mine").open_ended
    assert read_signature("mine.Inherits").names == read_signature("mine.Mine").names
    assert read_signature("mine.OnlyMore").names == ["more", "place", "other", "b", "given", "last"]
    assert read_signature("mine.OnlyMore").docstring == "What the constructor says."
    assert read_signature("mine.Both").names == ["left", "right", "place", "other", "b", "given", "last"]


def test_names_that_lead_elsewhere(modules):
    """A class is found through the modules that pass it on, and knows its home."""
    assert read_signature("mine.Again").path == "helpers_deep.inner.Renamed"
    assert read_signature("mine.Again").parameters == ()
    assert read_signature("mine.Again").docstring == "No constructor."


@pytest.mark.parametrize(
    "path",
    [
        "mine.Table",
        "mine.TableChild",
        "mine.Nothing",
        "mine.Choice",
        "mine.Mine.x",
        "broken_source.X",
        "no.module.X",
        "",
        "X",
        ".X",
        "a..X",
        "mine./etc/passwd.X",
        "builtins.dict",
        "math.X",
        "mine.\x00.X",
        "é è.X",
    ],
)
def test_what_can_not_be_read(modules, path):
    """Of what has no source, or has a constructor that a decorator writes, there is no signature."""
    assert read_signature(path) is None
