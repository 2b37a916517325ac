import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from sklearn import metrics as reference
from torch import nn

from lightlab import TargetSpec, metrics
from lightlab.metrics import EpochMetrics
from lightlab.registry import HEADS

LETTERS = tuple("abcdefghijkl")
SIZES = (7, 1, 32, 5)
ROWS = sum(SIZES)
TARGETS = {
    "binary": TargetSpec(("y",), LETTERS[:2], (30, 70), rows=100),
    "multiclass": TargetSpec(("y",), LETTERS, (5,) * 12, rows=60),
    "multilabel": TargetSpec(LETTERS[:3], counts=(1, 5, 9), rows=10),
    "regression": TargetSpec(LETTERS[:2], mean=(1.0, -100.0), std=(2.0, 50.0), rows=9),
    "bounded_regression": TargetSpec(LETTERS[:2], rows=9),
}
for_each_problem = pytest.mark.parametrize("problem", TARGETS)


def make(problem, **options):
    """Return a head, logits and targets of 45 rows."""
    torch.manual_seed(0)
    head = HEADS.get(problem)(4, target=TARGETS[problem], **options)
    logits = torch.randn(ROWS, head.linear.out_features) * 2
    if problem in ("binary", "multiclass"):
        targets = torch.randint(0, len(TARGETS[problem].classes) - (problem == "multiclass"), (ROWS,))  # l never occurs
    elif problem == "multilabel":
        targets = (torch.rand(ROWS, 3) < torch.tensor([0.2, 0.5, 0.9])).float()
    elif problem == "regression":
        targets = torch.randn(ROWS, 2) * torch.tensor(TARGETS[problem].std) + torch.tensor(TARGETS[problem].mean)
    else:
        targets = torch.rand(ROWS, 2)
    return head, logits, targets


def epoch(head, logits, targets, sizes=SIZES):
    """Return the figures of an epoch in batches of the given sizes."""
    kept = EpochMetrics(head, head.target.columns)
    for part, wanted in zip(logits.split(sizes), targets.split(sizes), strict=True):
        kept.update(head.loss(part.float(), wanted), part, wanted)
    return {name: value.item() for name, value in kept.compute().items()}


def expected(problem, head, logits, targets):
    """Return the same figures, by scikit-learn."""
    truth, scores = targets.numpy(), logits.double().numpy()
    values = {"loss": head.loss(logits, targets).double().mean().item()}
    if problem == "binary":
        probability = expit(scores.ravel())
        predicted = probability > head.threshold
        values |= {
            "accuracy": reference.accuracy_score(truth, predicted),
            "auroc": reference.roc_auc_score(truth, probability),
            "f1": reference.f1_score(truth, predicted),
            "precision": reference.precision_score(truth, predicted),
            "recall": reference.recall_score(truth, predicted),
        }
    elif problem == "multiclass":
        values |= {
            "accuracy": reference.accuracy_score(truth, scores.argmax(1)),
            "f1_macro": reference.f1_score(truth, scores.argmax(1), average="macro"),
            "top5_accuracy": reference.top_k_accuracy_score(truth, softmax(scores, 1), k=5, labels=range(12)),
        }
    elif problem == "multilabel":
        probability = expit(scores)
        predicted = probability > head.threshold
        each_f1 = reference.f1_score(truth, predicted, average=None)
        values |= {
            "accuracy": (predicted == truth).mean(),
            "f1_macro": each_f1.mean(),
            "auroc_macro": reference.roc_auc_score(truth, probability, average="macro"),
            **{f"accuracy/{name}": (predicted == truth)[:, index].mean() for index, name in enumerate("abc")},
            **{f"f1/{name}": each_f1[index] for index, name in enumerate("abc")},
        }
    else:
        numbers = head.activate(logits).double().numpy()
        values |= {
            "mse": reference.mean_squared_error(truth, numbers),
            "rmse": reference.mean_squared_error(truth.ravel(), numbers.ravel()) ** 0.5,
            "mae": reference.mean_absolute_error(truth, numbers),
            "r2": reference.r2_score(truth, numbers),
        }
    return values


@for_each_problem
@pytest.mark.parametrize("flush_logits", [2**20, 20, 1])
def test_equals_scikit_learn(problem, flush_logits, monkeypatch):
    """Over batches of uneven sizes, kept whole or passed on in between, all figures are scikit-learn's of all rows."""
    monkeypatch.setattr(metrics, "FLUSH_LOGITS", flush_logits)
    case = make(problem)
    values = epoch(*case)
    wanted = expected(problem, *case)
    assert list(values) == list(wanted)
    assert values == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("problem", ["binary", "multilabel"])
def test_threshold(problem):
    """Metrics of predicted classes are taken at the head's threshold."""
    case = make(problem, threshold=0.8)
    assert epoch(*case) == pytest.approx(expected(problem, *case), rel=1e-4)
    assert epoch(*case) != pytest.approx(epoch(*make(problem)), rel=1e-4)


@for_each_problem
def test_starts_anew(problem):
    """Computing leaves nothing behind, and neither does reset."""
    head, logits, targets = make(problem)
    kept = EpochMetrics(head, head.target.columns)
    first = []
    for _ in range(2):
        kept.update(head.loss(logits, targets), logits, targets)
        first.append({name: value.item() for name, value in kept.compute().items()})
    assert first[0] == first[1] == pytest.approx(epoch(head, logits, targets), rel=1e-5)
    kept.update(head.loss(logits * 9, targets), logits * 9, targets)
    kept.reset()
    kept.update(head.loss(logits, targets), logits, targets)
    assert {name: value.item() for name, value in kept.compute().items()} == first[0]


@for_each_problem
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_logits_that_are_not_finite(problem, value):
    """One such logit makes every metric NaN, whatever it would seem to be; the epoch after is clean again."""
    head, logits, targets = make(problem)
    broken = logits.clone()
    broken[20, 0] = value
    values = epoch(head, broken, targets)
    values.pop("loss")
    assert np.isnan(list(values.values())).all()
    kept = EpochMetrics(head, head.target.columns)
    for part in (broken, logits):
        kept.update(head.loss(part, targets), part, targets)
        values = kept.compute()
    assert all(torch.isfinite(value) for value in values.values())


@for_each_problem
def test_empty_epoch(problem):
    """Of no rows there is nothing to say: every figure is there, and is NaN."""
    head, logits, targets = make(problem)
    values = EpochMetrics(head, head.target.columns).compute()
    assert list(values) == list(epoch(head, logits, targets))
    assert all(torch.isnan(value) and value.shape == () for value in values.values())


def fill(value):
    """Return a function that gives targets of which all are the same."""
    return lambda targets: torch.full_like(targets, value)


def first_column(value):
    """Return a function that gives targets whose first column is the same in all rows."""

    def change(targets):
        targets = targets.clone()
        targets[:, 0] = value
        return targets

    return change


LABELS = {"f1/a", "f1/b", "f1/c"}
#: Targets of which some metrics can't be told, and which; all others can.
DEGENERATE = {
    "no row of the second class": ("binary", fill(0), {"auroc", "f1", "precision", "recall"}),
    "all rows of the second class": ("binary", fill(1), {"auroc"}),
    "one class of twelve": ("multiclass", fill(3), set()),
    "no labels": ("multilabel", fill(0.0), {"auroc_macro", "f1_macro", *LABELS}),
    "all labels": ("multilabel", fill(1.0), {"auroc_macro"}),
    "a label of no row": ("multilabel", first_column(0.0), {"f1/a"}),
    "constant": ("regression", fill(7.25), {"r2"}),
    "constant, far from what was learned": ("regression", fill(1e6 + 0.1), {"r2"}),
    "one quantity of two": ("regression", first_column(0.3), set()),
    "constant within bounds": ("bounded_regression", fill(0.7), {"r2"}),
    "one row": ("regression", lambda targets: targets[:1], {"r2"}),
    "one row within bounds": ("bounded_regression", lambda targets: targets[:1], {"r2"}),
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_what_can_not_be_told_is_no_number(case):
    """Of one class, a constant or one row a metric is NaN where it says nothing, and says why; others are numbers."""
    problem, change, undefined = DEGENERATE[case]
    head, logits, targets = make(problem)
    targets = change(targets)
    values = epoch(head, logits[: len(targets)], targets, len(targets))
    assert {name for name, value in values.items() if np.isnan(value)} == undefined
    kept = EpochMetrics(head, head.target.columns)
    assert all("finite" not in kept.why_undefined(name) for name in undefined)


def test_every_head_is_measured_here():
    """No problem type has metrics that nobody holds against NaN, one class and one row."""
    own = {name for name in HEADS.names() if HEADS.get(name).__module__.startswith("lightlab.")}
    assert set(TARGETS) == own == {problem for problem, *_ in DEGENERATE.values()}


@pytest.mark.parametrize("problem", ["regression", "bounded_regression"])
def test_sums_of_numbers_do_not_depend_on_their_order(problem, monkeypatch):
    """Kept whole, or passed on in other parts, figures are the same to the last digit, as over several processes."""
    case = make(problem)
    whole = epoch(*case)
    monkeypatch.setattr(metrics, "FLUSH_LOGITS", 1)
    parts = epoch(*case, sizes=(1,) * ROWS)
    names = ("mse", "rmse", "mae", "r2")
    assert [parts[name] for name in names] == [whole[name] for name in names]


def test_numbers_far_from_nought():
    """Where targets are not normalised, squares of large numbers leave their differences as they are."""
    torch.manual_seed(0)
    head = HEADS.get("regression")(
        4, target=TargetSpec(("year",), mean=(2e4,), std=(3.0,), rows=9), normalize_target=False
    )
    targets = 2e4 + 3 * torch.randn(ROWS, 1)
    logits = targets + torch.randn(ROWS, 1)
    assert epoch(head, logits, targets)["r2"] == pytest.approx(reference.r2_score(targets, logits), rel=1e-5)


def test_averages_are_of_what_can_be_told():
    """Labels without positive rows, and quantities that don't vary, count for nothing in an average."""
    head, logits, targets = make("multilabel")
    targets[:, 1] = 0
    truth, probability = targets.numpy(), expit(logits.double().numpy())
    values = epoch(head, logits, targets)
    wanted = np.mean([reference.roc_auc_score(truth[:, index], probability[:, index]) for index in (0, 2)])
    assert values["auroc_macro"] == pytest.approx(wanted, rel=1e-4)
    wanted = np.mean([reference.f1_score(truth[:, index], probability[:, index] > 0.5) for index in (0, 2)])
    assert values["f1_macro"] == pytest.approx(wanted, rel=1e-4)
    head, logits, targets = make("regression")
    targets[:, 1] = 0.1
    numbers = head.activate(logits).detach().numpy()
    wanted = reference.r2_score(targets[:, 0].numpy(), numbers[:, 0])
    assert epoch(head, logits, targets)["r2"] == pytest.approx(wanted, rel=1e-4)


@pytest.mark.parametrize("unit", [1e-6, 1e6])
def test_r2_in_any_unit(unit):
    """R² is the same in metres and in micrometres; torchmetrics gives 0 or 1 to small numbers."""
    _, logits, targets = make("bounded_regression")
    spec = TargetSpec(LETTERS[:2], rows=9)
    head = HEADS.get("bounded_regression")(4, target=spec, low=0.0, high=unit)
    wanted = reference.r2_score(targets.numpy(), logits.sigmoid().numpy())
    assert epoch(head, logits, targets * unit)["r2"] == pytest.approx(wanted, rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_one_hot_targets(dtype):
    """Targets of one column a class, or of shares, count as the class that they hold most of."""
    head, logits, targets = make("multiclass")
    one_hot = torch.eye(12)[targets]
    assert epoch(head, logits, one_hot.to(dtype)) == pytest.approx(epoch(head, logits, targets), rel=1e-5)
    shares = one_hot * 0.7 + 0.3 / 12
    accuracy = epoch(head, logits, targets)["accuracy"]
    assert epoch(head, logits, shares)["accuracy"] == pytest.approx(accuracy)


@for_each_problem
def test_half_precision(problem):
    """Logits of half precision are measured in full: only their own rounding shows, and no more of it."""
    head, logits, targets = make(problem)
    half, full = (epoch(head, values, targets) for values in (logits.bfloat16(), logits.bfloat16().float()))
    assert half == pytest.approx(full, rel=1e-6)


def test_nothing_of_the_graph_is_kept():
    """What is kept holds no gradients, and the head's own parameters stay its own."""
    head, _, targets = make("regression")
    kept = EpochMetrics(head, head.target.columns)
    logits = head(torch.randn(ROWS, 4))
    kept.update(head.loss(logits, targets), logits, targets)
    assert not any(value.requires_grad for value in kept.compute().values())
    assert list(kept.parameters()) == []
    assert kept.state_dict() == {}


def test_modes():
    """Errors are to fall, scores to rise; the loss comes first."""
    modes = {problem: EpochMetrics(make(problem)[0], TARGETS[problem].columns).modes() for problem in TARGETS}
    assert modes["regression"] == {"loss": "min", "mse": "min", "rmse": "min", "mae": "min", "r2": "max"}
    assert set(modes["binary"].values()) == {"min", "max"}
    assert [name for name, mode in modes["multilabel"].items() if mode == "min"] == ["loss"]
    assert list(modes["multilabel"])[-6:] == [f"{kind}/{name}" for kind in ("accuracy", "f1") for name in "abc"]


def test_moves_with_its_module():
    """As part of a model it moves with it: what all processes sum stands on the device of the model."""
    head, *_ = make("binary")
    assert EpochMetrics(head, ("y",)).to("meta").place.device.type == "meta"
    assert isinstance(EpochMetrics(head, ("y",)), nn.Module)


@for_each_problem
def test_an_epoch_that_goes_on_elsewhere(problem, monkeypatch):
    """What was kept so far can be taken up by others, summed or not, and gives the same figures to the bit."""
    head, logits, targets = make(problem)
    monkeypatch.setattr(metrics, "FLUSH_LOGITS", 10 * logits.shape[1])
    losses = head.loss(logits, targets)
    whole, first, second = (EpochMetrics(head, TARGETS[problem].columns) for _ in range(3))
    assert first.state() == {}
    for number, each in enumerate(zip(*(part.split(SIZES) for part in (losses, logits, targets)), strict=True)):
        whole.update(*each)
        (first if number < 2 else second).update(*each)
        if number == 1:
            second.add(first.state())
    figures = whole.compute()
    again = second.compute()
    assert all(torch.equal(again[name], value) or bool(value.isnan()) for name, value in figures.items())
    assert again.keys() == figures.keys()
    assert second.state() == {}
