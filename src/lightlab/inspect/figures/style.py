"""How figures look, and what they are turned into: pixels, PNG, or SVG that stands in a page."""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, Literal

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import ScaledTranslation, blended_transform_factory

#: Colours that people tell apart who don't see red or green, too (Okabe and Ito 2008); yellow is too faint for lines.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
PALETTE = (BLUE, ORANGE, GREEN, PURPLE, "#56B4E9", "#E69F00", "#333333")
TRAIN, VALIDATION, BEFORE, AFTER = BLUE, ORANGE, "#9A9A9A", BLUE
#: Lines beyond the palette repeat its colours, dashed.
DASHES: tuple[Literal["-", "--"], ...] = ("-", "--")
INK, FAINT, GRID = "#222222", "#666666", "#E4E4E4"

#: Of a chart, in inches; and the margins around its axes, which leave room for title, labels and figures.
SIZE = (4.8, 3.1)
SQUARE = (4.8, 4.0)
LEFT, RIGHT, TOP, BOTTOM = 0.7, 0.14, 0.36, 0.46
#: From the edge of a chart to the labels of its axes, in inches.
EDGE = 0.08
#: Resolution of pixels, and sizes of letters in points.
DPI = 100
LETTERS, SMALL = 9, 8


def make_panels(
    count: int = 1,
    columns: int = 1,
    size: tuple[float, float] = SIZE,
    margins: tuple[float, float] = (LEFT, BOTTOM),
) -> tuple[Figure, list[Axes]]:
    """Return a figure with charts in a grid, filled line by line.

    Args:
        count: how many charts.
        columns: how many stand beside each other.
        size: width and height of one of them, in inches.
        margins: what its labels need at the left and below, in inches.
    """
    columns = max(min(columns, count), 1)
    rows = max(math.ceil(count / columns), 1)
    (width, height), (left, bottom) = size, margins
    figure = Figure((width * columns, height * rows), dpi=DPI)
    panels = []
    for place in range(count):
        row, column = divmod(place, columns)
        corner = (column + left / width) / columns, (rows - 1 - row + bottom / height) / rows
        extent = (1 - (left + RIGHT) / width) / columns, (1 - (TOP + bottom) / height) / rows
        panels.append(_style(figure.add_axes((*corner, *extent)), left, bottom))
    return figure, panels


def _style(axes: Axes, left: float, bottom: float) -> Axes:
    """Make axes plain; labels stand at the edge of the chart, as looking for their best place takes half the time."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(GRID)
    axes.tick_params(which="both", labelsize=SMALL, length=0, labelcolor=FAINT)
    axes.grid(color=GRID, linewidth=0.7)
    axes.set_axisbelow(True)
    corner = axes.transAxes.transform((0, 0)) / DPI
    edge = ScaledTranslation(corner[0] - left + EDGE, corner[1] - bottom + EDGE, axes.figure.dpi_scale_trans)
    axes.xaxis.set_label_coords(0.5, 0, blended_transform_factory(axes.transAxes, edge))
    axes.yaxis.set_label_coords(0, 0.5, blended_transform_factory(edge, axes.transAxes))
    axes.xaxis.label.set_verticalalignment("bottom")
    axes.yaxis.label.set_verticalalignment("top")
    return axes


def label(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Write what a chart shows; names of classes and columns may hold any character, and none makes a formula."""
    style: dict[str, Any] = {"fontsize": LETTERS, "color": INK, "fontweight": "bold", "parse_math": False}
    axes.set_title(shorten(title, 60), loc="left", y=1, pad=6, **style)
    axes.set_xlabel(shorten(x, 60), fontsize=SMALL, color=FAINT, parse_math=False)
    axes.set_ylabel(shorten(y, 44), fontsize=SMALL, color=FAINT, parse_math=False)


def explain(axes: Axes, handles: list[Any], labels: list[str], where: str = "above") -> None:
    """Say what lines stand for, ``above`` the axes at the right, or inside, at a place that matplotlib names."""
    place: dict[str, Any] = {"loc": where}
    if where == "above":
        place = {"loc": "lower right", "bbox_to_anchor": (1.02, 0.97), "ncols": len(labels), "columnspacing": 1.2}
    legend = axes.legend(
        handles,
        labels,
        fontsize=SMALL,
        frameon=where != "above",
        edgecolor=GRID,
        labelcolor=INK,
        handlelength=1.5,
        **place,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def shorten(name: str, most: int) -> str:
    r"""Return a name on one line, of so many characters at most, without what can't be drawn.

    >>> shorten("a very\nlong name", 9)
    'a very l…'
    """
    line = "".join(letter if letter.isprintable() else " " for letter in " ".join(name.split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


# What figures are turned into


def to_pixels(figure: Figure) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return a figure as (height, width, 3), bytes."""
    canvas = FigureCanvasAgg(figure)
    with _any_letters():
        canvas.draw()  # type: ignore[no-untyped-call]  # matplotlib leaves it untyped
    pixels = np.asarray(canvas.buffer_rgba())  # type: ignore[no-untyped-call]  # likewise
    return pixels[..., :3].copy()


def to_png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    buffer = BytesIO()
    with _any_letters():
        figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def to_pdf(figure: Figure) -> bytes:
    """Return a figure as PDF."""
    buffer = BytesIO()
    with _any_letters():
        figure.savefig(buffer, format="pdf", metadata={"CreationDate": None})
    return buffer.getvalue()


def to_svg(figure: Figure, name: str = "") -> str:
    """Return a figure as an SVG element for a page: the same for the same figure, whenever and wherever it is drawn.

    Letters stay letters, in the page's font. Identifiers follow from the name and from what is drawn, so that no two
    figures of a page have one in common.

    Args:
        figure: to draw.
        name: what tells it from another that looks the same.
    """
    buffer = BytesIO()
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    with _any_letters(), matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "lightlab"}):
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue().decode()
    text = text[text.index("<svg") :].rstrip()
    digest = hashlib.sha256(f"{name}\n{text}".encode()).hexdigest()[:10]
    text = re.sub(r'(<g) id="[^"]*"', r"\1", text)  # nothing refers to groups
    return re.sub(r'(id="|href="#|url\(#)', rf"\g<1>f{digest}", text)


@contextmanager
def _any_letters() -> Iterator[None]:
    """Names may have letters that matplotlib's font lacks: a box stands for them, or the page's font has them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        yield
