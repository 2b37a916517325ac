"""Where a number came up that is not finite."""

from contextlib import nullcontext
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from lightlab.batch import Batch, Mixed
from lightlab.training.culprit import are_finite, broken_by_gradients, not_finite, rows_with_gradients

PRECISION = SimpleNamespace(train_step_context=nullcontext)


class Roots(nn.Module):
    """Gives a row's root of a weighted sum, whose slope at 0 is infinite."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(2))

    def evaluate(self, batch):
        """Return what a model does, with the root as the loss."""
        losses = (batch.inputs @ self.weight).sqrt()
        return losses[:, None], losses, None


def test_large_sums_are_finite():
    """Numbers whose sum is beyond their type are finite; those of other types always are."""
    assert are_finite([torch.full((4,), 3e38)])
    assert are_finite([torch.tensor([1]), torch.tensor([True])])
    assert are_finite([])
    assert not_finite({"a": torch.ones(2), "b": torch.tensor([1.0, torch.inf])}) == ["b"]


@pytest.mark.parametrize(("bad", "found"), [([], []), ([2], [2]), ([0, 3], [0, 3])])
def test_rows_with_gradients(bad, found):
    """Rows are told apart, whatever the others of their batch do, and nothing is left in the parameters."""
    inputs = torch.ones(4, 2)
    inputs[bad] = 0.0
    model, state = Roots(), torch.get_rng_state()
    rows = rows_with_gradients(model, Batch(inputs, torch.zeros(4)), PRECISION)
    assert rows.nonzero()[:, 0].tolist() == found
    assert model.weight.grad is None
    assert torch.equal(torch.get_rng_state(), state)


def test_rows_that_are_mixed():
    """Where rows are mixed with one another, it is the batch as a whole."""
    mixed = Mixed(torch.tensor([1, 0]), torch.ones(2))
    batch = Batch(torch.tensor([[0.0, 0.0], [1.0, 1.0]]), torch.zeros(2), mixed=mixed)
    assert rows_with_gradients(Roots(), batch, PRECISION).tolist() == [True, True]


def test_broken_by_gradients():
    """Gradients explain weights only where each weight that is broken had one."""
    model = nn.Linear(2, 1)
    model.weight.grad, model.bias.grad = torch.tensor([[torch.nan, 0.0]]), torch.zeros(1)
    assert broken_by_gradients(model) == ["weight"]
    with torch.no_grad():
        model.bias.fill_(torch.nan)
    assert broken_by_gradients(model) == []
