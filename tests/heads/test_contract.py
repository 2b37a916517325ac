"""What every head keeps to: a new head needs a line in CASES, and nothing else here."""

import pytest
import torch

from lightlab import TargetSpec
from lightlab.registry import HEADS
from lightlab.testing import HeadCase, parametrize_with_checks

LETTERS = tuple("abcdefghijkl")
CASES = [
    HeadCase("binary", TargetSpec(("y",), LETTERS[:2], (30, 70), rows=100), torch.tensor([0, 1, 1])),
    HeadCase("multiclass", TargetSpec(("y",), LETTERS, (5,) * 12, rows=60), torch.tensor([0, 11, 4])),
    HeadCase(
        "multilabel",
        TargetSpec(LETTERS[:3], counts=(1, 5, 9), rows=10),
        torch.tensor([[0, 0, 1.0], [1, 1, 1], [0, 1, 0]]),
    ),
    HeadCase(
        "regression",
        TargetSpec(LETTERS[:2], mean=(1.0, -100.0), std=(2.0, 50.0), rows=9),
        torch.tensor([[1.0, -100.0], [3.5, 0.0], [-2.0, -150.0]]),
    ),
    HeadCase(
        "bounded_regression",
        TargetSpec(LETTERS[:2], rows=9),
        torch.tensor([[0.0, 1.0], [0.5, 0.25], [1.0, 0.75]]),
    ),
]


@parametrize_with_checks(CASES, "lightlab.heads", "lightlab.problems")
def test_contract(check):
    """Each rule of `lightlab.testing`, for each head."""
    check()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_linear_layer(case):
    """lightlab's own heads have one linear layer only, with Glorot's uniform weights and no bias at first."""
    torch.manual_seed(0)
    outputs = 1 if case.name == "binary" else len(case.target.classes or case.target.columns)
    heads = [case.component(2, target=case.target) for _ in range(200)]
    assert all(head.linear.weight.shape == (outputs, 2) and not head.linear.bias.any() for head in heads)
    assert sum(p.numel() for p in heads[0].parameters()) == 3 * outputs
    largest = max(head.linear.weight.abs().max().item() for head in heads)
    assert largest == pytest.approx((6 / (2 + outputs)) ** 0.5, rel=0.02)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_columns(case):
    """lightlab's own heads predict columns called prediction, prediction_<name> and probability_<name> only."""
    head = case.build()
    for column in head.decode(torch.randn(2, head.linear.out_features)):
        what, _, name = column.partition("_")
        assert what == "prediction" or (what == "probability" and name)
        assert name in ("", *case.target.classes, *case.target.columns)


def test_head_of_the_course():
    """Seven classes after a layer of 47: 336 parameters."""
    head = HEADS.get("multiclass")(47, target=TargetSpec(("y",), tuple("abcdefg"), (1,) * 7))
    assert sum(p.numel() for p in head.parameters()) == 336
