"""The classes that a config can name: found by short name or path, and nothing else is reached."""

import sys
from pathlib import Path

import pytest

from lightlab import registry
from lightlab.config.classes import DATA, FAMILIES, check_class, default_mode
from lightlab.errors import ConfigError
from lightlab.registry import import_plugin

CALLBACK = next(family for family in FAMILIES if family.name == "callback")
LOGGER = next(family for family in FAMILIES if family.name == "logger")
CALLBACKS = "lightning.pytorch.callbacks"

PLUGIN = '''
from __future__ import annotations
from dataclasses import dataclass
from lightning.pytorch.callbacks import Callback, Timer

class Counter(Callback):
    """Count."""

    def __init__(self, start: int = 0, unit: "str | None" = None) -> None:
        self.start = start

@dataclass
class Table(Callback):
    """Rows."""

    rows: int

class NoCallback:
    pass
'''


@pytest.fixture
def plugin(monkeypatch):
    """A plugin with callbacks of its own."""
    Path("counters.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend("")
    monkeypatch.setattr(registry, "_plugins", set())
    import_plugin("counters")
    yield
    del sys.modules["counters"]


@pytest.mark.parametrize("name", ["Timer", f"{CALLBACKS}.Timer", f"{CALLBACKS}.timer.Timer"])
def test_names_of_a_class(name):
    """The short name, the public path and the path of its home mean the same class."""
    assert CALLBACK.find(name, ()).path == f"{CALLBACKS}.timer.Timer"


@pytest.mark.parametrize(
    "name",
    [
        *("torch.hub.load", "os.system", "builtins.eval", f"{CALLBACKS}.Callback", "Callback", "TensorBoardLogger"),
        *(f"{CALLBACKS}.timer.timedelta", "elsewhere.Timer", "counters.Counter", "Timer.x", "../x.Timer"),
        *("", ".", "\x00"),
    ],
)
def test_what_is_no_callback(name):
    """Functions, bases, classes of other kinds and of other modules are refused, and nothing is imported."""
    before = set(sys.modules)
    with pytest.raises(ConfigError, match="callbacks: No callback is called"):
        CALLBACK.find(name, ("trainer", "callbacks"))
    assert set(sys.modules) == before


def test_a_name_that_is_nearly_one():
    """The nearest is offered; for a path, how to bring a class of one's own."""
    with pytest.raises(ConfigError, match=r"Did you mean EarlyStopping\?$"):
        CALLBACK.find("EarlyStoping", ())
    with pytest.raises(ConfigError, match=r"For a class of your own, call lightlab with --plugin mine\.own\.$"):
        CALLBACK.find("mine.own.Thing", ())


def test_classes_of_plugins(plugin):
    """They are found by name and path; what the plugin only imports, or is of no kind, is not its own."""
    assert CALLBACK.names()["Counter"] == "counters.Counter"
    assert CALLBACK.names()["Timer"] == f"{CALLBACKS}.Timer"
    assert CALLBACK.find("counters.Counter", ()).names == ["start", "unit"]
    assert CALLBACK.find("Table", ()).get("rows").type is int
    assert "NoCallback" not in CALLBACK.names()
    assert "Counter" not in LOGGER.names()


def test_plugins_are_checked(plugin):
    """Arguments of a plugin's classes are held against their annotations."""
    with pytest.raises(ConfigError, match=r"^c\.init_args\.start: .* valid integer\. Received: '1'"):
        check_class({"class_path": "Counter", "init_args": {"start": "1"}}, ("c",), CALLBACK)
    with pytest.raises(ConfigError, match=r"^c\.init_args: Table needs 'rows'"):
        check_class("Table", ("c",), CALLBACK)


@pytest.mark.parametrize(
    "value",
    [
        "Timer",
        {"class_path": "Timer"},
        {"class_path": "Timer", "init_args": None},
        {"class_path": f"{CALLBACKS}.Timer"},
    ],
)
def test_the_long_form(value):
    """A class is returned with its whole path and its arguments."""
    assert check_class(value, (), CALLBACK) == {"class_path": f"{CALLBACKS}.timer.Timer", "init_args": {}}


def test_classes_inside_of_classes():
    """Arguments that are classes are looked up, too."""
    strategy = next(family for family in FAMILIES if family.name == "strategy")
    value = {"class_path": "DDPStrategy", "init_args": {"cluster_environment": None, "find_unused_parameters": True}}
    assert check_class(value, (), strategy)["init_args"] == value["init_args"]  # it takes others
    value = {"class_path": "SingleDeviceStrategy", "init_args": {"precision_plugin": "HalfPrecision"}}
    inner = check_class(value, (), strategy)["init_args"]["precision_plugin"]
    assert inner["class_path"] == "lightning.pytorch.plugins.precision.half.HalfPrecision"
    with pytest.raises(ConfigError, match="precision_plugin.class_path: .*Did you mean HalfPrecision"):
        check_class({"class_path": "SingleDeviceStrategy", "precision_plugin": "HalfPrecison"}, (), strategy)


@pytest.mark.parametrize(
    ("value", "error"),
    [
        (3, "^c: A callback is a name, or has a class_path and init_args. Received: 3"),
        ({}, "^c: A callback is a name"),
        ({"class_path": ["Timer"]}, "^c: A callback is a name"),
        ({"class_path": "Timer", "init_args": [3]}, "^c.init_args: init_args are 'argument: value' lines"),
        ({"class_path": "Timer", "init_args": {"durations": 3}}, "^c.init_args.durations: .*Did you mean duration"),
    ],
)
def test_what_is_no_class(value, error):
    """Each is told what is wrong with it."""
    with pytest.raises(ConfigError, match=error):
        check_class(value, ("c",), CALLBACK)


def test_all_faults_of_a_class():
    """They come together."""
    with pytest.raises(ConfigError) as caught:
        check_class(
            {"class_path": "BundledData", "init_args": {"name": "iriss", "seed": -1, "sed": 1}}, ("data",), DATA
        )
    assert [fault.key[-1] for fault in caught.value.faults] == ["name", "seed", "sed"]


@pytest.mark.parametrize(("name", "mode"), [("EarlyStopping", "min"), ("ModelCheckpoint", "min"), ("Timer", None)])
def test_default_mode(name, mode):
    """The mode that counts where a config gives none; of classes without one nothing is assumed."""
    assert default_mode(f"lightning.pytorch.callbacks.{name}") == mode


@pytest.mark.parametrize("name", ["experimental_config", "execution_trace_observer", "activities"])
def test_what_only_python_can_give_to_a_profiler(name):
    """Arguments that are objects of torch's are none of a config's."""
    family = next(family for family in FAMILIES if family.name == "profiler")
    given = {"class_path": "PyTorchProfiler", "init_args": {name: 0.5}}
    with pytest.raises(ConfigError, match=f"PyTorchProfiler has no parameter '{name}'"):
        check_class(given, ("trainer", "profiler"), family)
