"""One batch learned by heart: what a model that can learn at all can do."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, dataclass

import torch

from lightlab.batch import Batch
from lightlab.inspect.numbers import short
from lightlab.inspect.procedure.base import Result, Subject, known_targets, quiet, take_step
from lightlab.inspect.procedure.chance import Chance, find_chance

#: Rows that are learned by heart, no more than a batch has; where these are too many for a small network, fewer.
ROWS = (32, 8, 2)
#: Near zero: so much is left of the way from the floor to the best constant answer. Networks that learn pass this on
#: the way to far less; one that only learns the shares of the classes stays at 1.
NEAR_ZERO = 0.05
#: Adam's rates: a large one, which is fast for small networks, and a usual one for deep networks that it throws off.
RATES = (1e-2, 1e-3)
#: Steps at each rate. The shipped configs need 3 to 500.
MOST_STEPS = 1000
#: A try is given up where so many steps bring it no nearer than this share of the way: it learns nothing, or no more.
PATIENCE, PROGRESS = 200, 0.01
#: Seconds for each number of rows; what is not there by then is left open.
MOST_SECONDS = 8.0


@dataclass(frozen=True)
class _Try:
    """An attempt to learn some rows by heart.

    Attributes:
        rows: how many.
        steps: after which the loss was least.
        loss: the least.
        left: the share of what there was to learn that is left.
        chance: the loss of the best constant answer.
        floor: the least possible loss.
        late: whether time ran out.
    """

    rows: int
    steps: int
    loss: float
    left: float
    chance: float
    floor: float
    late: bool = False

    @property
    def done(self) -> bool:
        """Whether the loss came near zero."""
        return self.left < NEAR_ZERO

    def __str__(self) -> str:
        """What came out, in words."""
        floor = f" above the least possible, {short(self.floor)}" if abs(self.floor) > 1e-3 else ""
        return (
            f"{self.rows} rows: {short(self.loss)} after {self.steps} steps, {self.left:.1%} of chance's "
            f"{short(self.chance)}{floor}"
        )


def check_overfit(subject: Subject) -> Result:
    """Learn one real batch by heart: dropout, noise, augmentation and penalties off, with an Adam of its own.

    Rows that have the inputs of another row can't be told from it, and are left aside. A network that is too small for
    32 rows, as a linear model is, is tried on 8 and 2 of them: that is a warning.
    """
    distinct, twins = _without_twins(subject)
    aside = f"; {twins} rows with the inputs of another are left aside" if twins else ""
    if len(distinct.inputs) < 2:
        return Result("failed", f"the inputs of all {twins + 1} rows are the same: nothing tells them apart")
    tries: list[_Try] = []
    for rows in dict.fromkeys(min(rows, max(2, subject.data.batch_size), len(distinct.inputs)) for rows in ROWS):
        batch = _take(distinct, rows)
        chance = find_chance(subject.fresh().head, known_targets(batch))
        if not chance.something_to_learn:
            return Result("skipped", f"the targets of {rows} rows are all the same: nothing to learn{aside}")
        tries.append(_overfit(subject, batch, chance))
        if tries[-1].done or tries[-1].late:
            break
    return _judge(tries, twins, aside)


def _judge(tries: list[_Try], twins: int, aside: str) -> Result:
    last = tries[-1]
    figures = {**asdict(last), "left_aside": twins}
    if not math.isfinite(last.loss):
        return Result(
            "failed", "the loss is a finite number. It was none from the first step on", {"left_aside": twins}
        )
    if last.late and not last.done:
        return Result("warning", f"{last}: not near zero when its {MOST_SECONDS:.0f} s were over{aside}", figures)
    if not last.done:
        return Result("failed", f"{last}: a network that can learn gets near zero{aside}", figures)
    if len(tries) > 1:
        first = tries[0]
        text = f"{last}; {first.rows} rows are too many for this network, {first.left:.1%} is left of them{aside}"
        return Result("warning", text, figures)
    return Result("ok", f"{last}{aside}", figures)


def _without_twins(subject: Subject) -> tuple[Batch, int]:
    """Return the rows of the sample that differ in what the first layer is given, and how many others there are."""
    inputs, targets, *_ = subject.sample
    assert targets is not None
    with torch.no_grad():
        seen = subject.fresh().preprocess(inputs).flatten(1)
    groups = torch.unique(seen, dim=0, return_inverse=True)[1].tolist()
    first = {group: row for row, group in reversed(list(enumerate(groups)))}
    places = sorted(first.values())
    return Batch(inputs[places], targets[places]), len(inputs) - len(places)


def _take(batch: Batch, rows: int) -> Batch:
    """Return the first rows; the last makes way for one of another target where they would all be the same."""
    targets = known_targets(batch)
    differs = (targets != targets[:1]).reshape(len(targets), -1).any(1)
    places = torch.arange(rows)
    if bool(differs.any()) and not bool(differs[:rows].any()):
        places[-1] = int(differs.int().argmax())
    return Batch(batch.inputs[places], targets[places])


def _overfit(subject: Subject, batch: Batch, chance: Chance) -> _Try:
    """Try the rates in turn, and return the best of the tries."""
    deadline = time.monotonic() + MOST_SECONDS
    loss, steps = math.inf, 0
    late = False
    for rate in RATES:
        model = quiet(subject.fresh())
        optimizer = torch.optim.Adam(model.parameters(), rate)
        before = math.inf
        for step in range(MOST_STEPS):
            found = take_step(model, optimizer, batch)
            if step % PATIENCE == 0:
                if before - chance.share(found) < PROGRESS:
                    break
                before = chance.share(found)
            if found < loss:
                loss, steps = found, step
            late = time.monotonic() > deadline
            if late or not math.isfinite(found) or chance.share(loss) < NEAR_ZERO:
                break
        if late or chance.share(loss) < NEAR_ZERO:
            break
    return _Try(len(batch.inputs), steps, loss, chance.share(loss), chance.constant, chance.floor, late)
