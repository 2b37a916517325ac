"""Histograms count what is there, under the names of the config's layers, when they are due."""

import numpy as np
import pytest
import torch

from lightlab import BundledData, Model
from lightlab.inspect.tensorboard.histograms import (
    BINS,
    SAMPLE,
    Activations,
    are_due,
    count,
    gradient_tensors,
    weight_tensors,
)


@pytest.fixture
def model():
    """A model with a layer in a layer, and several of one."""
    data = BundledData("digits", batch_size=8)
    built = Model(["flatten", {"residual": [{"dense": 64}]}, {"mlp": {"units": [8, 4]}}], problem="multiclass")
    data.setup("fit")
    built.build(data.connect("multiclass"))
    return built


def test_counts_are_those_of_numpy():
    """Edges, counts and sums are NumPy's; of very many numbers a sample is counted, from end to end."""
    values = torch.randn(1000, generator=torch.Generator().manual_seed(0))
    edges, counts, sums = count({"a": values})["a"]
    wanted, wanted_edges = np.histogram(values.numpy(), BINS)
    assert np.allclose(edges, wanted_edges, atol=1e-6)
    assert np.abs(counts.numpy() - wanted).max() <= 1  # what lies on an edge
    assert sums.tolist() == pytest.approx([1000, values.sum().item(), values.square().sum().item()], rel=1e-4)
    many = torch.linspace(-1, 2, 1_000_000)
    edges, counts, _ = count({"a": many})["a"]
    assert edges[0] == -1
    assert edges[-1] == pytest.approx(2, abs=1e-3)
    assert SAMPLE * 0.9 < counts.sum() < SAMPLE * 1.1
    assert counts.max() / counts.min() < 1.05


def test_what_is_no_number_is_left_out():
    """Infinite and missing numbers, constants, nothing at all, and half precision."""
    found = count(
        {
            "holes": torch.tensor([1.0, torch.nan, 2.0, -torch.inf]),
            "one": torch.full((3,), 5.0),
            "none": torch.tensor([torch.nan]),
            "empty": torch.empty(0),
            "large": torch.full((4,), 3e38),
            "half": torch.ones(2, dtype=torch.float16),
        }
    )
    assert {name: int(counts.sum()) for name, (_, counts, _) in found.items()} == {
        "holes": 2,
        "one": 3,
        "large": 4,
        "half": 2,
    }


def test_every_so_many_epochs():
    """A number says after how many; false for never; true for more seldom as training gets longer."""
    assert [epoch for epoch in range(1, 13) if are_due(5, epoch)] == [5, 10]
    assert not any(are_due(False, epoch) for epoch in range(1, 13))
    assert 15 < sum(are_due(True, epoch) for epoch in range(1, 1001)) < 20


def test_names_are_those_of_the_config(model):
    """Parameters are called after their layers, those of one layer by number, and gradients after the parameters."""
    names = [
        f"{layer}/{parameter}"
        for layer in ("1_residual/0_dense", "2_mlp/1", "2_mlp/2", "head")
        for parameter in ("weight", "bias")
    ]
    assert list(weight_tensors(model)) == names
    assert gradient_tensors(model) == {}
    model(torch.ones(2, 1, 8, 8)).sum().backward()
    assert list(gradient_tensors(model)) == names


def test_one_call_is_looked_at(model):
    """Each layer's output is kept, of the next call; the one after it is not looked at, and nothing stays attached."""
    activations = Activations()
    activations.watch(model)
    logits = model(torch.ones(2, 1, 8, 8))
    assert list(activations.seen) == ["0_flatten", "1_residual/0_dense", "1_residual", "2_mlp", "head"]
    assert torch.equal(activations.seen["head"], logits.detach().flatten())
    model(torch.zeros(3, 1, 8, 8))
    assert len(activations.seen["head"]) == 2 * 10
    assert not any(module._forward_hooks for module in model.modules())
