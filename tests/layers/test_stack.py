"""Layers one after another: a rectifier is computed after the max pooling that follows it, and nothing else changes."""

import copy

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lightlab import build_network
from lightlab.layers.stack import Stack

CONV = {"conv2d": {"filters": 4, "kernel_size": 3, "activation": "relu"}}
NETWORKS = {
    "a convolution's activation": [CONV, {"max_pool2d": 2}],
    "a layer of its own": [{"conv2d": {"filters": 4, "kernel_size": 3}}, "batch_norm", "relu", {"max_pool2d": 2}],
    "relu6": [{"conv2d": {"filters": 4, "kernel_size": 3, "activation": "relu6"}}, {"max_pool2d": [3, 2]}],
    "even kernels, padded before": [
        {"conv2d": {"filters": 4, "kernel_size": 2, "padding": "same", "activation": "relu"}},
        {"max_pool2d": {"pool_size": 3, "stride": 1}},
    ],
    "a block": [{"conv_block": {"filters": 4, "pool_size": 2}}],
    "two in a row": [CONV, {"max_pool2d": 2}, CONV, {"max_pool2d": 2}, "flatten"],
    "pooling twice": [CONV, {"max_pool2d": 2}, {"max_pool2d": 2}],
}


class Numbers(TorchDispatchMode):
    """Counts the numbers that rectifiers compute."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func.overloadpacket in (torch.ops.aten.relu, torch.ops.aten.hardtanh):
            self.count += args[0].numel()
        return func(*args, **kwargs or {})


def in_order(network):
    """Return the same network as torch's own Sequential calls it."""
    twin = copy.deepcopy(network)
    for layer in twin.modules():
        if type(layer) is Stack:
            layer.__class__ = nn.Sequential
    return twin


def results(network, images):
    """Return outputs, gradients, and how many numbers were rectified."""
    images = images.clone().requires_grad_()
    with Numbers() as numbers:
        outputs = network(images)
    outputs.square().sum().backward()
    return [outputs, images.grad, *(each.grad for each in network.parameters())], numbers.count


def bits(tensors):
    return [each.nan_to_num(nan=12345.0).detach() for each in tensors]


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("kind", ["random", "ties", "nan"])
def test_results_and_gradients_are_the_same_to_the_bit(name, kind):
    """Whatever comes in, ties and NaN too, outputs and gradients are those of the layers in their order."""
    torch.manual_seed(1)
    network, _ = build_network(NETWORKS[name], (1, 14, 14))
    images = torch.randn(6, 1, 14, 14)
    if kind == "ties":
        images = images.round()
    elif kind == "nan":
        images[2, 0, 5, 5] = torch.nan
    twin = in_order(network)
    (ours, fewer), (theirs, all_of_them) = results(network, images), results(twin, images)
    assert all(torch.equal(one, other) for one, other in zip(bits(ours), bits(theirs), strict=True))
    assert fewer < all_of_them


@pytest.mark.parametrize(
    "layers",
    [
        [nn.Tanh(), nn.MaxPool2d(2)],
        [nn.ReLU(), nn.AvgPool2d(2)],
        [nn.ReLU(), nn.Dropout(0.0), nn.MaxPool2d(2)],
        [nn.Sequential(), nn.MaxPool2d(2)],
        [],
    ],
)
def test_other_layers_are_called_in_their_order(layers):
    """What does not commute, or does not follow at once, keeps its place."""
    images = torch.randn(2, 3, 8, 8)
    assert torch.equal(Stack(*layers)(images), nn.Sequential(*layers)(images))


def test_hooks_see_what_their_layer_makes_of_what_is_before_it():
    """Whoever looks at a layer between, by a hook, has all called in order."""
    network, _ = build_network([CONV, {"max_pool2d": 2}], (1, 14, 14))
    convolution, pooling = network
    images = torch.randn(2, 1, 14, 14)
    wanted = nn.Sequential(*copy.deepcopy(network)).eval()(images)
    for layer in (convolution, convolution[-1], pooling):
        seen = []
        handle = layer.register_forward_hook(lambda _, inputs, output, seen=seen: seen.append((inputs[0], output)))
        outputs = network(images)
        handle.remove()
        ((inputs, output),) = seen
        assert torch.equal(outputs, wanted)
        assert (inputs if layer is pooling else output).min() == 0  # rectified by then
        assert (inputs if layer is pooling else output).shape == (2, 4, 12, 12)
