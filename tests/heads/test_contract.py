"""What every head keeps to: a new head needs a line in CASES, and nothing else here."""

import doctest
import inspect
import io
import re
import sys
from typing import get_args, get_type_hints

import pytest
import torch

from lightlab import TargetSpec
from lightlab.metrics import EpochMetrics
from lightlab.registry import HEADS, PROBLEMS

LETTERS = tuple("abcdefghijkl")
#: What is to be predicted, and targets for three rows.
CASES = {
    "binary": (TargetSpec(("y",), LETTERS[:2], (30, 70), rows=100), torch.tensor([0, 1, 1])),
    "multiclass": (TargetSpec(("y",), LETTERS, (5,) * 12, rows=60), torch.tensor([0, 11, 4])),
    "multilabel": (
        TargetSpec(LETTERS[:3], counts=(1, 5, 9), rows=10),
        torch.tensor([[0, 0, 1.0], [1, 1, 1], [0, 1, 0]]),
    ),
    "regression": (
        TargetSpec(LETTERS[:2], mean=(1.0, -100.0), std=(2.0, 50.0), rows=9),
        torch.tensor([[1.0, -100.0], [3.5, 0.0], [-2.0, -150.0]]),
    ),
    "bounded_regression": (TargetSpec(LETTERS[:2], rows=9), torch.tensor([[0.0, 1.0], [0.5, 0.25], [1.0, 0.75]])),
}
FEATURES = 6

OWN = [name for name in HEADS.names() if HEADS.entry(name).provider.startswith("lightlab.")]
for_each_head = pytest.mark.parametrize("name", OWN)


def build(name, **options):
    return HEADS.get(name)(FEATURES, target=CASES[name][0], **options)


def loss_choices(name):
    hints = get_type_hints(HEADS.get(name).__init__)
    return get_args(hints["loss"]) if "loss" in hints else ()


with_each_loss = pytest.mark.parametrize(
    ("name", "options"),
    [(name, {"loss": loss} if loss else {}) for name in OWN for loss in (loss_choices(name) or ("",))],
)


def test_heads_and_rows_belong_together():
    """Every head has a row in the table of problems, and every row a head; none escapes this file."""
    rows = [name for name in PROBLEMS.names() if PROBLEMS.entry(name).provider.startswith("lightlab.")]
    assert rows == OWN
    assert CASES.keys() == set(OWN)


@for_each_head
def test_losses_are_those_of_the_row(name):
    """The head offers the losses that the row lists, and its default is the first."""
    row, parameters = PROBLEMS.get(name), inspect.signature(HEADS.get(name)).parameters
    if "loss" in parameters:
        assert loss_choices(name) == row.losses
        assert parameters["loss"].default == row.losses[0]
    else:
        assert len(row.losses) == 1


@for_each_head
def test_metrics_are_those_of_the_row(name):
    """The names of the metrics are those that the row lists; one for each label ends in its name."""
    row, (target, _) = PROBLEMS.get(name), CASES[name]
    expected = ["loss"]
    for metric in row.metrics:
        stem, _, each = metric.partition("<")
        expected += [f"{stem}{column}" for column in target.columns] if each else [metric]
    modes = EpochMetrics(build(name), target.columns).modes()
    assert list(modes) == expected
    assert row.monitor.removeprefix("val/") in modes
    assert modes[row.monitor.removeprefix("val/")] == row.mode


@with_each_loss
def test_loss_is_per_row(name, options):
    """The loss has a value for each row, which depends on that row alone, and its gradient reaches every parameter."""
    torch.manual_seed(0)
    head, targets = build(name, **options), CASES[name][1]
    features = torch.randn(3, FEATURES, requires_grad=True)
    losses = head.loss(head(features), targets)
    assert losses.shape == (3,)
    assert torch.isfinite(losses).all()
    alone = torch.cat([head.loss(head(features[i : i + 1]), targets[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(losses, alone)
    losses.sum().backward()
    assert all(value.grad.any() for value in (features, *head.parameters()))


@with_each_loss
@pytest.mark.parametrize("size", [1e4, -1e4])
def test_stable_at_large_logits(name, options, size):
    """At logits of ±10⁴, right or wrong, the loss, its gradient and the predictions are finite."""
    head, targets = build(name, **options), CASES[name][1]
    logits = torch.full((3, head.linear.out_features), size)
    logits[:, ::2] *= -1
    logits.requires_grad_()
    losses = head.loss(logits, targets)
    losses.sum().backward()
    assert torch.isfinite(losses).all()
    assert torch.isfinite(logits.grad).all()
    for column, values in head.decode(logits.detach()).items():
        assert all(value == value and abs(value) < 1e7 for value in values if isinstance(value, float)), column


@for_each_head
def test_decoded_columns(name):
    """Each column of the predictions has a plain value for each row."""
    head = build(name)
    columns = head.decode(torch.randn(5, head.linear.out_features))
    assert all(column == "prediction" or re.match(r"(prediction|probability)_[a-l]$", column) for column in columns)
    for values in columns.values():
        assert len(values) == 5
        assert {type(value) for value in values} <= {int, float, str}


@for_each_head
def test_metrics_take_what_the_head_gives(name):
    """Each metric takes `activate`'s outputs and the targets as they are, and gives finite numbers."""
    head, targets = build(name), CASES[name][1]
    for key, metric in head.metrics().items():
        metric.update(head.activate(torch.randn(3, head.linear.out_features)), targets)
        values = metric.compute()
        assert values.shape == ((len(head.target.columns),) if key.endswith("/") else ())
        assert torch.isfinite(values).all() or key.startswith("auroc")


@for_each_head
def test_valid_targets(name):
    """The case's targets can be learned, NaN can't, and there is an answer for each value, and words for the rule."""
    head, targets = build(name), CASES[name][1]
    assert head.valid(targets).dtype == torch.bool
    assert head.valid(targets).shape == targets.shape
    assert head.valid(targets).all()
    if targets.is_floating_point():
        assert not head.valid(torch.full_like(targets, torch.nan)).any()
    assert head.rule.endswith(".")


@for_each_head
def test_linear_layer(name):
    """The head owns one linear layer, with Glorot's uniform weights and no bias at the start."""
    torch.manual_seed(0)
    outputs = 1 if name == "binary" else len(CASES[name][0].classes or CASES[name][0].columns)
    heads = [HEADS.get(name)(2, target=CASES[name][0]) for _ in range(200)]
    assert all(head.linear.weight.shape == (outputs, 2) and not head.linear.bias.any() for head in heads)
    assert sum(p.numel() for p in heads[0].parameters()) == 3 * outputs
    largest = max(head.linear.weight.abs().max().item() for head in heads)
    assert largest == pytest.approx((6 / (2 + outputs)) ** 0.5, rel=0.02)


def test_head_of_the_course():
    """Seven classes after a layer of 47: 336 parameters."""
    head = HEADS.get("multiclass")(47, target=TargetSpec(("y",), tuple("abcdefg"), (1,) * 7))
    assert sum(p.numel() for p in head.parameters()) == 336


@for_each_head
def test_survives_saving(name):
    """A fresh copy with the saved state gives the same losses and predictions."""
    head, targets = build(name), CASES[name][1]
    file = io.BytesIO()
    torch.save(head.state_dict(), file)
    file.seek(0)
    fresh = build(name)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    features = torch.randn(3, FEATURES)
    assert torch.equal(head.loss(head(features), targets), fresh.loss(fresh(features), targets))
    assert head.decode(head(features)) == fresh.decode(fresh(features))


@for_each_head
def test_is_documented(name):
    """The docstring has a summary, every parameter and an example, and the example runs."""
    head = HEADS.get(name)
    text = inspect.getdoc(head)
    assert re.match(r"[A-Z].*[.:]", text.split("\n\n")[0], re.DOTALL)
    section = re.search(r"^Args:\n((?:    .*\n)+)", text, re.MULTILINE)[1]
    assert re.findall(r"^    (\w+): \S", section, re.MULTILINE) == list(inspect.signature(head).parameters)
    module = sys.modules[head.__module__]
    (example,) = doctest.DocTestFinder(recurse=False).find(head, globs=vars(module).copy())
    assert example.examples
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report = []
    runner.run(example, out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)
