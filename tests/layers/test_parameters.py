from typing import get_args

import pytest

from lightlab import ConfigError
from lightlab.layers import parameters
from lightlab.layers.base import INITIALIZERS
from lightlab.specs import check_parameters

#: For each type what a config may give, and what it may not.
VALUES = {
    "PositiveInt": ([1, 7], [0, -1, 1.0, True, "1", None]),
    "Sizes": ([3, [3], [3, 1, 2]], [0, [0], [1.5], "3", [True], None]),
    "Rate": ([0, 0.0, 0.999], [1, 1.0, -0.1, "0.5", True, None, float("nan")]),
    "NonNegative": ([0, 0.0, 5.5], [-1e-9, True, "0", None, float("inf"), float("nan")]),
    "Positive": ([1e-9, 3], [0, 0.0, -1, True, None, float("inf")]),
    "Padding": (["valid", "same"], ["Same", "full", 0, None]),
    "Initializer": (list(INITIALIZERS), ["he", "He_normal", 0, None]),
    "Layers": ([[], ["relu"], [{"dense": 3}, "relu"]], ["relu", {"dense": 3}, 3, ["relo"], [3]]),
    "Branches": ([[], [[]], [["relu"], [{"dense": 3}]]], [["relu"], "relu", [["relo"]], 3]),
    "Activation": (
        ["relu", {"leaky_relu": 0.1}, {"softmax": {"axis": 1}}],
        ["relo", 3, ["relu"], {}, {"leaky_relu": "x"}],
    ),
}


def component(kind):
    """Return a function with one parameter of a type."""

    def layer(value):
        return value

    layer.__annotations__ = {"value": getattr(parameters, kind)}
    return layer


def cases(place):
    return [(kind, value) for kind, values in VALUES.items() for value in values[place]]


@pytest.mark.parametrize(("kind", "value"), cases(0))
def test_what_a_type_takes(kind, value):
    """A value of the type passes as it is."""
    checked = check_parameters(component(kind), {"value": value}, ("layer",), name="layer")
    assert checked == {"value": value}
    assert type(checked["value"]) is type(value) or kind in ("Rate", "NonNegative", "Positive")


@pytest.mark.parametrize(("kind", "value"), cases(1))
def test_what_a_type_refuses(kind, value):
    """Anything else is a fault at the parameter, or in it."""
    with pytest.raises(ConfigError) as caught:
        check_parameters(component(kind), {"value": value}, ("layer",), name="layer")
    assert all(fault.key[:2] == ("layer", "value") for fault in caught.value.faults)


def test_initializers_are_the_names_of_functions():
    """Every name of the type has a function, and the other way round."""
    assert set(get_args(parameters.Initializer)) == INITIALIZERS.keys()
