"""A component's signature, as configs are held against it and as people read it."""

from __future__ import annotations

import inspect
import typing
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import docstring_parser
from pydantic import ConfigDict, PydanticUserError, TypeAdapter, with_config
from pydantic.warnings import ArbitraryTypeWarning
from typing_extensions import TypedDict  # pydantic asks for this one on Python 3.11

#: Stands for the default of a parameter that has none.
REQUIRED: Any = inspect.Parameter.empty


@dataclass(frozen=True, eq=False)
class Parameter:
    """One parameter.

    Attributes:
        name: as a config writes it.
        type: what a value is held against; ``Any`` where the annotation says nothing that can be checked.
        written: the annotation as it stands in the code.
        default: `REQUIRED` where there is none.
        description: of the docstring.
    """

    name: str
    type: Any = Any
    written: str = ""
    default: Any = REQUIRED
    description: str = ""

    @property
    def required(self) -> bool:
        """Whether a config has to give it."""
        return self.default is REQUIRED


@dataclass(frozen=True, eq=False)
class Signature:
    """What a function or class takes.

    Attributes:
        name: the function's or class's own.
        module: where it is defined.
        parameters: in order; those that only code can give are left out.
        open_ended: whether it takes others, too.
        docstring: of it as a whole.
    """

    name: str
    module: str
    parameters: tuple[Parameter, ...] = ()
    open_ended: bool = False
    docstring: str = ""

    @property
    def path(self) -> str:
        """Module and name."""
        return f"{self.module}.{self.name}"

    @property
    def names(self) -> list[str]:
        """The parameters' names."""
        return [parameter.name for parameter in self.parameters]

    def get(self, name: str) -> Parameter | None:
        """Return the parameter of this name, if there is one."""
        return next((parameter for parameter in self.parameters if parameter.name == name), None)

    def without(self, names: Iterable[str]) -> Signature:
        """Return the signature without some of its parameters."""
        kept = tuple(parameter for parameter in self.parameters if parameter.name not in names)
        return replace(self, parameters=kept)

    def with_types(self, types: Mapping[str, Any]) -> Signature:
        """Return the signature with other types for some of its parameters."""
        changed = (replace(each, type=types.get(each.name, each.type)) for each in self.parameters)
        return replace(self, parameters=tuple(changed))

    @cached_property
    def validator(self) -> TypeAdapter[Any]:
        """What holds a mapping of parameters against their types, strictly: ``"2"`` is no integer."""
        fields: dict[str, Any] = {}
        for parameter in self.parameters:
            fields[parameter.name] = (typing.Required if parameter.required else typing.NotRequired)[parameter.type]
        table: Any = TypedDict("Parameters", fields)  # type: ignore[misc]  # made from a signature, not written out
        config = ConfigDict(
            strict=True,
            extra="allow" if self.open_ended else "forbid",
            arbitrary_types_allowed=True,
            allow_inf_nan=False,
        )
        return TypeAdapter(with_config(config)(table))


def signature_of(component: Callable[..., Any], hidden: Iterable[str] = (), optional: Iterable[str] = ()) -> Signature:
    """Return the signature of a function or class that is imported; the same one each time.

    Args:
        component: the function or class.
        hidden: parameters that a config can't give.
        optional: parameters that it may leave out, though they have no default.
    """
    return _signature_of(component, frozenset(hidden), frozenset(optional))


@cache
def _signature_of(component: Any, hidden: frozenset[str], optional: frozenset[str]) -> Signature:
    target = inspect.getattr_static(component, "__init__") if isinstance(component, type) else component
    try:
        types = typing.get_type_hints(target, include_extras=True)
    except (NameError, AttributeError, TypeError, SyntaxError):  # annotations that exist for the type checker only
        types = {}
    written = getattr(target, "__annotations__", {})
    docstring = inspect.getdoc(component) or ""
    descriptions = describe_parameters(docstring, inspect.getdoc(target) or "")
    given = inspect.signature(component).parameters.values()
    return Signature(
        component.__name__,
        component.__module__,
        tuple(
            Parameter(
                parameter.name,
                checkable(types.get(parameter.name, Any)),
                str(written.get(parameter.name, "")),
                None if parameter.default is REQUIRED and parameter.name in optional else parameter.default,
                descriptions.get(parameter.name, ""),
            )
            for parameter in given
            if parameter.kind not in (parameter.VAR_KEYWORD, parameter.VAR_POSITIONAL) and parameter.name not in hidden
        ),
        any(parameter.kind is parameter.VAR_KEYWORD for parameter in given),
        docstring,
    )


def checkable(hint: Any) -> Any:
    """Return the annotation, or ``Any`` where it is nothing that a value can be held against."""
    try:
        with warnings.catch_warnings(action="error", category=ArbitraryTypeWarning):
            TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except (ArbitraryTypeWarning, PydanticUserError, NameError, TypeError):
        return Any
    return hint


def describe_parameters(*docstrings: str) -> dict[str, str]:
    r"""Return what docstrings in Google's style say of each parameter, in one line each.

    >>> describe_parameters("Do it.\n\nArgs:\n    often: how\n        often.\n")
    {'often': 'how often.'}
    """
    found: dict[str, str] = {}
    for docstring in docstrings:
        try:
            # It takes the first line for one that is indented less than the others, which here it is not.
            parsed = docstring_parser.parse(f"\n{docstring}", docstring_parser.DocstringStyle.GOOGLE)
        except docstring_parser.ParseError:  # torch's and others' own styles
            continue
        for parameter in parsed.params:
            found.setdefault(parameter.arg_name, " ".join((parameter.description or "").split()))
    return found
