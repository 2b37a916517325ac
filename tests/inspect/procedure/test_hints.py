"""Advice of the course: each hint comes when it should, with its figures and key, and not otherwise."""

import pytest

from lightlab import BundledData, SyntheticData
from lightlab.errors import format_key
from lightlab.inspect.procedure.hints import find_hints


def hints(make_subject, layers, data=None, **options):
    """Return the texts of the hints by key."""
    found = find_hints(make_subject(layers, data, **options))
    return {format_key(hint.key): hint for hint in found}


def wide(features, **options):
    return SyntheticData([features], "multiclass", rows=20_000, **options)


def test_none(make_subject):
    """A small network on normalised data has nothing to be said."""
    assert hints(make_subject, [{"dense": 16}]) == {}
    assert hints(make_subject, [{"dense": 20}], wide(100)) == {}


@pytest.mark.parametrize(
    ("layer", "key"),
    [
        ({"dense": 2}, "model.layers[1].dense.units"),
        ({"mlp": 2}, "model.layers[1].mlp.units"),
        ({"mlp": {"units": [16, 2]}}, "model.layers[1].mlp.units[1]"),
    ],
)
def test_narrow(layer, key, make_subject):
    """A hidden layer with fewer units than the head has outputs."""
    found = hints(make_subject, ["relu", layer])
    assert list(found) == [key]
    assert found[key].figures == {"units": 2, "outputs": 3}
    assert "2 units, and the head has 3 outputs" in found[key].text


def test_first_dense_layer(make_subject):
    """Far from a fifth of what comes in, on both sides; only the first is looked at."""
    key = "model.layers[0].dense.units"
    assert "many times the rule of thumb of a fifth (20)" in hints(make_subject, [{"dense": 101}], wide(100))[key].text
    assert hints(make_subject, [{"dense": 100}, {"dense": 400}], wide(100)) == {}
    assert "far below the rule of thumb of a fifth (20)" in hints(make_subject, [{"dense": 3}], wide(100))[key].text
    assert hints(make_subject, [{"dense": 4}], wide(100)) == {}


def test_few_inputs(make_subject):
    """A fifth of four columns would be no layer: up to 40 units nothing is said."""
    assert hints(make_subject, [{"dense": 40}]) == {}
    assert "for 4 inputs" in hints(make_subject, [{"dense": 41}])["model.layers[0].dense.units"].text


def test_inputs_that_are_not_scaled(make_subject):
    """Values far from 1 that the config leaves so."""
    found = hints(make_subject, [{"dense": 16}], BundledData("breast_cancer", normalize="none"))
    assert list(found) == ["data.normalize"]
    assert found["data.normalize"].figures["mean"] > 100
    assert hints(make_subject, [{"dense": 16}], BundledData("breast_cancer")) == {}
    assert hints(make_subject, [{"dense": 16}], BundledData("iris", normalize="none")) == {}


def test_many_parameters(make_subject):
    """More than ten for each train row."""
    found = hints(make_subject, [{"dense": 30}, {"dense": 40}])
    assert list(found) == ["model.layers"]
    assert found["model.layers"].figures == {"parameters": 1513, "rows": 106}
    assert "1,513 parameters for 106 train rows, 14 for each" in found["model.layers"].text
    assert found["model.layers"].to_dict()["key"] == "model.layers"
