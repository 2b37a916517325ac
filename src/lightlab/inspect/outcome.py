"""What a run came to: ``metrics.json``, and the table that ``fit`` ends with."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, TypeAdapter, ValidationError

from lightlab.errors import RunError, first_misfit
from lightlab.files import write_text

#: NaN where it is null.
MetricValue = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]


@dataclass(frozen=True)
class Outcome:
    """The figures of a finished run.

    Attributes:
        validation: metrics of the validation split at the best epoch, named as logged.
        test: metrics of the test split with the best weights; empty where there is none.
        best_epoch: the epoch that the best weights are from; the first is 1. The last where no weights were kept.
        best_step: how many steps had been taken by then.
        epochs: how many were trained.
        seconds: how long training took.
        checkpoint: the file with the best weights; ``None`` where none were kept.
        sha256: of that file, in hexadecimal.
        md5: likewise.
    """

    validation: Mapping[str, MetricValue]
    test: Mapping[str, MetricValue]
    best_epoch: int
    best_step: int
    epochs: int
    seconds: float
    checkpoint: str | None
    sha256: str | None
    md5: str | None

    def write(self, path: Path) -> None:
        """Write ``metrics.json``; what is not a number becomes null, as JSON has no NaN.

        Raises:
            RunError: it can't be written.
        """
        values = asdict(self)
        for split in ("validation", "test"):
            values[split] = {name: value if math.isfinite(value) else None for name, value in values[split].items()}
        write_text(json.dumps(values, indent=2) + "\n", path, "metrics")

    def table(self, run: Path, plugins: Sequence[str] = ()) -> str:
        """Return the table for people.

        Args:
            run: the run folder.
            plugins: options that name the plugins it takes.
        """
        return align(self._lines(run, plugins))

    @property
    def width(self) -> int:
        """How wide the names in its table are, in characters."""
        return max(len(name) for name, _ in self._lines(Path(), ()))

    def _lines(self, run: Path, plugins: Sequence[str]) -> list[tuple[str, str]]:
        folder, config = (shlex.join([str(path), *plugins]) for path in (run, run / "config.yaml"))
        best = f" (best: {self.best_epoch})" if self.checkpoint else ""
        file = {"checkpoint": self.checkpoint, "sha256": self.sha256, "md5": self.md5}
        return [
            ("run", str(run)),
            ("epochs", f"{self.epochs}{best} in {self.seconds:.1f} s"),
            *metric_lines({"validation": self.validation, "test": self.test}),
            *((name, value) for name, value in file.items() if value),
            ("curves", f"tensorboard --logdir {shlex.quote(str(run))}"),
            ("report", f"lightlab report {folder}"),
            *([("predict", f"lightlab predict --config {config}")] if self.checkpoint else []),
        ]


def read_outcome(path: Path) -> Outcome:
    """Read what `Outcome.write` wrote; metrics that were no numbers are NaN.

    Raises:
        RunError: it can't be read, or is something else.
    """
    try:
        return TypeAdapter(Outcome).validate_json(path.read_bytes())
    except (OSError, ValidationError) as cause:
        reason = first_misfit(cause) if isinstance(cause, ValidationError) else cause
        raise RunError(f"{path} can't be read as the metrics of a run: {reason}.") from cause


def metric_lines(splits: Mapping[str, Mapping[str, float]]) -> list[tuple[str, str]]:
    """Return a heading and a line for each metric, a column for each split; names lose the split's prefix."""
    figures = {
        split: {name.split("/", 1)[-1]: value for name, value in values.items()} for split, values in splits.items()
    }
    names = dict.fromkeys(name for values in figures.values() for name in values)
    heading = ("", "".join(f"{split:<14}" for split in figures))
    return [heading] + [
        (name, "".join(f"{_figure(values.get(name)):<14}" for values in figures.values())) for name in names
    ]


def align(lines: list[tuple[str, str]]) -> str:
    """Return two columns as text."""
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {value}".rstrip() for name, value in lines)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}" if abs(value) < 1000 else f"{value:.1f}"
