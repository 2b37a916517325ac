"""The parts that a config can name, by kind."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from lightlab.errors import LightlabError, sentences
from lightlab.registry import ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, PROBLEMS, Registry
from lightlab.signatures import Signature, signature_of
from lightlab.signatures.source import ancestors
from lightlab.signatures.words import first_sentence

if TYPE_CHECKING:
    from lightlab.problems import Problem

#: The packages that everyone has; what comes from others is said to.
EVERYONES = ("lightlab", "lightning", "torch")


@dataclass(frozen=True)
class Part:
    """A thing that configs can name.

    Attributes:
        kind: one of `KINDS`; ``section`` or ``key`` for what a config itself is made of.
        name: as a config writes it.
        provider: the module that it comes from.
        docstring: of its code.
        read: returns its signature.
        facts: what else there is to know, by what it is.
    """

    kind: str
    name: str
    provider: str
    docstring: str
    read: Callable[[], Signature] = field(repr=False, compare=False)
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def summary(self) -> str:
        """What it is, in a sentence."""
        return first_sentence(self.docstring)

    @cached_property
    def signature(self) -> Signature:
        """What it takes."""
        return self.read()

    @property
    def foreign(self) -> str:
        """The package that it comes from, where not everyone has it; empty where everyone does."""
        package = self.provider.partition(".")[0]
        return "" if package in EVERYONES else package


@dataclass(frozen=True)
class Kind:
    """Parts of one kind.

    Attributes:
        name: what ``lightlab list`` calls it.
        one: one of its parts, in words.
        place: where configs name it.
        find: returns its parts by name.
    """

    name: str
    one: str
    place: str
    find: Callable[[str], Iterator[Part]]

    def parts(self) -> dict[str, Part]:
        """Return its parts by name, sorted."""
        found = {part.name: part for part in self.find(self.name)}
        return dict(sorted(found.items(), key=lambda item: item[0].casefold()))


def _registered(registry: Registry[Any], hidden: tuple[str, ...], kind: str) -> Iterator[Part]:
    for name in registry.names():
        entry = registry.entry(name)
        read = partial(_signature, entry.item, hidden)
        yield Part(kind, name, entry.provider, inspect.getdoc(entry.item) or "", read)


def _signature(component: Callable[..., Any], hidden: tuple[str, ...]) -> Signature:
    from lightlab.specs import INJECTED

    return signature_of(component, {*INJECTED, *hidden})


def _problems(kind: str) -> Iterator[Part]:
    for name in PROBLEMS.names():
        entry = PROBLEMS.entry(name)
        yield Part(kind, name, entry.provider, _describe(entry.item), partial(Signature, name, entry.provider),
                   _facts(entry.item))  # fmt: skip


def _describe(problem: Problem) -> str:
    target = {"class": "one of several classes", "labels": "several labels, each 0 or 1", "numbers": "numbers"}
    return f"Predict {target[problem.target]}: {problem.decoded}."


def _facts(problem: Problem) -> dict[str, str]:
    return {
        "output": problem.output,
        "losses": ", ".join(problem.losses),
        "decoded as": problem.decoded,
        "metrics": ", ".join(problem.metrics),
        "watched": f"{problem.monitor} ({problem.mode})",
    }


def _optimizers(kind: str) -> Iterator[Part]:
    from lightlab.optim import OPTIMIZERS, RANGES

    for name, item in OPTIMIZERS.items():
        read = partial(_with_types, item, RANGES, ("params",), ())
        yield Part(kind, name, item.__module__, inspect.getdoc(item) or "", read)


def _schedulers(kind: str) -> Iterator[Part]:
    from lightlab.optim import FROM_LENGTH, RANGES, SCHEDULERS

    for name, item in SCHEDULERS.items():
        read = partial(_with_types, item, RANGES, ("optimizer",), tuple(FROM_LENGTH.values()))
        yield Part(kind, name, item.__module__, inspect.getdoc(item) or "", read)


def _with_types(item: type, types: Mapping[str, Any], hidden: tuple[str, ...], optional: tuple[str, ...]) -> Signature:
    return signature_of(item, hidden, optional).with_types(types)


def _classes(family_name: str, kind: str) -> Iterator[Part]:
    from lightlab.config.classes import FAMILIES

    family = next(each for each in FAMILIES if each.name == family_name)
    for name in family.names():
        signature = family.find(name, ())
        docstring = signature.docstring or _docstring_of_constructor(signature.path)
        yield Part(kind, name, signature.module, docstring, lambda signature=signature: signature)


def _docstring_of_constructor(path: str) -> str:
    """Return what Lightning says in ``__init__`` of classes that have no docstring of their own."""
    import ast

    line = ancestors(path)
    body = line[0][1].body if line else []
    return next(
        (ast.get_docstring(each) or "" for each in body if isinstance(each, ast.FunctionDef) and each.name == "__init__"),
        "",
    )


def _strategies(kind: str) -> Iterator[Part]:
    from lightlab.config.sections import Strategies

    for name in typing.get_args(Strategies):
        about = next(text for start, text in STRATEGIES.items() if name.startswith(start))
        yield _name_of_trainers(kind, name, about)
    yield from _classes("strategy", kind)


def _accelerators(kind: str) -> Iterator[Part]:
    for name, about in ACCELERATORS.items():
        yield _name_of_trainers(kind, name, about)
    yield from _classes("accelerator", kind)


def _profilers(kind: str) -> Iterator[Part]:
    for name, about in PROFILERS.items():
        yield _name_of_trainers(kind, name, about)
    yield from _classes("profiler", kind)


def _name_of_trainers(kind: str, name: str, about: str) -> Part:
    home = f"lightning.pytorch.{kind}"
    return Part(kind, name, home, about, partial(Signature, name, home))
