"""What Python tells of the parameters of imported functions and classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pytest
import torch
from pydantic import Field, ValidationError
from torch.optim.lr_scheduler import LRScheduler

from lightlab.signatures import REQUIRED, Parameter, Signature, signature_of
from lightlab.signatures.signature import checkable, describe_parameters

if TYPE_CHECKING:
    from somewhere import Unknown


Size = Annotated[int, Field(gt=0)]


class Base:
    """A base."""

    def __init__(self, size: Size, kind: Literal["a", "b"] = "a", *rest: int) -> None:
        """Make it.

        Args:
            size: how large
                it is.
        """


class Derived(Base):
    """Derives its constructor, too.

    Args:
        kind: which.
    """


@dataclass
class Options:
    """Options. Of :class:`~somewhere.Thing`, as in ``code``.

    More of it.
    """

    path: str | None
    often: int = 1


def with_unknown(first: Unknown, second: int = 2, **others: Any) -> None:
    """Take what only the type checker knows."""


def test_a_class():
    """Types, defaults and descriptions are those of the constructor; what several arguments share is left out."""
    signature = signature_of(Base)
    size, kind = signature.parameters
    assert (signature.name, signature.path, signature.open_ended) == ("Base", f"{__name__}.Base", False)
    assert (size.name, size.type, size.default, size.required) == ("size", Size, REQUIRED, True)
    assert (kind.name, kind.type, kind.default, kind.required) == ("kind", Literal["a", "b"], "a", False)
    assert size.written == "Size"
    assert size.description == "how large it is."


def test_a_constructor_that_is_inherited():
    """Its types and descriptions are known, too."""
    size, kind = signature_of(Derived).parameters
    assert (size.type, kind.type) == (Size, Literal["a", "b"])
    assert (size.description, kind.description) == ("how large it is.", "which.")


def test_a_dataclass():
    """Its fields are the parameters."""
    signature = signature_of(Options)
    assert [(each.name, each.type, each.default) for each in signature.parameters] == [
        ("path", str | None, REQUIRED),
        ("often", int, 1),
    ]


def test_what_only_the_type_checker_knows():
    """A value for it is not checked; what stands in the code is told."""
    signature = signature_of(with_unknown)
    assert [(each.type, each.written) for each in signature.parameters] == [(Any, "Unknown"), (Any, "int")]
    assert signature.open_ended


def test_hidden_and_optional():
    """A config can't give what is hidden, and may leave out what is optional."""
    assert signature_of(Base, hidden=["size"]).names == ["kind"]
    optional = signature_of(Base, optional=["size"])
    assert optional.parameters[0].default is None
    assert signature_of(Base, optional=["size"]) is optional


@pytest.mark.parametrize("values", [{"size": 1}, {"size": 1, "kind": "b"}])
def test_values_that_fit(values):
    """The validator returns them."""
    assert signature_of(Base).validator.validate_python(values) == values


@pytest.mark.parametrize(
    "values",
    [{}, {"size": "1"}, {"size": 0}, {"size": True}, {"size": 1.0}, {"size": 1, "kind": "c"}, {"size": 1, "x": 1}],
)
def test_values_that_do_not_fit(values):
    """The validator is strict: text is no number, nor is true, and there are no other parameters."""
    with pytest.raises(ValidationError):
        signature_of(Base).validator.validate_python(values)


def test_open_ended_takes_others():
    """Where a function takes any keyword, so does the validator."""
    assert signature_of(with_unknown).validator.validate_python({"first": 1, "x": 1}) == {"first": 1, "x": 1}


def test_parts_of_a_signature():
    """Parameters can be left out, looked up, and given other types."""
    signature = Signature("f", "m", (Parameter("a", int), Parameter("b", str)))
    assert signature.without(["a"]).names == ["b"]
    assert signature.get("c") is None
    changed = signature.with_types({"a": float})
    assert [changed.get("a").type, changed.get("b").type, signature.get("a").type] == [float, str, int]


@pytest.mark.parametrize("hint", [3, any, torch.nn.Parameter(torch.ones(1)), dict[[], 1]])
def test_what_is_no_type(hint):
    """It checks nothing."""
    assert checkable(hint) is Any


def test_every_part_of_torch_that_a_config_can_name():
    """Modules, optimizers and schedulers have signatures, those without annotations too."""
    parts = [
        part
        for package in (torch.nn, torch.optim, torch.optim.lr_scheduler)
        for part in vars(package).values()
        if isinstance(part, type) and issubclass(part, torch.nn.Module | torch.optim.Optimizer | LRScheduler)
    ]
    assert len(parts) > 150
    for part in parts:
        signature = signature_of(part)
        assert signature.validator is not None
    assert signature_of(torch.nn.Linear).get("bias").type is bool
    assert signature_of(torch.optim.AdamW).get("lr").default == 0.001


@pytest.mark.parametrize(
    ("docstring", "found"),
    [
        ("Args:\n    a: one\n        two.\n    b (int, optional): three.", {"a": "one two.", "b": "three."}),
        (":param a: one\n:param b: two", {}),
        ("Args:\n    a (int): one. Default: ``1``\n\nShape:\n    - Input: :math:`(N)`\n", {"a": "one. Default: ``1``"}),
        ("Args:\n    nothing that is a parameter\n", {}),
        ("", {}),
    ],
)
def test_descriptions(docstring, found):
    """Docstrings in Google's and torch's style are read; of others there is nothing."""
    assert describe_parameters(docstring) == found


def test_the_first_docstring_counts():
    """Where two describe a parameter."""
    assert describe_parameters("Args:\n    a: one\n", "Args:\n    a: two\n    b: two\n") == {"a": "one", "b": "two"}
