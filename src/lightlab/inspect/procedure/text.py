"""The procedure's results as text for people."""

from __future__ import annotations

from lightlab.errors import format_key
from lightlab.inspect.procedure.base import Result
from lightlab.inspect.procedure.hints import Hint

#: As wide as the longest verdict.
VERDICT = len("skipped")


def result_text(result: Result, width: int) -> str:
    """Return a line for a step, and what else it found below it.

    Args:
        result: of the step.
        width: of the names of steps.

    Example:
        >>> print(result_text(Result("ok", "2.31, chance 2.30 (ln 10)", step="loss at start"), 20))
         ok       loss at start         2.31, chance 2.30 (ln 10)
    """
    first, *others = result.text.splitlines()
    indent = " " * (VERDICT + width + 5)
    lines = [f" {result.verdict:<{VERDICT}}  {result.step:<{width}}  {first}"]
    lines += [f"{indent}{line}" for line in (*others, *result.lines)]
    return "\n".join(lines)


def hint_text(hint: Hint) -> str:
    """Return a line for a piece of advice.

    >>> hint_text(Hint(("data", "normalize"), "inputs are not scaled"))
    ' hint     data.normalize: inputs are not scaled'
    """
    return f" {'hint':<{VERDICT}}  {format_key(hint.key)}: {hint.text}"
