"""One batch learned by heart: by networks that can, by small ones in part, and by broken ones never."""

import numpy as np
import pandas as pd
import pytest
from torch import nn

from lightlab import BundledData, SyntheticData, TableData
from lightlab.inspect.procedure.overfit import check_overfit
from lightlab.registry import LAYERS

WIDE = [{"dense": {"units": 64, "activation": "relu"}}]


@pytest.mark.parametrize(
    ("data", "options"),
    [
        (SyntheticData([8], "multiclass", rows=300), {}),
        (SyntheticData([8], "multiclass", rows=300), {"head": {"label_smoothing": 0.2}, "problem": "multiclass"}),
        (SyntheticData([8], "multilabel", rows=300), {}),
        (SyntheticData([8], "regression", rows=300), {}),
        (
            SyntheticData([8], "bounded_regression", rows=300),
            {"head": {"loss": "binary_cross_entropy"}, "problem": "bounded_regression"},
        ),
    ],
    ids=["classes", "smoothed", "labels", "numbers", "bounded"],
)
def test_each_problem(data, options, run_step):
    """32 rows are learned to near the floor of the loss, which smoothing and shares lift above zero."""
    found = run_step(check_overfit, WIDE, data, **options)
    assert found.verdict == "ok"
    assert found.figures["left"] < 0.05
    assert ("above the least possible" in found.text) == bool(options)


def test_noise_and_penalties_are_off(run_step):
    """What a config does against overfitting does not stop it here."""
    layers = [
        {"gaussian_noise": 5.0},
        {"dense": {"units": 64, "activation": "relu", "l2": 10.0}},
        "batch_norm",
        {"dropout": 0.9},
    ]
    assert run_step(check_overfit, layers).verdict == "ok"


def test_small_network(run_step):
    """A linear model can't learn 32 rows by heart, but it can a few: a warning."""
    found = run_step(check_overfit, [], SyntheticData([3], "multiclass", rows=300, noise=3.0))
    assert found.verdict == "warning"
    assert "32 rows are too many for this network" in found.text
    assert found.figures["rows"] < 32


def test_layer_that_forgets_its_input(run_step, registries):
    """What is no function of the inputs can't tell two rows apart."""

    class Forgetful(nn.Module):
        def forward(self, inputs):
            return inputs * 0

    LAYERS.add("forgetful", lambda: Forgetful(), provider="tests")
    found = run_step(check_overfit, ["forgetful", *WIDE])
    assert found.verdict == "failed"
    assert found.text.startswith("2 rows: ")
    assert found.figures["left"] == pytest.approx(1, abs=0.01)


def test_broken_gradient(run_step, registries):
    """A layer that does not pass gradients on leaves the layers before it untrained: the head alone is too little."""

    class Detached(nn.Module):
        def forward(self, inputs):
            return inputs.detach().sign() * 1e-6

    LAYERS.add("detached", lambda: Detached(), provider="tests")
    assert run_step(check_overfit, [*WIDE, "detached"]).verdict == "failed"


def test_rows_that_are_twins(run_step):
    """Rows with the same inputs are left aside and counted, missing values filled in first."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(30, 6)), columns=list("abcdef")).sample(
        120, replace=True, random_state=0
    )
    frame["hole"] = np.where(np.arange(120) % 7, 1.0, np.nan)
    frame["y"] = generator.choice(["no", "yes"], 120)
    found = run_step(check_overfit, WIDE, TableData.from_frame(frame, "y"))
    assert found.verdict == "ok"
    assert "rows with the inputs of another are left aside" in found.text
    assert found.figures["left_aside"] > 40


def test_rows_that_are_all_twins(run_step):
    """Inputs that are all the same are a failure with these words."""

    class Everywhere(SyntheticData):
        def load(self, stage):
            rows = super().load(stage)
            rows["all"].inputs.fill_(1.0)
            return rows

    found = run_step(check_overfit, WIDE, Everywhere([3], rows=200))
    assert found.verdict == "failed"
    assert "nothing tells them apart" in found.text


def test_targets_that_are_all_the_same(run_step, make_table):
    """There is nothing to learn: skipped."""
    data = make_table(lambda inputs, generator: [1.5] * len(inputs))
    assert run_step(check_overfit, data=data, problem="regression").verdict == "skipped"


def test_rare_class(run_step, make_table):
    """A row of another target takes the last place, where a batch would have one target only."""
    data = make_table(lambda inputs, generator: np.where(inputs[:, 0] > 2, "rare", "often"), batch_size=4)
    found = run_step(check_overfit, WIDE, data)
    assert found.verdict == "ok"
    assert found.figures["chance"] > 0.1


def test_small_batches(run_step):
    """No more rows than a batch has, and two where it has one."""
    found = run_step(check_overfit, WIDE, BundledData("iris", batch_size=1))
    assert (found.verdict, found.figures["rows"]) == ("ok", 2)
