"""Runs as they lie in their folders: for notebooks, reports and comparisons."""

from __future__ import annotations

import json
import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import yaml

from lightlab.config.documents import Loader
from lightlab.errors import RunError
from lightlab.inspect.evaluation import Evaluation, read_evaluation
from lightlab.inspect.outcome import Outcome, read_outcome
from lightlab.training.run_paths import BEST, CONFIG, DATA, ENVIRONMENT, EVALUATION, HISTORY, METRICS, version_number

if TYPE_CHECKING:
    from lightlab.module import Model


class Run:
    """A run that was trained, or is in training; what it holds is read when it is first asked for.

    Args:
        path: the run folder, such as ``runs/digits_cnn/version_0``.

    Raises:
        RunError: it is no run folder.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not is_run(self.path):
            raise RunError(f"A run is a folder with {CONFIG} and {ENVIRONMENT}, as fit leaves it. Received: {path}.")

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
        """What people call it: ``digits_cnn/version_0``."""
        path = self.path.resolve()
        return f"{path.parent.name}/{path.name}"

    @cached_property
    def config(self) -> dict[str, Any]:
        """The config that repeats it, defaults included."""
        return dict(yaml.load(self._read(CONFIG), Loader=Loader))

    @cached_property
    def environment(self) -> dict[str, Any]:
        """Versions, devices, and the git commit where there is one."""
        return dict(json.loads(self._read(ENVIRONMENT)))

    @cached_property
    def data(self) -> dict[str, dict[str, Any]]:
        """For each split its number of rows, and the SHA-256 of what they hold; empty before training starts."""
        return dict(json.loads(self._read(DATA))) if (self.path / DATA).is_file() else {}

    @property
    def history(self) -> pd.DataFrame:
        """What was measured, a row an epoch (and one for each validation within): read anew at each access.

        Columns are ``epoch`` (the first is 1), ``step``, ``seconds``, and the figures: ``train/loss``, ``val/loss``,
        the metrics of both, ``train/penalty``, ``learning_rate``, ``gradient_norm``, ``gradient_norm_max``,
        ``epoch_seconds``, ``samples_per_second``, ``memory_mib``. Without rows where no epoch has ended yet.
        """
        file = self.path / HISTORY
        return pd.read_csv(file) if file.is_file() else pd.DataFrame({"epoch": [], "step": [], "seconds": []})

    @cached_property
    def outcome(self) -> Outcome | None:
        """The final figures; ``None`` where training did not come to its end."""
        file = self.path / METRICS
        return read_outcome(file) if file.is_file() else None

    @cached_property
    def evaluation(self) -> Evaluation | None:
        """What the best weights make of the data; ``None`` where training did not come to its end."""
        file = self.path / EVALUATION
        return read_evaluation(file) if file.is_file() else None

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

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as cause:
            raise RunError(f"{self.path / name} can't be read: {cause}.") from cause


def is_run(path: Path) -> bool:
    """Return whether a folder is that of a run."""
    return (path / CONFIG).is_file() and (path / ENVIRONMENT).is_file()


def find_runs(path: str | os.PathLike[str]) -> list[Run]:
    """Return the run that a folder is, or else all runs below it, those of a config in their order.

    Raises:
        RunError: there is none.
    """
    folder = Path(path)
    if is_run(folder):
        return [Run(folder)]
    found = [file.parent for file in folder.glob(f"**/{CONFIG}") if is_run(file.parent)]
    if not found:
        what = "There is no such folder." if not folder.exists() else f"There is none in or below it: {path}."
        raise RunError(f"A run is a folder with {CONFIG} and {ENVIRONMENT}, as fit leaves it. Received: {path}. {what}")
    return [Run(run) for run in sorted(found, key=lambda run: (str(run.parent), version_number(run), run.name))]
