import pytest
import torch

from lightlab import ConfigError, build_network

SHAPES = [(4,), (4, 5), (4, 5, 6), (4, 3, 5, 6)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("momentum", [0.0, 0.75, 1.0])
def test_batch_norm(shape, momentum):
    """Each channel is normalised over the batch; momentum is the share of the running statistics that stays."""
    network, output_shape = build_network([{"batch_norm": {"momentum": momentum, "epsilon": 0.01}}], shape)
    inputs = torch.randn(16, *shape) * 3 + 5
    dims = (0, *range(2, inputs.ndim))
    mean, var = inputs.mean(dims, keepdim=True), inputs.var(dims, correction=0, keepdim=True)
    torch.testing.assert_close(network(inputs), (inputs - mean) / (var + 0.01).sqrt(), rtol=1e-4, atol=1e-5)
    norm = network[0]
    torch.testing.assert_close(norm.running_mean, (1 - momentum) * mean.flatten(), rtol=1e-5, atol=1e-5)
    expected = momentum + (1 - momentum) * inputs.var(dims)
    torch.testing.assert_close(norm.running_var, expected, rtol=1e-5, atol=1e-5)
    assert output_shape == shape


def test_batch_norm_in_evaluation():
    """Evaluation uses the running statistics, and leaves them as they are."""
    network, _ = build_network([{"batch_norm": {"affine": False}}], (4,))
    network.eval()
    inputs = torch.randn(8, 4)
    torch.testing.assert_close(network(inputs), inputs / (1 + 1e-5) ** 0.5)
    assert not network[0].running_mean.any()
    assert list(network.parameters()) == []


@pytest.mark.parametrize("axis", [1, 2, 3, -1, -2, -3])
def test_layer_norm_axis(axis):
    """Each sample is normalised along the axis, counted from the batch, with a factor and offset for each place."""
    network, shape = build_network([{"layer_norm": {"axis": axis, "epsilon": 0.01}}], (3, 4, 5))
    inputs = torch.randn(2, 3, 4, 5)
    weight, bias = network.parameters()
    assert weight.shape == bias.shape == (inputs.shape[axis],)
    torch.nn.init.normal_(weight)
    torch.nn.init.normal_(bias)
    mean, var = inputs.mean(axis, keepdim=True), inputs.var(axis, correction=0, keepdim=True)
    along = [1, 1, 1, 1]
    along[axis] = -1
    expected = (inputs - mean) / (var + 0.01).sqrt() * weight.reshape(along) + bias.reshape(along)
    torch.testing.assert_close(network(inputs), expected)
    assert shape == (3, 4, 5)


@pytest.mark.parametrize("axis", [0, 2, -2, -3])
def test_layer_norm_axis_that_is_not_there(axis):
    """The batch is no axis to normalise along, nor is one beyond the last."""
    with pytest.raises(ConfigError, match=rf"axis is 1 to 1, or counts from the end as -1. Received: {axis}\."):
        build_network([{"layer_norm": axis}], (4,))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_group_norm(shape, groups):
    """Each sample is normalised over the channels of a group and all their values."""
    if shape == (4,) and groups == 4:
        return  # groups of one value have no variance
    network, output_shape = build_network([{"group_norm": {"groups": groups, "epsilon": 0.01}}], shape)
    inputs = torch.randn(2, *shape)
    grouped = inputs.reshape(2, groups, -1)
    mean, var = grouped.mean(2, keepdim=True), grouped.var(2, correction=0, keepdim=True)
    torch.testing.assert_close(network(inputs), ((grouped - mean) / (var + 0.01).sqrt()).reshape(inputs.shape))
    assert output_shape == shape


def test_group_norm_that_does_not_divide():
    """Groups divide the channels that arrive; the default of 32 does not divide 4."""
    with pytest.raises(ConfigError, match=r"groups divides the channels that arrive, here 4. Received: 32\."):
        build_network(["group_norm"], (4, 8, 8))


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "group_norm"])
def test_affine(name):
    """Without affine nothing is learned."""
    options = {"affine": False, **({"groups": 2} if name == "group_norm" else {})}
    assert list(build_network([{name: options}], (4, 8, 8))[0].parameters()) == []
