"""What is listed of each kind."""

import typing

import pytest

from lightlab.config.sections import TRAINER_RANGES, Strategies
from lightlab.errors import LightlabError
from lightlab.inspect.catalogue.parts import ACCELERATORS, KINDS, PROFILERS, find_kind
from lightlab.registry import ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, PROBLEMS


@pytest.mark.parametrize("kind", KINDS)
def test_every_part_says_what_it_is(kind):
    """Each has a name and a sentence, in the order of the alphabet."""
    every = KINDS[kind].parts()
    parts = {name: part for name, part in every.items() if not part.foreign}  # other tests register theirs
    assert parts
    for name, part in parts.items():
        assert (part.kind, part.name) == (kind, name)
        assert part.summary, name
    assert list(parts) == sorted(parts, key=str.casefold)


def test_registries_are_listed_as_a_whole():
    """No name of a registry is left out."""
    registries = {"layers": LAYERS, "activations": ACTIVATIONS, "heads": HEADS, "problems": PROBLEMS}
    for kind, registry in {**registries, "augmentations": AUGMENTATIONS}.items():
        assert set(KINDS[kind].parts()) == set(registry.names())


def test_names_of_the_trainer_are_those_that_the_check_takes():
    """Accelerators, profilers and strategies are listed as configs are held against them."""
    assert tuple(ACCELERATORS) == typing.get_args(TRAINER_RANGES["accelerator"][str])
    assert tuple(PROFILERS) == typing.get_args(TRAINER_RANGES["profiler"][str])
    assert set(typing.get_args(Strategies)) <= set(KINDS["strategies"].parts())


def test_parts_of_a_plugin_are_foreign():
    """What another package registers is said to come from it."""
    entries = dict(LAYERS._entries)
    try:
        LAYERS.add("scale", LAYERS.get("dense"), provider="my_plugin.layers")
        assert KINDS["layers"].parts()["scale"].foreign == "my_plugin"
    finally:
        LAYERS._entries.clear()
        LAYERS._entries.update(entries)


def test_unknown_kind():
    """The nearest kind is named."""
    with pytest.raises(LightlabError, match=r"No kind is called 'layer'\. Did you mean layers"):
        find_kind("layer")
    with pytest.raises(LightlabError, match="There are: layers, activations"):
        find_kind("zzz")
