"""What a model is made of, against figures that are counted by hand and by torch."""

import json
from collections import OrderedDict
from dataclasses import asdict, replace

import pytest
import torch
from torch import nn

from lightlab import Model
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.errors import DataError
from lightlab.inspect.summary import copy_onto, summarize
from lightlab.inspect.summary_text import as_markdown, as_text

CLASSES = TargetSpec(("kind",), classes=("a", "b", "c"), counts=(1, 1, 1))


def build(layers, shape, **facts):
    """Return a model of three classes, built for samples of a shape."""
    model = Model(layers)
    model.build(DataSpec("multiclass", InputSpec(shape, (0.0,), (1.0,), **facts), CLASSES))
    return model


def text_model(*layers):
    """Return a model of texts of six words, with a vocabulary of four."""
    return build(list(layers), (6,), kind="text", vocabulary=("", "[UNK]", "a", "b"), tokens="words")


def first(layer, shape):
    """Return the row of one layer, with the flatten behind it left out."""
    return summarize(build([layer, "flatten"], shape)).layers[1]


@pytest.mark.parametrize(
    ("layer", "shape", "output_shape", "parameters", "flops"),
    [
        ({"dense": 5}, (4,), (5,), 4 * 5 + 5, 2 * 4 * 5),
        ({"dense": 5}, (7, 4), (7, 5), 4 * 5 + 5, 2 * 7 * 4 * 5),
        ({"conv1d": {"filters": 8, "kernel_size": 3}}, (2, 10), (8, 8), 8 * 2 * 3 + 8, 2 * 8 * 8 * 2 * 3),
        ({"conv2d": {"filters": 8, "kernel_size": 3, "padding": "same"}}, (3, 6, 5), (8, 6, 5), 224, 2 * 30 * 8 * 27),
        ({"conv2d": {"filters": 4, "kernel_size": 3, "groups": 2}}, (2, 5, 5), (4, 3, 3), 40, 2 * 9 * 4 * 9),
        ({"conv2d_transpose": {"filters": 4, "kernel_size": 2, "stride": 2}}, (3, 5, 5), (4, 10, 10), 52, 2 * 1200),
        # A step of an LSTM is four gates of the input and of the state; a GRU's is three.
        ({"lstm": {"units": 6}}, (9, 5), (6,), 24 * (5 + 6 + 2), 9 * 2 * 24 * (5 + 6)),
        ({"gru": {"units": 6, "bidirectional": True}}, (9, 5), (12,), 2 * 18 * (5 + 6 + 2), 2 * 9 * 2 * 18 * (5 + 6)),
        ("flatten", (2, 3), (6,), 0, 0),
        ({"dropout": 0.5}, (4,), (4,), 0, 0),
        ("relu", (4,), (4,), 0, None),
        ("batch_norm", (4,), (4,), 8, None),
    ],
)
def test_layers(layer, shape, output_shape, parameters, flops):
    """Shape, parameters and FLOPs of a layer; what is not counted is no zero."""
    row = first(layer, shape)
    assert (row.output_shape, row.parameters, row.flops) == (output_shape, parameters, flops)
    assert row.bytes == 4 * (row.parameters + row.buffers) + (4 if layer == "batch_norm" else 0)  # batches are int64


def test_not_counted():
    """Operations without a formula are named, with the layer and in the total; those that only move values are not."""
    layers = summarize(build([{"dense": {"units": 4, "activation": "relu"}}, "flatten"], (4,)))
    assert [row.not_counted for row in layers.layers[1:]] == [("relu",), (), ()]
    assert set(layers.total.not_counted) == {"relu", "mul", "sub"}  # preprocessing subtracts and multiplies
    assert first({"lstm": 3}, (4, 2)).not_counted == ("add", "mul", "sigmoid", "tanh")


def test_total():
    """The total is what torch itself says of the model, and the sum of the rows."""
    model = build([{"conv_block": 4}, {"residual": [{"conv_block": 8}]}, "flatten", {"mlp": [8, 4]}], (1, 6, 6))
    summary = summarize(model, depth=4)
    assert summary.total.parameters == sum(parameter.numel() for parameter in model.parameters())
    assert summary.total.output_shape == (3,)
    rows = [row for row in summary.layers if row.depth == 0]
    for figure in ("parameters", "trainable", "buffers", "bytes"):
        assert getattr(summary.total, figure) == sum(getattr(row, figure) for row in rows)
    assert summary.total.flops == sum(row.flops or 0 for row in rows)
    state = [*model.preprocess.state_dict().values(), *model.network.state_dict().values()]
    state += model.head.state_dict().values()
    assert summary.total.bytes == sum(tensor.numel() * tensor.element_size() for tensor in state)


def test_depth():
    """Layers made of layers show these down to the depth that is asked for, under the config's names."""
    layers = [{"residual": [{"dense": {"units": 4, "activation": "relu"}}]}, {"parallel": [["nn.GELU"], []]}]
    model = build(layers, (4,))
    names = {depth: [row.name for row in summarize(model, depth).layers] for depth in (1, 2, 3)}
    assert names[1] == ["preprocess", "0 residual", "1 parallel", "head"]
    inner = ["inner Stack", "shortcut Identity", "activation Identity"]
    branches = ["branches.0 Stack", "branches.1 Stack"]
    assert names[2] == ["preprocess", "0 residual", *inner, "1 parallel", *branches, "head", "linear Linear"]
    assert names[3][3] == "0 dense"
    assert names[3][7:9] == ["branches.0 Stack", "0 nn.GELU"]
    depths = [row.depth for row in summarize(model, 3).layers]
    assert depths == [0, 0, 1, 2, 1, 1, 0, 1, 2, 1, 0, 1]


def test_trainable():
    """Parameters that are not trained are told apart."""
    model = build([{"dense": 5}], (4,))
    model.network[0].weight.requires_grad_(False)
    row = summarize(model).layers[1]
    assert (row.parameters, row.trainable) == (25, 5)
    assert "parameters   43, of which 20 are not trained" in as_text(summarize(model))


def test_shared_weights():
    """Weights that two layers share count once in the total, and the second layer says so."""
    model = build([{"dense": 4}, {"dense": 4}], (4,))
    model.network[1].weight = model.network[0].weight
    summary = summarize(model)
    assert [row.shared for row in summary.layers] == [0, 0, 16, 0]
    assert summary.total.parameters == sum(parameter.numel() for parameter in model.parameters()) == 20 + 4 + 15
    assert "1 dense has 16 of its parameters in common with rows above; the total has them once" in as_text(summary)


def test_layer_that_stands_there_twice():
    """One module in two places is two rows and is called twice; the total has its FLOPs for both calls."""
    model = build([{"dense": 4}, {"dense": 4}], (4,))
    model.network[1] = model.network[0]
    summary = summarize(model)
    assert [row.name for row in summary.layers] == ["preprocess", "0 dense", "1 dense", "head"]
    assert summary.total.parameters == 20 + 15
    assert summary.total.flops == 2 * (16 + 16 + 12)


def test_model_stays_as_it_is():
    """Neither weights nor hooks nor modes change."""
    model = build([{"lstm": 4}, "batch_norm"], (3, 2)).train()
    before = {name: (id(value), value.clone()) for name, value in model.named_parameters()}
    summarize(model)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())
    for name, value in model.named_parameters():
        assert id(value) == before[name][0]
        assert torch.equal(value, before[name][1])


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_weights_are_not_copied(device):
    """The copy that is measured has no weights, or the model's own."""
    network = build([{"dense": 4}, "batch_norm", {"reshape": [2, 2]}, {"gru": 2}], (4,)).network
    network[1].weight = network[0].bias
    copied = copy_onto(network, device)
    assert copied is not network
    assert copied[1].weight is copied[0].bias
    for mine, own in zip(copied.state_dict().values(), network.state_dict().values(), strict=True):
        assert mine.device.type == device
        assert mine.is_meta or mine.data_ptr() == own.data_ptr()


@pytest.mark.parametrize("embedding", [{"embedding": 5}, {"nn.Embedding": {"num_embeddings": 4, "embedding_dim": 5}}])
def test_texts(embedding):
    """Codes of words are whole numbers up to the embedding, which torch's own insists on."""
    summary = summarize(text_model(embedding, {"gru": 4}))
    assert [row.output_shape for row in summary.layers] == [(6,), (6, 5), (4,), (3,)]
    assert (summary.layers[1].parameters, summary.layers[1].flops) == (20, 0)
    assert summary.input_kind == "text"


def test_tables():
    """Columns become features: one for each value of a category, or a learned vector."""
    spec = InputSpec(
        (3,), (0.0,), (1.0,), columns=("age",), categories={"city": ("a", "b"), "kind": ("c", "d")}, kind="table",
        embeddings={"kind": 4}, fill=(0.0,), indicators=("age",),
    )  # fmt: skip
    model = Model([{"dense": 2}])
    model.build(DataSpec("multiclass", spec, CLASSES))
    preprocess, inner = summarize(model, depth=2).layers[:2]
    assert preprocess.output_shape == (1 + 1 + 2 + 4,)
    assert (preprocess.parameters, inner.name) == (12, "embeddings.0 Embedding")


class _Look(nn.Module):
    """Looks at values, which the meta device has none of."""

    def forward(self, inputs):
        return inputs if bool((inputs == 0).any()) else inputs + 1


@pytest.mark.parametrize("layer", ["gru", "lstm"])
def test_layers_that_look_at_values(layer):
    """They are called on the CPU, with the same figures; what is one operation there is not counted, and is named."""
    model = text_model({"embedding": 5}, {layer: 4})
    plain = summarize(model)
    model.network = nn.Sequential(OrderedDict([("0_look", _Look()), *model.network.named_children()]))
    summary = summarize(model)
    assert summary.total.parameters == plain.total.parameters
    row = summary.layers[3]
    if "mkldnn_rnn_layer" in row.not_counted:  # oneDNN's, where torch is built with it
        assert row.flops is None
    else:
        assert row == replace(plain.layers[2], name=row.name)


def test_modules_that_are_not_called():
    """What a layer has and does not call by itself has parameters, but no shape."""
    layer = {"nn.TransformerEncoderLayer": {"d_model": 4, "nhead": 2, "dim_feedforward": 8, "batch_first": True}}
    rows = {row.name: row for row in summarize(build([layer, "flatten"], (3, 4)), depth=3).layers}
    projection = rows["out_proj NonDynamicallyQuantizableLinear"]
    assert (projection.output_shape, projection.flops, projection.parameters) == (None, None, 20)
    # Keys, queries and values; their products; the projection; and two dense layers.
    assert rows["0 nn.TransformerEncoderLayer"].flops == 2 * (3 * 4 * 12 + 2 * 3 * 3 * 4 + 3 * 4 * 4 + 2 * 3 * 4 * 8)


@pytest.mark.parametrize(
    ("problem", "target", "head"),
    [
        ("binary", TargetSpec(("y",), classes=("a", "b"), counts=(1, 1)), "1 logit, sigmoid"),
        ("multiclass", CLASSES, "3 logits, softmax"),
        ("multilabel", TargetSpec(("x", "y"), classes=("x", "y"), counts=(1, 1), rows=2), "2 logits, sigmoid"),
        ("regression", TargetSpec(("y",), mean=(0.0,), std=(1.0,)), "1 number"),
        ("bounded_regression", TargetSpec(("x", "y")), "2 logits, sigmoid scaled to [low, high]"),
    ],
)
def test_heads(problem, target, head):
    """The head is said in words, with the number of its outputs."""
    model = Model([])
    model.build(DataSpec(problem, InputSpec((4,), (0.0,), (1.0,)), target))
    assert summarize(model).head == head


def test_model_that_is_not_built():
    """There are no shapes before the data is known."""
    with pytest.raises(DataError, match=r"A summary is of a model that is built.*See Model\.build"):
        summarize(Model([]))


def test_json():
    """The summary is plain data."""
    summary = summarize(build([{"dense": 5}, "relu"], (4,)))
    assert json.loads(json.dumps(asdict(summary), allow_nan=False))["layers"][2]["flops"] is None


def test_text():
    """Columns are aligned, inner layers stand further in, units and what is left out are said."""
    text = as_text(summarize(build([{"mlp": 5}], (4,)), depth=2))
    assert text.splitlines() == [
        "input    array (batch, 4)",
        "problem  multiclass",
        "head     3 logits, softmax",
        "",
        "  layer            output shape  parameters  trainable  FLOPs  bytes",
        "  preprocess       (batch, 4)             0          0      -      8",
        "  0 mlp            (batch, 5)            25         25     40    100",
        "    0 Linear       (batch, 5)            25         25     40    100",
        "    1 ReLU         (batch, 5)             0          0      -      0",
        "  head             (batch, 3)            18         18     30     84",
        "    linear Linear  (batch, 3)            18         18     30     72",
        "  total            (batch, 3)            43         43     70    192",
        "",
        "parameters   43, all trainable",
        "size         192 bytes: parameters, and 5 numbers kept beside them, not trained",
        "FLOPs        of a forward pass of one sample: matrix products and convolutions; a multiply-add counts as 2",
        "not counted  mul, relu, sub",
    ]


def test_every_layer_is_printed():
    """Unlike in tables of data, nothing is cut."""
    assert "69 dense" in as_text(summarize(build([{"dense": 4}] * 70, (4,))))


def test_markdown():
    """The table has as many cells in each line, and the facts are lists."""
    text = as_markdown(summarize(build([{"mlp": 5}], (4,)), depth=2))
    facts, lines, remarks = text.split("\n\n")
    assert {line.count("|") for line in lines.splitlines()} == {7}
    assert "| · 1 ReLU | (batch, 5) | 0 | 0 | - | 0 |" in lines
    assert "| **total** | **(batch, 3)** | **43** |" in lines
    assert all(line.startswith("- ") for line in [*facts.splitlines(), *remarks.splitlines()])
