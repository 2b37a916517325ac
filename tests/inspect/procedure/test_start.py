"""Predictions and loss of fresh weights: of models that are well, and of those that are not."""

import math

import pytest
import torch
from torch import nn

from lightlab import BundledData, SyntheticData
from lightlab.inspect.procedure.start import check_prediction, check_start
from lightlab.registry import HEADS, LAYERS


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (BundledData("iris"), "1.10 (ln 3)"),
        (BundledData("breast_cancer"), "0.69 (ln 2)"),
        (SyntheticData([4], "multilabel", rows=200), "0.69 (ln 2)"),
        (BundledData("diabetes"), "(the best constant answer)"),
    ],
)
def test_start_near_chance(data, text, run_step):
    """Fresh weights cost about what chance costs, which is called by its closed form."""
    found = run_step(check_start, data=data)
    assert found.verdict == "ok"
    assert text in found.text
    assert 0.5 < found.figures["times_chance"] < 3


@pytest.mark.parametrize(
    "head",
    [{"label_smoothing": 0.3}, {"class_weight": [1.0, 20.0, 0.1]}],
    ids=["smoothing", "weights"],
)
def test_start_of_other_losses(head, run_step):
    """Chance is that of the head's own loss."""
    found = run_step(check_start, problem="multiclass", head=head)
    assert found.verdict == "ok"
    if "label_smoothing" in head:
        assert found.figures["chance"] == pytest.approx(math.log(3))
        assert found.figures["floor"] > 0.5


def test_start_of_unscaled_inputs(run_step):
    """Inputs in the thousands give a loss far above chance."""
    layers = [{"dense": {"units": 16, "activation": "relu"}}]
    found = run_step(check_start, layers, BundledData("breast_cancer", normalize="none"))
    assert found.verdict == "failed"
    assert "look at the scale" in found.text


def test_start_of_targets_that_are_not_normalized(run_step):
    """It can be meant so: a warning."""
    options = {"problem": "regression", "head": {"normalize_target": False}}
    found = run_step(check_start, data=BundledData("diabetes"), **options)
    assert found.verdict == "warning"
    assert "4." in found.text


def test_start_that_is_too_good(run_step, registries):
    """A loss that any difference between rows makes small is found."""

    class Careless(HEADS.get("multiclass")):
        def loss(self, logits, target):
            return super().loss(logits, target) * (0.01 if logits.std(0).any() else 1)

    HEADS._entries["multiclass"] = type(HEADS.entry("multiclass"))(Careless, "tests")
    found = run_step(check_start, problem="multiclass")
    assert found.verdict == "failed"
    assert "can't know" in found.text


def test_start_of_targets_that_are_all_the_same(run_step, make_table):
    """There is no chance to compare with: said, not failed."""
    data = make_table(lambda inputs, generator: [1.5] * len(inputs))
    found = run_step(check_start, data=data, problem="regression")
    assert found.verdict == "skipped"
    assert "all the same" in found.text


def test_prediction(run_step):
    """The shape of the outputs, and a sum of probabilities where there are classes."""
    assert run_step(check_prediction).text == "(16, 3), finite, probabilities sum to 1"
    assert run_step(check_prediction, data=BundledData("diabetes")).text == "(16, 1), finite"


def test_prediction_that_is_not_finite(run_step, registries):
    """A layer that divides by zero is found, with the rows that it spoils."""

    class Inverse(nn.Module):
        def forward(self, inputs):
            return 1 / inputs.relu()

    LAYERS.add("inverse", lambda: Inverse(), provider="tests")
    found = run_step(check_prediction, ["inverse"])
    assert found.verdict == "failed"
    assert "of 16 rows have others" in found.text


def test_probabilities_that_do_not_sum_to_one(run_step, registries):
    """A head of sigmoids for classes that exclude each other is found."""

    class Sigmoids(HEADS.get("multiclass")):
        def activate(self, logits):
            return torch.sigmoid(logits)

    HEADS._entries["multiclass"] = type(HEADS.entry("multiclass"))(Sigmoids, "tests")
    found = run_step(check_prediction, problem="multiclass")
    assert found.verdict == "failed"
    assert "sum to 1. Received: " in found.text
