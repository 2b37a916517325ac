"""Heads that break a rule each, and what the contract says of them."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchmetrics import MeanAbsoluteError, MeanSquaredError

from lightlab import HEADS, Problem, RegistryError, TargetSpec, register_problem
from lightlab.heads import Head
from lightlab.testing import HeadCase, check_coverage

TARGETS = torch.tensor([[0.5], [2.0], [3.0]])


class FineHead(Head):
    """A number for each quantity.

    Args:
        in_features: length of the vector that the layers give.
        target: a column for each quantity.
        loss: one of two.

    Example:
        >>> FineHead(2, TargetSpec(("y",))).loss_name
        'huber'
    """

    def __init__(self, in_features: int, target: TargetSpec, loss: Literal["huber", "mae"] = "huber") -> None:
        super().__init__(in_features, len(target.columns), target)
        self.loss_name = loss

    def loss(self, logits, target):
        kind = F.huber_loss if self.loss_name == "huber" else F.l1_loss
        return kind(logits, target, reduction="none").mean(1)

    def activate(self, logits):
        return logits

    def decode(self, logits):
        return {"prediction": logits[:, 0].tolist()}

    def metrics(self):
        return {"mae": MeanAbsoluteError()}


class BatchLoss(FineHead):
    def loss(self, logits, target):
        return super().loss(logits, target) - super().loss(logits, target).mean()


class MeanLoss(FineHead):
    def loss(self, logits, target):
        return super().loss(logits, target).mean()


class DetachedLoss(FineHead):
    def loss(self, logits, target):
        return super().loss(logits, target).detach() + 0 * logits.sum(1)


class Exponential(FineHead):
    def loss(self, logits, target):
        return super().loss(logits.exp(), target)


class SteepAtTheEnd(FineHead):
    def loss(self, logits, target):
        return super().loss(logits, target) + 0 * logits.exp().clamp(max=1).sum(1)


class HugePredictions(FineHead):
    def decode(self, logits):
        return {"prediction": logits[:, 0].exp().clamp(max=1e30).tolist()}


class OtherColumns(FineHead):
    def decode(self, logits):
        return {"result": logits[:, 0].tolist()}


class FewerRows(FineHead):
    def decode(self, logits):
        return {"prediction": logits[1:, 0].tolist()}


class TensorsForValues(FineHead):
    def decode(self, logits):
        return {"prediction": list(logits[:, 0])}


class OtherMetrics(FineHead):
    def metrics(self):
        return {"mse": MeanSquaredError()}


class MetricOfEach(FineHead):
    def metrics(self):
        return {"mae": MeanAbsoluteError(num_outputs=2)}


class TakesNaN(FineHead):
    def valid(self, target):
        return torch.ones_like(target, dtype=torch.bool)


class TakesNothing(FineHead):
    def valid(self, target):
        return target > 1


class NoBooleans(FineHead):
    def valid(self, target):
        return target.sign()


class NoSentence(FineHead):
    rule = "numbers"


class Forgetful(FineHead):
    def __init__(self, in_features: int, target: TargetSpec, loss: Literal["huber", "mae"] = "huber") -> None:
        super().__init__(in_features, target, loss)
        self.factor = torch.rand(1).item()

    def loss(self, logits, target):
        return super().loss(logits, target) * self.factor


class OtherDefault(FineHead):
    def __init__(self, in_features: int, target: TargetSpec, loss: Literal["huber", "mae"] = "mae") -> None:
        super().__init__(in_features, target, loss)


class OtherLosses(FineHead):
    def __init__(self, in_features: int, target: TargetSpec, loss: Literal["mae", "huber"] = "mae") -> None:
        super().__init__(in_features, target, loss)


class NoChoice(FineHead):
    def __init__(self, in_features: int, target: TargetSpec) -> None:
        super().__init__(in_features, target)


class NoHead(nn.Module):
    def __init__(self, in_features: int, target: TargetSpec) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, 2)

    def forward(self, features):
        return self.linear(features)


@pytest.fixture
def case():
    """Return a function that registers a head with its problem, and gives its case."""

    def make(head, **row):
        row = {"metrics": ("mae",), **row}
        register_problem(Problem("part", "numbers", "a number", ("huber", "mae"), "a number", **row))
        HEADS.add("part", head, __name__)
        return HeadCase("part", TargetSpec(("y",), mean=(2.0,), std=(1.0,)), TARGETS)

    return make


def test_fine_head(broken, case):
    """A head that keeps to everything passes; each rule about the loss is tried with each loss."""
    case = case(FineHead)
    assert broken(case) == {}
    ids = [check.id for check in case.checks() if "loss_is_per_row" in check.id]
    assert ids == ["part-loss_is_per_row-huber", "part-loss_is_per_row-mae"]
    check_coverage([case], __name__)


@pytest.mark.parametrize(
    ("head", "rule", "said"),
    [
        (BatchLoss, "loss_is_per_row", "A row's loss is the same alone and in a batch, [0.0, 0.0, 0.0]."),
        (MeanLoss, "loss_is_per_row", "loss() has a value a row, (3,). Received: ()."),
        (DetachedLoss, "loss_is_per_row", "reaches the features and every parameter. Received: none at features."),
        (Exponential, "stable_at_large_logits", "The loss at logits of ±10000 is finite. Received: tensor([inf"),
        (SteepAtTheEnd, "stable_at_large_logits", "gradient at logits of ±10000 is finite. Received: tensor([[nan"),
        (HugePredictions, "stable_at_large_logits", "and their squares, are finite as floats of 32 bits."),
        (OtherColumns, "decoded_columns", "or prediction_<name>, and others, <what>_<name>, of classes or targets."),
        (FewerRows, "decoded_columns", "has a value a row, 5. Received: 4 in prediction."),
        (TensorsForValues, "decoded_columns", "are int, float or str. Received: Tensor in prediction."),
        (OtherMetrics, "metrics_are_those_of_the_problem", "['loss', 'mae']. Received: ['loss', 'mse']."),
        (MetricOfEach, "metrics_take_what_the_head_gives", "Metric mae gives values of shape (). Received: (2,)."),
        (TakesNaN, "targets_are_valid", "NaN is no valid target. Received: it is accepted."),
        (TakesNothing, "targets_are_valid", "The case's targets are valid. Received: tensor([0.5000])."),
        (NoBooleans, "targets_are_valid", "valid() has a bool a value. Received: torch.float32 of (3, 1)."),
        (NoSentence, "targets_are_valid", "The head's rule is a sentence. Received: 'numbers'."),
        (Forgetful, "survives_saving", "is in state_dict, or comes from the config and the target."),
        (OtherDefault, "losses_are_those_of_the_problem", "The default loss is the problem's first, 'huber'."),
        (OtherLosses, "losses_are_those_of_the_problem", "a Literal of the problem's losses, ('huber', 'mae')."),
        (NoChoice, "losses_are_those_of_the_problem", "has a head with a parameter 'loss'."),
        (NoHead, "is_a_head", "A head is a subclass of lightlab.Head."),
    ],
)
def test_broken_head(case, head, rule, said):
    """What a head does is held against the rules."""
    failed = []
    for check in case(head).checks():
        if f"-{rule}" in check.id:
            try:
                check()
            except AssertionError as error:
                failed.append(str(error))
    assert failed
    assert failed[0].startswith("head part: ")
    assert said in failed[0]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"monitor": "val/accuracy"}, "What the problem watches is one of ['loss', 'mae']. Received: val/accuracy."),
        ({"monitor": "val/mae", "mode": "max"}, "more of mae is better, as the metric does: min. Received: max."),
        ({"metrics": ("mae/<label>",)}, "those of the problem: ['loss', 'mae/y']. Received: ['loss', 'mae']."),
    ],
)
def test_broken_row(broken, case, row, said):
    """The row of the table of problems belongs to the head."""
    assert said in broken(case(FineHead, **row))["metrics_are_those_of_the_problem"]


def test_head_without_a_problem():
    """A head is found by its problem."""
    HEADS.add("part", FineHead, __name__)
    (check, *_) = HeadCase("part", TargetSpec(("y",)), TARGETS).checks()
    with pytest.raises(RegistryError, match="No problem is called 'part'"):
        check()


def test_options(broken):
    """A case's options are those of every head that is built."""
    assert broken(HeadCase("bounded_regression", TargetSpec(("y",)), TARGETS, {"high": 5.0})) == {}
    assert (
        "The case's targets are valid"
        in broken(HeadCase("bounded_regression", TargetSpec(("y",)), TARGETS))["targets_are_valid"]
    )
