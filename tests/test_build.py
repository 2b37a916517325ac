import pytest
import torch
from torch import nn

from lightlab import ConfigError, ShapeError, build_network
from lightlab.build import affordable, build_layers, check_last_layer, check_learns_from_one, output_shape
from lightlab.errors import format_key
from lightlab.registry import PROBLEMS
from lightlab.specs import LayerSpec, parse_layers

CNN = [
    {"conv2d": {"filters": 32, "kernel_size": 3, "activation": "relu"}},
    "batch_norm",
    {"max_pool2d": 2},
    "flatten",
    {"dropout": 0.3},
    {"dense": {"units": 128, "activation": "relu", "l2": 1e-4}},
]


def test_a_network():
    """Each layer is built for what leaves the one before, and is called after its place and its name."""
    network, shape = build_network(CNN, (1, 8, 8))
    names = ["0_conv2d", "1_batch_norm", "2_max_pool2d", "3_flatten", "4_dropout", "5_dense"]
    assert list(dict(network.named_children())) == names
    assert sum(p.numel() for p in network.parameters()) == 32 * 10 + 64 + (288 + 1) * 128
    assert shape == (128,)
    assert network(torch.zeros(5, 1, 8, 8)).shape == (5, 128)


@pytest.mark.parametrize("shape", [(3,), (3, 4), (1, 8, 8)])
def test_no_layers(shape):
    """A network of no layers passes on what arrives: linear and logistic regression."""
    network, output = build_network([], shape)
    inputs = torch.randn(2, *shape)
    assert torch.equal(network(inputs), inputs)
    assert output == shape


def test_every_build_is_new():
    """Two networks of the same specs share nothing, and the specs are left as they are."""
    specs = parse_layers([{"mlp": [3, 3]}], ("layers",))
    (first, _), (second, _) = build_layers(specs, (3,)), build_layers(specs, (3,))
    assert not {id(p) for p in first.parameters()} & {id(p) for p in second.parameters()}
    assert specs == parse_layers([{"mlp": [3, 3]}], ("layers",))


def test_building_leaves_no_trace():
    """The shape is found without touching the layers: no running statistics, no mode, no device changes."""
    network, _ = build_network(CNN, (1, 8, 8))
    assert network.training
    assert not network[1].running_mean.any()
    assert network[1].num_batches_tracked == 0
    assert {p.device.type for p in network.parameters()} == {"cpu"}


def test_large_inputs_cost_nothing():
    """The shape of a sample of a terabyte is found without its values."""
    layers = [{"conv_block": {"filters": 2, "pool_size": 2}}, {"conv2d": {"filters": 3, "kernel_size": 1}}]
    assert build_network(layers, (4, 2**20, 2**16))[1] == (3, 2**19, 2**15)


@pytest.mark.parametrize(
    ("layers", "shape", "place", "message"),
    [
        (
            [{"conv2d": {"filters": 3, "kernel_size": 3}}],
            (14,),
            "layers[0].conv2d",
            "conv2d needs rank 4 (batch, channels, height, width). Received: (batch, 14) after the input.",
        ),
        (
            ["flatten", "relu", {"max_pool2d": 2}],
            (1, 8, 8),
            "layers[2].max_pool2d",
            "max_pool2d needs rank 4 (batch, channels, height, width). Received: (batch, 64) after relu.",
        ),
        (
            [{"lstm": 3}],
            (8,),
            "layers[0].lstm",
            "lstm needs rank 3 (batch, time, features). Received: (batch, 8) after the input.",
        ),
        (
            ["global_avg_pool"],
            (8,),
            "layers[0]",
            "global_avg_pool needs rank 3 (batch, channels, length) or rank 4 (batch, channels, height, width) or "
            "rank 5 (batch, channels, depth, height, width). Received: (batch, 8) after the input.",
        ),
        (
            [{"dense": 5}, {"nn.Linear": {"in_features": 4, "out_features": 2}}],
            (3,),
            "layers[1].nn.Linear",
            "nn.Linear can't take (batch, 5) after dense: ",
        ),
        (
            ["nn.TransformerEncoderLayer"],
            (4, 6),
            "layers[0]",
            "nn.TransformerEncoderLayer needs 'd_model'.",
        ),
        (
            [{"nn.TransformerEncoderLayer": {"d_model": 8, "nhead": 2}}],
            (4, 6),
            "layers[0].nn.TransformerEncoderLayer",
            "nn.TransformerEncoderLayer can't take (batch, 4, 6) after the input: ",
        ),
        (
            [{"nn.LSTM": {"input_size": 3, "hidden_size": 2}}],
            (4, 3),
            "layers[0].nn.LSTM",
            "A layer returns a batch of as many rows as it got, 2. Received: tuple.",
        ),
        (
            [{"nn.Flatten": {"start_dim": 0}}],
            (4, 3),
            "layers[0].nn.Flatten",
            "A layer returns a batch of as many rows as it got, 2. Received: (24,).",
        ),
        (
            [{"nn.ZeroPad2d": -2}],
            (1, 4, 8),
            "layers[0].nn.ZeroPad2d",
            "nn.ZeroPad2d leaves nothing of (batch, 1, 4, 8) after the input: (batch, 1, 0, 4).",
        ),
        (["nn.ModuleList"], (3,), "layers[0]", "nn.ModuleList can't take (batch, 3) after the input: "),
        (["nn.CosineSimilarity"], (3,), "layers[0]", "nn.CosineSimilarity can't take (batch, 3) after the input: "),
    ],
)
def test_what_does_not_fit(layers, shape, place, message):
    """A layer that does not fit is named, with its rule, the shape that arrived and what came before."""
    with pytest.raises(ConfigError) as caught:
        build_network(layers, shape)
    assert isinstance(caught.value, ShapeError) or "needs 'd_model'" in message
    found, text = str(caught.value).split(": ", 1)
    assert found == place
    assert text.startswith(message)


def test_cause_is_attached():
    """What torch said is in the message in one line, and attached."""
    with pytest.raises(ShapeError) as caught:
        build_network([{"nn.Linear": {"in_features": 4, "out_features": 2}}], (3,))
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert "\n" not in str(caught.value)


def test_output_shape_of_a_module():
    """The shape of any module can be asked for."""
    spec = LayerSpec("nn.Linear", ("x",))
    assert output_shape(nn.Linear(3, 4), (5, 3), spec, "the input") == (5, 4)


@pytest.mark.parametrize(
    ("last", "problem", "place"),
    [
        ({"dense": {"units": 3, "activation": "softmax"}}, "multiclass", "layers[1].dense.activation"),
        ({"dense": {"units": 9, "activation": "log_softmax"}}, "multiclass", "layers[1].dense.activation"),
        ({"dense": {"units": 9, "activation": {"softmax": -1}}}, "multiclass", "layers[1].dense.activation"),
        ({"dense": {"units": 3, "activation": "sigmoid"}}, "multilabel", "layers[1].dense.activation"),
        ({"mlp": {"units": [9, 3], "activation": "softmax"}}, "multiclass", "layers[1].mlp.activation"),
        ("softmax", "multiclass", "layers[1]"),
        ({"softmax": -1}, "binary", "layers[1].softmax"),
        ("log_softmax", "regression", "layers[1]"),
        ({"nn.Softmax": {"dim": 1}}, "multiclass", "layers[1].nn.Softmax"),
        ("nn.LogSoftmax", "multiclass", "layers[1]"),
        ({"mlp": {"units": [9, 3], "activation": "sigmoid"}}, "multilabel", "layers[1].mlp.activation"),
    ],
)
def test_last_layer_does_not_do_the_heads_work(last, problem, place):
    """A softmax at the end, or a sigmoid over as many units as the head has, is Keras' habit, and an error here."""
    specs = parse_layers([{"dense": 9}, last], ("layers",))
    with pytest.raises(ConfigError) as caught:
        check_last_layer(specs, 3, PROBLEMS.get(problem))
    message = str(caught.value)
    assert message.startswith(
        f"{place}: The head is not written: problem {problem} adds it ({PROBLEMS.get(problem).output})"
    )
    assert "Leave this layer out" in message


@pytest.mark.parametrize("last", ["sigmoid", "nn.Sigmoid"])
def test_sigmoid_as_a_layer_of_its_own(last):
    """A sigmoid after a layer of as many units as the head has is the same habit, written in two lines."""
    specs = parse_layers([{"dense": 9}, {"dense": 3}, last], ("layers",))
    with pytest.raises(ConfigError, match=rf"layers\[2\]: The head is not written: .* Received: {last} at the end"):
        check_last_layer(specs, 3, PROBLEMS.get("multilabel"))
    check_last_layer(specs, 4, PROBLEMS.get("multilabel"))


@pytest.mark.parametrize(
    "layers",
    [
        [],
        ["softmax", {"dense": 3}],
        [{"dense": {"units": 4, "activation": "sigmoid"}}],
        [{"dense": {"units": 3, "activation": "relu"}}],
        [{"dense": 3}],
        [{"dense": {"units": 3, "activation": "softmax"}}, "dropout", "relu"],
    ],
)
def test_last_layers_that_are_fine(layers):
    """Any other last layer passes, and so does a softmax that is not the last."""
    check_last_layer(parse_layers(layers, ("layers",)), 3, PROBLEMS.get("multiclass"))


@pytest.mark.parametrize(
    ("layers", "shape"),
    [
        ([{"dense": 2**20}], r"a Linear whose weight is of shape \(1048576, 4\)"),
        ([{"repeat": {"times": 9, "layers": [{"mlp": [90, 90, 90]}]}}], "a Linear whose weight is of shape"),
    ],
)
def test_more_than_memory_holds(layers, shape, monkeypatch):
    """Weights that are too large are refused before they take memory, alone or together."""
    monkeypatch.setattr("lightlab.build.free_host_memory", lambda: 1_000_000)
    rule = "A model and its gradients fit into memory, of which 1,000,000 bytes are free. Received: "
    with pytest.raises(ConfigError, match=f"{rule}{shape}"), affordable():
        build_network(layers, (4,))
    with affordable():
        build_network([{"dense": 90}], (4,))


def test_more_layers_than_anyone_trains(monkeypatch):
    """What is repeated within what is repeated is refused before it takes for ever."""
    monkeypatch.setattr("lightlab.build.MOST_MODULES", 50)
    layers = {"repeat": {"times": 1000, "layers": [{"repeat": {"times": 1000, "layers": ["relu"]}}]}}
    with pytest.raises(ConfigError, match="A model has at most 50 modules"), affordable():
        build_network([layers], (4,))


@pytest.mark.parametrize(
    ("layers", "shape", "refused"),
    [
        ([{"dense": 4}, "batch_norm"], (3,), "layers[1].batch_norm"),
        ([{"residual": {"layers": [{"dense": 3}, "batch_norm"]}}], (3,), "layers[0].residual"),
        (["batch_norm", "flatten"], (3, 8), None),
        ([{"dense": 4}, "layer_norm"], (3,), None),
        ([{"embedding": 4}, "sequence_avg_pool", "batch_norm"], (7,), "layers[2].batch_norm"),
    ],
)
def test_layers_that_can_t_learn_from_one_row(layers, shape, refused):
    """Batch norm needs two values a channel: it is refused by name, wherever one row gives but one; weights stay."""
    vocabulary_size = 9 if len(shape) == 1 and shape[0] == 7 else None
    specs = parse_layers(layers, ("layers",))
    network, _ = build_layers(specs, shape, vocabulary_size)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    if refused is None:
        check_learns_from_one(specs, network, shape, vocabulary_size)
    else:
        with pytest.raises(ConfigError, match="can't learn from one row at a time") as caught:
            check_learns_from_one(specs, network, shape, vocabulary_size)
        assert refused.startswith(format_key(caught.value.faults[0].key))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
