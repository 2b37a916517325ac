import numpy as np
import pytest
import torch
from scipy import special

from lightlab import ShapeError, build_network
from lightlab.registry import ACTIVATIONS, LAYERS

POINTS = np.linspace(-7, 7, 57)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


#: Each by its formula, in numpy, with the parameters that are given.
FORMULAS = {
    "linear": ({}, lambda x: x),
    "relu": ({}, lambda x: np.maximum(x, 0)),
    "relu6": ({}, lambda x: np.clip(x, 0, 6)),
    "leaky_relu": ({"negative_slope": 0.2}, lambda x: np.where(x > 0, x, 0.2 * x)),
    "prelu": ({"init": 0.4}, lambda x: np.where(x > 0, x, 0.4 * x)),
    "elu": ({"alpha": 0.7}, lambda x: np.where(x > 0, x, 0.7 * np.expm1(x))),
    "celu": ({"alpha": 0.7}, lambda x: np.maximum(0, x) + np.minimum(0, 0.7 * np.expm1(x / 0.7))),
    "selu": ({}, lambda x: 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(x))),
    "gelu": ({}, lambda x: x * special.ndtr(x)),
    "silu": ({}, lambda x: x * sigmoid(x)),
    "mish": ({}, lambda x: x * np.tanh(np.log1p(np.exp(x)))),
    "hard_swish": ({}, lambda x: x * np.clip(x + 3, 0, 6) / 6),
    "tanh": ({}, np.tanh),
    "sigmoid": ({}, sigmoid),
    "hard_sigmoid": ({}, lambda x: np.clip(x + 3, 0, 6) / 6),
    "softplus": ({"beta": 2.0}, lambda x: np.log1p(np.exp(2 * x)) / 2),
    "softsign": ({}, lambda x: x / (1 + np.abs(x))),
    "exponential": ({}, np.exp),
    "softmax": ({}, lambda x: special.softmax(x)),
    "log_softmax": ({}, lambda x: special.log_softmax(x)),
}


@pytest.mark.parametrize("name", [name for name in ACTIVATIONS.names() if name in LAYERS])
def test_formula(name):
    """Each gives what its formula says, as a layer and as another layer's activation."""
    options, formula = FORMULAS[name]
    inputs = torch.tensor(POINTS, dtype=torch.float32)[None]
    expected = torch.tensor(formula(POINTS), dtype=torch.float32)[None]
    layer, shape = build_network([{name: options}], (len(POINTS),))
    assert shape == (len(POINTS),)
    torch.testing.assert_close(layer(inputs), expected, rtol=1e-4, atol=1e-5)
    dense = {"units": len(POINTS), "activation": {name: options}}
    network, _ = build_network([{"dense": dense}], (len(POINTS),))
    with torch.no_grad():
        next(network.parameters()).copy_(torch.eye(len(POINTS)))
    torch.testing.assert_close(network(inputs), expected, rtol=1e-4, atol=1e-5)


def test_gelu_approximation():
    """Of gelu, tanh gives the approximation of Hendrycks and Gimpel."""
    layer, _ = build_network([{"gelu": "tanh"}], (len(POINTS),))
    expected = POINTS * 0.5 * (1 + np.tanh(np.sqrt(2 / np.pi) * (POINTS + 0.044715 * POINTS**3)))
    torch.testing.assert_close(layer(torch.tensor(POINTS)), torch.tensor(expected), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("axis", "dim"), [(1, 1), (2, 2), (-1, 2)])
def test_softmax_axis(axis, dim):
    """Axes are counted from the batch, which is 0."""
    inputs = torch.randn(2, 3, 4)
    shares, _ = build_network([{"softmax": axis}], (3, 4))
    logs, _ = build_network([{"log_softmax": axis}], (3, 4))
    sums = shares(inputs).sum(dim)
    torch.testing.assert_close(sums, torch.ones_like(sums))
    torch.testing.assert_close(logs(inputs).exp(), shares(inputs))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_axis_that_is_not_there(name):
    """An axis beyond the last is a shape error when the network is built, not when it first runs."""
    with pytest.raises(ShapeError, match=rf"layers\[0\]\.{name}: {name} can't take \(batch, 4\) after the input"):
        build_network([{name: 2}], (4,))
