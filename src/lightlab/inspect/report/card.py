"""The report as a model card in Markdown, its sections those of Hugging Face's cards (Mitchell et al. 2019)."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lightlab.inspect import markdown
from lightlab.inspect.report import matrices, tables
from lightlab.inspect.report.content import read_content
from lightlab.inspect.report.tables import Table
from lightlab.inspect.run import Run


def render_markdown(run: Run) -> str:
    """Return the model card of a run.

    Raises:
        RunError: a file of the run can't be read.
    """
    environment = Environment(
        loader=PackageLoader("lightlab.inspect.report"),
        autoescape=False,  # noqa: S701 - this is Markdown, and finalize escapes what is printed
        finalize=_escape,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=tables.number, table=_table, fence=_fence)
    text = environment.get_template("card.md").render(content=read_content(run), tables=tables, matrices=matrices)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _escape(value: Any) -> str:
    """Return a value as it stands in Markdown; what is Markdown already stays so."""
    return value if isinstance(value, Markup) else markdown.escape(value)


def _table(table: Table) -> Markup:
    heading, *rows = ([_escape(cell) for cell in row] for row in (table.heading, *table.rows))
    numbers = [place >= table.text for place in range(len(heading))]
    return Markup(markdown.table(heading, rows, numbers))  # noqa: S704 - its cells are escaped


def _fence(text: str, language: str) -> Markup:
    """Return a block of code, which nothing in the text ends early."""
    return Markup(markdown.fence(text, language))  # noqa: S704 - Markdown shows code as it is
