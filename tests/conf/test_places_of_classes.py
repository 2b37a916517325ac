"""Only at places for classes is something made of what a config names: tried at every argument of every class."""

from contextlib import suppress
from pathlib import Path

import pytest

from lightlab.commands.call import Call
from lightlab.commands.reader import ConfigReader
from lightlab.commands.trainer import _make
from lightlab.config.check import check_config
from lightlab.config.classes import DATA, FAMILIES, ClassSpec
from lightlab.config.defaults import config_text, with_defaults
from lightlab.config.sources import Sources
from lightlab.errors import ConfigError, LightlabError

#: Makes a folder, if anything is made of it.
ATTACK = "{class_path: os.mkdir, init_args: {path: sang}}"
PLACES = {"callback": "callbacks", "plugin of the Trainer": "plugins"}
CLASSES = [(family, name) for family in FAMILIES for name in sorted(family.names())]


def check(options):
    """Return what comes of a config with these options; nothing where it is refused."""
    try:
        return check_config(Sources(["base.yaml"], options))
    except ConfigError:
        return None


@pytest.fixture(autouse=True)
def _base():
    Path("base.yaml").write_text(
        "data: {class_path: BundledData, init_args: {name: iris}}\nmodel: {problem: multiclass, layers: []}\n"
    )


@pytest.mark.parametrize(("family", "name"), CLASSES, ids=[name for _, name in CLASSES])
def test_no_argument_of_a_class_makes_anything(family, name):
    """Neither an argument that the class has, nor one that it may pass on, is made into what it names."""
    place = "data" if family is DATA else f"trainer.{PLACES.get(family.name, family.name)}"
    arguments = [*family.find(name, ()).names, "made_up"]
    for argument in arguments:
        for attack in (ATTACK, f"[{ATTACK}]", f"{{a: {ATTACK}}}"):
            config = check([f"--{place}={{class_path: {name}, init_args: {{{argument}: {attack}}}}}"])
            if config is not None:
                config_text(config)
                if family is DATA:
                    with suppress(LightlabError):
                        ConfigReader(Call("fit", [], Sources([], []), config, None, None))
                section = with_defaults(config).get("trainer", {})
                for value in section.values():
                    for part in value if isinstance(value, list) else [value]:
                        if isinstance(part, ClassSpec):
                            try_to_make(part)
            assert not Path("sang").exists(), (name, argument, attack)


def try_to_make(value):
    """Make a class of the Trainer's with the attack among its arguments; it may well refuse them."""
    spec = ClassSpec(class_path="builtins.dict", init_args=value["init_args"])
    assert _make(spec, ())  # the arguments are what counts: nothing else of the class is made here


@pytest.mark.parametrize("option", ["model.head", "model.layers", "early_stopping", "trainer.max_time", "output"])
def test_no_other_option_makes_anything(option):
    """Nor is anything made of what looks like a class elsewhere."""
    config = check([f"--{option}={ATTACK}"])
    if config is not None:
        for name, value in with_defaults(config)["trainer"].items():
            _make(value, ("trainer", name))
    assert not Path("sang").exists()
