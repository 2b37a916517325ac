"""A comparison as text for a terminal."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from lightlab.inspect.compare.columns import Column, make_columns, make_repeat_columns
from lightlab.inspect.compare.comparison import Comparison
from lightlab.terminal import printable

#: Between columns; and the width of what has no edge.
GAP, ENDLESS = 2, 100_000
#: Letters of a cell, fewer where there is no room.
LETTERS = (ENDLESS, 28, 16, 12)
#: So many runs at most stand beside each other, each in a column that has at least this width.
MOST_BESIDE, LEAST_WIDTH = 4, 18
#: Stands beside the best of a column.
BEST = "*"


def as_text(comparison: Comparison, width: int | None, colours: bool = False) -> str:
    """Return what `lightlab compare` prints.

    A run is a line; where that is too wide, and they are few, a column.

    Args:
        comparison: of the runs.
        width: in letters; ``None`` for as much as it takes.
        colours: whether the best stand out as terminals show it.
    """
    output = StringIO()
    console = Console(
        file=output, width=width or ENDLESS, force_terminal=colours, no_color=not colours, highlight=False
    )
    left_out = _print_table(console, make_columns(comparison))
    if comparison.repeats:
        console.print("\nmean ± standard deviation of runs that differ in nothing but seeds", markup=False)
        left_out += _print_table(console, make_repeat_columns(comparison))
    remarks = [
        f"{f'{BEST} marks the best; ' if any(comparison.best.values()) else ''}curve: {comparison.monitor}",
        *([f"no room for {', '.join(dict.fromkeys(left_out))} (--format csv has all)"] if left_out else []),
        *comparison.notes,
    ]
    console.print("", *map(printable, remarks), sep="\n", markup=False)
    return "\n".join(line.rstrip() for line in output.getvalue().splitlines())


def _print_table(console: Console, columns: list[Column]) -> list[str]:
    """Print as many columns as there is room for, and return the headings of the others."""
    columns = [
        replace(each, heading=printable(each.heading), cells=list(map(printable, each.cells))) for each in columns
    ]
    width = console.width
    if _width(columns, LETTERS[0]) > width and _fit_beside(columns, width):
        console.print(_columns_of_runs(columns))
        return []
    letters = next((most for most in LETTERS if _width(columns, most) <= width), LETTERS[-1])
    shown = list(columns)
    while len(shown) > 1 and _width(shown, letters) > width:  # what matters least goes first, from the right
        del shown[max(range(1, len(shown)), key=lambda place: (shown[place].rank, place))]
    console.print(_lines_of_runs(shown, letters))
    return [column.heading for column in columns if column not in shown]


def _width(columns: Sequence[Column], letters: int) -> int:
    """Return how wide a table is."""
    cells = (
        [*_heading(column).splitlines(), *(_cell(column, place, letters).plain for place in range(len(column.cells)))]
        for column in columns
    )
    return sum(max(map(cell_len, each)) + GAP for each in cells) - GAP


def _fit_beside(columns: Sequence[Column], width: int) -> bool:
    """Return whether runs are few, and there is room for them beside each other."""
    runs, headings = len(columns[0].cells), max(cell_len(column.heading) for column in columns)
    return runs <= MOST_BESIDE and headings + runs * (GAP + LEAST_WIDTH) <= width


def _lines_of_runs(columns: Sequence[Column], letters: int) -> Table:
    table = _empty()
    for column in columns:
        table.add_column(Text(_heading(column)), justify="right" if column.numbers else "left", no_wrap=True)
    for place in range(len(columns[0].cells)):
        table.add_row(*(_cell(column, place, letters) for column in columns))
    return table


def _columns_of_runs(columns: Sequence[Column]) -> Table:
    table = _empty()
    table.add_column(no_wrap=True)
    names, *others = columns
    for name in names.cells:
        table.add_column(Text(name), overflow="fold")
    for column in others:
        table.add_row(Text(column.heading), *(_cell(column, place) for place in range(len(names.cells))))
    return table


def _empty() -> Table:
    return Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="")


def _heading(column: Column) -> str:
    """Return a heading with a line for each of its words."""
    return re.sub(r"(?<=.)[/ _](?=.)", "\n", column.heading)


def _cell(column: Column, place: int, letters: int | None = None) -> Text:
    """Return a cell, where its letters are limited with room for the mark of the best."""
    text = column.cells[place]
    if letters and len(text) > letters and column.rank and not column.numbers:
        text = f"{text[: letters - 1]}…"
    mark = BEST if place in column.best else " " if column.best and letters else ""
    return Text(f"{text}{mark}", style="bold" if place in column.best else "")
