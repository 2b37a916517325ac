"""How much plain data comes to when what stands in it several times is counted as often.

A list that holds another twice, which holds another twice, and so on, takes a few bytes, and for ever to be shown,
compared, or gone through.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import chain
from typing import Any

#: How deep data may be nested.
DEEPEST = 100
#: So many letters count as one part.
LETTERS = 16


def check_unfolded(value: Any, most: int) -> None:
    """See to it that data is no larger than it looks.

    Args:
        value: plain data.
        most: parts that it may have; so many bytes hold no more of them, each written once.

    Raises:
        ValueError: it has more, or is nested too deep.
    """
    level, left = [value], most
    for _ in range(DEEPEST + 1):
        left -= sum(map(_size, level))
        if left < 0:
            raise ValueError("what it holds unfolds to more than the file")
        level = [part for each in level for part in _parts(each)]
        if not level:
            return
    raise ValueError(f"what it holds is nested more than {DEEPEST} times")


def _size(value: Any) -> int:
    """Return how many parts something has, known without looking at them; a text has letters."""
    if isinstance(value, str | bytes):
        return len(value) // LETTERS
    if isinstance(value, dict):
        return 2 * (len(value) + len(_state(value)))
    return len(value) if isinstance(value, list | tuple | set) else 0


def _parts(value: Any) -> Iterator[Any]:
    """Return what something is made of; nothing of what has no parts."""
    if isinstance(value, dict):
        return chain(value, value.values(), _state(value), _state(value).values())
    return iter(value if isinstance(value, list | tuple | set) else ())


def _state(value: dict[Any, Any]) -> dict[str, Any]:
    """Return what a dictionary has beside its items."""
    return vars(value) if isinstance(value, OrderedDict) else {}
