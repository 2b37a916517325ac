"""Types, defaults and docstrings in words."""

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from lightlab.layers.parameters import Activation, Branches, Layers, Rate, Sizes
from lightlab.signatures import REQUIRED, Code, Parameter, Signature
from lightlab.signatures.words import call_in_yaml, description, first_sentence, type_in_words, value_in_yaml, words


class Colour(Enum):
    """Red or green."""

    RED = 1
    GREEN = 2


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (int, "int"),
        (float, "number"),
        (bool, "true or false"),
        (str | None, "text or null"),
        (Annotated[int, Field(gt=0)], "int > 0"),
        (Rate, "number ≥ 0 and < 1"),
        (Annotated[float, Field(ge=0, le=1)] | None, "number from 0 to 1 or null"),
        (Literal["valid", "same"], "one of valid, same"),
        (Literal["auto"] | Literal["none"] | None, "one of auto, none, or null"),
        (Sizes, "int > 0 or list of int > 0"),
        (Layers, "a list of layers"),
        (Branches | None, "a list of lists of layers or null"),
        (Activation | None, "an activation or null"),
        (tuple[float, float], "[number, number]"),
        (tuple[int, ...], "list of int"),
        (list[Any], "list"),
        (Mapping[str, float], "mapping of number"),
        (dict, "mapping"),
        (str | Path, "path"),
        (Callable[[int], int], "function"),
        (Colour, "one of RED, GREEN"),
        (Any, "anything"),
    ],
)
def test_types(kind, text):
    """What annotations of all sorts read as."""
    assert words(kind) == text


@pytest.mark.parametrize(
    ("written", "text"),
    [
        ("float | list[float]", "number or list[number]"),
        ("Optional[torch.dtype]", "torch.dtype or null"),
        ("Literal['cycle', 'iterations']", "one of cycle, iterations"),
        ("", "anything"),
    ],
)
def test_annotations_that_cannot_be_had(written, text):
    """Where a type's names are for the type checker only, the annotation is cleaned of Python."""
    assert type_in_words(Parameter("x", Any, written)) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (1e-5, "1.0e-05"), ("1e3", "'1e3'"), ((1, 2), "[1, 2]"), (Code("a.b"), "a.b"),
     ({"a": None}, "{a: null}"), (Colour.RED, "RED")],
)  # fmt: skip
def test_values(value, text):
    """Defaults are written as a config writes them."""
    assert value_in_yaml(value) == text


def test_a_call_has_required_parameters_bare():
    """What has to be given has no value."""
    parameters = Parameter("units", int), Parameter("rate", float, default=0.5)
    assert parameters[0].default is REQUIRED
    assert call_in_yaml(Signature("x", "", parameters)) == "{units, rate: 0.5}"


def test_docstrings_without_markup():
    """Sections, Sphinx's blocks and its markup are no prose."""
    docstring = """Multiply by ``x``, as :class:`~torch.nn.Linear` does (Ba et al. 2016). More.

    .. math::
        y = x

    Input shape: any.

    Args:
        x: a factor.

            more of it

    Example::

        >>> 1
        1
    """
    assert first_sentence(docstring) == "Multiply by x, as torch.nn.Linear does (Ba et al. 2016)."
    assert description(docstring)[1:] == ["Input shape: any."]
    assert first_sentence("") == ""
