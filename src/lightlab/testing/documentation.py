"""What every part's docstring and signature have."""

from __future__ import annotations

import doctest
import inspect
import re
import sys
import typing
from collections.abc import Iterator

from lightlab.testing.checks import Case, Check


def documentation_checks(case: Case) -> Iterator[Check]:
    """Yield the checks that need a part's source only."""
    for rule in (is_documented, example_runs, is_annotated):
        yield case.check(rule)


def is_documented(case: Case) -> None:
    """The docstring has a summary, every parameter that a config can give, and an example."""
    component = case.component
    text = inspect.getdoc(component) or ""
    summary = text.split("\n\n")[0]
    case.require(
        re.match(r"[A-Z].*[.:]", summary, re.DOTALL) is not None,
        "The docstring starts with a summary, a sentence with its full stop.",
        repr(summary),
    )
    section = re.search(r"^Args:\n((?: .*\n)+)", text + "\n", re.MULTILINE)
    documented = re.findall(r"^    (\w+): \S", section[1], re.MULTILINE) if section else []
    parameters = [name for name in case.parameters if name not in case.injected]
    case.require(
        documented == parameters,
        f"The docstring's section 'Args:' has a line 'parameter: what it means.' for each of: {_list(parameters)}.",
        _list(documented),
    )
    for words, pattern in case.sections.items():
        case.require(
            re.search(pattern, text, re.MULTILINE | re.DOTALL) is not None,
            f"The docstring says '{words}'.",
            "a docstring without",
        )
    case.require(
        re.search(r"^Example:\n    >>> ", text, re.MULTILINE) is not None,
        "The docstring has a section 'Example:' that starts with '>>> '.",
        "a docstring without",
    )


def example_runs(case: Case) -> None:
    """The docstring's example is found under the part's own name, once, and gives what it says."""
    component = case.component
    module, name = sys.modules[component.__module__], component.__name__
    case.require(
        isinstance(component, type) or name == case.name,
        "A function has the name under which it is registered, so that doctest and people find it.",
        name,
    )
    found = [test for test in doctest.DocTestFinder().find(module) if test.name == f"{module.__name__}.{name}"]
    case.require(
        len(found) == 1 and bool(found[0].examples),
        f"doctest finds an example of {module.__name__}.{name}.",
        "none",
    )
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report: list[str] = []
    runner.run(found[0], out=report.append)
    failed = runner.summarize(verbose=False).failed
    case.require(not failed, "The docstring's example gives what it says.", "".join(report).strip().rstrip("."))


def is_annotated(case: Case) -> None:
    """Every parameter has a type that can be resolved when a config is held against it."""
    component = case.component
    bare = [name for name, parameter in case.parameters.items() if parameter.annotation is parameter.empty]
    case.require(not bare, "Every parameter has a type, which configs are held against.", f"none for {_list(bare)}")
    target = component.__init__ if isinstance(component, type) else component  # type: ignore[misc]  # only read
    try:
        typing.get_type_hints(target)
    except NameError as cause:
        raise AssertionError(
            f"{case.registry.kind} {case.name}: The types of parameters are imported where configs are read, and not "
            f"under TYPE_CHECKING only. Received: {cause}."
        ) from cause


def _list(names: list[str]) -> str:
    return ", ".join(names) or "none"
