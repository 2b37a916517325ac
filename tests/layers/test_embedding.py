import pytest
import torch

from lightlab import ConfigError, build_network
from lightlab.layers.base import penalty


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8, torch.float64])
@pytest.mark.parametrize("shape", [(4,), (2, 4)])
def test_looks_vectors_up(dtype, shape):
    """Whole numbers of any type become their vectors, in a new last dimension."""
    network, output_shape = build_network([{"embedding": {"input_dim": 10, "output_dim": 3}}], shape)
    codes = torch.randint(0, 10, (5, *shape))
    (vectors,) = network.parameters()
    assert torch.equal(network(codes.to(dtype)), vectors[codes])
    assert output_shape == (*shape, 3)


@pytest.mark.parametrize("init", ["uniform", "ones"])
def test_padding_stays_zero(init):
    """The vector of padding_idx is zero, and neither training nor a penalty moves it."""
    options = {"input_dim": 5, "output_dim": 3, "padding_idx": 2, "init": init, "l1": 0.1, "l2": 0.1}
    network, _ = build_network([{"embedding": options}], (4,))
    (vectors,) = network.parameters()
    before = vectors.detach().clone()
    optimizer = torch.optim.SGD([vectors], lr=0.1)
    (network(torch.tensor([[0, 2, 2, 4]])).sum() + penalty(network)).backward()
    optimizer.step()
    assert not before[2].any()
    assert before[[0, 1, 3, 4]].all()
    assert torch.equal(vectors[2], before[2])
    assert (vectors[0] != before[0]).all()


@pytest.mark.parametrize("padding_idx", [5, 7])
def test_padding_that_is_no_code(padding_idx):
    """padding_idx is one of the codes."""
    with pytest.raises(ConfigError, match=f"padding_idx is less than input_dim, here 5. Received: {padding_idx}"):
        build_network([{"embedding": {"input_dim": 5, "output_dim": 3, "padding_idx": padding_idx}}], (4,))
