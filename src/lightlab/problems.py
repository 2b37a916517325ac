"""The problem types, one row each.

A problem fixes how targets are encoded, the last activation, the loss, how outputs are decoded, the metrics,
and what is watched in order to keep the best weights. The head of the same name (`lightlab.heads`) does it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import Literal

from lightlab.registry import PROBLEMS

#: How targets are encoded: one of C classes (integers), L labels of 0 and 1, or D numbers.
TargetKind = Literal["class", "labels", "numbers"]


@dataclass(frozen=True)
class Problem:
    """A row of the table.

    Attributes:
        name: the value of ``model.problem``.
        target: how the target is encoded.
        output: what the network gives, and the activation that decoding applies.
        losses: the losses to choose from, the default first; all are computed from logits.
        decoded: what predictions hold.
        metrics: what is measured, beside the loss.
        monitor: what early stopping and the best checkpoint watch.
        mode: whether less or more of it is better.
    """

    name: str
    target: TargetKind
    output: str
    losses: tuple[str, ...]
    decoded: str
    metrics: tuple[str, ...]
    monitor: str = "val/loss"
    mode: Literal["min", "max"] = "min"


def register_problem(problem: Problem) -> Problem:
    """Add a row to the table, under its own name; its head is registered beside it.

    Raises:
        RegistryError: the name is malformed, or taken.
    """
    PROBLEMS.add(problem.name, problem, provider=sys._getframe(1).f_globals["__name__"])
    return problem


# The loss is watched everywhere: on small validation sets it still moves when a rate of right answers stands still.
BINARY = register_problem(
    Problem(
        name="binary",
        target="class",
        output="1 logit, sigmoid",
        losses=("binary_cross_entropy",),
        decoded="class, and a probability per class",
        metrics=("accuracy", "auroc", "f1", "precision", "recall"),
    )
)
MULTICLASS = register_problem(
    Problem(
        name="multiclass",
        target="class",
        output="C logits, softmax",
        losses=("cross_entropy",),
        decoded="class, and a probability per class",
        metrics=("accuracy", "f1_macro", "top5_accuracy"),
    )
)
MULTILABEL = register_problem(
    Problem(
        name="multilabel",
        target="labels",
        output="L logits, sigmoid",
        losses=("binary_cross_entropy",),
        decoded="0 or 1, and a probability, per label",
        metrics=("accuracy", "f1_macro", "auroc_macro", "accuracy/<label>", "f1/<label>"),
    )
)
REGRESSION = register_problem(
    Problem(
        name="regression",
        target="numbers",
        output="D numbers",
        losses=("mse", "mae", "huber"),
        decoded="numbers in the target's own units",
        metrics=("mse", "rmse", "mae", "r2"),
    )
)
BOUNDED_REGRESSION = register_problem(
    Problem(
        name="bounded_regression",
        target="numbers",
        output="D logits, sigmoid scaled to [low, high]",
        losses=("mse", "binary_cross_entropy"),
        decoded="numbers in the target's own units, within the bounds",
        metrics=("mse", "rmse", "mae", "r2"),
    )
)
