"""Runs as they lie in their folders: for notebooks, reports and comparisons."""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable
from functools import cached_property
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from lightlab.config.documents import load_plain
from lightlab.errors import RunError, did_you_mean, sentences
from lightlab.inspect.evaluation.record import Evaluation, read_evaluation
from lightlab.inspect.numbers import figure
from lightlab.inspect.outcome import Outcome, read_outcome
from lightlab.terminal import say
from lightlab.training.run_paths import (
    BEST,
    CONFIG,
    DATA,
    ENVIRONMENT,
    EVALUATION,
    FIRST_COLUMNS,
    HISTORY,
    METRICS,
    version_number,
)

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from lightlab.inspect.doctor import Diagnosis
    from lightlab.inspect.figures import Chart
    from lightlab.module import Model

#: So many charts stand beside each other.
CHARTS_A_LINE = 3


class Run:
    """A run that was trained, or is in training; what it holds is read when it is first asked for.

    In a notebook ``run`` by itself shows the final figures and the verdict, and ``run.plot()`` the curves.

    Args:
        path: the run folder, such as ``runs/digits_cnn/version_0``.

    Raises:
        RunError: it is no run folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not is_run(self.path):
            below = _runs_below(self.path)
            where = f"There are runs below it, such as {below[0]}." if below else ""
            rule = f"A run is a folder with {CONFIG} and {ENVIRONMENT}, as fit leaves it. Received: {path}."
            raise RunError(sentences(rule, where))

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
        """What people call it: ``digits_cnn/version_0``."""
        path = self.path.resolve()
        return f"{path.parent.name}/{path.name}"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config that repeats it, defaults included.

        Raises:
            RunError: it can't be read.
        """
        return self._read(CONFIG, load_plain)

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, devices, and the git commit where there is one.

        Raises:
            RunError: it can't be read.
        """
        return self._read(ENVIRONMENT, json.loads)

    @cached_property
    def data(self) -> dict[str, dict[str, Any]]:
        """For each split its number of rows, and the SHA-256 of what they hold; empty before training starts.

        Raises:
            RunError: it can't be read.
        """
        return self._read(DATA, json.loads) if (self.path / DATA).is_file() else {}

    @property
    def history(self) -> pd.DataFrame:
        """What was measured, a row an epoch (and one for each validation within): read anew at each access.

        Columns are ``epoch`` (the first is 1), ``step``, ``seconds``, and the figures: ``train/loss``, ``val/loss``,
        the metrics of both, ``train/penalty``, ``learning_rate``, ``gradient_norm``, ``gradient_norm_max``,
        ``epoch_seconds``, ``samples_per_second``, ``memory_mib``. Without rows where no epoch has ended yet.

        Raises:
            RunError: it can't be read, or is something else.
        """
        import pandas as pd

        file = self.path / HISTORY
        if not file.is_file():
            return pd.DataFrame({name: [] for name in FIRST_COLUMNS})
        try:
            text = file.read_text(encoding="utf-8")
            whole = text[: text.rfind("\n") + 1]  # a copy made in the midst of writing ends within a line
            history = pd.read_csv(StringIO(whole))
            history = history.astype(float) if history.empty else history  # columns without values have no type
        except (OSError, ValueError) as cause:
            raise RunError(f"{file} can't be read as the history of a run: {cause}.") from cause
        strange = [*(name for name in FIRST_COLUMNS if name not in history), *history.select_dtypes(exclude="number")]
        if strange:
            raise RunError(
                f"A history has columns of numbers, {', '.join(FIRST_COLUMNS)} among them. In {file} it is otherwise "
                f"with {', '.join(map(str, strange))}."
            )
        return history

    @property
    def outcome(self) -> Outcome | None:
        """The final figures; ``None`` where training did not come to its end, or has not yet.

        Raises:
            RunError: they can't be read.
        """
        file = self.path / METRICS
        return read_outcome(file) if file.is_file() else None

    @property
    def evaluation(self) -> Evaluation | None:
        """What the best weights make of the data; ``None`` where training did not come to its end, or has not yet.

        Raises:
            RunError: it can't be read.
        """
        file = self.path / EVALUATION
        return read_evaluation(file) if file.is_file() else None

    @property
    def diagnosis(self) -> Diagnosis:
        """What the doctor says of it, so far: ``run.diagnosis.summary()`` is the verdict in a line."""
        from lightlab.inspect.doctor import diagnose

        return diagnose(self.history, self.evaluation, self.config)

    @property
    def checkpoint(self) -> Path:
        """The file with the best weights."""
        return self.path / "checkpoints" / BEST

    def load_model(self) -> Model:
        """Return the model with the best weights, in evaluation mode on the CPU.

        Raises:
            CheckpointError: there is none, or it can't be read.
        """
        from lightlab.module import Model

        return Model.load(self.checkpoint)

    def plot(self, *metrics: str) -> Figure:
        """Return the curves of the history, train and validation of a metric in one chart.

        Args:
            metrics: such as ``loss``, ``accuracy``, or a column of the history, such as ``learning_rate``; by default
                the loss and each metric.

        Raises:
            RunError: there is no such metric, or no epoch has ended yet.
        """
        from lightlab.inspect.figures import draw_history, to_png

        history = self.history
        if history.empty:
            raise RunError(f"A run can be plotted once its first epoch has ended. {self.path} has none.")
        charts = _choose(history, metrics)
        best = self.outcome.best_epoch if self.outcome else None
        figure = draw_history(history, charts, best, columns=min(len(charts), CHARTS_A_LINE))
        # Notebooks know matplotlib's figures only after pyplot was imported, and look for this in others.
        figure._repr_png_ = lambda: to_png(figure)  # type: ignore[attr-defined]
        return figure

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the final figures, a column for each split, and the verdict."""
        outcome = self.outcome
        splits = {"validation": outcome.validation, "test": outcome.test} if outcome else {}
        figures = {
            split: {name.split("/", 1)[-1]: value for name, value in values.items()}
            for split, values in splits.items()
            if values
        }
        names = dict.fromkeys(name for values in figures.values() for name in values)
        lines = [
            ["", *figures],
            *([name, *(figure(part.get(name), "–") for part in figures.values())] for name in names),
        ]
        rows = "".join(f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in lines)
        return (
            f"<strong>{html.escape(self.name)}</strong>{_say_epochs(outcome)}"
            f"{f'<table>{rows}</table>' if names else ''}<p>{html.escape(self.diagnosis.summary())}</p>"
        )

    def _read(self, name: str, parse: Callable[[str], Any]) -> dict[str, Any]:
        """Return what a file holds, by name."""
        file = self.path / name
        try:
            return dict(parse(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, yaml.YAMLError) as cause:
            raise RunError(f"{file} can't be read as that of a run: {cause}.") from cause


def is_run(path: Path) -> bool:
    """Return whether a folder is that of a run."""
    return (path / CONFIG).is_file() and (path / ENVIRONMENT).is_file()


def find_runs(path: str | os.PathLike[str]) -> list[Run]:
    """Return the run that a folder is, or else all runs below it, those of a config in their order.

    Raises:
        RunError: there is none.
    """
    folder = Path(path)
    found = [folder] if is_run(folder) else _runs_below(folder)
    if not found:
        what = "There is no such folder." if not folder.exists() else "There is none in or below it."
        raise RunError(f"A run is a folder with {CONFIG} and {ENVIRONMENT}, as fit leaves it. Received: {path}. {what}")
    return [Run(run) for run in found]


def find_latest_run(path: str | os.PathLike[str], what: str) -> Run:
    """Return the run that a folder is, or the latest of a config's below it, and say if there are others.

    Args:
        path: the folder.
        what: the name of what is made of it, for messages: "A report".

    Raises:
        RunError: there is none, or there are several configs'.
    """
    runs = find_runs(path)
    configs = dict.fromkeys(run.path.parent for run in runs)
    if len(configs) > 1:
        raise RunError(f"{what} is of one run. {path} has runs of several configs: {', '.join(map(str, configs))}.")
    if len(runs) > 1:
        say(f"{path} has {len(runs)} runs: this is of the latest, {runs[-1].path}.", is_error=True)
    return runs[-1]


def _runs_below(folder: Path) -> list[Path]:
    found = [file.parent for file in folder.glob(f"**/{CONFIG}") if is_run(file.parent)]
    return sorted(found, key=lambda run: (str(run.parent), version_number(run), run.name))


def _choose(history: pd.DataFrame, metrics: tuple[str, ...]) -> list[Chart]:
    """Return the charts of some metrics or columns.

    Raises:
        RunError: there is no such metric.
    """
    from lightlab.inspect.figures import Chart, metric_charts

    of_metrics = {chart.title: chart for chart in metric_charts(history)}
    charts = of_metrics | {name: Chart(name, {"": name}) for name in map(str, history) if name not in FIRST_COLUMNS}
    for metric in metrics:
        if metric not in charts:
            near = did_you_mean(metric, charts) or f"There are: {', '.join(charts)}."
            raise RunError(f"What is plotted is a metric, or a column of the history. Received: {metric}. {near}")
    return [charts[metric] for metric in metrics or of_metrics]


def _say_epochs(outcome: Outcome | None) -> str:
    if outcome is None:
        return ", not finished"
    if outcome.checkpoint is None:
        return f", {outcome.epochs} epochs, {outcome.seconds:.1f} s, no weights were kept"
    return f", epoch {outcome.best_epoch} of {outcome.epochs} is the best, {outcome.seconds:.1f} s"
