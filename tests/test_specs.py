import datetime

import pytest
from torch import nn, optim

from lightlab import ConfigError, RegistryError
from lightlab.layers.dense import dense
from lightlab.registry import ACTIVATIONS
from lightlab.specs import LayerSpec, check_parameters, find_layer, parse_component, parse_layers

KEY = ("model", "layers")


def faults(config):
    """Return the place and the message of each fault of a list of layers."""
    with pytest.raises(ConfigError) as caught:
        parse_layers(config, KEY)
    return [tuple(str(fault).split(": ", 1)) for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("config", "name", "key", "parameters"),
    [
        ("relu", "relu", (), {}),
        ({"relu": None}, "relu", ("relu",), {}),
        ({"relu": {}}, "relu", ("relu",), {}),
        ({"dense": 5}, "dense", ("dense",), {"units": 5}),
        ({"dense": {"units": 5, "l2": 0.1}}, "dense", ("dense",), {"units": 5, "l2": 0.1}),
        (
            {"dense": {"units": 5, "activation": {"elu": 2}}},
            "dense",
            ("dense",),
            {"units": 5, "activation": {"elu": 2}},
        ),
        ({"max_pool2d": [2, 3]}, "max_pool2d", ("max_pool2d",), {"pool_size": [2, 3]}),
        ({"residual": ["relu"]}, "residual", ("residual",), {"layers": ["relu"]}),
        ({"nn.GELU": {"approximate": "tanh"}}, "nn.GELU", ("nn.GELU",), {"approximate": "tanh"}),
        ({"nn.ZeroPad2d": [1, 2, 3, 4]}, "nn.ZeroPad2d", ("nn.ZeroPad2d",), {"padding": (1, 2, 3, 4)}),
    ],
)
def test_a_layer(config, name, key, parameters):
    """A name, a name with a lone value for the first parameter, or a name with parameters."""
    assert parse_layers([config], KEY) == (LayerSpec(name, (*KEY, 0, *key), parameters),)


def test_a_list_of_layers():
    """Layers come in order, each with its place; a tuple does as well, and there may be none."""
    specs = parse_layers(("flatten", {"dense": 3}), KEY)
    assert [(spec.name, spec.key) for spec in specs] == [
        ("flatten", ("model", "layers", 0)),
        ("dense", ("model", "layers", 1, "dense")),
    ]
    assert specs[1].component is dense
    assert parse_layers([], KEY) == ()


@pytest.mark.parametrize("config", ["dense", {"dense": 3}, 3, None, True])
def test_layers_that_are_no_list(config):
    """Layers are a list, at the top and within layers."""
    assert faults(config) == [("model.layers", f"Layers are a list: one '- name: …' a layer. Received: {config!r}.")]
    inner = ("model.layers[0].residual.layers", f"residual's layers must be a list. Received: {config!r}.")
    assert faults([{"residual": {"layers": config}}]) == [inner]


@pytest.mark.parametrize("config", [3, None, True, [], ["dense"], {}, {"dense": 3, "relu": None}, {3: 4}])
def test_a_layer_that_is_none(config):
    """An entry of another form is answered with the three forms."""
    ((place, message),) = faults([config])
    assert place == "model.layers[0]"
    rule = "One layer is 'name', 'name: value' or 'name: {parameter: value}'."
    assert message == f"{rule} Received: {config!r}."


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("dens", "No layer is called 'dens'. Did you mean dense?"),
        ("Conv2D", "No layer is called 'Conv2D'. Did you mean conv2d?"),
        ("qqq", "No layer is called 'qqq'. There are: "),
        ("nn.Linaer", "torch.nn has no module 'nn.Linaer'. Did you mean nn.Linear"),
        ("nn.Module", "torch.nn has no module 'nn.Module'."),
        ("nn.functional", "torch.nn has no module 'nn.functional'."),
        ("nn.", "torch.nn has no module 'nn.'."),
        ("torch.nn.Linear", "No layer is called 'torch.nn.Linear'."),
    ],
)
@pytest.mark.parametrize("as_mapping", [False, True])
def test_unknown_layer(name, near, as_mapping):
    """An unknown name is answered with what comes nearest, at the place where it stands."""
    (place, message), *_ = faults([{name: {"units": 3}} if as_mapping else name])
    assert place == f"model.layers[0]{'.' + name if as_mapping else ''}"
    assert message.startswith(near)


@pytest.mark.parametrize("value", ["2", 2.0, True, None, [2], {"a": 2}, 0, -1, 2**80 * 1.0])
def test_an_int_is_an_int(value):
    """Text, floats, booleans and the like are no integers, whatever Python makes of them; nor is 0 positive."""
    ((place, message),) = faults([{"dense": {"units": value}}])
    assert place == "model.layers[0].dense.units"
    rule = "must be greater than 0" if value in (0, -1) and value is not False else "must be a valid integer"
    assert message == f"dense's units {rule}. Received: {value!r}."


@pytest.mark.parametrize(
    ("parameter", "value", "rule"),
    [
        ("use_bias", 1, "must be a valid boolean"),
        ("use_bias", "true", "must be a valid boolean"),
        ("l2", -0.5, "must be greater than or equal to 0"),
        ("l2", "0.5", "must be a valid number"),
        ("l2", float("nan"), "must be a finite number"),
        ("l2", float("inf"), "must be a finite number"),
        ("init", "he", "must be 'he_normal', 'he_uniform', "),
        ("activation", 3, "must be a valid string; or must be a mapping"),
    ],
)
def test_type_and_range(parameter, value, rule):
    """Each parameter has its type and its range; both, and the value, are in the message."""
    ((place, message),) = faults([{"dense": {"units": 3, parameter: value}}])
    assert place == f"model.layers[0].dense.{parameter}"
    assert message.startswith(f"dense's {parameter} {rule}")
    assert message.endswith(f"Received: {value!r}.")


@pytest.mark.parametrize(
    ("config", "place", "message"),
    [
        (
            {"dense": {"unit": 3, "units": 3}},
            ".unit",
            "dense has no parameter 'unit'. Did you mean units? It takes u",
        ),
        ({"dense": {"units": 3, "zzz": 3}}, ".zzz", "dense has no parameter 'zzz'. It takes units, activation, "),
        ({"dense": {"units": 3, "input_shape": [1]}}, ".input_shape", "dense has no parameter 'input_shape'."),
        ({"repeat": {"times": 1, "layers": [], "build": 1}}, ".build", "repeat has no parameter 'build'."),
        ({"flatten": {"x": 1}}, ".x", "flatten has no parameter 'x'. It takes none."),
        ({"flatten": 3}, "", "flatten takes no parameters. Received: 3."),
        ({"dense": {}}, "", "dense needs 'units'."),
        ({"dense": None}, "", "dense needs 'units'."),
        (
            {"dense": {"units": 3, "l2": datetime.date(2024, 1, 1)}},
            "",
            "dense takes plain values: numbers, text, lists and",
        ),
        ({"dense": object}, "", "dense takes plain values"),
        ({"parallel": {"branches": 3, "merge": object}}, "", "parallel takes plain values"),
        (
            {"nn.TransformerEncoder": {"encoder_layer": 3, "num_layers": 1}},
            ".encoder_layer",
            "nn.TransformerEncoder's e",
        ),
    ],
)
def test_one_fault(config, place, message):
    """Unknown, missing, lone or not plain: each has its place and its words."""
    ((found, text),) = faults([config])
    ((name, _),) = config.items()
    assert found == f"model.layers[0].{name}{place}"
    assert text.startswith(message)


def test_all_faults_at_once():
    """Every fault of every layer is found in one go, with its key, those of nested layers too."""
    inner = ["relo", {"repeat": {"times": 0, "layers": [{"dense": {"units": "x", "l1": -1}}, 7]}}]
    config = [
        {"dense": {"units": "2", "activaton": "relu"}},
        "relu",
        {"conv2d": 5},
        {"residual": {"layers": inner, "activation": {"elu": -1}}},
        {"parallel": [[{"dropout": 2}], ["flatten", "nn.Nothing"]]},
        {"dense": {"units": 3, "activation": "relo"}},
        [],
    ]
    assert [place for place, _ in faults(config)] == [
        "model.layers[0].dense.units",
        "model.layers[0].dense.activaton",
        "model.layers[2].conv2d",
        "model.layers[3].residual.layers[0]",
        "model.layers[3].residual.layers[1].repeat.times",
        "model.layers[3].residual.layers[1].repeat.layers[0].dense.units",
        "model.layers[3].residual.layers[1].repeat.layers[0].dense.l1",
        "model.layers[3].residual.layers[1].repeat.layers[1]",
        "model.layers[3].residual.activation.elu.alpha",
        "model.layers[4].parallel.branches[0][0].dropout.rate",
        "model.layers[4].parallel.branches[1][1]",
        "model.layers[5].dense.activation",
        "model.layers[6]",
    ]


def test_missing_parameters_are_named_each():
    """Each parameter that is missing is a fault of the layer."""
    assert [message for _, message in faults(["conv2d"])] == ["conv2d needs 'filters'.", "conv2d needs 'kernel_size'."]


def test_activations_are_no_layers():
    """For an activation only an activation will do."""
    ((place, message),) = faults([{"dense": {"units": 3, "activation": "dropout"}}])
    assert place == "model.layers[0].dense.activation"
    assert message.startswith("No activation is called 'dropout'.")
    spec = parse_component({"elu": 2}, ("a",), ACTIVATIONS)
    assert (spec.name, spec.key, spec.parameters) == ("elu", ("a", "elu"), {"alpha": 2})


def test_find_layer():
    """A registered name, or a module of torch.nn."""
    assert find_layer("dense") is dense
    assert find_layer("nn.GELU") is nn.GELU
    with pytest.raises(RegistryError):
        find_layer("GELU")


def describe(
    name: str, size: int, ratio: float = 0.5, *rest: int, flag: bool = False, note=None, **others: str
) -> None:
    """Have parameters of every sort."""


@pytest.mark.parametrize(
    ("given", "options", "expected"),
    [
        ({"name": "a", "size": 3}, {}, {"name": "a", "size": 3}),
        ({"name": "a", "size": 3, "ratio": 1, "note": [1, None], "more": "x"}, {}, None),
        ({"size": 3}, {"hidden": ("name",)}, {"size": 3}),
        (3, {"hidden": ("name",)}, {"size": 3}),
        ({}, {"optional": ("name", "size")}, {}),
        (None, {"optional": ("name", "size")}, {}),
    ],
)
def test_check_parameters(given, options, expected):
    """Hidden parameters can't be given, optional ones may be left out; what has no type takes any plain value."""
    checked = check_parameters(describe, given, ("k",), name="thing", **options)
    assert checked == (given if expected is None else expected)


def test_check_parameters_of_a_class():
    """A class is described by its constructor; a list is given as the tuple that the signature asks for."""
    given = {"lr": 1, "betas": [0.5, 0.9]}
    checked = check_parameters(optim.AdamW, given, ("k",), name="AdamW", hidden=("params",))
    assert checked == {"lr": 1, "betas": (0.5, 0.9)}
    with pytest.raises(ConfigError) as caught:
        check_parameters(optim.AdamW, {"lr": "fast", "fused": 1}, ("k",), name="AdamW", hidden=("params",))
    assert str(caught.value).splitlines() == [
        "k.lr: AdamW's lr must be a valid number. Received: 'fast'.",
        "k.fused: AdamW's fused must be a valid boolean. Received: 1.",
    ]
