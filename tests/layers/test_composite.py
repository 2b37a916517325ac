import pytest
import torch
from torch import nn

from lightlab import ConfigError, ShapeError, build_network


def kinds(network):
    """Return the types of the modules that hold no others."""
    return [type(module).__name__ for module in network.modules() if not list(module.children())]


def test_mlp():
    """Dense, batch norm, activation and dropout for each entry; with batch norm there is no bias."""
    options = {"units": [25, 36], "activation": "tanh", "batch_norm": True, "dropout": 0.3}
    network, shape = build_network([{"mlp": options}], (14,))
    assert kinds(network) == ["Linear", "BatchNorm1d", "Tanh", "Dropout"] * 2
    assert [module.bias for module in network.modules() if isinstance(module, nn.Linear)] == [None, None]
    assert shape == (36,)


def test_mlp_of_the_course():
    """A lone list is units: as many parameters as the dense layers one by one."""
    network, shape = build_network([{"mlp": [25, 36, 47]}], (14,))
    assert [sum(p.numel() for p in part.parameters()) for part in network[0] if isinstance(part, nn.Linear)] == [
        375,
        936,
        1739,
    ]
    assert kinds(network) == ["Linear", "ReLU"] * 3
    assert build_network([{"mlp": 25}], (14,))[1] == (25,)
    assert shape == (47,)


@pytest.mark.parametrize("activation", ["relu", "selu", "tanh"])
@pytest.mark.parametrize("layer", [{"mlp": {"units": 300}}, {"conv_block": {"filters": 300, "kernel_size": 1}}])
def test_initial_weights_follow_the_activation(layer, activation):
    """He for relu, LeCun for selu, Glorot else, though the activation is a module of its own."""
    torch.manual_seed(0)
    ((name, options),) = layer.items()
    network, _ = build_network([{name: {**options, "activation": activation}}], (400,) if name == "mlp" else (400, 2))
    variance = {"relu": 2 / 400, "selu": 1 / 400, "tanh": 2 / 700}[activation]
    assert next(network.parameters()).var().item() == pytest.approx(variance, rel=0.03)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_conv_block(dimensions):
    """Convolution, batch norm, activation, pooling and dropout of channels, over as many dimensions as arrive."""
    options = {"filters": 4, "pool_size": 2, "dropout": 0.1}
    network, shape = build_network([{"conv_block": options}], (2, *(8,) * dimensions))
    n = dimensions
    assert kinds(network) == [f"Conv{n}d", f"BatchNorm{n}d", "ReLU", f"MaxPool{n}d", f"Dropout{n}d"]
    assert network[0][0].bias is None
    assert shape == (4, *(4,) * dimensions)


def test_conv_block_without():
    """Without batch norm the convolution has a bias; padding and stride are the convolution's."""
    options = {"filters": 4, "kernel_size": [3, 2], "stride": 2, "padding": "valid", "batch_norm": False}
    network, shape = build_network([{"conv_block": {**options, "activation": "elu"}}], (2, 9, 8))
    assert kinds(network) == ["Conv2d", "ELU"]
    assert network[0][0].bias is not None
    assert shape == (4, 4, 4)


def test_residual_adds_what_arrives():
    """activation(layers(x) + x), and layers of nothing double what arrives."""
    network, shape = build_network([{"residual": {"layers": [{"dense": 6}], "activation": "relu"}}], (6,))
    inputs = torch.randn(3, 6)
    torch.testing.assert_close(network(inputs), (network[0].inner(inputs) + inputs).relu())
    assert shape == (6,)
    assert sum(p.numel() for p in network.parameters()) == 42
    assert torch.equal(build_network([{"residual": []}], (6,))[0](inputs), 2 * inputs)


@pytest.mark.parametrize(
    ("layers", "before", "after", "shortcut"),
    [
        ([{"dense": 8}], (6,), (8,), nn.Linear),
        ([{"conv1d": {"filters": 8, "kernel_size": 3, "padding": "same"}}], (2, 7), (8, 7), nn.Conv1d),
        ([{"conv2d": {"filters": 2, "kernel_size": 3, "padding": "same"}}], (2, 7, 7), (2, 7, 7), nn.Identity),
        ([{"conv_block": {"filters": 8, "stride": 2}}], (2, 7, 9), (8, 4, 5), nn.Conv2d),
        ([{"conv_block": {"filters": 2, "stride": [1, 3, 2]}}], (2, 5, 7, 9), (2, 5, 3, 5), nn.Conv3d),
        ([{"conv_block": {"filters": 8, "pool_size": 2}}], (2, 8, 8), (8, 4, 4), nn.Conv2d),
    ],
)
def test_residual_shortcut(layers, before, after, shortcut):
    """Where the shape changes, the way around is a dense layer, or a convolution of kernel size 1; Glorot weights."""
    network, shape = build_network([{"residual": layers}], before)
    network.eval()
    around = network[0].shortcut
    inputs = torch.randn(2, *before)
    assert shape == after
    assert type(around) is shortcut
    torch.testing.assert_close(network(inputs), network[0].inner(inputs) + around(inputs))
    if shortcut is not nn.Identity:
        assert around.weight.shape[2:] == (1,) * (len(before) - 1)
        assert around.weight.abs().max() <= (6 / (before[0] + after[0])) ** 0.5
        assert not around.bias.any()


@pytest.mark.parametrize(
    ("layers", "shape", "rule"),
    [
        ([{"conv2d": {"filters": 2, "kernel_size": 3}}], (2, 7, 7), "keep the size of what arrives or divide it"),
        (["flatten"], (2, 7), "keep the rank of what arrives"),
    ],
)
def test_residual_without_a_way_around(layers, shape, rule):
    """A shape that no shortcut leads to is an error that names the layer."""
    with pytest.raises(ConfigError, match=rf"layers\[0\]\.residual: residual can't be built for .*{rule}"):
        build_network([{"residual": layers}], shape)


def test_repeat():
    """Each time has weights of its own, and takes what the time before gives."""
    network, shape = build_network([{"repeat": {"times": 3, "layers": [{"dense": 8}, "tanh"]}}], (4,))
    weights = [module.weight for module in network.modules() if isinstance(module, nn.Linear)]
    assert [tuple(weight.shape) for weight in weights] == [(8, 4), (8, 8), (8, 8)]
    assert not torch.equal(weights[1], weights[2])
    assert shape == (8,)


@pytest.mark.parametrize(("axis", "after"), [(1, (5, 6)), (2, (3, 12)), (-1, (3, 12))])
def test_parallel_concat(axis, after):
    """The outputs stand behind each other along the axis, in the order of the branches."""
    widen = [{"conv1d": {"filters": 2, "kernel_size": 1}}] if axis == 1 else ["tanh"]
    network, shape = build_network([{"parallel": {"branches": [[], widen], "axis": axis}}], (3, 6))
    inputs = torch.randn(4, 3, 6)
    branch = network[0].branches[1]
    torch.testing.assert_close(network(inputs), torch.cat([inputs, branch(inputs)], axis))
    assert shape == after


def test_parallel_add():
    """The outputs are summed; every branch has weights of its own."""
    branches = [[{"dense": 5}], [{"dense": 5}, "tanh"], [{"dense": 5}]]
    network, shape = build_network([{"parallel": {"branches": branches, "merge": "add"}}], (3,))
    inputs = torch.randn(4, 3)
    expected = sum(branch(inputs) for branch in network[0].branches)
    torch.testing.assert_close(network(inputs), expected)
    assert len({tuple(p.flatten().tolist()) for p in network.parameters() if p.ndim == 2}) == 3
    assert shape == (5,)


@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"branches": []}, "parallel has at least one branch"),
        ({"branches": [["flatten"], []]}, "branches end in shapes of one rank"),
        ({"branches": [[], []], "axis": 3}, "axis is 1 to 2, or -1. Received: 3"),
        ({"branches": [[{"dense": 5}], []], "axis": 1}, "branches differ on axis 1 only to concat"),
        ({"branches": [[{"dense": 5}], []], "merge": "add"}, "branches end in one shape to add"),
    ],
)
def test_parallel_that_can_not_be_joined(options, rule):
    """Outputs that do not fit together are an error with the rule and the shapes."""
    with pytest.raises(ConfigError, match=rf"layers\[0\]\.parallel: .*{rule}"):
        build_network([{"parallel": options}], (3, 6))


@pytest.mark.parametrize(
    ("composite", "key"),
    [
        ({"residual": [{"dense": 4}, "conv2d"]}, "layers[0].residual.layers[1]"),
        ({"repeat": {"times": 2, "layers": ["tanh", {"conv2d": 5}]}}, "layers[0].repeat.layers[1].conv2d"),
        ({"parallel": [["tanh"], ["tanh", {"conv2d": 5}]]}, "layers[0].parallel.branches[1][1].conv2d"),
        (
            {"residual": [{"repeat": {"times": 1, "layers": [{"dens": 3}]}}]},
            "layers[0].residual.layers[0].repeat.layers[0].dens",
        ),
    ],
)
def test_faults_inside_have_their_place(composite, key):
    """A fault in a nested layer is located within the layer that holds it."""
    with pytest.raises(ConfigError) as caught:
        build_network([composite], (4,))
    assert {str(fault).split(": ")[0] for fault in caught.value.faults} == {key}


def test_shape_errors_inside_have_their_place():
    """So is a layer that does not fit what arrives at it there."""
    layers = [{"parallel": [["flatten"], ["relu", {"conv2d": {"filters": 1, "kernel_size": 9}}]]}]
    with pytest.raises(ShapeError) as caught:
        build_network([{"residual": layers}], (1, 4, 4))
    message = str(caught.value)
    assert message.startswith("layers[0].residual.layers[0].parallel.branches[1][1].conv2d: conv2d can't take")
    assert "(batch, 1, 4, 4) after relu" in message
