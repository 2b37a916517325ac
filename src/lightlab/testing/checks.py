"""What contracts are made of: cases of parts, and for each rule a check."""

from __future__ import annotations

import inspect
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from lightlab.checkpoints import read_checkpoint, write_checkpoint
from lightlab.registry import ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, PROBLEMS, Registry

if TYPE_CHECKING:
    import pytest


@dataclass(frozen=True)
class Check:
    """One rule, to be held against one part.

    Calling it raises an `AssertionError`, which states the rule and what was received, where the part breaks it.
    What is random in it comes out the same every time, and torch's generator is afterwards where it was.

    Attributes:
        id: the part, the rule and what it is tried on: ``dense-gradient_flows-4x6``.
        rule: does the work.
    """

    id: str
    rule: Callable[[], None]

    def __call__(self) -> None:
        """Hold the rule against the part."""
        __tracebackhide__ = True
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.rule()


class Case:
    """A registered part, and how it is tried.

    Attributes:
        registry: where parts of this kind are registered.
        injected: parameters that lightlab gives, and that need no words in the docstring.
        sections: what the docstring has beside a summary, parameters and an example, by regular expressions.
        name: under which the part is registered.
    """

    registry: ClassVar[Registry[Any]]
    injected: ClassVar[frozenset[str]] = frozenset()
    sections: ClassVar[dict[str, str]] = {}
    name: str

    @property
    def component(self) -> Callable[..., Any]:
        """What is registered.

        Raises:
            RegistryError: nothing is, under this name.
        """
        component: Callable[..., Any] = self.registry.get(self.name)
        return component

    @property
    def parameters(self) -> dict[str, inspect.Parameter]:
        """What the part takes by name, be it from a config or from lightlab."""
        various = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        given = inspect.signature(self.component).parameters
        return {name: parameter for name, parameter in given.items() if parameter.kind not in various}

    def checks(self) -> Iterator[Check]:
        """Yield a check for each rule, and for each thing that the rule is tried on."""
        raise NotImplementedError

    def check(self, rule: Callable[..., None], *arguments: Any, on: str = "") -> Check:
        """Return the check of a rule, a function of this case and of what it is tried on."""
        return Check("-".join(filter(None, (self.name, rule.__name__, on))), partial(rule, self, *arguments))

    def require(self, holds: bool | Tensor, rule: str, received: object) -> None:
        """Raise an AssertionError with the rule, and what was received, unless the rule holds."""
        __tracebackhide__ = True
        if not holds:
            raise AssertionError(f"{self.registry.kind} {self.name}: {rule} Received: {received}.")


def saved(state: dict[str, Any]) -> dict[str, Any]:
    """Return a ``state_dict`` as it is after it was in a checkpoint.

    Raises:
        CheckpointError: it holds what can't be there: anything but tensors and plain data.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "part.ckpt"
        write_checkpoint({"state_dict": state, "hyper_parameters": {}, "data_spec": {}}, path)
        read: dict[str, Any] = read_checkpoint(path)["state_dict"]
        return read


def check_coverage(cases: Iterable[Case], provider: str) -> None:
    """Hold the registries against a list of cases: no part is to escape the contract.

    Args:
        cases: of layers and activations, heads (with their problems) and augmentations.
        provider: the module or package whose parts are meant, with all that lies in it.

    Raises:
        AssertionError: with the parts that it registers and that have no case, or that it registers none.
    """
    tried = {(case.registry.kind, case.name) for case in cases}
    missing, count = [], 0
    # An activation is tried as the layer that it also is, a row of the table of problems by its head.
    for registry, kind in (
        (LAYERS, LAYERS.kind),
        (ACTIVATIONS, LAYERS.kind),
        (HEADS, HEADS.kind),
        (PROBLEMS, HEADS.kind),
        (AUGMENTATIONS, AUGMENTATIONS.kind),
    ):
        own = [name for name in registry.names() if f"{registry.entry(name).provider}.".startswith(f"{provider}.")]
        count += len(own)
        missing += [f"{registry.kind} {name}" for name in own if (kind, name) not in tried]
    if not count:
        raise AssertionError(f"{provider} registers layers, activations, heads, problems or augmentations. None is.")
    if missing:
        raise AssertionError(f"Each part that {provider} registers has a case. Without one: {', '.join(missing)}.")


def parametrize_with_checks(cases: Iterable[Case], *providers: str) -> pytest.MarkDecorator:
    """Return a decorator with which pytest runs a test function once for each check of each case.

    Args:
        cases: how parts are tried.
        providers: modules or packages of whose parts none is to be without a case (see `check_coverage`). They are
            imported, so that a module can be tested that is not installed.

    The function takes ``check``, and calls it.
    """
    import pytest

    for provider in providers:
        import_module(provider)
    cases = list(cases)
    checks = [check for case in cases for check in case.checks()]
    checks += [Check(f"{each}-every_part_has_a_case", partial(check_coverage, cases, each)) for each in providers]
    return pytest.mark.parametrize("check", [pytest.param(check, id=check.id) for check in checks])
