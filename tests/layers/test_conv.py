import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lightlab import ConfigError, ShapeError, build_network
from lightlab.layers.conv import same_padding

CONVS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
SIZES = range(3, 14)


def build(name, size, dimensions=1, channels=2, **options):
    sizes = (size,) * dimensions if isinstance(size, int) else size
    return build_network([{name: {"filters": 3, **options}}], (channels, *sizes))


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2, 3])
def test_same_size(kernel, stride, dilation):
    """Padding `same` gives ceil(size / stride), whatever kernel and dilation; `valid` the textbook's formula."""
    options = {"kernel_size": kernel, "stride": stride, "dilation": dilation}
    reach = dilation * (kernel - 1) + 1
    for size in SIZES:
        for name in ("conv1d", "separable_conv1d"):
            network, shape = build(name, size, padding="same", **options)
            assert shape == (3, math.ceil(size / stride))
            assert network(torch.zeros(1, 2, size)).shape[1:] == shape
            if size >= reach:
                assert build(name, size, **options)[1] == (3, (size - reach) // stride + 1)


@pytest.mark.parametrize("kernel", [2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
def test_same_values(kernel, stride, dilation):
    """Padding `same` computes what TensorFlow's does: zeros around, the larger half of them after."""
    for size in SIZES:
        network, _ = build("conv1d", size, kernel_size=kernel, stride=stride, dilation=dilation, padding="same")
        weight, bias = network.parameters()
        inputs = torch.randn(2, 2, size)
        reach = dilation * (kernel - 1) + 1
        total = max((math.ceil(size / stride) - 1) * stride + reach - size, 0)
        padded = F.pad(inputs, (total // 2, total - total // 2))
        torch.testing.assert_close(network(inputs), F.conv1d(padded, weight, bias, stride, dilation=dilation))
        assert same_padding([size], [kernel], [stride], [dilation]) == [(total // 2, total - total // 2)]


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_dimensions_have_numbers_of_their_own(padding):
    """Kernel, stride and dilation may differ from dimension to dimension."""
    network, shape = build(
        "conv3d", (9, 8, 7), kernel_size=[1, 2, 3], stride=[3, 1, 2], dilation=[1, 2, 1], padding=padding
    )
    assert shape == ((3, 3, 8, 4) if padding == "same" else (3, 3, 6, 3))
    assert next(network.parameters()).shape == (3, 2, 1, 2, 3)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_values(dimensions):
    """A convolution is torch's, with groups, bias and activation."""
    options = {"kernel_size": 3, "groups": 2, "activation": "tanh"}
    network, shape = build_network([{f"conv{dimensions}d": {"filters": 4, **options}}], (2, *(6,) * dimensions))
    weight, bias = network.parameters()
    nn.init.normal_(bias)
    inputs = torch.randn(2, 2, *(6,) * dimensions)
    torch.testing.assert_close(network(inputs), CONVS[dimensions](inputs, weight, bias, groups=2).tanh())
    assert shape == (4, *(4,) * dimensions)


def test_symmetric_padding_stays_within_torch():
    """Where as much is padded before as after, there is one module and no copy of the input."""
    network, _ = build("conv2d", 8, dimensions=2, kernel_size=3, padding="same")
    assert isinstance(network[0], nn.Conv2d)
    assert network[0].padding == (1, 1)


@pytest.mark.parametrize("kernel", [1, 2, 3, 5])
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_transposed_size(kernel, stride, dilation, padding):
    """`same` gives size · stride, `valid` (size − 1) · stride + max(kernel, stride)."""
    reach = dilation * (kernel - 1) + 1
    for size in range(1, 7):
        options = {"kernel_size": kernel, "stride": stride, "dilation": dilation, "padding": padding}
        network, shape = build("conv1d_transpose", size, **options)
        expected = size * stride if padding == "same" else (size - 1) * stride + max(reach, stride)
        assert shape == (3, expected)
        assert network(torch.zeros(1, 2, size)).shape[1:] == shape


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kernel", [2, 3, 4])
def test_transposed_is_the_gradient_of_same(stride, kernel):
    """With padding `same` it is the transpose of the convolution with padding `same`, as in TensorFlow."""
    size = 5
    network, _ = build("conv1d_transpose", size, kernel_size=kernel, stride=stride, padding="same")
    forward, shape = build_network(
        [{"conv1d": {"filters": 2, "kernel_size": kernel, "stride": stride, "padding": "same", "use_bias": False}}],
        (3, size * stride),
    )
    assert shape == (2, size)
    with torch.no_grad():
        next(forward.parameters()).copy_(next(network.parameters()))
    outputs = torch.randn(1, 2, size)
    inputs = torch.zeros(1, 3, size * stride, requires_grad=True)
    (forward(inputs) * outputs).sum().backward()
    torch.testing.assert_close(network(outputs), inputs.grad)


@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_separable(dimensions):
    """Each channel is filtered by itself, then the channels are mixed: depthwise, then pointwise."""
    options = {"kernel_size": 3, "depth_multiplier": 2, "stride": 2, "padding": "same"}
    network, _ = build(f"separable_conv{dimensions}d", 6, dimensions, **options)
    depthwise, pointwise, bias = network.parameters()
    assert depthwise.shape == (4, 1, *(3,) * dimensions)
    assert pointwise.shape == (3, 4, *(1,) * dimensions)
    inputs = torch.randn(2, 2, *(6,) * dimensions)
    padded = F.pad(inputs, (0, 1) * dimensions)
    conv = CONVS[dimensions]
    expected = conv(conv(padded, depthwise, stride=2, groups=2), pointwise, bias)
    torch.testing.assert_close(network(inputs), expected)


@pytest.mark.parametrize("init", ["he_normal", "glorot_uniform", "lecun_normal", "orthogonal", "zeros"])
@pytest.mark.parametrize("name", ["conv2d", "conv2d_transpose", "separable_conv2d"])
@pytest.mark.parametrize("groups", [1, 4])
def test_initial_kernels(init, name, groups):
    """Fans count the points of the kernel and the channels of a group, of those that arrive for fan-in."""
    torch.manual_seed(0)
    filters, channels = 48, 64
    options = {"filters": filters, "kernel_size": 3, "init": init} | ({} if "sep" in name else {"groups": groups})
    weight = next(build_network([{name: options}], (channels, 4, 4))[0].parameters()).detach()
    fan_in = 9 * (1 if "sep" in name else channels // groups)
    if init in ("he_normal", "lecun_normal"):
        assert weight.var().item() == pytest.approx((2 if init == "he_normal" else 1) / fan_in, rel=0.1)
    elif init == "glorot_uniform" and groups == 1 and "sep" not in name:
        assert weight.var().item() == pytest.approx(2 / (fan_in + 9 * filters), rel=0.1)
    elif init == "orthogonal" and groups == 1 and "sep" not in name:
        flat = (weight.transpose(0, 1) if "transpose" in name else weight).flatten(1)
        torch.testing.assert_close(flat @ flat.T, torch.eye(filters), rtol=0, atol=1e-5)
    else:
        assert bool(weight.any()) == (init != "zeros")


@pytest.mark.parametrize("name", ["conv2d", "conv2d_transpose"])
def test_groups_that_do_not_divide(name):
    """Groups divide both the channels that arrive and the filters."""
    for options in ({"filters": 4, "groups": 3}, {"filters": 5, "groups": 2}):
        with pytest.raises(
            ConfigError, match=f"groups divides both .* Received: groups={options['groups']}, 6 chan|2 ch"
        ):
            build_network([{name: {"kernel_size": 1, **options}}], (2 if options["groups"] == 3 else 6, 4, 4))


@pytest.mark.parametrize("name", ["conv2d", "conv2d_transpose", "separable_conv2d"])
@pytest.mark.parametrize("option", ["kernel_size", "stride", "dilation"])
def test_as_many_numbers_as_dimensions(name, option):
    """A list has a number for each dimension."""
    options = {"filters": 3, "kernel_size": 2, option: [2, 2, 2]}
    with pytest.raises(
        ConfigError, match=rf"{option} is one number, or one for each of 2 dimensions. Received: \[2, 2, 2\]"
    ):
        build_network([{name: options}], (2, 6, 6))


def test_kernel_larger_than_the_input():
    """A kernel that does not fit names the layer, the shape and what came before."""
    with pytest.raises(
        ShapeError, match=r"layers\[1\]\.conv1d: conv1d can't take \(batch, 2, 4\) after relu: .*[Kk]ernel"
    ):
        build_network(["relu", {"conv1d": {"filters": 1, "kernel_size": 5}}], (2, 4))


def test_volumes():
    """A CNN over volumes, rank 5, from convolution to vector."""
    layers = [
        {"conv3d": {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}},
        "batch_norm",
        {"max_pool3d": 2},
        {"spatial_dropout": 0.2},
        {"conv_block": {"filters": 8, "pool_size": 2}},
        "global_avg_pool",
    ]
    network, shape = build_network(layers, (1, 8, 10, 12))
    assert shape == (8,)
    assert network(torch.randn(2, 1, 8, 10, 12)).shape == (2, 8)
