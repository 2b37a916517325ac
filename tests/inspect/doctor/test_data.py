"""What the data does to figures: leaks, and splits that differ; on runs made by hand."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from lightlab.data.finding import DataFinding
from lightlab.data.findings import find_leaks
from lightlab.data.rows import Rows
from lightlab.inspect.doctor import diagnose
from lightlab.inspect.evaluation import SampleLoss


@pytest.fixture
def leak():
    """What reading data says of a column that tells the target."""
    frame = pd.DataFrame({"x": np.arange(9.0) ** 2, "copy": 2 * (np.arange(9.0) % 5)})
    (found,) = find_leaks(Rows(frame, pd.DataFrame({"y": np.arange(9.0) % 5}), np.arange(9), "rows"))
    return found


def test_telling_column(make_history, make_evaluation, config, leak):
    """A column that tells the target comes before all else, and is to be ignored."""
    evaluation = make_evaluation(
        train=(0.01, 0.0), val=(0.5, 1.0), findings=(DataFinding("imbalance", "few of one class", "rare"), leak)
    )
    first, second = diagnose(make_history([0.5, 0.01], [0.5, 1.0]), evaluation, config).findings
    assert first.illness == "leakage suspected"
    assert first.text == "column 'copy' tells the target 'y' by itself"
    assert first.remedies[0].startswith("data.init_args.ignore: [copy]")
    assert second.illness == "overfitting"


def test_several_telling_columns(make_history, make_evaluation, config, leak):
    """All of them are to be ignored."""
    evaluation = make_evaluation(findings=(leak, replace(leak, name="owner's")))
    (finding,) = diagnose(make_history([0.5, 0.01]), evaluation, config).findings
    assert finding.text.endswith("by itself, and so do 1 more")
    assert finding.remedies[0].startswith("data.init_args.ignore: [copy, owner's]")


@pytest.mark.parametrize(("shared", "ill"), [(1, False), (30, True)])
def test_shared_rows(illnesses, shared, ill):
    """Many rows of a split that stand in train are a leak; a twin or two are not."""
    found = DataFinding("shared rows", "rows of val also stand in train", "val", rows=shared, of=60)
    assert illnesses(findings=(found,)) == ["leakage suspected"] * ill


@pytest.mark.parametrize(
    ("train", "val", "error", "ill"),
    [
        ((0.6, 0.55), (0.3, 0.3), 0.03, True),
        ((0.1, 0.1), (0.06, 0.06), 0.005, False),  # clear, and next to nothing
        ((0.6, 0.6), (0.4, 0.4), 0.06, False),  # chance
        ((0.6, 0.05), (0.3, 0.3), 0.03, False),  # the best weights are of an early epoch, that learned little
    ],
)
def test_easier(illnesses, train, val, error, ill):
    """Validation rows that are easier with all weights, by more than chance and more than a little."""
    assert illnesses(train=train, val=val, error=error) == ["validation easier than training"] * ill


def test_few_rows_that_are_easy_by_chance(make_history, make_evaluation, config):
    """A few easy rows have a small error themselves; how much the train rows differ says what chance can do."""
    evaluation = make_evaluation(train=(0.4, 0.4), val=(0.05, 0.05), error=0.08)
    samples = {**evaluation.samples, "val": SampleLoss(6, 0.05, 0.05, 0.02, 1.0, 0.0)}
    assert diagnose(make_history([0.9, 0.4]), replace(evaluation, samples=samples), config).healthy
