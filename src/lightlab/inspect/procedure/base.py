"""What the steps of the procedure share: the model and data that are checked, and what a step found."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lightlab.batch import Batch
from lightlab.data.base import Data
from lightlab.data_spec import DataSpec
from lightlab.errors import LightlabError
from lightlab.heads.base import Head
from lightlab.layers.base import penalty
from lightlab.module import Model
from lightlab.random_state import random_state_kept

#: What came out of a step. A warning is what may well be meant so; it fails nothing.
Verdict = Literal["ok", "warning", "failed", "skipped"]

#: What the modules of layers, heads and optimizers raise where they can't do what is asked.
FAULTS = (LightlabError, ArithmeticError, AssertionError, LookupError, RuntimeError, TypeError, ValueError)

#: The sample is of whole batches until it has so many rows, since figures of fewer vary by chance; of large batches
#: only so many rows are taken.
LEAST_ROWS, MOST_ROWS = 128, 512
#: Where a row is large, as an image is, there are fewer, for a check to take seconds: so many numbers in all, but so
#: many rows in any case.
MOST_NUMBERS, FEWEST_ROWS = 2_000_000, 16


@dataclass(frozen=True)
class Result:
    """What a step found.

    Attributes:
        verdict: ``ok``, ``warning``, ``failed``, or ``skipped``.
        text: the figure that shows it, in words; or why the step was skipped.
        figures: what ``text`` says, and more, as JSON has it.
        lines: what else people read, below the text.
        error: what was raised, where that is the finding.
        step: the step's name.
    """

    verdict: Verdict
    text: str
    figures: dict[str, Any] = field(default_factory=dict)
    lines: tuple[str, ...] = ()
    error: Exception | None = None
    step: str = ""

    def to_dict(self) -> dict[str, Any]:
        """Return text, numbers, lists and dictionaries only."""
        values = asdict(replace(self, error=None))
        del values["error"]
        return {"step": values.pop("step"), **values}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw random numbers from a seed, and leave the generators of the process as they were.

    >>> with seeded(1):
    ...     first = torch.rand(1)
    >>> with seeded(1):
    ...     bool(torch.rand(1) == first)
    True
    """
    with random_state_kept(torch.device("cpu")):
        random.seed(seed)
        np.random.seed(seed)
        torch.default_generator.manual_seed(seed)  # torch.manual_seed would seed GPUs, too
        yield


class Subject:
    """The model and the data that are checked; both stay as they are, since each step builds a model of its own.

    Args:
        model: built or not.
        data: of any source.
        clip: what is done to gradients between ``backward`` and the optimizer's step, as the Trainer would.
    """

    def __init__(self, model: Model, data: Data, clip: Callable[[nn.Module], None]) -> None:
        self.model = model
        self.data = data
        self.clip = clip

    @cached_property
    def spec(self) -> DataSpec:
        """What is known of the data; its rows are read and split for it.

        Raises:
            LightlabError: they can't be.
        """
        self.data.setup("fit")
        return self.data.connect(self.model.problem)

    @cached_property
    def batches(self) -> list[Batch]:
        """The first training batches, which are the sample."""
        least = min(LEAST_ROWS, self.most_rows)
        found: list[Batch] = []
        rows = 0
        for batch in self.data.train_dataloader():
            found.append(Batch(*batch))
            rows += len(found[-1].inputs)
            if rows >= least:
                break
        return found

    @property
    def most_rows(self) -> int:
        """How many rows are computed at once."""
        return max(FEWEST_ROWS, min(MOST_ROWS, MOST_NUMBERS // math.prod(self.spec.input.shape)))

    @cached_property
    def sample(self) -> Batch:
        """Rows of the first training batches, not augmented."""
        inputs = torch.cat([batch.inputs for batch in self.batches])[: self.most_rows]
        return Batch(inputs, torch.cat([known_targets(batch) for batch in self.batches])[: self.most_rows])

    def random_rows(self, rows: int) -> Batch:
        """Return random inputs and random targets, which have nothing to do with each other.

        Each value is drawn from those that stand at its place in the sample, and each target from those of the
        sample. So they are of the right type and range whatever the data is: codes, pixels, words or numbers.

        Args:
            rows: how many; fewer where they are large.
        """
        rows = min(rows, self.most_rows)
        inputs, targets = self.sample.inputs, known_targets(self.sample)
        places = torch.randint(len(inputs), (rows, *inputs.shape[1:]))
        return Batch(inputs.gather(0, places), targets[torch.randint(len(targets), (rows,))])

    def fresh(self, **changes: Any) -> Model:
        """Return a model with fresh weights, drawn from the data's seed.

        Args:
            changes: attributes to set before it is built.
        """
        model = copy.deepcopy(self.model)
        for name, value in changes.items():
            setattr(model, name, value)
        with seeded(self.data.seed):
            model.build(self.spec)
        return model


# Models


def known_targets(batch: Batch) -> Tensor:
    """Return the targets of a training batch, which has them."""
    assert batch.targets is not None
    return batch.targets


def quiet(model: Model) -> Model:
    """Switch off what disturbs a training on purpose, such as dropout and noise, but let batch norms learn."""
    model.eval()
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            module.train()
    return model


def row_losses(model: Model, batch: Batch) -> Tensor:
    """Return the loss of each row, (rows,)."""
    return model.head.loss(model(batch.inputs), known_targets(batch))


def take_step(
    model: Model,
    optimizer: torch.optim.Optimizer,
    batch: Batch,
    clip: Callable[[nn.Module], None] | None = None,
    penalised: bool = False,
) -> float:
    """Take one step of training, and return the loss before it, the penalty aside.

    Args:
        model: in the mode that it is to have.
        optimizer: of its parameters.
        batch: to learn from.
        clip: what is done to the gradients.
        penalised: whether the penalties of layers are added to what is minimised, as in a training.
    """
    losses: list[float] = []

    def evaluate() -> float:
        optimizer.zero_grad()
        loss = row_losses(model, batch).mean()
        losses.append(loss.item())
        extra = penalty(model.regularized) if penalised else None
        (loss if extra is None else loss + extra).backward()  # type: ignore[no-untyped-call]  # torch has no types here
        if clip is not None:
            clip(model)
        return losses[-1]

    optimizer.step(evaluate)
    return losses[0]


def head_of_zeros(head: Head) -> Tensor:
    """Return the logits of a head that the layers tell nothing, (1, outputs)."""
    with torch.no_grad():
        weight = head.linear.weight
        return cast("Tensor", head(weight.new_zeros(1, head.linear.in_features)))


def one_line(error: Exception) -> str:
    """Return what an error says; of one that is not lightlab's also its type, and the first line only."""
    if isinstance(error, LightlabError):
        return str(error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'without a message'}"
