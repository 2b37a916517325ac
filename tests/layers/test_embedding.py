import pytest
import torch

from lightlab import ConfigError, ShapeError, build_network
from lightlab.layers.base import penalty, regularized


@pytest.mark.parametrize("dtype", [torch.float32, torch.int64, torch.uint8, torch.float64])
@pytest.mark.parametrize("shape", [(4,), (2, 4)])
def test_looks_vectors_up(dtype, shape):
    """Whole numbers of any type become their vectors, in a new last dimension."""
    network, output_shape = build_network([{"embedding": {"output_dim": 3, "input_dim": 10}}], shape)
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
    (network(torch.tensor([[0, 2, 2, 4]])).sum() + penalty(regularized(network))).backward()
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


def test_a_text_s_vocabulary_is_the_number_of_codes():
    """For a text neither the vocabulary's size nor its padding is written; what is written must hold all codes."""
    (vectors,) = build_network([{"embedding": 3}, "flatten"], (4,), vocabulary_size=7)[0].parameters()
    assert vectors.shape == (7, 3)
    assert not vectors[0].any()
    assert vectors[1:].all()
    options = {"output_dim": 3, "input_dim": 9, "padding_idx": 8}
    (vectors,) = build_network([{"embedding": options}, "flatten"], (4,), vocabulary_size=7)[0].parameters()
    assert vectors.shape == (9, 3)
    assert vectors[0].all()
    assert not vectors[8].any()
    with pytest.raises(ConfigError, match="input_dim is at least the vocabulary's 7 codes. Received: 6"):
        build_network([{"embedding": {"output_dim": 3, "input_dim": 6}}], (4,), vocabulary_size=7)


@pytest.mark.parametrize(
    ("layers", "vocabulary_size"),
    [([{"embedding": 3}], None), ([{"embedding": 3}, {"dense": 3}, {"embedding": 3}], 7)],
)
def test_numbers_that_are_no_codes_need_input_dim(layers, vocabulary_size):
    """Where the inputs are no text, or no longer its codes, the size can't be known."""
    with pytest.raises(ConfigError, match="input_dim is needed where the inputs are no text"):
        build_network(layers, (4,), vocabulary_size=vocabulary_size)


def test_the_vocabulary_reaches_layers_of_layers():
    """An embedding finds the vocabulary wherever it stands."""
    branches = [[{"embedding": 3}, {"gru": 4}], [{"repeat": {"times": 1, "layers": [{"embedding": 5}]}}, "flatten"]]
    network, shape = build_network([{"parallel": branches}], (6,), vocabulary_size=7)
    assert shape == (4 + 30,)
    assert network(torch.randint(0, 7, (2, 6))).shape == (2, 34)


@pytest.mark.parametrize("layers", [[], ["flatten"], ["flatten", {"dense": 3}], [{"mlp": [3]}]])
def test_codes_that_never_become_vectors(layers):
    """A text without an embedding is answered when the network is built, and not by torch in the first step."""
    with pytest.raises(ShapeError, match="Codes of words become vectors first"):
        build_network(layers, (4,), vocabulary_size=7)
