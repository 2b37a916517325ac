"""The steps in their order, and what came out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from lightlab import terminal
from lightlab.data.base import Data
from lightlab.errors import ConfigError
from lightlab.inspect.procedure.base import FAULTS, Result, Subject, one_line, seeded
from lightlab.inspect.procedure.gradients import check_gradients
from lightlab.inspect.procedure.hints import Hint, find_hints
from lightlab.inspect.procedure.overfit import check_overfit
from lightlab.inspect.procedure.random_data import check_evaluation, check_training
from lightlab.inspect.procedure.reading import check_data, check_shapes, check_targets
from lightlab.inspect.procedure.real import check_real_data
from lightlab.inspect.procedure.start import check_prediction, check_start
from lightlab.inspect.procedure.text import hint_text, result_text
from lightlab.module import Model

Step = Callable[[Subject], Result]

STEPS: dict[str, Step] = {
    "data": check_data,
    "shapes": check_shapes,
    "targets": check_targets,
    "predict random data": check_prediction,
    "loss at start": check_start,
    "evaluate random data": check_evaluation,
    "train on random data": check_training,
    "overfit one batch": check_overfit,
    "gradients": check_gradients,
    "real data": check_real_data,
}
#: Where one of these fails, the step after it may say why.
EXPLAINED = frozenset({"overfit one batch"})
#: Where one of these fails, there is nothing for the others to look at.
NEEDED = frozenset({"data", "shapes"})


@dataclass(frozen=True)
class Procedure:
    """What came out.

    Attributes:
        results: of the steps that were run, in order.
        hints: advice; it fails nothing.
        left: the names of the steps that were not run, since one before them failed.
    """

    results: tuple[Result, ...]
    hints: tuple[Hint, ...]
    left: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no step failed."""
        return all(result.verdict != "failed" for result in self.results)

    def to_dict(self) -> dict[str, Any]:
        """Return text, finite numbers, lists and dictionaries only."""
        return {
            "passed": self.passed,
            "steps": [result.to_dict() for result in self.results],
            "not_run": list(self.left),
            "hints": [hint.to_dict() for hint in self.hints],
        }


def run_procedure(
    model: Model,
    data: Data,
    *,
    keep_going: bool = False,
    say: Callable[[str], None] = terminal.say,
    locate: Callable[[ConfigError], ConfigError] | None = None,
    gradient_clip_val: float | None = None,
    gradient_clip_algorithm: str = "norm",
) -> Procedure:
    """Check a model and its data step by step, on the CPU, without training it and without writing a file.

    The model, the data's rows and the process's random numbers stay as they are: each step builds a model of its own
    from the data's seed, so a step comes out the same whichever others were run.

    Args:
        model: what is checked; built or not.
        data: what it is to learn from; connected or not.
        keep_going: whether to go on after a step that failed, where there is something to go on with.
        say: is given each result as it comes, as text.
        locate: adds to a config's error the file and line where it stands.
        gradient_clip_val: the Trainer's, since a training that needs it fails without.
        gradient_clip_algorithm: the Trainer's: ``norm`` or ``value``.

    Example:
        >>> from lightlab import BundledData
        >>> model = Model([{"dense": {"units": 16, "activation": "tanh"}}], problem="multiclass")
        >>> found = run_procedure(model, BundledData("iris", batch_size=16), say=lambda text: None)
        >>> found.passed, found.results[4].step, found.results[4].text
        (True, 'loss at start', '1.4..., chance 1.10 (ln 3)')
    """

    def clip(clipped: nn.Module) -> None:
        if gradient_clip_val and gradient_clip_algorithm == "value":
            nn.utils.clip_grad_value_(clipped.parameters(), gradient_clip_val)
        elif gradient_clip_val:
            nn.utils.clip_grad_norm_(clipped.parameters(), gradient_clip_val)

    subject = Subject(model, data, clip)
    results: list[Result] = []
    for result in _run(subject, keep_going, locate):
        results.append(result)
        say(result_text(result, max(map(len, STEPS))))
    left = tuple(STEPS)[len(results) :]
    if left:
        more = "" if results[-1].step in NEEDED else " (--keep-going runs them)"
        say(f"not run: {', '.join(left)}{more}")
    broken = any(result.step in NEEDED and result.verdict == "failed" for result in results)
    hints = [] if broken else _hints(subject)
    for hint in hints:
        say(hint_text(hint))
    return Procedure(tuple(results), tuple(hints), left)


def _run(subject: Subject, keep_going: bool, locate: Callable[[ConfigError], ConfigError] | None) -> Iterator[Result]:
    stopped = False
    for name, step in STEPS.items():
        result = replace(_run_step(step, subject, locate), step=name)
        yield result
        stopped = stopped or (result.verdict == "failed" and not keep_going)
        if (stopped and name not in EXPLAINED) or (result.verdict == "failed" and name in NEEDED):
            return


def _run_step(step: Step, subject: Subject, locate: Callable[[ConfigError], ConfigError] | None) -> Result:
    """Run a step; what is raised in it is its finding, since plugins may raise anything."""
    with seeded(subject.data.seed), torch.enable_grad():
        try:
            return step(subject)
        except FAULTS as error:
            found = locate(error) if locate is not None and isinstance(error, ConfigError) else error
            return Result("failed", one_line(found), error=found)


def _hints(subject: Subject) -> list[Hint]:
    with seeded(subject.data.seed):
        return find_hints(subject)
