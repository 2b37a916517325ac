"""lightlab list: what it prints, of what packages, and what it does without."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from lightlab.cli import WRONG_INPUT, main
from lightlab.inspect.catalogue.parts import KINDS

PLUGIN = """
from torch import nn
from lightlab.registry import LAYERS

@LAYERS.register("twice")
def twice(factor: float = 2.0) -> nn.Module:
    "Double the input."
    return nn.Identity()
"""
#: Nothing of what training and reading data need; problems need not even torch.
HEAVY = ("lightning", "torchvision", "torchmetrics", "pandas", "sklearn")
CALL = """
import sys
from lightlab.cli import main
code = main(sys.argv[2:])
sys.exit(' '.join(set(sys.argv[1].split()) & sys.modules.keys()) or code)
"""


def call(*arguments, without=HEAVY):
    """Run lightlab in a process of its own, and return what it prints; it has imported none of some packages."""
    words = [sys.executable, "-c", CALL, " ".join(without), *arguments]
    finished = subprocess.run(words, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind(kind, capsys):
    """Each part has a line with its name and a sentence; as JSON, with its provider."""
    assert main(["list", kind]) == 0
    lines = capsys.readouterr().out.splitlines()
    parts = KINDS[kind].parts()
    assert [line.split()[0] for line in lines] == list(parts)
    assert all(part.summary in line for line, part in zip(lines, parts.values(), strict=True))
    assert main(["list", kind, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found] == list(parts)
    assert all(each["summary"] and each["provider"] for each in found)


def test_all_kinds(capsys):
    """Without a kind all names are there, under their kind and the place where configs name them."""
    assert main(["list"]) == 0
    text = capsys.readouterr().out
    assert all(f"{name} ({kind.place})" in text for name, kind in KINDS.items())
    assert main(["list", "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {kind: [each["name"] for each in parts] for kind, parts in found.items()} == {
        name: list(kind.parts()) for name, kind in KINDS.items()
    }


def test_a_wrong_kind(capsys):
    """The nearest kind is named, and the exit code says that the call was wrong."""
    assert main(["list", "layer"]) == WRONG_INPUT
    assert capsys.readouterr().err == "lightlab: error: No kind is called 'layer'. Did you mean layers?\n"


@pytest.mark.parametrize("kind", ["", *KINDS])
def test_a_process_that_lists_has_nothing_heavy(kind):
    """Neither lightning nor torchvision nor torchmetrics is imported; for problems torch neither."""
    assert call("list", *([kind] if kind else []), without=(*HEAVY, "torch") if kind == "problems" else HEAVY)


def test_plugins_are_listed_and_described_with_their_package():
    """What --plugin brings is there, and is said to come from it."""
    Path("my_layers.py").write_text(PLUGIN)
    assert "twice                " in call("list", "layers", "--plugin", "my_layers")
    assert "Double the input. (my_layers)\n" in call("list", "layers", "--plugin", "my_layers")
    assert " twice (my_layers)" in call("list", "--plugin", "my_layers")
    text = call("describe", "twice", "--plugin", "my_layers")
    assert text.startswith("twice: a layer, from my_layers\n")
    assert "- twice: 2.0" in text
