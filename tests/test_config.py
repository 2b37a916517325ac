"""Where the values of a config stand, and what is said of files that are no config."""

from enum import Enum
from pathlib import Path

import pytest
import yaml

from lightlab.config import Dumper, Loader, Sources
from lightlab.errors import ConfigError

BASE = """\
data:
  class_path: BundledData
  init_args:
    name: iris
model:
  layers:
    - dense: {units: 3}
    - relu
    - residual:
        - dense: 4
"""


@pytest.fixture
def sources():
    """A config, an overlay on it, and a command line."""
    Path("base.yaml").write_text(BASE)
    Path("overlay.yaml").write_text("\nmodel:\n  problem: binary\n")
    return Sources(
        ["base.yaml", "overlay.yaml"], ["--trainer.max_epochs", "3", "--data.seed=4", "--model.head.low", "1"]
    )


@pytest.mark.parametrize(
    ("key", "place"),
    [
        (("data", "class_path"), "base.yaml:2"),
        (("data", "name"), "base.yaml:4"),
        (("data", "init_args", "name"), "base.yaml:4"),
        (("model", "layers", 0, "dense", "units"), "base.yaml:7"),
        (("model", "layers", 0, "dense", "unit"), "base.yaml:7"),
        (("model", "layers", 1), "base.yaml:8"),
        (("model", "layers", 2, "residual", "layers", 0, "dense"), "base.yaml:9"),
        (("model", "problem"), "overlay.yaml:3"),
        (("trainer", "max_epochs"), "command line"),
        (("data", "seed"), "command line"),
        (("model", "head", "low"), "command line"),
        (("trainer", "devices"), "command line"),
        (("checkpoint", "monitor"), ""),
    ],
)
def test_locate(sources, key, place):
    """A key, or what is nearest above it, is found in the last file that has it, or on the command line."""
    assert sources.locate(key) == place


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: {c: 2, c: 3}\n", r"bad\.yaml:2: b\.c: A key stands once\. It is in line 2, too\."),
        ("a:\n  - x\na: 2\n", r"bad\.yaml:3: a: A key stands once\. It is in line 1, too\."),
        ("a:\n\tb: 1\n", r"bad\.yaml:2:1: This is no YAML: .*Indent with spaces, not tabs\."),
        ("a: [1\nb: 2\n", r"bad\.yaml:2:\d+: This is no YAML"),
        ("- a\n", r"bad\.yaml:1: A config is made of 'key: value' lines\. Received: a list"),
        ("hello\n", r"bad\.yaml:1: A config is made of 'key: value' lines\. Received: 'hello'"),
        ("# nothing\n", r"bad\.yaml: A config is made of 'key: value' lines\. This one is empty"),
        (b"\xff\xfe\x00", r"bad\.yaml: A config is text in UTF-8"),
    ],
)
def test_no_config(text, message):
    """What is wrong with a file, and in which line, is said."""
    Path("bad.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=message):
        Sources(["bad.yaml"], [])


def test_no_file():
    """A file that is not there is answered with those that are nearly called so."""
    Path("digits.yaml").write_text(BASE)
    with pytest.raises(ConfigError, match=r"Received: digit\.yaml \(no such file\)\. Did you mean digits\.yaml\?"):
        Sources(["digit.yaml"], [])


@pytest.mark.parametrize(
    "value",
    [
        "1e3",
        "01",
        "yes",
        "NO",
        "1_000",
        "0x1f",
        "2024-01-31",
        "null",
        "~",
        "1.5",
        "a: b",
        "",
        "é",
        True,
        1.0e-3,
        7,
        None,
    ],
)
def test_what_is_written_is_read_back(value):
    """Plain data comes back as it was, by lightlab's reader and by PyYAML's own; text stays text."""
    text = yaml.dump({"value": value}, Dumper=Dumper, allow_unicode=True)
    assert yaml.load(text, Loader=Loader) == {"value": value}
    assert yaml.safe_load(text) == {"value": value}


def test_writing_what_is_not_plain():
    """Choices are written by name, tuples as lists, paths as text."""
    value = {"path": Path("a/b"), "choice": Colour.RED, "pair": (1, 2)}
    assert yaml.safe_load(yaml.dump(value, Dumper=Dumper)) == {"path": "a/b", "choice": "RED", "pair": [1, 2]}


class Colour(Enum):
    """A choice."""

    RED = 1
