import numpy as np
import pytest
import torch

from lightlab import TargetSpec
from lightlab.heads.regression import RegressionHead, number_columns

TARGET = TargetSpec(("age", "height"), mean=(40.0, 170.0), std=(10.0, 5.0), rows=100)
LOGITS = torch.tensor([[0.5, -1.0], [2.0, 0.1]])
NUMBERS = torch.tensor([[60.0, 165.0], [35.0, 181.0]])
ERRORS = (LOGITS - torch.tensor([[2.0, -1.0], [-0.5, 2.2]])).numpy()
RAW_ERRORS = (LOGITS - NUMBERS).numpy()


def huber(errors, delta):
    size = np.abs(errors)
    return np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta))


FORMULAS = {
    "mse": lambda errors, delta: errors**2,
    "mae": lambda errors, delta: np.abs(errors),
    "huber": huber,
}


@pytest.mark.parametrize("loss", FORMULAS)
@pytest.mark.parametrize("delta", [0.4, 2.0])
@pytest.mark.parametrize("normalize", [True, False])
def test_loss(loss, delta, normalize):
    """The mean over the quantities, in standard deviations from the mean, or in the target's own units."""
    head = RegressionHead(4, TARGET, loss=loss, huber_delta=delta, normalize_target=normalize)
    expected = FORMULAS[loss](ERRORS if normalize else RAW_ERRORS, delta).mean(1)
    assert head.loss(LOGITS, NUMBERS).tolist() == pytest.approx(expected.tolist(), rel=1e-5)


@pytest.mark.parametrize("normalize", [True, False])
def test_decode(normalize):
    """Predictions are in the target's own units."""
    columns = RegressionHead(4, TARGET, normalize_target=normalize).decode(LOGITS)
    assert list(columns) == ["prediction_age", "prediction_height"]
    expected = ([45, 60], [165, 170.5]) if normalize else ([0.5, 2.0], [-1.0, 0.1])
    for values, wanted in zip(columns.values(), expected, strict=True):
        assert values == pytest.approx(wanted)


def test_metrics_are_in_the_targets_units():
    """Whatever the loss is computed in, metrics are of the target's own numbers."""
    head = RegressionHead(4, TARGET)
    errors = np.array([[15.0, 0.0], [-25.0, 10.5]])
    values = {name: metric(head.activate(LOGITS), NUMBERS).item() for name, metric in head.metrics().items()}
    assert values["mae"] == pytest.approx(np.abs(errors).mean())
    assert values["mse"] == pytest.approx((errors**2).mean())
    assert values["rmse"] == pytest.approx((errors**2).mean() ** 0.5)


def test_number_columns():
    """One quantity is called prediction; several are called after their columns."""
    assert number_columns(("age",), torch.tensor([[1.0], [2.0]])) == {"prediction": [1, 2]}
    assert number_columns(("a", "b"), torch.tensor([[1.0, 2.0]])) == {"prediction_a": [1], "prediction_b": [2]}
