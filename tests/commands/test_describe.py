"""lightlab describe: what it prints of parts of each kind, and what it does without."""

import json
import subprocess
import sys

import pytest
import yaml

from lightlab.cli import WRONG_INPUT, main
from lightlab.inspect.catalogue.find import all_parts

HEAVY = {"lightning", "torchvision", "torchmetrics", "pandas", "sklearn"}

DENSE = """\
dense: a layer, from lightlab.layers.dense

  dense: {units, activation: null, use_bias: true, init: null, l1: 0.0, l2: 0.0}

Connect every input feature to every unit: activation(x Wᵀ + b).

Input shape: (batch, …, features). Output shape: (batch, …, units).

Takes:
  units: int > 0
      number of outputs; the kernel W is of shape (units, features).
  activation: an activation or null; null by default
      applied to the result; none by default.
"""


def test_a_layer(capsys):
    """What it is, its shapes, its parameters with types and defaults, and an example."""
    assert main(["describe", "dense"]) == 0
    text = capsys.readouterr().out
    assert text.startswith(DENSE)
    assert text.endswith("Example:\n  model:\n    layers:\n    - dense: 64\n")


def test_several_names(capsys):
    """Each is described, under its kind; a name of two kinds twice."""
    assert main(["describe", "binary", "trainer.max_epochs"]) == 0
    heads = [line for line in capsys.readouterr().out.splitlines() if ", from " in line]
    assert heads == [
        "binary: a problem, from lightlab.problems",
        "binary: a head, from lightlab.heads.binary",
        "trainer.max_epochs: a key, from lightning.pytorch.trainer.trainer",
    ]


def test_a_section(capsys):
    """Its keys are what it takes."""
    assert main(["describe", "early_stopping"]) == 0
    text = capsys.readouterr().out
    assert "  patience: int ≥ 0; 10 by default\n" in text
    assert "Example:\n  early_stopping:\n    monitor: val/loss\n    patience: 5\n" in text


def test_what_a_config_cannot_write(capsys):
    """A part that has to be given a function has no example, and it is said why."""
    assert main(["describe", "ThroughputMonitor"]) == 0
    assert capsys.readouterr().out.endswith("It needs batch_size_fn, which a config can't write.\n")


def test_everything_as_json(capsys):
    """All that has a name can be described for tools, without markup or what JSON does not have."""
    names = sorted({f"{part.kind}.{part.name}" for part in all_parts()})
    assert main(["describe", *names, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out, parse_constant=lambda name: 1 / 0)
    assert [f"{each['kind']}.{each['name']}" for each in found] == names
    for each in found:
        assert "``" not in each["summary"]
        assert isinstance(yaml.safe_load(each["example"] or "{}"), dict)
        assert all(parameter["type"] for parameter in each["parameters"])
        assert all(parameter["required"] == ("default" not in parameter) for parameter in each["parameters"])


def test_an_unknown_name(capsys):
    """The nearest name is said, and nothing is printed of the others."""
    assert main(["describe", "relu", "dens"]) == WRONG_INPUT
    assert capsys.readouterr() == ("", "lightlab: error: Nothing is called 'dens'. Did you mean dense?\n")


@pytest.mark.parametrize("name", ["dense", "TableData", "EarlyStopping", "trainer", "data.path", "binary", "AdamW"])
def test_a_process_that_describes_has_nothing_heavy(name):
    """Neither lightning nor torchvision nor torchmetrics is imported."""
    code = (
        "import sys; from lightlab.cli import main; code = main(['describe', sys.argv[1]]); "
        f"sys.exit(' '.join({HEAVY} & sys.modules.keys()) or code)"
    )
    finished = subprocess.run([sys.executable, "-c", code, name], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
