"""Arrays and images are normalised by what the train split shows."""

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab.data.arrays.learn import check_array, learn_array
from lightlab.data.rows import Rows, Stored
from lightlab.errors import DataError
from lightlab.preprocess import make_preprocess


class InMemory(Stored):
    """Stored inputs that are a tensor after all."""

    def __init__(self, values, places=None):
        super().__init__(np.arange(len(values)) if places is None else places, tuple(values.shape[1:]))
        self.values = values

    def take(self, places):
        """Return some of them."""
        return InMemory(self.values, self.places[places])

    def read(self, stored):
        """Return the values."""
        return self.values[torch.from_numpy(stored)]


def rows(inputs):
    """Return rows of a file with these inputs."""
    return Rows(inputs, None, np.arange(len(inputs)), "file.npy")


@pytest.mark.parametrize("stored", [False, True])
@pytest.mark.parametrize(("normalize", "expected"), [("standard", (0, 1)), ("min_max", (None, None)), ("none", (5, 3))])
def test_images_are_normalised_by_channel(normalize, expected, stored):
    """Each channel is normalised over all rows and places, whole numbers too, in memory or not."""
    noise = torch.randn(700, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    images = (noise * 3 + 5).round().clamp(0, 255).byte()
    spec = learn_array(rows(InMemory(images) if stored else images), normalize, kind="image", high=255.0)
    assert (spec.kind, spec.high, spec.shape) == ("image", 255.0, (2, 8, 8))
    channels = make_preprocess(spec)(images).transpose(0, 1).flatten(1)
    if normalize == "min_max":
        assert channels.amin(1).tolist() == [0, 0]
        assert channels.amax(1).tolist() == pytest.approx([1, 1])
    else:
        assert channels.mean(1).tolist() == pytest.approx([expected[0]] * 2, abs=0.1 if normalize == "none" else 1e-5)
        assert channels.std(1).tolist() == pytest.approx([expected[1]] * 2, rel=0.05 if normalize == "none" else 1e-4)


def test_statistics_of_numbers_far_from_zero():
    """What little numbers differ by is not lost in their size."""
    values = torch.linspace(0, 1, 1000)[:, None] + 5e5
    spec = learn_array(rows(values.double()), "standard")
    assert spec.scale[0] == pytest.approx(float(values.double().std(unbiased=False)), rel=1e-6)


def test_stored_inputs_are_learned_from_a_sample(monkeypatch):
    """Of very many stored samples, some from all over tell what the channels are like."""
    monkeypatch.setattr("lightlab.data.arrays.learn.SAMPLES_READ", 101)
    values = torch.arange(10_001.0)[:, None]
    assert learn_array(rows(InMemory(values)), "standard").offset == (5000.0,)


def test_inputs_of_another_shape():
    """Tensors of another shape than in training are refused."""
    spec = learn_array(rows(torch.randn(5, 1, 8, 8)), "standard")
    with pytest.raises(DataError, match=r"shape \(1, 8, 8\)\. Received from file\.npy: \(1, 9, 9\)"):
        check_array(rows(torch.randn(5, 1, 9, 9)), spec)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_none(value):
    """NaN and inf are refused by row."""
    values = torch.zeros(5, 3)
    spec = learn_array(rows(values), "standard")
    values[2, 1] = value
    for use in (lambda: check_array(rows(values), spec), lambda: learn_array(rows(values), "standard")):
        with pytest.raises(DataError, match=r"file\.npy: (nan|inf) in row 2, feature 1, and so in 1 of 5 rows"):
            use()


def test_a_table_is_no_array():
    """A model of arrays is told that it was given columns."""
    with pytest.raises(DataError, match="The model takes arrays"):
        learn_array(rows(pd.DataFrame({"x": [1]})), "standard")


def test_channels_that_never_change_are_said(capsys):
    """They are shifted to 0 and said; those that differ by next to nothing are refused, by number."""
    inputs = torch.rand(20, 3)
    inputs[:, 1] = 5
    spec = learn_array(Rows(inputs, None, np.arange(20), "file.npy"), "standard")
    assert capsys.readouterr().out == "constant: feature 1 of file.npy (the same in every row of the train split)\n"
    assert (spec.offset[1], spec.scale[1]) == (5.0, 1.0)
    inputs[:, 2] *= 1e-40
    with pytest.raises(DataError, match=r"differ by at least 1e-37.* feature 2 of file\.npy"):
        learn_array(Rows(inputs, None, np.arange(20), "file.npy"), "standard")


def test_numbers_far_from_those_of_training():
    """A number whose square single precision does not hold is refused, with its channel."""
    inputs = torch.rand(20, 2, 4)
    spec = learn_array(Rows(inputs, None, np.arange(20), "file.npy"), "standard")
    inputs[3, 1, 2] = 1e30
    with pytest.raises(DataError, match=r"at most 1e\+18.*Received in other\.npy: .*e\+30 in channel 1"):
        check_array(Rows(inputs, None, np.arange(20), "other.npy"), spec)
