import pytest
import torch
from torch import nn

from lightlab import ConfigError, build_network
from lightlab.layers.base import penalty, regularized

UNITS, TIME, FEATURES = 4, 5, 3
CELLS = {"lstm": nn.LSTM, "gru": nn.GRU}
for_both = pytest.mark.parametrize("name", CELLS)


def build(name, **options):
    return build_network([{name: {"units": UNITS, **options}}], (TIME, FEATURES))


@for_both
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_outputs(name, bidirectional, num_layers):
    """With return_sequences the outputs of all steps; without, where each direction of the last layer ends."""
    options = {"bidirectional": bidirectional, "num_layers": num_layers}
    last, last_shape = build(name, **options)
    every, every_shape = build(name, return_sequences=True, **options)
    every.load_state_dict(last.state_dict())
    reference = CELLS[name](FEATURES, UNITS, num_layers, batch_first=True, bidirectional=bidirectional)
    reference.load_state_dict({key.split(".")[-1]: value for key, value in last.state_dict().items()})
    inputs = torch.randn(2, TIME, FEATURES)
    outputs, _ = reference(inputs)
    torch.testing.assert_close(every(inputs), outputs)
    ends = [outputs[:, -1, :UNITS], outputs[:, 0, UNITS:]]
    torch.testing.assert_close(last(inputs), torch.cat(ends, 1))
    width = UNITS * (1 + bidirectional)
    assert last_shape == (width,)
    assert every_shape == (TIME, width)


@for_both
def test_initial_weights(name):
    """Input kernels gate by gate as init says, orthogonal recurrent ones, zero biases; 1 for an LSTM's forget gate."""
    torch.manual_seed(0)
    gates = 4 if name == "lstm" else 3
    network, _ = build_network([{name: {"units": 200, "bidirectional": True, "num_layers": 2}}], (TIME, 300))
    for key, value in network.state_dict().items():
        parts = value.chunk(gates)
        if "weight_ih" in key:
            fan_in = 300 if "l0" in key else 400
            assert all(part.var().item() == pytest.approx(2 / (fan_in + 200), rel=0.05) for part in parts), key
        elif "weight_hh" in key:
            for part in parts:
                torch.testing.assert_close(part @ part.T, torch.eye(200), rtol=0, atol=1e-4)
        else:
            ones = [index for index, part in enumerate(parts) if (part == 1).all()]
            assert ones == ([1] if name == "lstm" and "bias_ih" in key else []), key
            assert all((part == 0).all() for index, part in enumerate(parts) if index not in ones)
    assert len(network.state_dict()) == 16


def test_forget_gate_is_torchs_second():
    """With nothing arriving, a state of one decays by the forget gate alone: the bias sits where torch has it."""
    network, _ = build("lstm")
    cell = network[0].cell
    with torch.no_grad():
        for key, value in cell.named_parameters():
            if "weight" in key:
                value.zero_()
    ones = torch.ones(1, 1, UNITS)
    _, (_, state) = cell(torch.zeros(1, 1, FEATURES), (ones, ones))
    torch.testing.assert_close(state, torch.sigmoid(ones))


@for_both
def test_penalty_is_of_input_kernels(name):
    """l1 and l2 count the input kernels of every layer and direction."""
    network, _ = build(name, num_layers=2, bidirectional=True, l1=0.1, l2=0.01)
    kernels = [value.detach() for key, value in network.named_parameters() if "weight_ih" in key]
    assert len(kernels) == 4
    expected = sum(0.1 * kernel.abs().sum() + 0.01 * kernel.square().sum() for kernel in kernels)
    torch.testing.assert_close(penalty(regularized(network)).detach(), expected)


@for_both
def test_dropout_is_between_layers(name):
    """Dropout disturbs training only, and needs a second layer to stand before."""
    network, _ = build(name, num_layers=2, dropout=0.5)
    inputs = torch.randn(2, TIME, FEATURES)
    assert not torch.equal(network(inputs), network(inputs))
    assert torch.equal(network.eval()(inputs), network(inputs))
    with pytest.raises(ConfigError, match="it takes num_layers of 2 or more. Received: dropout 0.5"):
        build(name, dropout=0.5)
