import pytest
import torch
from torch import nn

from lightlab import build_network

COURSE = [{"dense": {"units": units, "activation": "relu"}} for units in (25, 36, 47)]


def test_network_of_the_course():
    """14 inputs, dense layers of 25, 36 and 47: 375, 936 and 1739 parameters, as Keras' summary has it."""
    network, shape = build_network(COURSE, (14,))
    assert [sum(p.numel() for p in layer.parameters()) for layer in network] == [375, 936, 1739]
    assert list(dict(network.named_children())) == ["0_dense", "1_dense", "2_dense"]
    assert shape == (47,)


@pytest.mark.parametrize("shape", [(3,), (5, 3), (2, 5, 3)])
@pytest.mark.parametrize("use_bias", [True, False])
def test_computes_the_affine_map(shape, use_bias):
    """The last axis is mapped by x Wᵀ + b, the others are left alone."""
    network, output_shape = build_network([{"dense": {"units": 4, "use_bias": use_bias}}], shape)
    parameters = [parameter.detach() for parameter in network.parameters()]
    with torch.no_grad():
        for parameter in network.parameters():
            nn.init.normal_(parameter)
    inputs = torch.randn(2, *shape)
    expected = torch.einsum("...i,oi->...o", inputs, parameters[0]) + (parameters[1] if use_bias else 0)
    torch.testing.assert_close(network(inputs).detach(), expected)
    assert output_shape == (*shape[:-1], 4)
    assert len(parameters) == 1 + use_bias


def test_torch_modules_by_name():
    """nn.<Module> reaches torch.nn, and its parameters are those of its constructor."""
    layers = [
        {"nn.Linear": {"in_features": 3, "out_features": 5, "bias": False}},
        "nn.GELU",
        {"nn.Unflatten": [1, [5, 1]]},
    ]
    network, shape = build_network(layers[:2], (3,))
    assert [type(layer) for layer in network] == [nn.Linear, nn.GELU]
    assert list(dict(network.named_children())) == ["0_nn_Linear", "1_nn_GELU"]
    assert shape == (5,)
    assert network[0].bias is None
