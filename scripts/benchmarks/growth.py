"""How time for each row, and memory, grow with rows, features and parameters."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.contestants.table import CONTESTANTS, Contestant
from benchmarks.jobs import Task
from benchmarks.rounds import Bench
from benchmarks.tables import table

#: So many rows are trained on at least: an epoch of few rows is over before a clock has seen it.
LEAST_ROWS = 300_000
#: Multiplications with a parameter, at least: where they are many, a few steps will do.
ENOUGH = 2e11
FEATURES = 20
NAMES = ("hand", "lightlab")


@dataclass(frozen=True)
class Point:
    """One measurement; ``size`` is of what grows in its series."""

    series: str
    size: int
    contestant: str
    microseconds_a_row: float
    memory_mib: float


def mlp(series: str, size: int, rows: int, features: int, width: int, epochs: int = 0) -> tuple[str, int, Task]:
    """Return a series, a size and its task: an MLP of two hidden layers of one width."""
    parameters = features * width + width * width + 2 * width
    wanted = min(LEAST_ROWS, ENOUGH / parameters)
    epochs = min(200, max(3, int(wanted / rows)))
    name = f"{series} {size}"
    return series, size, Task(name, name, "mlp", rows, (features,), 2, 256, epochs, epochs, 1, 256, (width, width))


def series() -> Iterator[tuple[str, int, Task]]:
    """Give the sizes of each series."""
    for power in range(3, 8):
        yield mlp("rows", 10**power, 10**power, FEATURES, 64)
    for power in range(1, 5):
        yield mlp("features", 10**power, 10_000, 10**power, 64)
    for power in range(3, 9):
        # width² + (features + 2) · width parameters, biases aside
        half = (FEATURES + 2) / 2
        yield mlp("parameters", 10**power, 1_024, FEATURES, round((half**2 + 10**power) ** 0.5 - half))


def measure(bench: Bench, largest: float, contestants: Sequence[Contestant] | None = None) -> list[Point]:
    """Measure all sizes up to a largest, once each: over so many decades, noise is not seen."""
    points = []
    for name, size, task in series():
        if size > largest:
            continue
        with bench.data(task) as data:
            for contestant in contestants or [CONTESTANTS[one] for one in NAMES]:
                measured = bench.measure(contestant, bench.job(task, data, task.epochs))
                if measured is None:
                    continue
                seconds = measured.steady_seconds / task.rows
                point = Point(name, size, contestant.name, seconds * 1e6, measured.memory_mib)
                points.append(point)
                print(f"growth  {json.dumps(asdict(point))}", file=sys.stderr, flush=True)
    return points


def as_table(points: Sequence[Point]) -> str:
    """Return a table: a line for each size, columns for each contestant."""
    names = list(dict.fromkeys(point.contestant for point in points))
    found = {(point.series, point.size, point.contestant): point for point in points}
    heading = ["", *(f"{CONTESTANTS[name].title}, {what}" for what in ("µs a row", "MiB") for name in names)]
    rows = []
    for name, size in dict.fromkeys((point.series, point.size) for point in points):
        here = [found.get((name, size, contestant)) for contestant in names]
        times = [f"{point.microseconds_a_row:.3g}" if point else "failed" for point in here]
        rows.append([f"{size:,} {name}", *times, *(f"{point.memory_mib:,.0f}" if point else "–" for point in here)])
    return table(heading, rows)


def plot(points: Sequence[Point], path: Path) -> None:
    """Draw time for each row and memory over each size."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    names = list(dict.fromkeys(point.series for point in points))
    figure = Figure(figsize=(4 * len(names), 6), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(2, len(names), sharey="row", squeeze=False)
    for place, name in enumerate(names):
        for row, (attribute, label) in enumerate((("microseconds_a_row", "µs a row"), ("memory_mib", "memory, MiB"))):
            axes = grid[row][place]
            for contestant in dict.fromkeys(point.contestant for point in points):
                own = [point for point in points if (point.series, point.contestant) == (name, contestant)]
                values = [getattr(point, attribute) for point in own]
                axes.plot([point.size for point in own], values, marker="o", label=CONTESTANTS[contestant].title)
            axes.set(xscale="log", yscale="log", xlabel=name)
            axes.grid(visible=True, alpha=0.3)
            if place == 0:
                axes.set_ylabel(label)
    grid[0][0].legend()
    figure.savefig(path, dpi=100)
