"""A run of a comparison: what it came to, or as far as it came."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightlab.inspect.evaluation.record import Evaluation
from lightlab.inspect.run import Run

if TYPE_CHECKING:
    import pandas as pd

#: Metrics of which less is better, and more; of others it is not known.
LESS = frozenset({"loss", "mse", "rmse", "mae"})
MORE = frozenset({
    "accuracy", "top5_accuracy", "f1", "f1_macro", "precision", "recall", "auroc", "auroc_macro", "r2",
})  # fmt: skip


@dataclass(frozen=True)
class Row:
    """What a run came to.

    Attributes:
        run: the run.
        name: as short as tells it from the others.
        problem: the type; empty where the config leaves it open and training did not come to its end.
        monitor: the metric that says which weights are best.
        mode: whether less or more of it is better.
        figures: validation and test metrics of the best weights, named as logged; of a run that did not come to its
            end those of the best validation so far.
        best_epoch: the epoch that they are of; ``None`` where no epoch has ended.
        epochs: how many were trained.
        seconds: how long training took.
        parameters: how many are trained; ``None`` where training did not come to its end.
        illnesses: what the doctor found.
        healthy: whether the doctor knows enough of it, and found nothing.
        verdict: what the doctor says, in a line.
        curve: the monitored metric after each validation.
        finished: whether training came to its end.
    """

    run: Run
    name: str
    problem: str
    monitor: str
    mode: str
    figures: Mapping[str, float]
    best_epoch: int | None
    epochs: int
    seconds: float
    parameters: int | None
    illnesses: tuple[str, ...]
    healthy: bool
    verdict: str
    curve: tuple[float, ...]
    finished: bool

    @property
    def data(self) -> tuple[str | None, ...]:
        """The hashes of the rows that the figures are of, validation and test: runs with others can't be compared."""
        return tuple(self.run.data.get(split, {}).get("sha256") for split in ("val", "test"))


def read_row(run: Run, name: str) -> Row:
    """Return what a run came to.

    Raises:
        RunError: a file of it can't be read.
    """
    from lightlab.inspect.doctor import diagnose

    history, outcome, evaluation = run.history, run.outcome, run.evaluation
    monitor, mode = _watched(run.config, evaluation)
    best = _best_so_far(history, monitor, mode)
    figures = {**outcome.validation, **outcome.test} if outcome else best
    epochs = int(history["epoch"].max()) if len(history) else 0
    diagnosis = diagnose(history, evaluation, run.config)
    curve = history[monitor].dropna() if monitor in history else ()
    return Row(
        run=run,
        name=name,
        problem=evaluation.problem if evaluation else (run.config.get("model") or {}).get("problem") or "",
        monitor=monitor,
        mode=mode,
        figures={metric: value for metric, value in figures.items() if metric.startswith(("val/", "test/"))},
        best_epoch=outcome.best_epoch if outcome else int(best["epoch"]) if best else None,
        epochs=outcome.epochs if outcome else epochs,
        seconds=outcome.seconds if outcome else float(history["seconds"].max()) if len(history) else 0.0,
        parameters=sum(layer.parameters for layer in evaluation.layers) if evaluation else None,
        illnesses=tuple(finding.illness for finding in diagnosis.findings),
        healthy=diagnosis.healthy,
        verdict=diagnosis.summary(),
        curve=tuple(map(float, curve)),
        finished=outcome is not None,
    )


def better(metric: str, rows: list[Row]) -> str | None:
    """Return whether less or more of a metric is better, ``min`` or ``max``; ``None`` where it is not known."""
    modes = {row.monitor.split("/", 1)[-1]: row.mode for row in rows}
    name = metric.split("/", 1)[-1]
    if name in modes:
        return modes[name]
    kind = name.split("/", 1)[0]  # those of single labels or columns are named after them
    return "min" if kind in LESS else "max" if kind in MORE else None


def _watched(config: Mapping[str, Any], evaluation: Evaluation | None) -> tuple[str, str]:
    """Return the metric that says which weights are best, and its mode."""
    if evaluation:
        return evaluation.monitor, evaluation.mode
    options = config.get("checkpoint") or {}
    monitor = options.get("monitor") or "val/loss"
    return monitor, options.get("mode") or ("max" if monitor.split("/", 1)[-1] in MORE else "min")


def _best_so_far(history: pd.DataFrame, monitor: str, mode: str) -> dict[str, float]:
    """Return the row of the best validation so far; nothing where there was none."""
    if monitor not in history or not history[monitor].notna().any():
        return {}
    values = history[monitor]
    best = history.iloc[int(values.argmin() if mode == "min" else values.argmax())]
    return {str(name): float(value) for name, value in best.items() if math.isfinite(value)}
