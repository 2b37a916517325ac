"""What a report says of a run, in whatever form: read once, with what is missing said in words."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import yaml

from lightlab import __version__
from lightlab.checkpoints import digests
from lightlab.errors import CheckpointError
from lightlab.inspect.doctor import Diagnosis, diagnose
from lightlab.inspect.evaluation import Evaluation
from lightlab.inspect.outcome import Outcome
from lightlab.inspect.report import tables
from lightlab.inspect.report.tables import Table, number
from lightlab.inspect.run import Run
from lightlab.inspect.summary import Summary, summarize
from lightlab.registry import PROBLEMS
from lightlab.training.run_paths import CONFIG


@dataclass(frozen=True)
class Checkpoint:
    """The file with the best weights.

    Attributes:
        path: within the run folder.
        size: in bytes; ``None`` where there is no such file.
        sha256: of the file as it is now, or, where there is none, as it was when training ended.
        md5: likewise.
        verdict: whether it is still the file that training ended with, in words.
        changed: whether it is another.
    """

    path: str
    size: int | None
    sha256: str | None
    md5: str | None
    verdict: str
    changed: bool = False


@dataclass(frozen=True)
class Content:
    """All that templates ask for; each paragraph of a report stands in a template, each table in `tables`."""

    run: Run
    version: str
    outcome: Outcome | None
    evaluation: Evaluation | None
    history: pd.DataFrame
    diagnosis: Diagnosis
    checkpoint: Checkpoint
    summary: Summary | None
    no_summary: str

    @property
    def problem(self) -> str:
        """The problem type, or a dash."""
        if self.evaluation:
            return self.evaluation.problem
        return (self.run.config.get("model") or {}).get("problem") or tables.NONE

    @property
    def tag(self) -> str:
        """The kind of problem, as cards are found by."""
        known = self.problem in PROBLEMS  # that of a plugin may not be
        numbers = (
            PROBLEMS.get(self.problem).target == "numbers"
            if known
            else bool(self.evaluation and not self.evaluation.classes)
        )
        return "regression" if numbers else "classification"

    @property
    def epochs(self) -> int:
        """How many were trained, as far as that is known."""
        return self.outcome.epochs if self.outcome else int(self.history["epoch"].max()) if len(self.history) else 0

    @property
    def best_epoch(self) -> int | None:
        """The one whose weights were kept; the last where none were."""
        return self.outcome.best_epoch if self.outcome else None

    @property
    def state(self) -> str:
        """What a reader has to know of a run that did not come to its end; empty for others."""
        if self.outcome and self.evaluation:
            return ""
        if self.outcome:
            return "This run has no evaluation.json, so that charts of its predictions and its layers are missing."
        so_far = f"its history ends with epoch {self.epochs}" if self.epochs else "its history has no epoch yet"
        return f"Training broke off, or still goes on: {so_far}, and there are no final metrics."

    @property
    def key_figures(self) -> list[tuple[str, str]]:
        """The few figures that come first."""
        figures = []
        if outcome := self.outcome:
            split, values = ("test", outcome.test) if outcome.test else ("validation", outcome.validation)
            figures = [(f"{name.split('/', 1)[1]}, {split}", number(value)) for name, value in values.items()][:2]
            figures.append(("epochs (best)", f"{outcome.epochs} ({outcome.best_epoch})"))
            figures.append(("training", _time(outcome.seconds)))
        if self.summary:
            figures.append(("parameters", f"{self.summary.total.parameters:,}"))
        return figures

    @property
    def files(self) -> Table:
        """The checkpoint, and how to know it."""
        size = tables.NONE if self.checkpoint.size is None else f"{self.checkpoint.size:,} bytes"
        rows = [
            ("file", self.checkpoint.path),
            ("size", size),
            ("SHA-256", self.checkpoint.sha256 or tables.NONE),
            ("MD5", self.checkpoint.md5 or tables.NONE),
            ("state", self.checkpoint.verdict),
        ]
        return Table(("what", "value"), rows, text=2)

    @property
    def config(self) -> str:
        """The config as YAML."""
        return yaml.safe_dump(self.run.config, sort_keys=False, allow_unicode=True, width=100)

    @property
    def commands(self) -> dict[str, str]:
        """What to type in order to repeat, use and look at the run."""
        config, run = shlex.quote(str(self.run.path / CONFIG)), shlex.quote(str(self.run.path))
        return {
            "Train it again": f"lightlab fit --config {config}",
            "Evaluate it": f"lightlab test --config {config}",
            "Predict": f"lightlab predict --config {config}",
            "Curves": f"tensorboard --logdir {run}",
        }


def read_content(run: Run) -> Content:
    """Return what there is to say of a run.

    Raises:
        RunError: a file of the run can't be read.
    """
    history, evaluation, outcome = run.history, run.evaluation, run.outcome
    summary, no_summary = None, ""
    try:
        summary = summarize(run.load_model())
    except CheckpointError as error:
        no_summary = str(error)
    return Content(
        run=run,
        version=__version__,
        outcome=outcome,
        evaluation=evaluation,
        history=history,
        diagnosis=diagnose(history, evaluation, run.config),
        checkpoint=_check(run.checkpoint, outcome),
        summary=summary,
        no_summary=no_summary,
    )


def _check(file: Path, outcome: Outcome | None) -> Checkpoint:
    """Hold the checkpoint against what was known of it when training ended."""
    path = file.relative_to(file.parents[1]).as_posix()
    then = outcome.sha256 if outcome else None, outcome.md5 if outcome else None
    if outcome and not outcome.checkpoint:
        return Checkpoint(path, None, *then, "No weights were kept: trainer.enable_checkpointing is false.")
    if not file.is_file():
        return Checkpoint(path, None, *then, "There is no such file any more." if outcome else "There is no such file.")
    found = digests(file)
    now = found["sha256"], found["md5"]
    if outcome is None:
        verdict, changed = "Training did not come to its end: the file may still change.", False
    elif changed := now != then:
        verdict = f"The file has changed since training ended: its SHA-256 was {then[0]}, its MD5 {then[1]}."
    else:
        verdict = "The file is the one that training ended with."
    return Checkpoint(path, file.stat().st_size, *now, verdict, changed)


def _time(seconds: float) -> str:
    """Return a duration as people say it.

    >>> _time(7.53), _time(185), _time(8000)
    ('7.5 s', '3 min 5 s', '2 h 13 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
