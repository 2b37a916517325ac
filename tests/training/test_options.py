"""Monitor and mode are chosen from what is logged."""

import pytest

from lightlab.errors import ConfigError
from lightlab.training.options import CheckpointOptions, EarlyStoppingOptions

LOGGED = {"train/loss": "min", "train/accuracy": "max", "val/loss": "min", "val/accuracy": "max"}


@pytest.mark.parametrize(
    ("options", "monitor", "mode"),
    [
        ({}, "val/loss", "min"),
        ({"monitor": "val/accuracy"}, "val/accuracy", "max"),
        ({"monitor": "val/accuracy", "mode": "max"}, "val/accuracy", "max"),
    ],
)
def test_monitor_and_mode(options, monitor, mode):
    """They follow from the problem and the metric unless they are given."""
    stopping = EarlyStoppingOptions(**options, patience=7).build(LOGGED, "val/loss")
    best, last = CheckpointOptions(**options).build(LOGGED, "val/loss")
    assert (stopping.monitor, stopping.mode, stopping.patience) == (monitor, mode, 7)
    assert (best.monitor, best.mode, best.filename) == (monitor, mode, "best")
    assert (last.monitor, last.filename) == (None, "last")


@pytest.mark.parametrize("options", [EarlyStoppingOptions, CheckpointOptions])
def test_metric_that_is_not_logged(options):
    """The metrics that are logged are listed, and the nearest is named."""
    with pytest.raises(
        ConfigError, match=r"monitor: .*train/loss, .*Received: val/acuracy\. Did you mean val/accuracy"
    ):
        options(monitor="val/acuracy").build(LOGGED, "val/loss")
    with pytest.raises(ConfigError, match="There is no validation split"):
        options().build({"train/loss": "min"}, "val/loss")


@pytest.mark.parametrize("options", [EarlyStoppingOptions, CheckpointOptions])
def test_mode_against_the_metric(options):
    """A mode that would keep the worst is refused."""
    with pytest.raises(ConfigError, match=r"mode: val/loss is better when it is less: .*Received: max"):
        options(mode="max").build(LOGGED, "val/loss")
