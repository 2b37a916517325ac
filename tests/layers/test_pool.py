import itertools
import math

import numpy as np
import pytest
import torch

from lightlab import ConfigError, ShapeError, build_network

REDUCE = {"max": np.max, "avg": np.mean}
for_both = pytest.mark.parametrize("kind", REDUCE)


def naive_pool(inputs, kind, window, stride, padding):
    """Pool (channels, sizes…) by cutting every window out; what lies outside is not in it."""
    starts = []
    for size, width, step in zip(inputs.shape[1:], window, stride, strict=True):
        if padding == "valid":
            starts.append([slice(begin, begin + width) for begin in range(0, size - width + 1, step)])
        else:
            total = max((math.ceil(size / step) - 1) * step + width - size, 0)
            begins = [index * step - total // 2 for index in range(math.ceil(size / step))]
            starts.append([slice(max(begin, 0), begin + width) for begin in begins])
    shape = [len(inputs), *map(len, starts)]
    values = [REDUCE[kind](inputs[:, *cut], axis=tuple(range(1, inputs.ndim))) for cut in itertools.product(*starts)]
    return np.stack(values, axis=-1).reshape(shape)


@for_both
@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("window", [1, 2, 3, 4])
@pytest.mark.parametrize("stride", [1, 2, 3, 5])
def test_against_numpy(kind, padding, window, stride):
    """Max and mean of each window, of negative numbers too; with `same`, what lies outside does not count."""
    generator = np.random.default_rng(0)
    for size in range(4, 12):
        inputs = generator.normal(-50, 1, (2, size)).astype(np.float32)
        network, shape = build_network(
            [{f"{kind}_pool1d": {"pool_size": window, "stride": stride, "padding": padding}}], (2, size)
        )
        expected = naive_pool(inputs, kind, [window], [stride], padding)
        assert shape == expected.shape
        torch.testing.assert_close(network(torch.tensor(inputs)[None])[0], torch.tensor(expected))
        assert padding == "valid" or shape == (2, math.ceil(size / stride))


@for_both
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_dimensions_have_numbers_of_their_own(kind, padding):
    """Window and stride may differ from dimension to dimension."""
    inputs = np.random.default_rng(0).normal(-5, 1, (2, 5, 6, 7)).astype(np.float32)
    options = {"pool_size": [2, 3, 1], "stride": [1, 2, 3], "padding": padding}
    network, shape = build_network([{f"{kind}_pool3d": options}], inputs.shape)
    expected = naive_pool(inputs, kind, [2, 3, 1], [1, 2, 3], padding)
    assert shape == expected.shape
    torch.testing.assert_close(network(torch.tensor(inputs)[None])[0], torch.tensor(expected))


@for_both
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_stride_is_the_window_by_default(kind, dimensions):
    """A lone value is the window, and the windows do not overlap."""
    inputs = np.random.default_rng(0).normal(size=(2, *(7,) * dimensions)).astype(np.float32)
    network, shape = build_network([{f"{kind}_pool{dimensions}d": 3}], inputs.shape)
    window = [3] * dimensions
    assert shape == (2, *(2,) * dimensions)
    expected = torch.tensor(naive_pool(inputs, kind, window, window, "valid"))
    torch.testing.assert_close(network(torch.tensor(inputs)[None])[0], expected)


@for_both
def test_adaptive(kind):
    """As many windows as were asked for, over everything."""
    inputs = torch.randn(2, 3, 6, 8)
    network, shape = build_network([{f"adaptive_{kind}_pool2d": [3, 2]}], (3, 6, 8))
    windows = inputs.reshape(2, 3, 3, 2, 2, 4)
    expected = windows.amax((3, 5)) if kind == "max" else windows.mean((3, 5))
    assert shape == (3, 3, 2)
    torch.testing.assert_close(network(inputs), expected)


@for_both
@pytest.mark.parametrize("sizes", [(5,), (5, 4), (5, 4, 3)])
def test_global(kind, sizes):
    """One value for each channel, over all its dimensions."""
    inputs = torch.randn(2, 3, *sizes)
    network, shape = build_network([f"global_{kind}_pool"], (3, *sizes))
    dims = tuple(range(2, inputs.ndim))
    assert shape == (3,)
    torch.testing.assert_close(network(inputs), inputs.amax(dims) if kind == "max" else inputs.mean(dims))


@for_both
def test_sequences_without_their_padding(kind):
    """Each feature over the steps of a sequence, wherever padding stands; a sequence of nothing else is zero."""
    inputs = torch.randn(3, 5, 2) - 9
    inputs[0, :3] = inputs[1, 4] = inputs[2] = 0
    inputs[1, 1, 0] = 0  # a step with a zero in it is no padding
    network, shape = build_network([f"sequence_{kind}_pool"], (5, 2))
    reduce = {"max": lambda steps: steps.amax(0), "avg": lambda steps: steps.mean(0)}[kind]
    assert shape == (2,)
    expected = torch.stack([reduce(inputs[0, 3:]), reduce(inputs[1, :4]), torch.zeros(2)])
    torch.testing.assert_close(network(inputs), expected)


@for_both
def test_what_does_not_fit(kind):
    """A window larger than the input, or a list of another length, names the layer."""
    with pytest.raises(ShapeError, match=rf"layers\[0\]\.{kind}_pool2d: .* \(batch, 1, 4, 4\) after the input"):
        build_network([{f"{kind}_pool2d": 5}], (1, 4, 4))
    with pytest.raises(ConfigError, match=r"pool_size is one number, or one for each of 2 dimensions. Received: \[2\]"):
        build_network([{f"{kind}_pool2d": {"pool_size": [2]}}], (1, 4, 4))
    with pytest.raises(ConfigError, match="output_size is one number, or one for each of 2 dimensions"):
        build_network([{f"adaptive_{kind}_pool2d": [2, 2, 2]}], (1, 4, 4))
