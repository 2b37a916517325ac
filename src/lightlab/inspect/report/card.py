"""The report as a model card in Markdown, its sections those of Hugging Face's cards (Mitchell et al. 2019)."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lightlab.inspect.report import tables
from lightlab.inspect.report.content import read_content
from lightlab.inspect.report.tables import Table
from lightlab.inspect.run import Run

#: What Markdown, or HTML in it, takes for more than letters; an underscore within a word is none.
_SPECIAL = re.compile(r"[\\`*\[\]<>|~$&]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")


def render_markdown(run: Run) -> str:
    """Return the model card of a run.

    Raises:
        RunError: a file of the run can't be read.
    """
    environment = Environment(
        loader=PackageLoader("lightlab.inspect.report"),
        autoescape=False,  # for Markdown, finalize escapes what is printed
        finalize=_escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=tables.number, table=_table, fence=_fence)
    text = environment.get_template("card.md").render(content=read_content(run), tables=tables)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _escape(value: Any) -> str:
    r"""Return a value on one line, so that all of its letters are shown as they are.

    >>> print(_escape("a|b"), _escape("<i>"), _escape("__init__"), _escape("f1_macro"))
    a\|b \<i\> \_\_init\_\_ f1_macro
    """
    if isinstance(value, Markup):
        return value
    return _SPECIAL.sub(lambda found: f"\\{found[0]}", " ".join(str(value).split()))


def _table(table: Table) -> Markup:
    sides = [":--" if place < table.text else "--:" for place in range(len(table.heading))]
    lines = [[_escape(cell) for cell in row] for row in (table.heading, *table.rows)]
    lines.insert(1, sides)
    return Markup("\n".join(f"| {' | '.join(line)} |" for line in lines))


def _fence(text: str, language: str) -> Markup:
    """Return a block of code, which nothing in the text ends early."""
    longest = max(map(len, re.findall(r"`+", text)), default=0)
    marks = "`" * max(3, longest + 1)
    return Markup(f"{marks}{language}\n{text.rstrip()}\n{marks}")
