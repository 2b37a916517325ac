import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.metrics import log_loss

from lightlab import TargetSpec
from lightlab.heads.multiclass import MANY_CLASSES, MulticlassHead

TARGET = TargetSpec(("pet",), ("cat", "dog", "owl"), (10, 60, 30), rows=100)
LOGITS = torch.tensor([[1.0, 2.0, -1.0], [0.0, 0.0, 0.0], [-3.0, 1.0, 4.0]])
LABELS = torch.tensor([0, 1, 2])
LOGS = log_softmax(LOGITS.double().numpy(), axis=1)
WEIGHTS = np.array([1.0, 2.0, 5.0])


def approx(values):
    return pytest.approx(list(values), rel=1e-5)


def test_loss():
    """Each row's cross-entropy; their mean is scikit-learn's log loss."""
    losses = MulticlassHead(4, TARGET).loss(LOGITS, LABELS)
    assert losses.tolist() == approx(-LOGS[range(3), LABELS])
    assert losses.mean().item() == pytest.approx(log_loss(LABELS, np.exp(LOGS)), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64])
def test_one_hot_targets(dtype):
    """One-hot targets give the loss of codes; shares give the mean over the classes that they stand for."""
    head = MulticlassHead(4, TARGET, class_weight=WEIGHTS.tolist(), label_smoothing=0.1)
    one_hot = torch.eye(3)[LABELS].to(dtype)
    torch.testing.assert_close(head.loss(LOGITS, one_hot), head.loss(LOGITS, LABELS))
    shares = torch.tensor([[0.5, 0.5, 0.0]] * 3)
    losses = MulticlassHead(4, TARGET).loss(LOGITS, shares)
    assert losses.tolist() == approx(-LOGS[:, :2].mean(1))


@pytest.mark.parametrize("weighted", [False, True])
def test_label_smoothing(weighted):
    """A share of the target is spread over all classes, each with its own weight."""
    weights = WEIGHTS if weighted else np.ones(3)
    head = MulticlassHead(4, TARGET, label_smoothing=0.3, class_weight=weights.tolist())
    wanted = 0.7 * np.eye(3) + 0.1
    assert head.loss(LOGITS, LABELS).tolist() == approx(-(wanted * weights * LOGS).sum(1))


@pytest.mark.parametrize(
    ("class_weight", "weights"),
    [
        ([1.0, 2.0, 5.0], WEIGHTS),
        ({"owl": 5.0, "cat": 1.0, "dog": 2.0}, WEIGHTS),
        ("balanced", 100 / (3 * np.array([10, 60, 30]))),
    ],
)
def test_class_weight(class_weight, weights):
    """Each row's loss is multiplied by the weight of its class."""
    losses = MulticlassHead(4, TARGET, class_weight=class_weight).loss(LOGITS, LABELS)
    assert losses.tolist() == approx(-LOGS[range(3), LABELS] * weights[LABELS])


def test_decode():
    """The most probable class (the first of equals), and the probability of each."""
    columns = MulticlassHead(4, TARGET).decode(LOGITS)
    assert columns.pop("prediction") == ["dog", "cat", "owl"]
    assert list(columns) == ["probability_cat", "probability_dog", "probability_owl"]
    for values, expected in zip(columns.values(), np.exp(LOGS).T, strict=True):
        assert values == approx(expected)


@pytest.mark.parametrize("count", [3, MANY_CLASSES, MANY_CLASSES + 1])
def test_top5_is_for_many_classes(count):
    """Top-5 accuracy is measured from eleven classes on, and counts a target among the five largest."""
    head = MulticlassHead(4, TargetSpec(("y",), tuple(map(str, range(count))), (1,) * count))
    metrics = head.metrics()
    assert ("top5_accuracy" in metrics) == (count > 10)
    if count > 10:
        logits = -torch.arange(float(count)).repeat(count, 1)
        value = metrics["top5_accuracy"](head.activate(logits), torch.arange(count))
        assert value.item() == pytest.approx(5 / count)


@pytest.mark.parametrize(
    ("targets", "expected"),
    [(torch.tensor([0, 2, 3, -1]), [True, True, False, False]), (torch.tensor([[0.0, torch.nan]]), [[True, False]])],
)
def test_valid_targets(targets, expected):
    """Codes of the classes, or finite shares."""
    assert MulticlassHead(4, TARGET).valid(targets).tolist() == expected
