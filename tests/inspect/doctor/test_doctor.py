"""The verdict as a whole: its order, its words, and histories of all kinds."""

import json
import math
import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lightlab.inspect.doctor import diagnose
from lightlab.inspect.evaluation import LayerRecord

GOOD = [0.9, 0.4, 0.2, 0.1, 0.08, 0.06]


def test_healthy(make_history, make_evaluation, config):
    """A healthy run is called so, with the figures that show it."""
    diagnosis = diagnose(make_history(GOOD, GOOD), make_evaluation(), config)
    assert diagnosis.healthy
    assert diagnosis.summary() == "healthy: val/loss 0.08 at best (left to learn: 5% of train, 8% of val)"
    assert len(diagnosis.checked) == 10


def test_a_gap_on_few_rows_is_said(make_history, make_evaluation, config):
    """A gap that chance can make is no illness, and nothing to be silent about."""
    evaluation = make_evaluation(train=(0.05, 0.05), val=(0.55, 0.6), error=0.16, rows=12)
    diagnosis = diagnose(make_history(GOOD, GOOD), evaluation, config)
    assert diagnosis.healthy
    assert diagnosis.summary().endswith("55% of val, which may be chance on 12 rows)")


def test_causes_come_first(make_history, make_evaluation, config):
    """The first finding is said whole, with three remedies; what follows from it is named."""
    layers = (LayerRecord("0_dense", "model.layers[0].dense", first_gradient=0.1, dead=1.0),)
    evaluation = make_evaluation(train=(1.0, 1.0), val=(1.0, 1.0), layers=layers)
    diagnosis = diagnose(make_history([1.0] * 9, [1.0] * 9), evaluation, config)
    assert diagnosis.summary() == (
        "dead units: 100% of the units of model.layers[0].dense are zero for all rows. Try "
        "model.optimizer.init_args.lr: 0.0001 (a tenth of what it is), or model.layers[0].dense.activation: "
        "leaky_relu, or a batch_norm after model.layers[0].dense. Also underfitting, no better than the baseline, "
        "plateaued."
    )


def test_to_dict_is_plain(make_history, make_evaluation, config):
    """A verdict survives JSON, findings and figures included."""
    diagnosis = diagnose(make_history([25.0, 0.1]), make_evaluation(), config)
    values = json.loads(json.dumps(diagnosis.to_dict(), allow_nan=False))
    assert values["healthy"] is False
    assert values["findings"][0]["illness"] == "unstable"
    assert values["findings"][0]["figures"] == {"epoch": 1, "times_constant": 25.0}
    assert values["summary"].startswith("unstable: ")


def test_broken_off(make_history, config):
    """Of a run that broke off for another reason there is too little to tell."""
    diagnosis = diagnose(make_history(GOOD), None, config)
    assert not diagnosis.healthy
    assert diagnosis.checked == ("exploding gradients",)
    assert diagnosis.summary() == "too little is known of this run for a verdict"


def without(frame, *columns):
    """Return a history that lacks columns."""
    return frame.drop(columns=list(columns))


ODD = {
    "empty": lambda frame: pd.DataFrame(),
    "columns only": lambda frame: pd.DataFrame({"epoch": [], "step": [], "seconds": []}),
    "one epoch": lambda frame: frame.head(1),
    "no validation": lambda frame: without(frame, "val/loss"),
    "no train loss": lambda frame: without(frame, "train/loss"),
    "no gradients": lambda frame: without(
        frame, "gradient_norm", "gradient_norm_max", "learning_rate", "epoch_seconds"
    ),
    "NaN validation": lambda frame: frame.assign(**{"val/loss": math.nan}),
    "infinite losses": lambda frame: frame.assign(**{"val/loss": math.inf, "train/loss": math.inf}),
    "validation every other epoch": lambda frame: frame.assign(
        **{"val/loss": [math.nan, 0.4, math.nan, 0.1, math.nan, 0.06]}
    ),
    "text": lambda frame: frame.assign(**{"val/loss": "much"}),
}


@pytest.mark.parametrize("ended", [True, False])
@pytest.mark.parametrize("history", ODD)
def test_odd_histories(make_history, make_evaluation, config, history, ended):
    """Whatever is missing in a history is not looked at, and nothing is raised."""
    diagnosis = diagnose(ODD[history](make_history(GOOD, GOOD)), make_evaluation() if ended else None, config)
    assert diagnosis.summary()
    assert not (ended and diagnosis.findings)


@pytest.mark.parametrize(
    "samples",
    [{"val": None}, {"train": None}, {"train": None, "val": None}, {"val": (None, None)}, {"train": (0.1, None)}],
)
def test_odd_evaluations(make_history, make_evaluation, config, samples):
    """Splits that there are not, and losses that are no numbers, are not looked at."""
    diagnosis = diagnose(make_history(GOOD, GOOD), make_evaluation(layers=(), **samples), config)
    assert diagnosis.findings == ()
    assert "vanishing gradients" not in diagnosis.checked


def test_targets_that_are_all_the_same(make_history, make_evaluation, config):
    """Where there is nothing to learn, there is no scale for it."""
    evaluation = make_evaluation()
    samples = {split: replace(sample, constant=0.0) for split, sample in evaluation.samples.items()}
    assert diagnose(make_history(GOOD), replace(evaluation, samples=samples), config).findings == ()


def test_validations_within_epochs(make_history, make_evaluation, config):
    """Rows of validations within an epoch, which have no figures of training, are part of the validation's curve."""
    history = make_history([0.9, 0.1], [0.9, 1.3])
    within = pd.DataFrame({"epoch": [1, 2], "step": [5, 15], "val/loss": [1.0, 0.8]})
    both = pd.concat([history, within]).sort_values("step")
    (finding,) = diagnose(both, make_evaluation(train=(0.3, 0.02), val=(0.8, 1.3)), config).findings
    assert finding.illness == "overfitting"
    assert "from 0.80 to 1.30" in finding.text


def test_a_long_history_takes_milliseconds(make_history, make_evaluation, config):
    """Ten thousand epochs are judged at once: well below a second, however busy the machine."""
    losses = np.linspace(1.0, 0.05, 10_000)
    start = time.perf_counter()
    diagnose(make_history(losses, losses), make_evaluation(), config)
    assert time.perf_counter() - start < 1.0
