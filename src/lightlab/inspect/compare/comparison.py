"""Runs beside each other: rows, what differs, which are best, which are repeats, and what can't be compared."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from lightlab.errors import LightlabError, did_you_mean
from lightlab.inspect.compare.differences import SEEDS, Differences, find_differences
from lightlab.inspect.compare.row import Row, better, read_row
from lightlab.inspect.run import Run, find_runs
from lightlab.inspect.tensorboard.hyperparameters import Plain

#: Beside metrics, what can be sorted by; less comes first.
COUNTS = ("best_epoch", "epochs", "seconds", "parameters")


@dataclass(frozen=True)
class Repeats:
    """Runs that differ in nothing but seeds.

    Attributes:
        names: of the runs.
        settings: what tells them from other runs: keys that not all runs of the comparison have the same value of.
        figures: for each metric its mean and its standard deviation over the runs.
    """

    names: tuple[str, ...]
    settings: dict[str, Plain | None]
    figures: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Comparison:
    """Runs beside each other.

    Attributes:
        rows: of the runs.
        differences: what their configs differ in.
        metrics: that any of them has.
        best: for each metric the places of the rows that are best, among those that can be compared.
        repeats: runs that differ in nothing but seeds.
        notes: what can't be compared and why, and what is the same, in sentences.
    """

    rows: list[Row]
    differences: Differences
    metrics: tuple[str, ...]
    best: dict[str, set[int]]
    repeats: list[Repeats]
    notes: list[str]

    @property
    def monitor(self) -> str:
        """The metric that most runs watch."""
        watched = [row.monitor for row in self.rows]
        return max(dict.fromkeys(watched), key=watched.count)


def compare(paths: Sequence[str | os.PathLike[str]], sort: str | None = None) -> Comparison:
    """Compare runs.

    Args:
        paths: run folders, or folders with several, all of which are taken.
        sort: the metric whose best comes first, such as ``test/accuracy``; ``accuracy`` is that of the validation
            split. ``best_epoch``, ``epochs``, ``seconds`` and ``parameters`` do, too. By default runs stay in the order
            in which they are given.

    Raises:
        RunError: there is no run, or a file of it can't be read.
        LightlabError: there is no such metric.
    """
    runs = list({run.path.resolve(): run for path in paths for run in find_runs(path)}.values())
    names = _short_names(runs)
    rows = [read_row(run, name) for run, name in zip(runs, names, strict=True)]
    found = dict.fromkeys(metric for row in rows for metric in row.figures)
    metrics = tuple(sorted(found, key=lambda metric: metric.startswith("test/")))
    if sort:
        rows.sort(key=_sorting(sort, metrics, rows))
    differences = find_differences([row.run.config for row in rows])
    return Comparison(
        rows=rows,
        differences=differences,
        metrics=metrics,
        best={metric: _best(metric, rows, differences) for metric in metrics},
        repeats=_find_repeats(rows, differences, metrics),
        notes=[*_say_other_data(rows), *_say_other_losses(differences), *_say_same(rows, differences)],
    )


def _short_names(runs: Sequence[Run]) -> list[str]:
    """Return the paths from the folder on that has them all."""
    if len(runs) == 1:
        return [runs[0].name]
    paths = [run.path.resolve() for run in runs]
    folder = Path(os.path.commonpath(paths))
    return [path.relative_to(folder).as_posix() for path in paths]


def _sorting(name: str, metrics: Sequence[str], rows: list[Row]) -> Callable[[Row], tuple[bool, float]]:
    """Return what rows are sorted by; those without a figure come last.

    Raises:
        LightlabError: there is no such figure.
    """
    metric = name if name in metrics else f"val/{name}"
    if name not in COUNTS and metric not in metrics:
        known = (*metrics, *COUNTS)
        near = did_you_mean(name, known) or f"There are: {', '.join(known)}."
        raise LightlabError(f"Runs are sorted by a metric that they have. Received: {name}. {near}")
    sign = -1 if name not in COUNTS and better(metric, rows) == "max" else 1

    def key(row: Row) -> tuple[bool, float]:
        value = getattr(row, name) if name in COUNTS else row.figures.get(metric)
        return (True, 0.0) if value is None or not math.isfinite(value) else (False, sign * value)

    return key


# Which are best


def _best(metric: str, rows: list[Row], differences: Differences) -> set[int]:
    """Return the places of the best, among several that can be compared; of ties all."""
    mode = better(metric, rows)
    if mode is None:
        return set()
    heads = _heads(differences) if metric.endswith("/loss") else []

    def comparable(place: int) -> Hashable:
        return rows[place].data, tuple(differences[name][place] for name in heads)

    found: set[int] = set()
    known = (place for place, row in enumerate(rows) if math.isfinite(row.figures.get(metric, math.nan)))
    for group in _group(known, comparable):
        best = (min if mode == "min" else max)(rows[place].figures[metric] for place in group)
        found |= {place for place in group if len(group) > 1 and rows[place].figures[metric] == best}
    return found


def _heads(differences: Differences) -> list[str]:
    """Return the keys that say what the loss is."""
    return [name for name in differences if name in ("problem", "head") or name.startswith("head.")]


def _group(places: Iterable[int], key: Callable[[int], Hashable]) -> list[list[int]]:
    groups: defaultdict[Hashable, list[int]] = defaultdict(list)
    for place in places:
        groups[key(place)].append(place)
    return list(groups.values())


# Repeats


def _find_repeats(rows: list[Row], differences: Differences, metrics: Sequence[str]) -> list[Repeats]:
    """Return the runs that came to their end and differ in nothing but seeds."""
    others = [name for name in differences if name not in SEEDS]
    seeds = [name for name in differences if name in SEEDS]

    def same(place: int) -> Hashable:
        # Another seed of the data gives other splits; where it is the same, other rows are another experiment.
        data = None if "data.seed" in differences else rows[place].run.data
        return repr(([differences[name][place] for name in others], data, rows[place].problem))

    found = []
    for group in _group((place for place, row in enumerate(rows) if row.finished), same):
        by_seed = {repr([differences[name][place] for name in seeds]): rows[place] for place in group}
        if len(by_seed) > 1:
            settings = {name: differences[name][group[0]] for name in others}
            found.append(_summarize(list(by_seed.values()), settings, metrics))
    return found


def _summarize(rows: list[Row], settings: dict[str, Plain | None], metrics: Sequence[str]) -> Repeats:
    figures = {}
    for metric in metrics:
        values = [row.figures[metric] for row in rows if metric in row.figures]
        if len(values) == len(rows):
            spread = stdev(values) if all(map(math.isfinite, values)) else math.nan
            figures[metric] = (mean(values), spread)
    return Repeats(tuple(row.name for row in rows), settings, figures)


# What is said below the table


def _say_other_data(rows: list[Row]) -> list[str]:
    """Say which runs can't be held against each other, and why."""
    measured = [place for place, row in enumerate(rows) if row.figures]
    groups = _group(measured, lambda place: rows[place].data)
    if len(groups) < 2:
        return []
    splits = zip(("validation", "test"), zip(*(rows[place].data for place in measured), strict=True), strict=True)
    differing = " and ".join(name for name, hashes in splits if len(set(hashes)) > 1)
    runs = "; ".join(", ".join(rows[place].name for place in group) for group in groups)
    return [
        f"Not all figures can be compared, since the {differing} rows of these runs are not the same. Those of one "
        f"group can, and each group has its own best: {runs}."
    ]


def _say_other_losses(differences: Differences) -> list[str]:
    """Say where one run's loss is not what another's is."""
    heads = ", ".join(_heads(differences))
    return [f"Losses can't all be compared: the runs differ in {heads}."] if heads else []


def _say_same(rows: list[Row], differences: Differences) -> list[str]:
    """Say which runs are repeats, seed and all."""
    groups = _group(
        range(len(rows)), lambda place: repr(([values[place] for values in differences.values()], rows[place].run.data))
    )
    repeated = [", ".join(rows[place].name for place in group) for group in groups if len(group) > 1]
    return [f"The same config, seed and data: {names}." for names in repeated]
