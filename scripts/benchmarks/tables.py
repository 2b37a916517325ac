"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import mean, median, stdev

from benchmarks.contestants.table import BASE, CONTESTANTS
from benchmarks.jobs import Task
from benchmarks.rounds import Measurement, Results, ratios

Figure = Callable[[Measurement], float]


def table(heading: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table, its first column set left, the others right."""
    marks = ["---", *["---:"] * (len(heading) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heading, marks, *rows))


def compared(
    results: Results,
    heading: Sequence[str],
    columns: Sequence[tuple[Figure, str]],
    more: Callable[[Sequence[Measurement]], list[str]] = lambda measured: [],
) -> str:
    """Return a table of medians of figures, each beside its ratio to the hand-written loop in the same round."""
    rows, base = [], results[BASE]
    for name, measured in results.items():
        cells = [CONTESTANTS[name].title]
        for figure, form in columns:
            cells.append(format(median(map(figure, measured)), form) if measured else "failed")
            cells.append(f"{ratios(measured, base, figure):.2f}" if measured and base else "–")
        rows.append([*cells, *more(measured)])
    return table(heading, rows)


def steady(task: Task, results: Results) -> str:
    """Return the table of a task in its steady state."""

    def microseconds(measured: Measurement) -> float:
        return measured.steady_seconds / task.steps * 1e6

    heading = [task.title, "µs a step", "ratio", "memory, MiB", "ratio"]
    return compared(results, heading, [(microseconds, ",.0f"), (lambda one: one.memory_mib, ",.0f")])


def whole(task: Task, results: Results) -> str:
    """Return the table of whole commands."""
    columns: list[tuple[Figure, str]] = [
        (lambda one: one.finished.seconds, ".2f"),
        (lambda one: one.finished.processor_seconds, ".2f"),
    ]
    heading = [task.title, "seconds", "ratio", "processor seconds", "ratio", "epochs", "accuracy"]
    return compared(results, heading, columns, trained)


def trained(measured: Sequence[Measurement]) -> list[str]:
    """Return how many epochs were trained, and the accuracy after them."""
    if not measured:
        return ["–", "–"]
    accuracies = [one.outcome.accuracy for one in measured if one.outcome.accuracy is not None]
    epochs = median(len(one.outcome.epoch_seconds) for one in measured)
    return [f"{epochs:g}", f"{median(accuracies):.4f}" if accuracies else "–"]


def accuracies(task: Task, epochs: int, results: Results) -> str:
    """Return the table of the mean accuracy over seeds, and how far it is from the hand-written loop's."""
    base, rows = [one.outcome.accuracy for one in results[BASE]], []
    for name, measured in results.items():
        own = [one.outcome.accuracy for one in measured]
        difference = "–" if name == BASE or not own or not base else apart(own, base)
        rows.append([CONTESTANTS[name].title, with_error(own) if own else "failed", difference])
    return table([f"{task.title}, {epochs} epochs", "accuracy", "difference"], rows)


def with_error(values: Sequence[float]) -> str:
    return f"{mean(values):.4f} ± {error(values):.4f}"


def apart(own: Sequence[float], base: Sequence[float]) -> str:
    return f"{mean(own) - mean(base):+.4f} ± {(error(own) ** 2 + error(base) ** 2) ** 0.5:.4f}"


def error(values: Sequence[float]) -> float:
    """Return the standard error of a mean; 0 of one value, which has none."""
    return stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
