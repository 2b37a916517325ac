"""Configs changed at random: out comes a config, which prints and parses to the same, or lightlab's own error."""

import time
from pathlib import Path

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fault_injection.mutants import CONFIGS, SCALARS, SHIPPED, SIGNS, places, trees
from lightlab.config.check import check_config
from lightlab.config.defaults import config_text
from lightlab.config.documents import Dumper
from lightlab.config.sources import Sources
from lightlab.errors import ConfigError, LightlabError

TEXTS = [path.read_text() for path in sorted(CONFIGS.rglob("*.yaml"))]
#: Longer than this no config may take; it takes a hundredth of it.
SECONDS = 5
#: A line is no longer: it may repeat a value, of which some have 2000 signs, and doesn't repeat a config.
LONGEST = 4000
MANY = settings(
    derandomize=True, deadline=None, max_examples=300, suppress_health_check=list(HealthCheck), database=None
)


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
@given(trees())
def test_changed_configs(config):
    """Keys and values of shipped configs, deleted, renamed, retyped, duplicated and moved."""
    Path("config.yaml").write_text(yaml.dump(config, Dumper=Dumper, allow_unicode=True), encoding="utf-8")
    holds(["config.yaml"])


@MANY
@given(st.sampled_from(SHIPPED), trees())
def test_changed_overlays(base, overlay):
    """One config laid over another."""
    Path("base.yaml").write_text(yaml.dump(base, Dumper=Dumper))
    Path("overlay.yaml").write_text(yaml.dump(overlay, Dumper=Dumper, allow_unicode=True), encoding="utf-8")
    holds(["base.yaml", "overlay.yaml"])


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
