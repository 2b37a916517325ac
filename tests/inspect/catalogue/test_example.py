"""The examples: each is held against lightlab's own check."""

from pathlib import Path

import pytest
import yaml

from lightlab.config.check import check_config
from lightlab.config.sources import Sources
from lightlab.inspect.catalogue.example import DATA, example
from lightlab.inspect.catalogue.find import find
from lightlab.inspect.catalogue.keys import keys, keys_of_parts, sections
from lightlab.inspect.catalogue.parts import KINDS

#: What an example is laid over: all that a config needs beside it.
BASE = """\
data: {class_path: TableData, init_args: {path: table.csv, target: label}}
model: {problem: multiclass, layers: [{dense: 8}]}
"""
#: They have to be given functions or types.
NOT_FOR_CONFIGS = {"ThroughputMonitor", "TransformerEnginePrecision"}


def check(text, base=BASE):
    """Hold an example, laid over a config, against lightlab's check."""
    Path("base.yaml").write_text(base)
    Path("example.yaml").write_text(text)
    check_config(Sources(["base.yaml", "example.yaml"], []))


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_of_every_part(kind):
    """Each is a config's piece that passes the check as it stands, and names the part."""
    for name, part in KINDS[kind].parts().items():
        text = example(part)
        if name in NOT_FOR_CONFIGS:
            assert text is None
            continue
        assert text is not None, name
        assert name in text
        check(text)


@pytest.mark.parametrize("found", [sections, keys, keys_of_parts])
def test_the_example_of_every_section_and_key(found):
    """Each passes the check, and has the key; keys that take functions only have none."""
    without = []
    for name, part in found().items():
        text = example(part)
        if text is None:
            without.append(name)
            continue
        value = yaml.safe_load(text)
        for each in name.split("."):
            value = value[each] if each in value else value["init_args"][each]
        check(text)
    assert all(name.startswith(("model.lr_scheduler.", "data.")) for name in without), without


def test_sources_of_one_s_own_examples_are_there():
    """The table of data sources names none that is gone."""
    assert set(DATA) <= set(KINDS["data"].parts())


@pytest.mark.parametrize("name", ["nn.GELU", "nn.Linear", "nn.Conv2d", "nn.LSTM", "nn.ReLU"])
def test_torch_s_modules(name):
    """A module of torch.nn is a layer like others."""
    (part,) = find(name)
    check(example(part))


def test_layers_that_no_model_may_end_in_are_followed_by_one():
    """The problem adds softmax itself, so an example does not end with it."""
    assert yaml.safe_load(example(KINDS["layers"].parts()["softmax"]))["model"]["layers"][-1] == {"dense": 64}
    assert len(yaml.safe_load(example(KINDS["layers"].parts()["dense"]))["model"]["layers"]) == 1
