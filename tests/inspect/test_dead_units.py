"""Units that never answer are found, whatever axis they stand on."""

import pytest
import torch
from torch import nn

from lightlab.inspect.dead_units import find_silent, watch_dead_units


def test_silent_units():
    """A unit is dead that is zero in all rows, and everywhere in them."""
    output = torch.rand(4, 8, 5, 5) + 0.1
    output[:, :4] = 0
    output[0, 5] = 0
    wanted = [True] * 4 + [False] * 4
    assert find_silent(output, 1).tolist() == wanted
    assert find_silent(output.movedim(1, -1), -1).tolist() == wanted


def test_watched_while_it_is_called():
    """Each rectifier's share is filled in by the call, of channels after a convolution; the hooks are gone after it."""
    model = nn.Sequential(nn.Conv2d(1, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2), nn.ReLU())
    nn.init.zeros_(model[0].weight)
    model[0].bias.data = torch.tensor([1.0, -1.0, -1.0, -1.0])
    model[3].bias.data, model[3].weight.data = torch.ones(2), torch.zeros(2, 16)
    with watch_dead_units(model) as shares:
        model(torch.rand(8, 1, 2, 2))
    assert shares == {"1": 0.75, "4": 0.0}
    assert not any(module._forward_hooks for module in model)


def test_batch_by_batch():
    """A unit that answers in one batch of several is not dead."""
    model = nn.Sequential(nn.ReLU())
    with watch_dead_units(model) as shares:
        model(torch.tensor([[1.0, -1.0, -1.0]]))
        model(torch.tensor([[-1.0, 1.0, -1.0]]))
    assert shares == {"0": pytest.approx(1 / 3)}
