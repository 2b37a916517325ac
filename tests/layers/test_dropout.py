import pytest
import torch

from lightlab import ConfigError, build_network

ALL = ["dropout", "spatial_dropout", "alpha_dropout", "gaussian_noise"]


@pytest.mark.parametrize("name", ALL)
def test_evaluation_passes_everything_on(name):
    """In evaluation the values are what arrived; in training they are not."""
    network, shape = build_network([{name: 0.5}], (4, 6))
    inputs = torch.randn(8, 4, 6)
    assert not torch.equal(network.train()(inputs), inputs)
    assert torch.equal(network.eval()(inputs), inputs)
    assert shape == (4, 6)


@pytest.mark.parametrize("rate", [0.0, 0.2, 0.75])
def test_dropout_rate(rate):
    """A share of the values becomes zero, and the rest is scaled up so that the mean stays."""
    torch.manual_seed(0)
    network, _ = build_network([{"dropout": rate}], (1000,))
    outputs = network(torch.ones(100, 1000))
    assert (outputs == 0).float().mean().item() == pytest.approx(rate, abs=0.01)
    kept = outputs[outputs != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)))


@pytest.mark.parametrize("sizes", [(7,), (7, 5), (7, 5, 3)])
def test_spatial_dropout_takes_whole_channels(sizes):
    """A channel of a sample is kept or dropped as a whole, each sample's on its own."""
    torch.manual_seed(0)
    network, _ = build_network([{"spatial_dropout": 0.4}], (50, *sizes))
    outputs = network(torch.ones(40, 50, *sizes)).flatten(2)
    assert (outputs.amin(2) == outputs.amax(2)).all()
    dropped = outputs[:, :, 0] == 0
    assert dropped.float().mean().item() == pytest.approx(0.4, abs=0.05)
    assert len({tuple(row) for row in dropped.tolist()}) == 40


def test_alpha_dropout_keeps_mean_and_variance():
    """Of values with mean 0 and variance 1, both stay."""
    torch.manual_seed(0)
    network, _ = build_network([{"alpha_dropout": 0.3}], (1000,))
    outputs = network(torch.randn(200, 1000))
    assert outputs.mean().item() == pytest.approx(0, abs=0.02)
    assert outputs.var().item() == pytest.approx(1, abs=0.03)


def test_gaussian_noise():
    """Normal noise of the given standard deviation is added."""
    torch.manual_seed(0)
    network, _ = build_network([{"gaussian_noise": 0.3}], (1000,))
    noise = network(torch.full((200, 1000), 5.0)) - 5
    assert noise.mean().item() == pytest.approx(0, abs=0.01)
    assert noise.std().item() == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("value", [-0.1, 1.0, "0.5", float("nan"), float("inf")])
def test_values_that_can_not_be(name, value):
    """A rate is at least 0 and less than 1; a standard deviation is not negative, and finite."""
    if name == "gaussian_noise" and value == 1.0:
        assert build_network([{name: value}], (4, 6))[1] == (4, 6)
        return
    with pytest.raises(ConfigError, match=rf"layers\[0\]\.{name}\.(rate|stddev): .* Received: {value!r}\."):
        build_network([{name: value}], (4, 6))
