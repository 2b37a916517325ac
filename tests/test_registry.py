import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from lightlab import ConfigError, PluginError, Problem, RegistryError, build_network, register_problem
from lightlab.registry import LAYERS, PROBLEMS, Registry, import_plugin


@pytest.fixture
def gadgets():
    """Return a registry of the test's own."""
    return Registry("gadget", home="lightlab.errors")


@pytest.fixture
def layer():
    """Return a function that registers a layer for the length of a test."""
    names = []

    def register(name, component):
        LAYERS.register(name)(component)
        names.append(name)

    yield register
    for name in names:
        del LAYERS._entries[name]


@pytest.mark.parametrize("name", ["a", "conv2d", "layer_norm", "x_1_y", "a" * 100])
def test_names_that_are_taken(gadgets, name):
    """A name has lower-case letters, digits and underscores; what is registered is returned as it is."""
    item = object()
    gadgets.add(name, item, provider="tests")
    assert gadgets.get(name) is item
    assert gadgets.entry(name).provider == "tests"
    assert name in gadgets
    assert gadgets.names() == (name,)


@pytest.mark.parametrize("name", ["", "Conv", "2d", "_x", "a-b", "a b", "a.b", "nn.Linear", "é", "a\n"])
def test_names_that_are_refused(gadgets, name):
    """Any other name is answered with the rule, the name and who gave it."""
    with pytest.raises(RegistryError, match="A gadget's name has lower-case letters, digits and underscores") as caught:
        gadgets.register(name)(test_names_that_are_refused)
    assert str(caught.value).endswith(f"Received: {name!r} from {__name__}.")
    assert gadgets.names() == ()


def test_register_returns_what_it_decorates(gadgets):
    """The decorator leaves function and class as they are, and notes their module."""

    @gadgets.register("thing")
    class Thing:
        pass

    assert isinstance(Thing, type)
    assert gadgets.get("thing") is Thing
    assert gadgets.entry("thing").provider == __name__
    assert LAYERS.entry("dense").provider == "lightlab.layers.dense"


def test_taken_name_says_who_has_it(gadgets):
    """A second registration names both providers, and the first one stays."""
    gadgets.add("thing", 1, provider="here.first")
    with pytest.raises(RegistryError, match="'thing' is already provided by here.first. Received it again from me.too"):
        gadgets.add("thing", 2, provider="me.too")
    assert gadgets.get("thing") == 1


def test_unknown_name_has_the_nearest(gadgets):
    """An unknown name is answered with the nearest names, or with all where none is near, and their home."""
    for name in ("conv1d", "conv2d", "dense"):
        gadgets.add(name, name, provider="tests")
    with pytest.raises(RegistryError, match="No gadget is called 'conv3d'. Did you mean conv2d or conv1d?") as caught:
        gadgets.get("conv3d")
    assert "'lightlab list gadgets' has them all; one of your own comes with --plugin MODULE." in str(caught.value)
    with pytest.raises(RegistryError, match="No gadget is called 'zzz'. There are: conv1d, conv2d, dense."):
        gadgets.get("zzz")
    assert "zzz" not in gadgets


def test_names_are_sorted(gadgets):
    """Names come in the order of the alphabet, not in that of registration."""
    for name in ("c", "a", "b"):
        gadgets.add(name, name, provider="tests")
    assert gadgets.names() == ("a", "b", "c")


@pytest.mark.parametrize("use", [lambda late: late.names(), lambda late: late.add("thing", 1, provider="tests")])
def test_home_is_imported_when_it_is_needed(tmp_path, monkeypatch, use):
    """The module of a kind's own parts is imported with the first question or part, which it comes before."""
    Path("late_home.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    late = Registry("gadget", home="late_home")
    assert "late_home" not in sys.modules
    use(late)
    assert sys.modules.pop("late_home").__file__ == str(tmp_path / "late_home.py")


def test_home_that_fails_to_import_is_not_masked(tmp_path, monkeypatch):
    """An error in the home module itself comes through, and is no 'not found'."""
    Path("broken_home.py").write_text("import module_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="module_that_is_not_there"):
        Registry("gadget", home="broken_home").get("thing")


@pytest.mark.parametrize("error", [ValueError, TypeError, RuntimeError, AssertionError, ZeroDivisionError])
def test_error_in_a_constructor_is_not_masked(layer, error):
    """What a layer's own constructor says is in the message and attached, with the layer's place."""

    def fragile(size: int = 1) -> nn.Module:
        raise error("the disk is made of cheese")

    layer("fragile", fragile)
    with pytest.raises(ConfigError, match=r"layers\[1\]\.fragile: fragile can't be built for \(batch, 3\)") as caught:
        build_network(["relu", {"fragile": 2}], (3,))
    assert "the disk is made of cheese" in str(caught.value)
    assert isinstance(caught.value.__cause__, error)


@pytest.mark.parametrize("error", [KeyError, AttributeError, ImportError, OSError])
def test_bug_in_a_constructor_is_named(layer, error):
    """What can only be a bug in the layer's code comes with its kind and its line, and is attached."""

    def fragile() -> nn.Module:
        raise error("cheese")

    layer("fragile", fragile)
    said = rf"layers\[0\]: fragile can't be built .*: it raised {error.__name__}: '?cheese'? \(.*test_registry.py:\d+\)"
    with pytest.raises(ConfigError, match=said) as caught:
        build_network(["fragile"], (3,))
    assert isinstance(caught.value.__cause__, error)


def test_layer_that_returns_no_module(layer):
    """A component that gives something else is named."""
    layer("shy", lambda: None)
    with pytest.raises(ConfigError, match=r"layers\[0\]: A layer returns an nn.Module. Received from shy: None"):
        build_network(["shy"], (3,))


def test_classes_can_be_layers(layer):
    """A class is built as a function is; it may ask for the shape that arrives."""

    class Scale(nn.Module):
        def __init__(self, factor: float, input_shape: tuple[int, ...]) -> None:
            super().__init__()
            self.factor, self.input_shape = factor, input_shape

        def forward(self, inputs):
            return inputs * self.factor

    layer("scale", Scale)
    network, shape = build_network([{"scale": 2.5}], (3, 4))
    assert (network[0].factor, network[0].input_shape, shape) == (2.5, (3, 4), (3, 4))
    with pytest.raises(ConfigError, match=r"scale has no parameter 'input_shape'"):
        build_network([{"scale": {"factor": 1.0, "input_shape": [1]}}], (3, 4))


def test_registered_problem_notes_who_did_it():
    """A row of the table has the module that registered it for its provider; a taken name is refused."""
    row = Problem("test_ranking", "numbers", "1 number", ("mse",), "a number", ("mse",))
    try:
        assert register_problem(row) is row
        assert PROBLEMS.entry("test_ranking").provider == __name__
        with pytest.raises(RegistryError, match=f"already provided by {__name__}"):
            register_problem(row)
    finally:
        del PROBLEMS._entries["test_ranking"]


def test_import_plugin(tmp_path, monkeypatch):
    """A module that is named registers its parts; one that fails is named with its cause."""
    monkeypatch.syspath_prepend(tmp_path)
    Path("good_plugin.py").write_text(
        "from torch import nn\nfrom lightlab import LAYERS\n\n\n"
        "@LAYERS.register('noop')\ndef noop() -> nn.Module:\n    return nn.Identity()\n"
    )
    Path("bad_plugin.py").write_text("raise OSError('no licence')\n")
    try:
        import_plugin("good_plugin")
        assert LAYERS.entry("noop").provider == "good_plugin"
    finally:
        LAYERS._entries.pop("noop", None)
    with pytest.raises(PluginError, match="Received: bad_plugin: OSError: no licence.$") as caught:
        import_plugin("bad_plugin")
    assert isinstance(caught.value.__cause__, OSError)
    with pytest.raises(PluginError, match="Received: absent_plugin: ModuleNotFoundError: No module named"):
        import_plugin("absent_plugin")


def test_installed_plugin_that_fails_breaks_only_what_needs_it(tmp_path):
    """It is said on standard error with name, package and cause; other parts work; a name not found mentions it."""
    metadata = Path("broken_package-1.0.dist-info")
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-package\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[lightlab.plugins]\nbroken = broken_module\n")
    Path("broken_module.py").write_text("raise ImportError('libcheese.so is missing.')\n")
    program = """
from lightlab import LAYERS, RegistryError, build_network
print(build_network([{"dense": 4}], (3,))[1])
try:
    LAYERS.get("cheese")
except RegistryError as error:
    print(error)
"""
    finished = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path, timeout=100
    )
    said = "The plugin 'broken' (of broken-package) can't be imported from broken_module: ImportError: libcheese.so is"
    assert finished.stderr.count(said) == 1
    assert finished.stderr.startswith("lightlab: warning: ")
    assert finished.stdout.startswith("(4,)\nNo layer is called 'cheese'.")
    assert said in finished.stdout
