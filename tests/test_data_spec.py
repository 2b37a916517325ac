"""What passes from data to model survives as plain data."""

import pytest

from lightlab.data import BundledData
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.errors import CheckpointError


def plain(value):
    """Return whether a value is made of plain data only."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(part) for key, part in value.items())
    if isinstance(value, tuple):
        return all(map(plain, value))
    return value is None or type(value) in (bool, int, float, str)


@pytest.mark.parametrize(
    "spec",
    [
        BundledData("digits").connect("multiclass"),
        BundledData("linnerud").connect("regression"),
        DataSpec(
            "binary",
            InputSpec((2,), (0.0,), (1.0,), ("x",), {"city": ("Oslo", "Rome")}, kind="table"),
            TargetSpec(("y",), ("a", "b")),
        ),
    ],
)
def test_round_trip(spec):
    """A spec becomes dictionaries, tuples, numbers and text, and comes back equal."""
    values = spec.to_dict()
    assert plain(values)
    assert DataSpec.from_dict(values) == spec


def test_other_data():
    """Values of another form are refused."""
    with pytest.raises(CheckpointError, match="data_spec"):
        DataSpec.from_dict({"problem": "binary", "input": 3})
