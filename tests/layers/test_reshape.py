import pytest
import torch

from lightlab import ConfigError, build_network


@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 3, 4), (2, 3, 4, 5)])
def test_flatten(shape):
    """Each sample becomes one vector, in the order of its values."""
    network, output_shape = build_network(["flatten"], shape)
    inputs = torch.randn(4, *shape)
    assert torch.equal(network(inputs), inputs.reshape(4, -1))
    assert output_shape == (inputs[0].numel(),)


@pytest.mark.parametrize(
    ("before", "given", "after"),
    [((24,), [2, 3, 4], (2, 3, 4)), ((2, 12), [-1], (24,)), ((24,), [4, -1, 2], (4, 3, 2)), ((24,), [24, -1], (24, 1))],
)
def test_reshape(before, given, after):
    """The values stay in order; one extent may be left to be worked out."""
    network, shape = build_network([{"reshape": given}], before)
    inputs = torch.randn(4, *before)
    assert torch.equal(network(inputs), inputs.reshape(4, *after))
    assert network(torch.zeros(1, *before)).shape == (1, *after)
    assert shape == after


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ([5, 5], r"shape holds as many values as arrive, here 24 of \(24,\)"),
        ([5, -1], r"shape holds as many values as arrive"),
        ([-1, -1], "shape has positive numbers, and -1 at most once"),
        ([0, 24], "shape has positive numbers"),
        ([-2, 12], "shape has positive numbers"),
    ],
)
def test_shapes_that_do_not_fit(given, rule):
    """A shape of another number of values, or with extents that are none, is refused with the rule."""
    with pytest.raises(ConfigError, match=rule) as caught:
        build_network([{"reshape": given}], (24,))
    assert str(caught.value).endswith(f"Received: {given}.")


@pytest.mark.parametrize("dims", [[1, 2, 3], [3, 1, 2], [2, 3, 1], [3, 2, 1]])
def test_permute(dims):
    """The dimensions come in the given order, the first after the batch being 1."""
    network, shape = build_network([{"permute": dims}], (2, 3, 4))
    inputs = torch.randn(5, 2, 3, 4)
    assert torch.equal(network(inputs), inputs.permute(0, *dims))
    assert shape == tuple((2, 3, 4)[dim - 1] for dim in dims)


@pytest.mark.parametrize("dims", [[1], [1, 1], [1, 3], [1, 2, 3]])
def test_orders_that_are_none(dims):
    """Every dimension is named once."""
    with pytest.raises(ConfigError, match="dims names each of the dimensions 1 to 2 once"):
        build_network([{"permute": dims}], (2, 3))


def test_sequences_meet_convolutions():
    """permute takes (time, features) to (channels, length)."""
    layers = [{"permute": [2, 1]}, {"conv1d": {"filters": 4, "kernel_size": 3}}, {"permute": [2, 1]}, {"gru": 5}]
    assert build_network(layers, (20, 3))[1] == (5,)
