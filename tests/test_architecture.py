"""The laws of the house, held against the imports as they are parsed."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import lightlab
import lightlab.data

SOURCE = Path(lightlab.__file__).parent
MODULES = {
    ".".join(("lightlab", *path.relative_to(SOURCE).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in SOURCE.rglob("*.py")
}

#: What can be listed, described and checked without what training and reading data need.
LIGHT = (
    "lightlab.build",
    "lightlab.checkpoints.file",
    "lightlab.commands.call",
    "lightlab.commands.check",
    "lightlab.commands.export",
    "lightlab.commands.training",
    "lightlab.config.check",
    "lightlab.config.defaults",
    "lightlab.config.schema",
    "lightlab.data",
    "lightlab.data.augment",
    "lightlab.data.splits",
    "lightlab.data_spec",
    "lightlab.heads",
    "lightlab.layers",
    "lightlab.model_spec",
    "lightlab.optim",
    "lightlab.preprocess",
    "lightlab.problems",
    "lightlab.signatures",
    "lightlab.specs",
    "lightlab.training.options",
)
HEAVY = ("lightning", "torchmetrics", "torchvision", "pandas", "sklearn", "scipy", "pyarrow", "tensorboard")


@cache
def imports(module, at_start_only=False):
    """Return the modules that a module imports; those of lightlab are resolved to modules, packages included."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    found = set()
    for node in _statements(tree, at_start_only):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            submodules = {name for name in names if name in MODULES}
            found |= submodules
            if len(submodules) < len(names):
                found.add(node.module)
    return frozenset(found)


def _statements(tree, at_start_only):
    """Return all nodes but those under `if TYPE_CHECKING`, and, if asked, those inside functions."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if at_start_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        yield node
        yield from _statements(node, at_start_only)


def reached(module, at_start_only=True):
    """Return all that is imported with a module, by way of lightlab's own modules."""
    seen, waiting = set(), [module]
    while waiting:
        name = waiting.pop()
        if name in seen:
            continue
        seen.add(name)
        if name in MODULES:
            parents = [name.rsplit(".", depth)[0] for depth in range(1, name.count(".") + 1)]
            waiting += [*imports(name, at_start_only), *parents]
    return seen - {module}


def within(names, *packages):
    """Return the names that are one of the packages, or lie in one."""
    return {name for name in names if any(name == package or name.startswith(f"{package}.") for package in packages)}


def test_no_import_cycles():
    """No module reaches itself by its imports, those of packages' __init__ and of functions included."""
    graph = {module: {name for name in imports(module) if name in MODULES} for module in MODULES}
    done = set()

    def visit(module, path):
        assert module not in path, " → ".join([*path, module])
        if module not in done:
            for name in sorted(graph[module]):
                visit(name, [*path, module])
            done.add(module)

    for module in sorted(graph):
        visit(module, [])


@pytest.mark.parametrize("module", ["lightlab.errors", "lightlab.problems", "lightlab.registry", "lightlab.cli"])
def test_light_modules_import_neither_torch_nor_lightning(module):
    """What answers --help, and what is asked before torch is needed, does without it."""
    assert not within(reached(module), "torch", "lightning", "torchmetrics", "torchvision")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_answer_without_torch(option):
    """The process that answers --help or --version never imports torch or lightning."""
    code = (
        "import sys; from lightlab.cli import main; code = main([sys.argv[1]]); "
        "heavy = ' '.join({'torch', 'lightning', 'numpy'} & sys.modules.keys()); sys.exit(heavy or code)"
    )
    result = subprocess.run([sys.executable, "-c", code, option], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert "lightlab" in result.stdout


@pytest.mark.parametrize("module", LIGHT)
def test_parts_are_imported_without_what_training_and_reading_data_need(module):
    """Layers, heads, augmentations and options of splits need torch alone."""
    assert not within(reached(module), *HEAVY)


def test_a_process_that_imports_the_parts_has_nothing_heavy():
    """Nor do other packages bring in what is heavy: one process imports all of these, and has none of it."""
    code = (
        "import sys; from importlib import import_module; "
        "[import_module(module) for module in sys.argv[1].split()]; "
        "sys.exit(' '.join(set(sys.argv[2].split()) & sys.modules.keys()) or 0)"
    )
    call = [sys.executable, "-c", code, " ".join(LIGHT), " ".join(HEAVY)]
    result = subprocess.run(call, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("module", sorted(within(MODULES, "lightlab.layers", "lightlab.heads")))
def test_layers_and_heads_know_neither_lightning_nor_data_nor_cli(module):
    """A layer or head can be used without a Trainer, and knows nothing of where data comes from."""
    forbidden = ("lightning", "lightlab.data", "lightlab.cli", "lightlab.commands", "lightlab.module")
    assert not within(reached(module, at_start_only=False), *forbidden)


@pytest.mark.parametrize("module", sorted(within(MODULES, "lightlab.data")))
def test_data_knows_neither_build_nor_module_nor_training(module):
    """A source gives data to any model."""
    assert not within(reached(module, False), "lightlab.build", "lightlab.module", "lightlab.training")


@pytest.mark.parametrize("module", sorted(within(MODULES, "lightlab.config", "lightlab.signatures")))
def test_reading_a_config_needs_no_lightning(module):
    """A config is read and checked before anything heavy is imported, and by nothing that trains."""
    forbidden = ("lightning", "lightlab.module", "lightlab.commands", "lightlab.inspect")
    assert not within(reached(module, at_start_only=False) & MODULES.keys() | reached(module), *forbidden)


def test_module_knows_neither_data_nor_cli():
    """The model takes its data through the Trainer."""
    assert not within(reached("lightlab.module", False), "lightlab.data", "lightlab.cli", "lightlab.commands")


@pytest.mark.parametrize("module", sorted(within(MODULES, "lightlab.training")))
def test_training_reaches_what_it_needs_through_the_trainer(module):
    """What rides along with the Trainer works with any model and data."""
    assert not within(imports(module), "lightlab.module", "lightlab.data", "lightlab.build", "lightlab.heads")


def test_nothing_imports_cli_or_commands():
    """The command line is the outermost: only cli imports commands, and nothing imports cli."""
    for module in MODULES:
        if not module.startswith("lightlab.commands"):
            allowed = {"lightlab.commands"} if module == "lightlab.cli" else set()
            assert not within(imports(module), "lightlab.cli", *({"lightlab.commands"} - allowed)), module
        else:
            assert not within(imports(module), "lightlab.cli"), module


@pytest.mark.parametrize("function", ["torch.load", "torch.save"])
def test_one_place_reads_and_writes_checkpoints(function):
    """torch.load and torch.save are called in one file."""
    callers = {
        module
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and ast.unparse(node) == function
    }
    assert callers == {"lightlab.checkpoints.file"}


#: What runs or unpickles what it is given, reads what would, or starts a program; and where it stands, with a reason.
DANGEROUS = {
    "eval": {"lightlab.signatures.source"},  # annotations of code that is installed, once they are found harmless
    "exec": set(),
    "__import__": set(),
    # The first looks at what a checkpoint's pickle holds, and calls nothing in it; the other writes no more than that.
    "pickle": {"lightlab.checkpoints.archive", "lightlab.checkpoints.pickler"},
    "pickle.load": set(),
    "pickle.loads": set(),
    "yaml.load": {"lightlab.config.documents"},  # with a loader of its own, of plain data
    "np.load": {"lightlab.data.arrays.read_array"},  # never with pickles, see below
    "os.system": set(),
    "os.popen": set(),
    "tempfile.mktemp": set(),
    "torch.jit.load": set(),
    "torch.hub": set(),
    "subprocess.run": {"lightlab.training.run_folder"},  # git
    "subprocess.Popen": {"lightlab.training.compilation", "lightlab.training.ranks"},  # lightlab itself; a type
    "print": {"lightlab.terminal"},  # after escapes for terminals were taken out
    "extractall": set(),
}


@pytest.mark.parametrize("name", DANGEROUS)
def test_what_could_run_something_stands_in_few_places(name):
    """Each of these is used where a reason for it is given above, and nowhere else."""
    found = {module for module in MODULES if name in _names(module)}
    assert found == DANGEROUS[name]


@cache
def _names(module):
    """Return the names and dotted names that a module uses, and of archives the method."""
    nodes = ast.walk(ast.parse(MODULES[module].read_text(encoding="utf-8")))
    dotted = {ast.unparse(node) for node in nodes if isinstance(node, ast.Name | ast.Attribute)}
    return frozenset(dotted | {"extractall" for name in dotted if name.endswith((".extract", ".extractall"))})


def test_nothing_asks_for_pickles_a_shell_or_another_reader():
    """Where NumPy loads arrays it refuses pickles; no program starts in a shell; what else unpickles is not there."""
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            given = {each.arg: ast.unparse(each.value) for each in getattr(node, "keywords", ())}
            assert given.get("shell", "False") == "False", module
            assert given.get("weights_only", "True") == "True", module
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "np.load":
                assert given.get("allow_pickle") == "False", module
        others = {"joblib", "dill", "cloudpickle", "marshal", "shelve", "torch.hub", "jsonpickle"}
        assert not within(imports(module), *others), module


@pytest.mark.parametrize("package", [lightlab, lightlab.data], ids=lambda package: package.__name__)
def test_public_names_are_sorted_and_importable(package):
    """__all__ is the public API, sorted, and every name of it can be had, whether it has been imported yet or not."""
    assert package.__all__ == sorted(package.__all__)
    late = [name for names in package._HOMES.values() for name in names]
    assert sorted(late) == sorted(set(package.__all__) - vars(package).keys())
    assert all(getattr(package, name) is not None for name in package.__all__)
    assert set(package.__all__) <= set(dir(package))
    with pytest.raises(AttributeError, match="no attribute 'Modell'"):
        package.Modell  # noqa: B018 - the access is what is tested


def test_names_for_the_type_checker_are_those_that_can_be_had():
    """What a package imports under TYPE_CHECKING, it gives when it is asked, from the same place."""
    for package in (lightlab, lightlab.data):
        tree = ast.parse(Path(package.__file__).read_text(encoding="utf-8"))
        (block,) = (node for node in tree.body if isinstance(node, ast.If))
        homes = {node.module: tuple(alias.name for alias in node.names) for node in block.body}
        assert homes == package._HOMES
