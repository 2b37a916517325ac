"""The graph of a model: the layers of its config as scopes, and every operation on data in them."""

import inspect
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
import yaml
from torch import nn

import lightlab
from lightlab import Model
from lightlab.build import build_network
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.errors import DataError
from lightlab.inspect.tensorboard.graph import model_graph, network_graph
from lightlab.registry import LAYERS
from lightlab.specs import INJECTED
from lightlab.testing import LayerCase
from lightlab.testing.layers import SHAPES

CONFIGS = Path(__file__).parents[3] / "configs"
WHOLE = sorted(path for path in CONFIGS.rglob("*.yaml") if "overlays" not in path.parts)
#: What layers are given for parameters that they can't do without.
VALUES = {
    "branches": [[{"dense": 6}], []], "dims": [2, 1], "filters": 4, "kernel_size": 3, "layers": [{"dense": 6}],
    "output_dim": 3, "output_size": 2, "shape": [2, -1], "times": 2, "units": 3,
}  # fmt: skip
#: What they need beside that, of inputs as small as these.
MORE = {"embedding": {"input_dim": 8}, "group_norm": {"groups": 2}}


def nodes_of(layers, shape, **facts):
    """Return the nodes of a model of three classes, by name."""
    model = Model(layers)
    target = TargetSpec(("kind",), classes=("a", "b", "c"), counts=(1, 1, 1))
    model.build(DataSpec("multiclass", InputSpec(shape, (0.0,), (1.0,), **facts), target))
    return by_name(model_graph(model))


def by_name(graph):
    """Return nodes by name; each has one of its own."""
    found = {node.name: node for node in graph.node}
    assert len(found) == len(graph.node)
    return found


def within(nodes, scope):
    """Return the operations in a scope, in order."""
    return [name.removeprefix(f"{scope}/") for name in nodes if name.startswith(f"{scope}/")]


def shape_of(node, output=0):
    """Return the shape of an output; −1 stands for the batch."""
    return [dim.size for dim in node.attr["_output_shapes"].list.shape[output].dim]


def sources(node):
    """Return the nodes that go into a node."""
    return [name.partition(":")[0] for name in node.input]


def assert_connected(nodes):
    """Check that all nodes come of the input, and that the output does."""
    assert next(iter(nodes)) == "input"
    assert next(reversed(nodes)) == "output"
    for name, node in nodes.items():
        assert bool(node.input) == (name != "input")
        assert set(sources(node)) <= nodes.keys()


@pytest.mark.parametrize("name", LAYERS.names())
def test_every_layer(name):
    """Whatever a layer does to data is inside its scope, on the way from the input to the output."""
    parameters = inspect.signature(LAYERS.get(name)).parameters.values()
    needed = [each.name for each in parameters if each.default is each.empty and each.name not in INJECTED]
    values = {each: VALUES[each] for each in needed} | MORE.get(name, {})
    rank = 3 if name == "permute" else LayerCase(name).ranks[0]
    network, shape = build_network([{name: values} if values else name], SHAPES[rank])
    nodes = by_name(network_graph(network, SHAPES[rank]))
    assert_connected(nodes)
    assert len(nodes) > 2
    assert all(each.startswith(f"0_{name}/") for each in list(nodes)[1:-1])
    assert shape_of(nodes["output"]) == [-1, *shape]


@pytest.mark.parametrize("config", WHOLE, ids=lambda path: path.stem)
def test_shipped_configs(config):
    """Scopes are preprocessing, the config's layers in their order, and the head."""
    given = yaml.safe_load(config.read_text())
    data = getattr(lightlab, given["data"]["class_path"])(**given["data"]["init_args"])
    data.setup("fit")
    model = Model(**given["model"])
    model.build(data.connect(model.problem, None))
    nodes = by_name(model_graph(model))
    assert_connected(nodes)
    names = [layer if isinstance(layer, str) else next(iter(layer)) for layer in given["model"]["layers"]]
    scopes = list(dict.fromkeys(name.partition("/")[0] for name in nodes))
    assert scopes == ["input", "preprocess", *(f"{place}_{name}" for place, name in enumerate(names)), "head", "output"]
    assert shape_of(nodes["input"]) == [-1, *model.data_spec.input.shape]


def test_operations_and_what_layers_are_set_to():
    """A layer with an activation is two operations; each says what its layer is set to."""
    nodes = nodes_of([{"conv2d": {"filters": 4, "kernel_size": 3, "activation": "relu"}}, "flatten"], (1, 6, 6))
    assert within(nodes, "0_conv2d") == ["convolution", "relu"]
    convolution = nodes["0_conv2d/convolution"]
    assert convolution.op == "convolution"
    assert convolution.attr["layer"].s.decode().startswith("Conv2d(1, 4, kernel_size=(3, 3)")
    assert shape_of(convolution) == [-1, 4, 4, 4]
    assert sources(nodes["0_conv2d/relu"]) == ["0_conv2d/convolution"]
    assert within(nodes, "head") == ["linear/addmm"]


def test_the_same_operation_several_times():
    """Operations in one scope are numbered, as those of an mlp's layers."""
    assert within(nodes_of([{"mlp": [5, 4]}], (3,)), "0_mlp") == ["addmm", "relu", "addmm_1", "relu_1"]


def test_residual():
    """The sum comes of the layers and of the shortcut, and both of what arrives."""
    nodes = nodes_of([{"residual": [{"dense": 4}, "tanh"]}], (4,))
    assert within(nodes, "0_residual") == [
        "0_dense/addmm", "1_tanh/tanh", "shortcut/identity", "add", "activation/identity",
    ]  # fmt: skip
    assert sources(nodes["0_residual/add"]) == ["0_residual/1_tanh/tanh", "0_residual/shortcut/identity"]
    arrives = sources(nodes["0_residual/0_dense/addmm"])
    assert arrives == sources(nodes["0_residual/shortcut/identity"]) == ["preprocess/mul"]


def test_parallel():
    """Each branch has a scope; an empty one passes on what arrives, and does so to no other."""
    nodes = nodes_of([{"parallel": [[], [{"dense": 4}], ["tanh"]]}], (4,))
    branches = ["branch_0/identity", "branch_1/0_dense/addmm", "branch_2/0_tanh/tanh"]
    assert within(nodes, "0_parallel") == [*branches, "cat"]
    assert all(sources(nodes[f"0_parallel/{name}"]) == ["preprocess/mul"] for name in branches)
    assert sources(nodes["0_parallel/cat"]) == [f"0_parallel/{name}" for name in branches]


def test_layers_that_do_nothing_in_evaluation():
    """Dropout is there, though it passes on what arrives."""
    nodes = nodes_of([{"dropout": 0.5}, "tanh"], (4,))
    assert within(nodes, "0_dropout") == ["dropout"]
    assert sources(nodes["1_tanh/tanh"]) == ["0_dropout/dropout"]


@pytest.mark.parametrize("layer", ["gru", "lstm"])
def test_recurrent_layers_of_texts(layer):
    """A recurrent layer is one operation, not one for each step; codes of words go into an embedding."""
    facts = {"kind": "text", "vocabulary": ("", "[UNK]", "a", "b"), "tokens": "words"}
    nodes = nodes_of([{"embedding": 5}, {layer: 4}], (300,), **facts)
    assert_connected(nodes)
    assert shape_of(nodes["0_embedding/embedding"]) == [-1, 300, 5]
    assert within(nodes, f"1_{layer}")[0] == f"cell/{layer}"
    assert len(within(nodes, f"1_{layer}")) < 8
    assert sources(nodes[f"1_{layer}/cell/{layer}"]) == ["0_embedding/embedding"]


def test_tables():
    """Numbers, categories and learned vectors meet in preprocessing."""
    spec = {"columns": ("age",), "categories": {"city": ("a", "b"), "kind": ("c", "d")}, "embeddings": {"kind": 4}}
    nodes = nodes_of([{"dense": 2}], (3,), kind="table", **spec)
    assert_connected(nodes)
    assert "embeddings/embedding" in within(nodes, "preprocess")
    assert len(sources(nodes["preprocess/cat"])) == 3


class _Look(nn.Module):
    """Looks at values, which the meta device has none of."""

    def forward(self, inputs):
        return inputs if bool((inputs == 0).all()) else inputs + 1


def test_layers_that_look_at_values():
    """They are called on the CPU."""
    nodes = by_name(network_graph(nn.Sequential(OrderedDict(look=_Look(), dense=nn.Linear(4, 2))), (4,)))
    assert_connected(nodes)
    assert "look/all" in nodes
    assert nodes["dense/addmm"].input == ["look/_look"]


def test_a_module_in_two_places():
    """It is called for each of them in turn."""
    shared = nn.Linear(4, 4)
    network = nn.Sequential(OrderedDict([("0_dense", shared), ("1_tanh", nn.Tanh()), ("2_dense", shared)]))
    names = list(by_name(network_graph(network, (4,))))
    assert names == ["input", "0_dense/addmm", "1_tanh/tanh", "2_dense/addmm", "output"]


def test_the_network_stays_as_it_is():
    """No hooks, no other mode, no other weights are left."""
    network = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 2)).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    network_graph(network, (4,))
    assert all(module.training and not module._forward_hooks for module in network.modules())
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_model_that_is_not_built():
    """There are no shapes before the data is known."""
    with pytest.raises(DataError, match=r"A graph is of a model that is built.*See Model\.build"):
        model_graph(Model([]))
