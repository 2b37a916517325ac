import numpy as np
import pytest
import torch
from sklearn.metrics import log_loss

from lightlab import TargetSpec
from lightlab.heads.binary import BinaryHead

TARGET = TargetSpec(("passed",), ("no", "yes"), (25, 75), rows=100)
LOGITS = torch.tensor([[-2.0], [0.5], [3.0], [-0.1]])
LABELS = torch.tensor([0, 0, 1, 1])
PROBABILITIES = 1 / (1 + np.exp(-LOGITS.numpy().ravel().astype(float)))


def cross_entropy(wanted):
    return -(wanted * np.log(PROBABILITIES) + (1 - wanted) * np.log(1 - PROBABILITIES))


def approx(values):
    return pytest.approx(list(values), rel=1e-5)


def test_loss():
    """Each row's binary cross-entropy; their mean is scikit-learn's log loss."""
    losses = BinaryHead(4, TARGET).loss(LOGITS, LABELS)
    assert losses.tolist() == approx(cross_entropy(LABELS.numpy()))
    assert losses.mean().item() == pytest.approx(log_loss(LABELS, PROBABILITIES), rel=1e-5)


def test_label_smoothing():
    """Targets move towards a half: 0 to s/2, 1 to 1 − s/2."""
    losses = BinaryHead(4, TARGET, label_smoothing=0.2).loss(LOGITS, LABELS)
    assert losses.tolist() == approx(cross_entropy(np.array([0.1, 0.1, 0.9, 0.9])))


@pytest.mark.parametrize(
    ("class_weight", "weights"), [([3.0, 5.0], [3, 5]), ({"yes": 5.0, "no": 3.0}, [3, 5]), ("balanced", [2, 2 / 3])]
)
def test_class_weight(class_weight, weights):
    """Each row's loss is multiplied by the weight of its class."""
    losses = BinaryHead(4, TARGET, class_weight=class_weight).loss(LOGITS, LABELS)
    expected = cross_entropy(LABELS.numpy()) * np.array(weights)[LABELS.numpy()]
    assert losses.tolist() == approx(expected)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.9])
def test_threshold(threshold):
    """The second class is predicted above the threshold, and the metrics are computed so."""
    head = BinaryHead(4, TARGET, threshold=threshold)
    columns = head.decode(LOGITS)
    predicted = threshold < PROBABILITIES
    assert columns["prediction"] == [TARGET.classes[int(yes)] for yes in predicted]
    assert columns["probability_yes"] == approx(PROBABILITIES)
    assert columns["probability_no"] == approx(1 - PROBABILITIES)
    accuracy = head.metrics()["accuracy"](head.activate(LOGITS), LABELS)
    assert accuracy.item() == pytest.approx((predicted == LABELS.numpy()).mean())


def test_predictions_and_metrics_agree_at_the_threshold():
    """A probability that equals the threshold is the same class for both: a network of dead units gives just that."""
    head, logits = BinaryHead(4, TARGET), torch.zeros(1, 1)
    predicted = TARGET.classes.index(head.decode(logits)["prediction"][0])
    assert head.activate(logits).item() == head.threshold
    assert head.metrics()["accuracy"](head.activate(logits), torch.tensor([predicted])).item() == 1


def test_valid_targets():
    """Codes of the two classes."""
    valid = BinaryHead(4, TARGET).valid(torch.tensor([0, 1]))
    assert valid.all()
