"""Every part of a model is called by its place in the config."""

from lightlab import BundledData
from lightlab.inspect.names import config_layers, name_modules
from lightlab.names import name_module

LAYERS = [
    {"parallel": [[{"dense": 8}, "tanh"], ["relu", {"residual": [{"dense": 8}]}]]},
    "nn.GELU",
    {"repeat": {"times": 2, "layers": [{"mlp": {"units": [8, 8]}}]}},
]


def test_places(make_subject):
    """Branches, layers in layers, modules of torch's, the head."""
    model = make_subject(LAYERS, BundledData("iris")).fresh()
    names = {path: name_module(model, path) for path, _ in model.named_modules()}
    assert names["network.0_parallel.branches.0.0_dense"] == "model.layers[0].parallel.branches[0][0].dense"
    inner = "network.0_parallel.branches.1.1_residual.inner.0_dense"
    assert names[inner] == "model.layers[0].parallel.branches[1][1].residual.layers[0].dense"
    assert names["network.1_nn_GELU"] == "model.layers[1].nn.GELU"
    assert names["head.linear"] == "model.head"


def test_parts_of_one_place(make_subject):
    """Several modules that one place in the config makes are numbered."""
    model = make_subject(LAYERS, BundledData("iris")).fresh()
    paths = [path for path, _ in model.network[2].named_parameters(prefix="network.2_repeat") if "weight" in path]
    names = name_modules(model, paths)
    wanted = "model.layers[2].repeat.layers[0].mlp"
    assert list(names.values()) == [f"{wanted} ({number})" for number in (1, 2, 3, 4)]


def test_embedded_columns(make_subject):
    """The vectors of a column's categories are called after the column."""
    import numpy as np
    import pandas as pd

    from lightlab import TableData

    generator = np.random.default_rng(0)
    cities = generator.choice(["Oslo", "Rome", "Bonn"], 100)
    frame = pd.DataFrame({"x": generator.normal(size=100), "city": cities, "kind": generator.choice(["a", "b"], 100)})
    model = make_subject(data=TableData.from_frame(frame, "kind", embeddings={"city": 2})).fresh()
    path = next(path for path, _ in model.named_parameters() if path.startswith("preprocess"))
    assert name_module(model, path) == "embedding of column city"


def test_layers_that_are_repeated_are_numbered(make_subject):
    """Each copy of a layer has a name of its own."""
    model = make_subject(LAYERS, BundledData("iris")).fresh()
    names = list(config_layers(model))
    assert names[-3:] == ["2_repeat/0_mlp/1", "2_repeat/0_mlp/2", "head"]
    assert "0_parallel/branch_1/1_residual/0_dense" in names
