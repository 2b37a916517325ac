"""What a config already does, read from its layers however they are written."""

import pytest

from lightlab.inspect.doctor.setup import Setup


def of_layers(*layers):
    """Return the setup of some layers."""
    return Setup({"model": {"layers": list(layers)}})


def test_nested_layers_have_places():
    """Layers within layers are found, with the keys that a config has for them."""
    setup = of_layers(
        "flatten",
        {"residual": [{"dense": 8}, "relu"]},
        {"repeat": {"times": 2, "layers": [{"dense": {"units": 4}}]}},
        {"parallel": {"branches": [[{"mlp": [16, 8]}], []]}},
    )
    assert [layer.place for layer in setup.sized] == [
        "model.layers[1].residual.layers[0].dense",
        "model.layers[2].repeat.layers[0].dense",
        "model.layers[3].parallel.branches[0][0].mlp",
    ]
    assert [layer.sizes for layer in setup.sized] == [[8], [4], [16, 8]]


@pytest.mark.parametrize(
    ("layer", "rate"),
    [
        ("dropout", 0.5),
        ({"dropout": 0.4}, 0.4),
        ({"spatial_dropout": {"rate": 0.2}}, 0.2),
        ({"mlp": {"units": 8, "dropout": 0.1}}, 0.1),
        ({"dense": 8}, 0.0),
    ],
)
def test_dropout(layer, rate):
    """The rate is that of a layer of its own, given or not, or of a composite one."""
    assert of_layers(layer).dropout == rate


@pytest.mark.parametrize(
    ("layer", "normalises"),
    [
        ("batch_norm", True),
        ({"conv_block": 8}, True),
        ({"conv_block": {"filters": 8, "batch_norm": False}}, False),
        ({"mlp": {"units": 8, "batch_norm": True}}, True),
        ({"mlp": 8}, False),
    ],
)
def test_normalisation(layer, normalises):
    """A convolution's block normalises unless it says otherwise, an mlp only if it says so."""
    assert of_layers(layer).layers[0].normalises == normalises


def test_learning_rate():
    """The rate stands in the optimizer, or in a schedule that sets it itself; classes are named with paths or not."""
    model = {"optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}}}
    assert Setup({"model": model}).rate == ("model.optimizer.init_args.lr", 0.1)
    model["lr_scheduler"] = {"class_path": "torch.optim.lr_scheduler.OneCycleLR", "init_args": {"max_lr": 0.5}}
    assert Setup({"model": model}).rate == ("model.lr_scheduler.init_args.max_lr", 0.5)
    assert Setup({"model": {"optimizer": "AdamW"}}).rate == ("model.optimizer.init_args.lr", 0.001)


@pytest.mark.parametrize(
    "config", [{}, {"model": None}, {"model": {"layers": 3}}, {"model": {"layers": [1, {}, {"a": 1, "b": 2}]}}]
)
def test_odd_configs_are_empty(config):
    """What can't be read counts as not there."""
    setup = Setup(config)
    assert (setup.layers, setup.dropout, setup.penalty, setup.scheduler, setup.images) == ((), 0.0, 0.0, "", False)
