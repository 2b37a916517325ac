"""Evaluation and training on random data: what is well passes, and each way to fail is told."""

import pytest
import torch
from torch import nn

from lightlab import BundledData, SyntheticData
from lightlab.inspect.procedure.random_data import check_evaluation, check_training
from lightlab.registry import HEADS, LAYERS


@pytest.mark.parametrize("data", [BundledData("iris"), BundledData("linnerud"), SyntheticData([3], "multilabel")])
def test_evaluation(data, run_step):
    """Loss and metrics are finite."""
    found = run_step(check_evaluation, data=data)
    assert found.verdict == "ok"
    assert all(value is not None for value in found.figures.values())
    assert found.text.startswith("loss ")


def replace_head(name, head):
    HEADS._entries[name] = type(HEADS.entry(name))(head, "tests")


def test_loss_that_is_no_number(run_step, registries):
    """A loss that is NaN fails."""

    class Broken(HEADS.get("regression")):
        def loss(self, logits, target):
            return super().loss(logits, target).log().sqrt()

    replace_head("regression", Broken)
    found = run_step(check_evaluation, data=BundledData("diabetes"), problem="regression")
    assert found.verdict == "failed"
    assert "finite" in found.text


def test_loss_of_another_shape(run_step, registries):
    """A loss that is a mean already, and not one a row, is told by its shape."""

    class Mean(HEADS.get("regression")):
        def loss(self, logits, target):
            return super().loss(logits, target).mean()

    replace_head("regression", Mean)
    found = run_step(check_evaluation, data=BundledData("diabetes"), problem="regression")
    assert found.verdict == "failed"
    assert "256 rows. Received: ()" in found.text


def test_metric_that_is_no_number(run_step, make_table):
    """One that needs a class which random targets lack is only mentioned."""
    data = make_table(lambda inputs, generator: ["rare" if row == 5 else "often" for row in range(len(inputs))])
    found = run_step(check_evaluation, data=data)
    assert found.verdict == "ok"
    assert "no number: auroc" in found.text


def test_metric_that_is_broken(run_step, registries):
    """One that is no number though all classes are there is a warning."""
    from torchmetrics import MeanMetric

    class Nothing(MeanMetric):
        def update(self, scores, targets):
            super().update(torch.tensor(torch.inf))

    class Unmeasured(HEADS.get("multiclass")):
        def metrics(self):
            return {"nothing": Nothing()}

    replace_head("multiclass", Unmeasured)
    found = run_step(check_evaluation, problem="multiclass")
    assert (found.verdict, found.text.split("; ")[1]) == ("warning", "no number: nothing")


def test_training(run_step):
    """The loss falls a little even on random data, and all weights move."""
    found = run_step(check_training)
    assert found.verdict == "ok"
    assert found.text.endswith("4 of 4 weight tensors moved")
    losses = found.figures["losses"]
    assert len(losses) == 11
    assert losses[-1] < losses[0]


def test_training_that_overflows(run_step):
    """A learning rate of 10³⁰ takes the loss beyond all numbers."""
    optimizer = {"class_path": "SGD", "init_args": {"lr": 1e30}}
    found = run_step(check_training, data=BundledData("diabetes"), optimizer=optimizer)
    assert found.verdict == "failed"
    assert "learning rate" in found.text
    assert None in found.figures["losses"]


def test_training_that_diverges(run_step):
    """A learning rate of 10⁶ leaves the loss a number, and a thousand times what it was."""
    found = run_step(check_training, optimizer={"class_path": "SGD", "init_args": {"lr": 1e6}})
    assert found.verdict == "failed"
    assert "the loss grows beyond measure" in found.text
    assert None not in found.figures["losses"]


def test_training_that_is_clipped(make_subject):
    """What the Trainer clips is clipped here, too."""
    optimizer = {"class_path": "SGD", "init_args": {"lr": 1e30}}
    subject = make_subject(data=BundledData("diabetes"), optimizer=optimizer)
    subject.clip = lambda model: nn.utils.clip_grad_norm_(model.parameters(), 1e-30)
    assert check_training(subject).verdict == "ok"


def test_training_that_moves_nothing(run_step):
    """A learning rate that single precision swallows."""
    found = run_step(check_training, optimizer={"class_path": "SGD", "init_args": {"lr": 1e-50}})
    assert found.verdict == "failed"
    assert "none of 4 weight tensors moved" in found.text


def test_weights_without_a_part_in_the_outputs(run_step, registries):
    """A layer that computes with a part of its weights only is a warning that names it."""

    class Forgetful(nn.Module):
        def __init__(self, features):
            super().__init__()
            self.used, self.unused = nn.Linear(features, features), nn.Linear(features, features)

        def forward(self, inputs):
            return self.used(inputs)

    LAYERS.add("forgetful", lambda *, input_shape: Forgetful(*input_shape), provider="tests")
    found = run_step(check_training, ["forgetful"])
    assert found.verdict == "warning"
    assert found.text.endswith("no part of the outputs: model.layers[0].forgetful")


def test_frozen_weights(run_step, registries):
    """Weights that are frozen on purpose are not asked to move."""

    def frozen(*, input_shape):
        return nn.Linear(*input_shape, 8).requires_grad_(False)

    LAYERS.add("frozen", frozen, provider="tests")
    found = run_step(check_training, ["frozen"])
    assert found.verdict == "ok"
    assert found.text.endswith("2 of 2 weight tensors moved")


def test_lbfgs(run_step):
    """An optimizer that evaluates the loss several times in a step is served as Lightning does."""
    assert run_step(check_training, optimizer="LBFGS").verdict == "ok"
