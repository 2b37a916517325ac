"""What the steps share: random rows of any kind, samples of a bounded size, models that are quiet, seeds."""

import random

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from lightlab import BundledData, SyntheticData, TableData
from lightlab.inspect.numbers import short
from lightlab.inspect.procedure.base import Result, one_line, quiet, row_losses, seeded


def test_random_rows_are_like_the_data(make_subject):
    """Codes stay codes, missing values may be missing, and each column keeps to its own values."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": np.where(generator.random(300) < 0.3, np.nan, generator.integers(100, 110, 300)),
            "city": generator.choice(["Oslo", "Rome"], 300),
            "kind": generator.choice(["a", "b"], 300),
        }
    )
    drawn = make_subject(data=TableData.from_frame(frame, "kind")).random_rows(200)
    sizes, cities = drawn.inputs.T
    assert sizes.isnan().any()
    assert sizes[~sizes.isnan()].min() >= 100
    assert set(cities.tolist()) == {0.0, 1.0}
    assert set(drawn.targets.tolist()) == {0, 1}


def test_random_rows_are_random(make_subject):
    """Values come from several rows: none of the drawn rows is a row of the data."""
    subject = make_subject(data=SyntheticData([20], rows=300))
    real = {tuple(row) for row in subject.sample.inputs.tolist()}
    assert not real & {tuple(row) for row in subject.random_rows(100).inputs.tolist()}


def test_sample_is_bounded(make_subject):
    """Whole batches until there are 128 rows, no more than 512 of a large batch, and few where rows are large."""
    sizes = {
        size: len(make_subject(data=BundledData("digits", batch_size=size)).sample.inputs) for size in (50, 128, 1000)
    }
    assert sizes == {50: 150, 128: 128, 1000: 512}
    large = SyntheticData([3, 224, 224], rows=60, batch_size=8)
    assert len(make_subject(["flatten"], large).sample.inputs) == 16


def test_fresh_models(make_subject):
    """Each has the same weights, none is the given one, and that stays unbuilt."""
    subject = make_subject()
    first, second = subject.fresh(), subject.fresh()
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))
    with torch.no_grad():
        first.head.linear.weight.zero_()
    assert second.head.linear.weight.any()
    assert subject.model.data_spec is None


def test_quiet(make_subject):
    """Dropout and noise do nothing, and batch norms take a batch's own mean."""
    layers = [{"dense": 8}, "batch_norm", {"dropout": 0.5}, {"gaussian_noise": 1.0}]
    subject = make_subject(layers)
    model = quiet(subject.fresh())
    first, second = (row_losses(model, subject.sample) for _ in range(2))
    torch.testing.assert_close(first, second)
    norm = next(module for module in model.modules() if isinstance(module, nn.BatchNorm1d))
    assert norm.num_batches_tracked == 2


def test_seeded():
    """Random numbers are those of the seed inside, and go on as if nothing had been outside."""

    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    wanted = draw(), draw()
    torch.manual_seed(3), np.random.seed(3), random.seed(3)
    before = draw()
    with seeded(5):
        inside = draw()
    assert (before, draw()) == wanted
    with seeded(5):
        assert draw() == inside


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.0456, "0.046"),
        (2.345, "2.35"),
        (-0.5, "-0.50"),
        (150.4, "150"),
        (25000.0, "2.50e+04"),
        (0.0034, "0.0034"),
    ],
)
def test_short(value, text):
    """Few digits, at any size."""
    assert short(value) == text


def test_errors_in_one_line():
    """An error that is not lightlab's is called by its type, in its first line."""
    assert one_line(ValueError("no\nmore")) == "ValueError: no"
    assert one_line(KeyError()) == "KeyError: without a message"


def test_result_as_json():
    """What was raised is text there."""
    result = Result("failed", "no such column", {"rows": 3}, ("a line",), ValueError("no"), "data")
    assert result.to_dict() == {
        "step": "data", "verdict": "failed", "text": "no such column", "figures": {"rows": 3}, "lines": ("a line",),
    }  # fmt: skip
