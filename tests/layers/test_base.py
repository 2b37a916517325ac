import math

import pytest
import torch
from torch import nn

from lightlab import build_network
from lightlab.layers.base import (
    INITIALIZERS,
    RELU_FAMILY,
    activation_name,
    default_initializer,
    make_activation,
    penalty,
    regularized,
)
from lightlab.registry import ACTIVATIONS

FAN_IN, FAN_OUT = 400, 300
#: The variance that each initialiser promises, and how far from zero it may reach, in standard deviations.
VARIANCES = {
    "he_normal": (2 / FAN_IN, None),
    "he_uniform": (2 / FAN_IN, 3),
    "glorot_normal": (2 / (FAN_IN + FAN_OUT), None),
    "glorot_uniform": (2 / (FAN_IN + FAN_OUT), 3),
    "lecun_normal": (1 / FAN_IN, None),
    "lecun_uniform": (1 / FAN_IN, 3),
    "normal": (0.05**2, None),
    "uniform": (0.1**2 / 12, 3),
}


def kernel(init, activation=None):
    torch.manual_seed(0)
    network, _ = build_network([{"dense": {"units": FAN_OUT, "init": init, "activation": activation}}], (FAN_IN,))
    return next(network.parameters()).detach()


@pytest.mark.parametrize("name", VARIANCES)
def test_initial_variance(name):
    """The kernel has mean 0 and the variance of the paper, and is bounded where the distribution is uniform."""
    variance, squared_reach = VARIANCES[name]
    weight = kernel(name)
    assert weight.mean().item() == pytest.approx(0, abs=3 * math.sqrt(variance / weight.numel()))
    assert weight.var().item() == pytest.approx(variance, rel=0.03)
    largest = weight.abs().max().item()
    if squared_reach:
        assert largest == pytest.approx(math.sqrt(squared_reach * variance), rel=0.01)
    else:
        assert largest > math.sqrt(9 * variance)


def test_other_initializers():
    """Orthogonal has rows of length one at right angles; zeros and ones are what they say; none is left out."""
    weight = kernel("orthogonal")
    torch.testing.assert_close(weight @ weight.T, torch.eye(FAN_OUT), rtol=0, atol=1e-5)
    assert (kernel("zeros") == 0).all()
    assert (kernel("ones") == 1).all()
    assert INITIALIZERS.keys() == {*VARIANCES, "orthogonal", "zeros", "ones"}


@pytest.mark.parametrize("name", [None, *ACTIVATIONS.names()])
def test_default_follows_the_activation(name):
    """He for relu's family, LeCun for selu, Glorot for the rest; the variance shows that it is used."""
    relu_like = (
        "relu",
        "relu6",
        "leaky_relu",
        "prelu",
        "elu",
        "celu",
        "gelu",
        "silu",
        "mish",
        "hard_swish",
        "softplus",
    )
    expected = 2 / FAN_IN if name in relu_like else 1 / FAN_IN if name == "selu" else 2 / (FAN_IN + FAN_OUT)
    assert kernel(None, name).var().item() == pytest.approx(expected, rel=0.03)
    if name:
        assert default_initializer({name: {}}) == default_initializer(name)


def test_relu_family_is_registered():
    """Every name in the family is one that a config can have."""
    assert set(ACTIVATIONS.names()) >= RELU_FAMILY


@pytest.mark.parametrize(
    "layer",
    [
        {"dense": {"units": 4, "init": "ones"}},
        {"conv2d": {"filters": 4, "kernel_size": 3, "init": "ones"}},
        {"conv2d_transpose": {"filters": 4, "kernel_size": 3, "init": "ones"}},
        {"separable_conv2d": {"filters": 4, "kernel_size": 3, "init": "ones"}},
    ],
)
def test_biases_start_at_zero(layer):
    """Whatever the kernel, the bias is zero; and use_bias: false leaves it out."""
    ((name, options),) = layer.items()
    for use_bias in (True, False):
        network, _ = build_network([{name: {**options, "use_bias": use_bias}}], (2, 6, 6))
        parameters = dict(network.named_parameters())
        biases = [value for name, value in parameters.items() if name.endswith("bias")]
        assert len(biases) == use_bias
        assert not any(bias.any() for bias in biases)
        assert all((value == 1).all() for name, value in parameters.items() if name.endswith("weight"))


L1, L2 = 0.01, 0.002


@pytest.mark.parametrize(
    ("layer", "shape", "kernels"),
    [
        ({"dense": {"units": 4}}, (3,), 1),
        ({"dense": {"units": 4, "activation": "relu"}}, (3,), 1),
        ({"mlp": {"units": [4, 5], "batch_norm": True}}, (3,), 2),
        ({"conv1d": {"filters": 4, "kernel_size": 2, "stride": 2, "padding": "same"}}, (3, 5), 1),
        ({"conv2d_transpose": {"filters": 4, "kernel_size": 3}}, (3, 5, 5), 1),
        ({"separable_conv2d": {"filters": 4, "kernel_size": 3}}, (3, 5, 5), 2),
        ({"conv_block": {"filters": 4}}, (3, 5, 5), 1),
        ({"embedding": {"input_dim": 4, "output_dim": 3}}, (3,), 1),
        ({"lstm": {"units": 4, "bidirectional": True, "num_layers": 2}}, (5, 3), 4),
        ({"gru": {"units": 4}}, (5, 3), 1),
    ],
)
@pytest.mark.parametrize("nest", ["not", "residual", "repeat", "parallel"])
def test_penalty(layer, shape, kernels, nest):
    """The penalty is l1·Σ|w| + l2·Σw² over the kernels alone, wherever the layer stands; other layers add nothing."""
    ((name, options),) = layer.items()
    inner = [{name: {**options, "l1": L1, "l2": L2}}]
    nested = {
        "not": inner,
        "residual": [{"flatten": None}, {"residual": [{"reshape": list(shape)}, *inner, "flatten"]}],
        "repeat": [{"repeat": {"times": 1, "layers": inner}}],
        "parallel": [{"parallel": [inner, inner]}],
    }[nest]
    network, _ = build_network([{"dense": shape[-1]}, *nested], shape)
    counted = [
        value.detach()
        for key, value in network.named_parameters()
        if value.ndim > 1 and "weight_hh" not in key and "0_dense" not in key.split(".")[0] and "shortcut" not in key
    ]
    assert len(counted) == kernels * (2 if nest == "parallel" else 1)
    expected = sum(L1 * value.abs().sum() + L2 * (value**2).sum() for value in counted)
    assert expected > 0
    torch.testing.assert_close(penalty(regularized(network)).detach(), expected)


def test_penalty_pulls_weights_to_zero():
    """Its gradient is l1·sign(w) + 2·l2·w; without regularisers there is none."""
    network, _ = build_network([{"dense": {"units": 2, "l1": L1, "l2": L2}}], (3,))
    weight = next(network.parameters())
    penalty(regularized(network)).backward()
    torch.testing.assert_close(weight.grad, L1 * weight.detach().sign() + 2 * L2 * weight.detach())
    assert penalty(regularized(build_network([{"dense": 2}], (3,))[0])) is None
    assert penalty(regularized(nn.Linear(1, 1))) is None


@pytest.mark.parametrize(
    ("config", "name", "slope"),
    [
        ("leaky_relu", "leaky_relu", 0.01),
        ({"leaky_relu": None}, "leaky_relu", 0.01),
        ({"leaky_relu": 0.3}, "leaky_relu", 0.3),
        ({"leaky_relu": {"negative_slope": 0.2}}, "leaky_relu", 0.2),
    ],
)
def test_activation_configs(config, name, slope):
    """An activation is a name, a name with a lone value, or a name with parameters."""
    assert activation_name(config) == name
    assert make_activation(config)(torch.tensor([-1.0])).item() == pytest.approx(-slope)
    network, _ = build_network([{"dense": {"units": 1, "init": "ones", "activation": config}}], (1,))
    assert network(torch.tensor([[-2.0]])).item() == pytest.approx(-2 * slope)
