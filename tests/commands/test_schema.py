"""What `lightlab schema` prints and writes, with plugins and without what is heavy."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from lightlab.cli import main
from lightlab.config.schema import config_schema

PLUGIN = '''\
"""A layer, an activation, a callback and a source of one's own."""

from typing import Annotated, Literal

from lightning.pytorch.callbacks import Callback
from pydantic import Field
from torch import nn

from lightlab.data import Data
from lightlab.layers.base import activation
from lightlab.registry import LAYERS


@LAYERS.register("gate")
def gate(width: Annotated[int, Field(ge=2)], mode: Literal["soft", "hard"] = "soft") -> nn.Module:
    """Let some of it through.

    Args:
        width: of the gate, in columns.
        mode: how it closes.
    """
    return nn.Identity()


@activation("nothing")
def nothing() -> nn.Module:
    """Do nothing."""
    return nn.Identity()


class Bell(Callback):
    """Rings.

    Args:
        often: how many times.
    """

    def __init__(self, often: int = 1) -> None:
        self.often = often


class Diary(Data):
    """Reads a diary.

    Args:
        path: where it lies.
        options: those of every source.
    """

    def __init__(self, path: str, **options) -> None:
        super().__init__(**options)
'''
CONFIG = {
    "data": {"class_path": "Diary", "init_args": {"path": "x", "batch_size": 3}},
    "model": {"layers": [{"gate": {"width": 3, "mode": "hard"}}, {"gate": 2}, "nothing"]},
    "trainer": {"callbacks": [{"class_path": "my_parts.Bell", "init_args": {"often": 2}}, "Bell"]},
}  # fmt: skip
CALL = "import sys; from lightlab.cli import main; sys.exit(main())"


def test_prints_the_schema(capsys):
    """Standard output is one JSON document, and nothing else."""
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(config_schema()))


def test_writes_the_schema(capsys):
    """The file is the same, whole, and replaces an older one; the line that a config begins with is said."""
    Path("lightlab.schema.json").write_text("older")
    assert main(["schema", "-o", "lightlab.schema.json"]) == 0
    assert "# yaml-language-server: $schema=lightlab.schema.json" in capsys.readouterr().out
    assert json.loads(Path("lightlab.schema.json").read_text(encoding="utf-8"))["$defs"]
    assert [path.name for path in Path().iterdir()] == ["lightlab.schema.json"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "digits.yaml"], "A schema is written to a file that ends in .json. Received: digits.yaml."),
        (["-o", "no/such.json"], "The schema can't be written to no/such.json"),
        (["digits.json"], "lightlab schema: unrecognized arguments: digits.json"),
    ],
)
def test_errors(arguments, message, capsys):
    """What can't be written is said, and a config is not written over."""
    Path("digits.yaml").write_text("mine")
    assert main(["schema", *arguments]) == 2
    assert message in capsys.readouterr().err
    assert Path("digits.yaml").read_text() == "mine"
    assert [path.name for path in Path().iterdir()] == ["digits.yaml"]


def test_plugin_is_in_the_schema():
    """What a module of one's own brings is accepted, explained and checked as lightlab's own is."""
    Path("my_parts.py").write_text(PLUGIN)
    call = [sys.executable, "-c", CALL, "schema", "--plugin", "my_parts", "-o", "a.json"]
    finished = subprocess.run(call, capture_output=True, text=True, timeout=300, check=False)
    assert finished.returncode == 0, finished.stderr
    schema = json.loads(Path("a.json").read_text(encoding="utf-8"))
    validator = Draft202012Validator(schema)
    assert list(validator.iter_errors(CONFIG)) == []
    assert list(Draft202012Validator(config_schema()).iter_errors(CONFIG))  # not without the plugin
    assert schema["$defs"]["layer.gate"]["description"] == "Let some of it through."
    assert schema["$defs"]["layer.gate"]["properties"]["width"]["description"] == "of the gate, in columns."
    for wrong in ({"gate": 1}, {"gate": {"width": 2, "mode": "wide"}}, {"gate": {"wide": 2}}, "gate"):
        assert list(validator.iter_errors({**CONFIG, "model": {"layers": [wrong]}})), wrong


def test_imports_nothing_heavy():
    """Of what is large the schema needs torch alone."""
    heavy = ("lightning", "torchvision", "torchmetrics", "pandas", "sklearn", "scipy", "tensorboard")
    code = (
        "import sys; from lightlab.cli import main; main(['schema']); sys.exit(' '.join({*sys.argv} & {*sys.modules}))"
    )
    call = [sys.executable, "-c", code, *heavy]
    finished = subprocess.run(call, capture_output=True, text=True, timeout=300, check=False)
    assert finished.stderr.strip() == ""
