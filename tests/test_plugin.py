"""Plugins as people have them: installed by pip, or a module where one works; lightlab runs in a process of its own."""

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import lightlab

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "lightlab-counts"
PAGE = ROOT / "docs" / "plugins.md"
CALL = "import sys; from lightlab.cli import main; sys.exit(main())"
CONFIG = """
data: {class_path: TableData, init_args: {path: visits.csv, target: visits, batch_size: 32}}
model:
  problem: counts
  layers: [feature_gate, {dense: {units: 8, activation: squareplus}}]
  optimizer: {class_path: AdamW, init_args: {lr: 0.05}}
trainer: {max_epochs: 12, accelerator: cpu, logger: false}
"""
#: pip as it can be had without a network.
OFFLINE = ["--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check", "--quiet"]


def run(python, *arguments, folder, code=0):
    """Run Python in a folder, and return what it said, after a look at its exit code."""
    call = [str(python), *map(str, arguments)]
    finished = subprocess.run(call, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == code, finished.stdout + finished.stderr
    return finished


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """Return a function that makes a virtual environment: all that this one has, and packages, installed by pip."""

    def make(*packages):
        folder = tmp_path_factory.mktemp("environment")
        venv.create(folder, symlinks=True)
        paths = {"base": str(folder), "platbase": str(folder)}
        own = Path(sysconfig.get_path("purelib", "venv", vars=paths))
        # `site.addsitedir`, and not a plain path, so that what is installed here as editable is found there, too.
        here = {sysconfig.get_path(kind) for kind in ("purelib", "platlib")}
        lines = [f"import site; site.addsitedir({path!r})" for path in sorted(here)]
        (own / "outer.pth").write_text("\n".join(lines) + "\n")
        python = Path(sysconfig.get_path("scripts", "venv", vars=paths)) / Path(sys.executable).name
        if packages:
            run(python, "-m", "pip", "install", *OFFLINE, *packages, folder=folder)
        return python

    return make


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Return the example, built."""
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", *OFFLINE, "--wheel-dir", folder, EXAMPLE, folder=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def python(environment, wheel):
    """Return the Python of an environment with the example, installed from its wheel."""
    return environment(wheel)


@pytest.fixture
def visits(tmp_path):
    """Write a config, and a table in which one column of two says how often something happens."""
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(400, 2))
    counts = generator.poisson(np.exp(1 + inputs[:, 0]))
    pd.DataFrame({"signal": inputs[:, 0], "noise": inputs[:, 1], "visits": counts}).to_csv("visits.csv", index=False)
    Path("visits.yaml").write_text(CONFIG)
    return tmp_path


def package(folder, name, source):
    """Write a package with one module, offered as a plugin."""
    folder.mkdir()
    text = (EXAMPLE / "pyproject.toml").read_text().replace("lightlab-counts", name).replace('readme = "README.md"', "")
    module = name.replace("-", "_")
    (folder / "pyproject.toml").write_text(text.replace("lightlab_counts", module).replace("counts =", f"{module} ="))
    (folder / f"{module}.py").write_text(source)
    return folder


def test_installed_plugin_is_registered(python, tmp_path):
    """Its parts are there under the name of their module; their examples run."""
    program = """
import doctest, json
import torch
import lightlab, lightlab_counts
from lightlab import ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, PROBLEMS, ConfigError, TargetSpec, build_network
found = {"home": lightlab.__file__}
parts = {"feature_gate": [LAYERS], "squareplus": [LAYERS, ACTIVATIONS], "counts": [PROBLEMS, HEADS]}
parts["random_gain"] = [AUGMENTATIONS]
found["providers"] = [registry.entry(name).provider for name in parts for registry in parts[name]]
found["examples"] = list(doctest.testmod(lightlab_counts))[:2]
layers = ["feature_gate", {"dense": {"units": 3, "activation": {"squareplus": 1}}}]
network, found["shape"] = build_network(layers, (5,))
found["weights"] = sum(parameter.numel() for parameter in network.parameters())
head = HEADS.get("counts")(3, target=TargetSpec(("n",), mean=(2.0,), std=(1.0,)))
found["valid"] = head.valid(torch.tensor([0.0, 3.0, 2.5, -1.0, torch.nan, torch.inf])).tolist()
try:
    build_network([{"feature_gait": 1}, {"feature_gate": "1"}, {"squareplus": -1}], (5,))
except ConfigError as error:
    found["faults"] = str(error).splitlines()
print(json.dumps(found))
"""
    found = json.loads(run(python, "-c", program, folder=tmp_path).stdout)
    assert found["home"] == lightlab.__file__
    assert found["providers"] == ["lightlab_counts"] * 6
    assert found["examples"] == [0, 8]
    assert found["valid"] == [True, True, False, False, False, False]
    assert found["shape"] == [3]
    assert found["weights"] == 5 + 18
    expected = (
        "layers[0].feature_gait: No layer is called 'feature_gait'. Did you mean feature_gate?",
        "layers[1].feature_gate.init: feature_gate's init must be a valid number. Received: '1'.",
        "layers[2].squareplus.b: squareplus's b must be greater than or equal to 0. Received: -1.",
    )
    assert all(fault.startswith(start) for fault, start in zip(found["faults"], expected, strict=True))


def test_template_passes_its_own_tests(python, tmp_path):
    """The tests of the template pass where nothing of it is but the wheel: the contract, a test for each rule."""
    shutil.copytree(EXAMPLE / "tests", "tests")
    shutil.copy(EXAMPLE / "pyproject.toml", "pyproject.toml")
    said = run(python, "-m", "pytest", "-v", folder=tmp_path).stdout
    for part, rule in (
        ("feature_gate", "gradient_flows-6"),
        ("squareplus", "activation_keeps_the_shape-4x6"),
        ("counts", "stable_at_large_logits"),
        ("random_gain", "other_inputs_are_refused-images"),
        ("lightlab_counts", "every_part_has_a_case"),
    ):
        assert f"tests/test_contract.py::test_contract[{part}-{rule}] PASSED" in said


def test_installed_plugin_trains_and_predicts(python, visits):
    """A model of its problem learns from a table, better than the mean does, and predicts expected counts."""
    run(python, "-c", CALL, "fit", "--config", "visits.yaml", folder=visits)
    (results,) = Path("runs").rglob("metrics.json")
    for split in ("val", "test"):
        assert all(f"{split}/{name}" in results.read_text() for name in ("loss", "mae", "poisson_deviance"))
    run(python, "-c", CALL, "predict", "--config", "visits.yaml", "--output", "predicted.csv", folder=visits)
    predicted = pd.read_csv("predicted.csv")
    table = pd.read_csv("visits.csv").loc[predicted["id"]].reset_index(drop=True)
    errors = (predicted["prediction"] - np.exp(1 + table["signal"])).abs().mean()
    assert (predicted["prediction"] > 0).all()
    assert errors < 0.5 * (table["visits"].mean() - np.exp(1 + table["signal"])).abs().mean()


def test_targets_that_are_no_counts(python, visits):
    """The head's own rule is held against the table before anything is trained."""
    table = pd.read_csv("visits.csv").astype({"visits": float})
    table.loc[17, "visits"] = 2.5
    table.to_csv("visits.csv", index=False)
    finished = run(python, "-c", CALL, "fit", "--config", "visits.yaml", folder=visits, code=2)
    assert "Counts are whole numbers from 0 on." in finished.stderr
    assert "2.5 at visits.csv:19" in finished.stderr
    assert not Path("runs").exists()


def test_broken_plugin_is_reported_and_nothing_else_breaks(environment, visits):
    """One whose import fails is named with its package and cause; another plugin's model trains beside it."""
    broken = package(
        visits / "broken", "broken-dreams", "import lightlab\nraise ImportError('libdream.so is missing')\n"
    )
    python = environment(EXAMPLE, broken)
    finished = run(python, "-c", CALL, "fit", "--config", "visits.yaml", folder=visits)
    report = (
        "lightlab: warning: The plugin 'broken_dreams' (of broken-dreams) can't be imported from broken_dreams: "
        "ImportError: libdream.so is missing."
    )
    assert finished.stderr.count(report) == 1
    assert list(Path("runs").rglob("metrics.json"))


MODULE = """
from torch import nn
from lightlab import LAYERS

@LAYERS.register("double")
def double() -> nn.Module:
    class Double(nn.Module):
        def forward(self, inputs):
            return 2 * inputs
    return Double()
"""


def test_module_in_the_working_directory(visits):
    """--plugin imports a module from where one works, and a model of its layers trains."""
    Path("my_layers.py").write_text(MODULE)
    config = CONFIG.replace("counts", "regression").replace("[feature_gate, {dense", "[double, {dense")
    Path("visits.yaml").write_text(config.replace("squareplus", "relu").replace("max_epochs: 12", "max_epochs: 1"))
    call = sys.executable, "-c", CALL
    said = run(*call, "fit", "--config", "visits.yaml", "--plugin", "my_layers", folder=visits).stdout
    assert list(Path("runs").rglob("metrics.json"))
    asked = re.findall(r"^(?:report|predict) +lightlab (.+)$", said, re.MULTILINE)
    assert len(asked) == 2
    for command in asked:
        run(*call, *command.split(), folder=visits)


def test_what_it_takes_to_read_a_run(visits):
    """Without the plugin each verb that builds the model says that a layer is missing, and where it comes from."""
    Path("my_layers.py").write_text(MODULE)
    config = CONFIG.replace("counts", "regression").replace("[feature_gate, {dense", "[double, {dense")
    Path("visits.yaml").write_text(config.replace("squareplus", "relu").replace("max_epochs: 12", "max_epochs: 1"))
    call, plugin = (sys.executable, "-c", CALL), ("--plugin", "my_layers")
    run(*call, "fit", "--config", "visits.yaml", *plugin, folder=visits)
    (folder,) = Path("runs/visits").iterdir()
    exported = ["--ckpt_path", "model.safetensors", "--output", "p.csv"]
    for verb in (
        ["export", folder],
        ["summary", "model.safetensors"],
        ["report", folder],
        ["predict", "--config", folder / "config.yaml", *exported],
    ):
        refused = run(*call, *verb, folder=visits, code=2).stderr
        assert "No layer is called 'double'" in refused
        assert "one of your own comes with --plugin MODULE" in refused
        if verb[0] in ("export", "predict"):  # each call takes seconds
            run(*call, *verb, *plugin, folder=visits)


@pytest.mark.parametrize(
    ("call", "source", "cause"),
    [
        (["fit", "--plugin", "my_layers"], "raise RuntimeError('no licence')\n", "RuntimeError: no licence."),
        (["--plugin=my_layers", "fit"], "import absent\n", "ModuleNotFoundError: No module named 'absent'."),
        (["fit", "--plugin", "my_layers"], None, "ModuleNotFoundError: No module named 'my_layers'."),
        (
            ["fit", "--plugin", "my_layers"],
            MODULE.replace("double", "dense"),
            "RegistryError: A layer's name is registered once. 'dense' is already provided by lightlab.layers.dense.",
        ),
    ],
)
def test_module_that_fails(tmp_path, call, source, cause):
    """A module named by --plugin that can't be imported ends the call with its name and cause, and exit code 2."""
    if source is not None:
        Path("my_layers.py").write_text(source)
    finished = run(sys.executable, "-c", CALL, *call, folder=tmp_path, code=2)
    rule = "lightlab: error: --plugin takes the name of a module that can be imported from here. Received: my_layers: "
    assert finished.stderr.startswith(rule + cause)
    assert finished.stderr.count("\n") == 1
    assert finished.stdout == ""


BLOCKS = re.findall(r"^```(\w+)\n(.+?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
#: The code of the page, by the file that its first line names.
CODE = [(*block.split("\n", 1),) for language, block in BLOCKS if language in ("python", "yaml", "toml")]
CODE = [(first.removeprefix("# "), block) for first, block in CODE]


@pytest.mark.parametrize(("file", "block"), [pair for pair in CODE if not pair[0].startswith(("my_", "wine"))])
def test_page_shows_the_template(file, block):
    """Each block of the page that names a file of the template stands in it, word for word."""
    assert block in (EXAMPLE / file).read_text(encoding="utf-8")


def test_page_leads_to_an_installed_plugin(environment, tmp_path):
    """What the page has one write and call, in its order, in an environment without the plugin: all of it works."""
    python = environment()
    scripts = {"lightlab": f"-c '{CALL}'", "pip": "-m pip", "pytest": "-m pytest"}
    for name, call in scripts.items():
        script = python.parent / name
        script.write_text(f'#!/bin/sh\nexec {python} {call} "$@"\n')
        script.chmod(0o755)
    shutil.copytree(EXAMPLE, "work", ignore=shutil.ignore_patterns("__pycache__", ".*"))
    for file, block in CODE:
        if not (EXAMPLE / file).exists():
            Path("work", file).write_text(block)
    # pip reads this option of the environment the wrong way round.
    offline = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
    path = f"{python.parent}{os.pathsep}{os.environ['PATH']}"
    calls = "".join(block for language, block in BLOCKS if language == "bash")
    finished = subprocess.run(
        ["sh", "-e", "-c", calls],
        cwd="work",
        env={**os.environ, **offline, "PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert finished.returncode == 0, finished.stdout + finished.stderr
    assert {path.parts[2] for path in Path("work").rglob("metrics.json")} == {"wine", "visits"}
    assert "fit --config visits.yaml" in calls
    found = run(python, "-c", "import lightlab_counts; print(lightlab_counts.__file__)", folder=tmp_path).stdout
    assert Path(found.strip()).is_relative_to(python.parent.parent)
