import numpy as np
import pytest
import torch

from lightlab import TargetSpec
from lightlab.heads.bounded_regression import BoundedRegressionHead

TARGET = TargetSpec(("share", "grade"), rows=100)
LOGITS = torch.tensor([[0.5, -1.0], [2.0, 0.1]])
NUMBERS = torch.tensor([[0.0, 6.0], [0.75, 2.5]])
SIGMOID = 1 / (1 + np.exp(-LOGITS.double().numpy()))
BOUNDS = {"low": [0.0, 1.0], "high": [1.0, 6.0]}
PLACES = np.array([[0.0, 1.0], [0.75, 0.3]])


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        ("mse", (SIGMOID - PLACES) ** 2),
        ("binary_cross_entropy", -(PLACES * np.log(SIGMOID) + (1 - PLACES) * np.log(1 - SIGMOID))),
    ],
)
def test_loss(loss, formula):
    """The mean over the quantities, of the place between the bounds."""
    head = BoundedRegressionHead(4, TARGET, loss=loss, **BOUNDS)
    assert head.loss(LOGITS, NUMBERS).tolist() == pytest.approx(formula.mean(1).tolist(), rel=1e-5)


def test_decode():
    """The sigmoid is scaled to the bounds of each quantity; a single bound is for all."""
    columns = BoundedRegressionHead(4, TARGET, **BOUNDS).decode(LOGITS)
    assert columns["prediction_share"] == pytest.approx(SIGMOID[:, 0].tolist())
    assert columns["prediction_grade"] == pytest.approx((1 + 5 * SIGMOID[:, 1]).tolist())
    columns = BoundedRegressionHead(4, TARGET, low=-1, high=3).decode(LOGITS)
    assert columns["prediction_share"] == pytest.approx((-1 + 4 * SIGMOID[:, 0]).tolist())


def test_predictions_are_within_the_bounds():
    """Whatever the logits and the bounds, and however numbers are rounded."""
    torch.manual_seed(0)
    low = torch.randn(500) * 10
    high = low + torch.rand(500) * 100 + 0.01
    target = TargetSpec(tuple(map(str, range(500))))
    head = BoundedRegressionHead(4, target, low=low.tolist(), high=high.tolist())
    for size in (1e4, 17.0, -17.0, -1e4):
        numbers = head.activate(torch.full((1, 500), size))
        assert ((numbers >= head.low) & (numbers <= head.high)).all()


@pytest.mark.parametrize(
    ("bounds", "rule"),
    [
        ({"low": 1.0, "high": 1.0}, "low is below high. Received: low 1.0, high 1.0"),
        ({"low": [0.0, 2.0], "high": 1.0}, "low is below high"),
        ({"low": [0.0], "high": 1.0}, "low is one number, or one for each of 2 quantities. Received: "),
        ({"high": [1.0, 1.0, 1.0]}, "high is one number, or one for each of 2 quantities"),
    ],
)
def test_bounds_that_are_none(bounds, rule):
    """Bounds are one for all or one for each, the lower below the upper."""
    with pytest.raises(ValueError, match=rule):
        BoundedRegressionHead(4, TARGET, **bounds)


def test_valid_targets():
    """Targets lie within the bounds, which the rule names; the bounds themselves do."""
    head = BoundedRegressionHead(4, TARGET, **BOUNDS)
    targets = torch.tensor([[0.0, 1.0], [1.0, 6.0], [1.01, 0.99], [torch.nan, torch.inf]])
    assert head.valid(targets).tolist() == [[True, True], [True, True], [False, False], [False, False]]
    assert head.rule == "Targets lie within model.head's low and high, here 0, 1 and 1, 6."
