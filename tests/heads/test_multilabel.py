import numpy as np
import pytest
import torch

from lightlab import TargetSpec
from lightlab.heads.multilabel import MultilabelHead

TARGET = TargetSpec(("cat", "dog", "owl"), counts=(20, 50, 80), rows=100)
LOGITS = torch.tensor([[1.0, 2.0, -1.0], [-3.0, 1.0, 0.2]])
LABELS = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
PROBABILITIES = 1 / (1 + np.exp(-LOGITS.double().numpy()))


def cross_entropy(wanted, positive=1.0):
    return -(wanted * positive * np.log(PROBABILITIES) + (1 - wanted) * np.log(1 - PROBABILITIES)).mean(1)


def approx(values):
    return pytest.approx(list(values), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_loss(dtype, smoothing):
    """The mean over the labels of binary cross-entropy, of targets moved towards a half."""
    losses = MultilabelHead(4, TARGET, label_smoothing=smoothing).loss(LOGITS, LABELS.to(dtype))
    wanted = LABELS.numpy() * (1 - smoothing) + smoothing / 2
    assert losses.tolist() == approx(cross_entropy(wanted))


def test_balanced():
    """The rows with a label weigh as much, together, as those without it."""
    head = MultilabelHead(4, TARGET, class_weight="balanced")
    positive = np.array([80 / 20, 1, 20 / 80])
    assert head.loss(LOGITS, LABELS).tolist() == approx(cross_entropy(LABELS.numpy(), positive))


def test_balanced_with_labels_that_all_or_no_rows_have():
    """A label of all rows, or of none, can still be learned: its weight is positive and finite."""
    head = MultilabelHead(4, TargetSpec(("all", "none"), counts=(100, 0), rows=100), class_weight="balanced")
    logits = torch.zeros(1, 2, requires_grad=True)
    head.loss(logits, torch.tensor([[1.0, 0.0]])).sum().backward()
    assert torch.isfinite(head.positive_weight).all()
    assert logits.grad[0, 0] < 0 < logits.grad[0, 1]


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.8])
def test_threshold(threshold):
    """A label is predicted above the threshold, and the metrics are computed so."""
    head = MultilabelHead(4, TARGET, threshold=threshold)
    columns = head.decode(LOGITS)
    predicted = threshold < PROBABILITIES
    assert list(columns) == [f"{kind}_{name}" for name in TARGET.columns for kind in ("prediction", "probability")]
    for index, name in enumerate(TARGET.columns):
        assert columns[f"prediction_{name}"] == predicted[:, index].astype(int).tolist()
        assert columns[f"probability_{name}"] == approx(PROBABILITIES[:, index])
    right = predicted == LABELS.numpy().astype(bool)
    metrics = head.metrics()
    assert metrics["accuracy"](head.activate(LOGITS), LABELS).item() == pytest.approx(right.mean())
    assert metrics["accuracy/"](head.activate(LOGITS), LABELS).tolist() == approx(right.mean(0))


def test_predictions_and_metrics_agree_at_the_threshold():
    """A probability that equals the threshold counts the same for both."""
    head = MultilabelHead(4, TARGET)
    columns = head.decode(torch.zeros(1, 3))
    predicted = torch.tensor([[columns[f"prediction_{name}"][0] for name in TARGET.columns]])
    assert head.metrics()["accuracy"](head.activate(torch.zeros(1, 3)), predicted).item() == 1


def test_valid_targets():
    """Labels are 0 or 1."""
    targets = torch.tensor([[0.0, 1.0, 0.5], [2.0, -1.0, torch.nan]])
    assert MultilabelHead(4, TARGET).valid(targets).tolist() == [[True, True, False], [False, False, False]]
