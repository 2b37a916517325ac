"""Markdown, as GitHub, Hugging Face and TensorBoard have it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lightlab.terminal import printable

#: What Markdown, or HTML in it, takes for more than letters; an underscore within a word is none.
_SPECIAL = re.compile(r"[\\`*\[\]<>|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
#: Those that not every reader, such as Python-Markdown, takes a backslash before: TensorBoard's shows it.
_NAMED = {"<": "&lt;", ">": "&gt;", "&": "&amp;", "~": "&#126;", "$": "&#36;"}


def escape(value: Any) -> str:
    r"""Return a value on one line, so that all of its letters are shown as they are.

    >>> print(escape("a|b"), escape("<i>"), escape("__init__"), escape("f1_macro"))
    a\|b &lt;i&gt; \_\_init\_\_ f1_macro
    """
    return _SPECIAL.sub(lambda found: _NAMED.get(found[0], f"\\{found[0]}"), " ".join(printable(value).split()))


def fence(text: str, language: str) -> str:
    """Return a block of code, which nothing in the text ends early.

    >>> print(fence("a: 1", "yaml"))
    ```yaml
    a: 1
    ```
    """
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{text.rstrip()}\n{marks}"


def table(heading: Sequence[str], rows: Iterable[Sequence[str]], numbers: Iterable[bool]) -> str:
    """Return a table.

    Args:
        heading: of each column, Markdown.
        rows: of cells, Markdown.
        numbers: of each column, whether it holds numbers, which stand at its right.
    """
    lines = [heading, ["--:" if right else ":--" for right in numbers], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
