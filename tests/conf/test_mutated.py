"""Configs changed at random: out comes a config, which prints and parses to the same, or lightlab's own error."""

import copy
import time
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lightlab.config.check import check_config
from lightlab.config.defaults import config_text
from lightlab.config.documents import Dumper, Loader
from lightlab.config.sources import Sources
from lightlab.errors import ConfigError, LightlabError

SHIPPED = [
    yaml.load(path.read_text(), Loader=Loader)
    for path in sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))
    if "overlays" not in path.parts
]
TEXTS = [path.read_text() for path in sorted((Path(__file__).parents[2] / "configs").rglob("*.yaml"))]
#: Longer than this no config may take; it takes a hundredth of it.
SECONDS = 5
#: More than this nobody reads in one line.
LONGEST = 2000
#: Names that mean something somewhere, so that a change is more often nearly right.
NAMES = sorted(
    {
        "class_path",
        "init_args",
        "layers",
        "units",
        "monitor",
        "callbacks",
        "lr",
        "fit",
        "1",
        "",
        "__class__",
        "a.b",
        "[0]",
    }
    | {"data", "model", "trainer", "early_stopping", "checkpoint", "seed_everything", "ckpt_path", "dict_kwargs", "<<"}
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.integers(),
    st.floats(),
    st.sampled_from([10**40, -(10**40), float("nan"), float("inf"), 1e-320, "1e-3", "2", "null", "val/loss", "relu"]),
    st.sampled_from(
        ["AdamW", "EarlyStopping", "ModelCheckpoint", "os.system", "nn.Linear", "nn.", "nn.Module", ".", ""]
    ),
    st.sampled_from(NAMES),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4) | st.integers(-1, 3), inner, max_size=3),
    ),
    max_leaves=6,
)
MANY = settings(
    derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck), database=None
)


def places(value, above=()):
    """Return every container in a config, with its keys or indices."""
    found = []
    if isinstance(value, dict | list):
        found.append((above, list(value) if isinstance(value, dict) else list(range(len(value)))))
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(part, (*above, name))
    return found


def look_up(value, key):
    """Return what stands at a key."""
    for part in key:
        value = value[part]
    return value


@st.composite
def mutated(draw):
    """A shipped config with one to three things changed."""
    config = copy.deepcopy(draw(st.sampled_from(SHIPPED)))
    for _ in range(draw(st.integers(1, 3))):
        key, names = draw(st.sampled_from([place for place in places(config) if place[1]]))
        container, name = look_up(config, key), draw(st.sampled_from(names))
        change = draw(st.sampled_from(["delete", "rename", "retype", "duplicate", "move", "add", "misspell"]))
        other = look_up(config, draw(st.sampled_from(places(config)))[0])
        if change == "retype":
            container[name] = draw(VALUES)
        elif change == "add":
            put(container, draw(st.sampled_from(NAMES) | st.text(max_size=5)), draw(VALUES))
        elif change == "duplicate":
            put(other, name, copy.deepcopy(container[name]))
        else:
            value = container.pop(name)
            new = name
            if change == "rename":
                new = draw(st.sampled_from(NAMES))
            elif change == "misspell" and isinstance(name, str):
                new = name[:-1]
            if change == "move":
                put(other, name, copy.deepcopy(value))
            elif change != "delete":
                put(container, new, value)
        if not places(config)[0][1]:
            config["data"] = draw(VALUES)
    return config


def put(container, name, value):
    """Put a value into a mapping under a name, or into a list."""
    if isinstance(container, dict):
        container[name] = value
    else:
        container.append(value)


def accepted(files, options=()):
    """Return the checked config; nothing where it is refused in lightlab's own way."""
    began = time.monotonic()
    checked, faults = None, []
    try:
        checked = check_config(Sources(files, list(options)))
    except ConfigError as error:
        faults = list(map(str, error.faults))
    except LightlabError as error:
        faults = [str(error)]
    assert time.monotonic() - began < SECONDS
    assert (checked is None) == bool(faults)
    assert len(set(faults)) == len(faults), faults
    for fault in faults:
        assert fault
        assert "\n" not in fault
        assert len(fault) < LONGEST
    return checked


def holds(files, options=()):
    """Check a config; what is accepted prints, and parses to the same."""
    checked = accepted(files, options)
    if checked is not None:
        text = config_text(checked)
        Path("printed.yaml").write_text(text)
        again = accepted(["printed.yaml"])
        assert again is not None, text
        assert config_text(again) == text


def test_the_shipped_configs_print_and_parse():
    """The start of all changes is right, and its print is complete."""
    for config in SHIPPED:
        Path("config.yaml").write_text(yaml.dump(config, Dumper=Dumper))
        assert accepted(["config.yaml"]) is not None
        holds(["config.yaml"])


@MANY
@given(mutated())
def test_changed_configs(config):
    """Keys and values of shipped configs, deleted, renamed, retyped, duplicated and moved."""
    Path("config.yaml").write_text(yaml.dump(config, Dumper=Dumper, allow_unicode=True), encoding="utf-8")
    holds(["config.yaml"])


@MANY
@given(st.sampled_from(SHIPPED), mutated())
def test_changed_overlays(base, overlay):
    """One config laid over another."""
    Path("base.yaml").write_text(yaml.dump(base, Dumper=Dumper))
    Path("overlay.yaml").write_text(yaml.dump(overlay, Dumper=Dumper, allow_unicode=True), encoding="utf-8")
    holds(["base.yaml", "overlay.yaml"])


#: What means something in YAML, or to those who read lines.
SIGNS = ["", "\t", " ", "  ", "\n", ":", "-", "{", "}", "[", "]", "'", '"', "&a", "*a", "!", "%", "@", "<<: ", "---\n"]
SIGNS += ["!!python/name:os.system ", "\0", "\x85", "\u2028", "\ufeff"]


@MANY
@given(st.data())
def test_changed_texts(data):
    """Characters of shipped configs, deleted, put in and swapped."""
    text = data.draw(st.sampled_from(TEXTS))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(text)))
        length = data.draw(st.sampled_from([0, 1, 1, 5, 80]))
        new = data.draw(st.sampled_from(SIGNS) | st.text(max_size=4))
        text = text[:place] + new + text[place + length :]
    Path("config.yaml").write_text(text, encoding="utf-8", errors="surrogatepass", newline="")
    holds(["config.yaml"])


@MANY
@given(st.text(max_size=60) | st.text(alphabet="ab:-{}[]&*!#|>'\"%@,? \n\t0.", max_size=60))
def test_texts(text):
    """Any text at all."""
    Path("config.yaml").write_text(text, encoding="utf-8", newline="")
    holds(["config.yaml"])


@MANY
@given(st.binary(max_size=60))
def test_bytes(content):
    """Any file at all."""
    Path("config.yaml").write_bytes(content)
    holds(["config.yaml"])


def name_of(option):
    """Return the key that an option is for: given twice, it may be reported twice."""
    return option[0].partition("=")[0].rstrip("+")


#: Keys of a config, and texts that are none.
KEYS = [".".join(map(str, (*above, name))) for above, names in places(SHIPPED[0]) for name in names]
KEYS += ["trainer.max_epochs", "trainer.callbacks", "model.layers[1]", "model.layers[0].dense.units", "model", "data"]
KEYS += ["trainer", "a..b", ".", "", "model.layers[99]", "data.0.1", "trainer.callbacks.x"]
ARGUMENTS = ["1", "2.5", "'3'", "[1, 2]", "{a: 1}", "[", "{", "null", "", "!x", "*a", "AdamW", "--", "EarlyStopping"]
OPTIONS = st.builds(
    lambda key, sign, value: [f"--{key}{sign}{value}"] if sign else [f"--{key}", value],
    st.sampled_from(KEYS) | st.text(max_size=8),
    st.sampled_from(["", "=", "+="]),
    st.sampled_from(ARGUMENTS) | SCALARS.map(str),
)


@MANY
@given(st.sampled_from(SHIPPED), st.lists(OPTIONS, min_size=1, max_size=3, unique_by=name_of))
def test_command_lines(config, options):
    """Options over a config that is right."""
    Path("config.yaml").write_text(yaml.dump(config, Dumper=Dumper))
    holds(["config.yaml"], [part for option in options for part in option])
