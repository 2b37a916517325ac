"""Gradients and dead units: networks that are well pass, and what is wrong is named by its place in the config."""

import pytest
from torch import nn

from lightlab import BundledData
from lightlab.inspect.procedure.gradients import check_gradients
from lightlab.registry import LAYERS


def digits():
    return BundledData("digits", batch_size=64)


def dense(activation, **options):
    return {"dense": {"units": 32, "activation": activation, **options}}


@pytest.mark.parametrize(
    "layers",
    [
        ["flatten", *[dense("relu")] * 20],
        ["flatten", *[dense("tanh")] * 8],
        ["flatten", *[dense("sigmoid")] * 5],
        ["flatten", *[dense("selu"), {"alpha_dropout": 0.1}] * 8],
        [{"residual": [{"conv_block": {"filters": 1}}]}, "flatten", {"mlp": {"units": [32, 16], "batch_norm": True}}],
        [{"reshape": [8, 8]}, {"lstm": 16}],
    ],
    ids=["20 relu", "8 tanh", "5 sigmoid", "8 selu", "residual", "lstm"],
)
def test_healthy_networks(layers, run_step):
    """Deep ones, too: no gradient vanishes or explodes, and few units are dead."""
    found = run_step(check_gradients, layers, digits())
    assert found.verdict == "ok", found.text
    assert all(0 < ratio < 100 for ratio in found.figures["gradients"].values())


def test_vanishing(run_step):
    """Twelve sigmoids take the gradient of the first layer to next to nothing; the least is named."""
    found = run_step(check_gradients, ["flatten", *[dense("sigmoid")] * 12], digits())
    assert found.verdict == "failed"
    assert "vanishing in 6 of 13 layers, most at model.layers[1].dense: " in found.text
    gradients = found.figures["gradients"]
    assert gradients["model.layers[1].dense"] < 1e-7 < 1e-3 < gradients["model.head"]


def test_exploding(run_step, registries):
    """Initial weights a hundred times too large; and each layer has its figure."""

    def huge(*, input_shape):
        layer = nn.Linear(*input_shape, 32)
        nn.init.normal_(layer.weight, std=20)
        return layer

    LAYERS.add("huge", huge, provider="tests")
    found = run_step(check_gradients, ["flatten", "huge", "relu", "huge", "relu"], digits())
    assert found.verdict == "failed"
    assert "exploding in " in found.text
    assert list(found.figures["gradients"]) == ["model.layers[1].huge", "model.layers[3].huge", "model.head"]


def test_dead_units(run_step, registries):
    """A bias far below zero, after which no relu answers."""

    def sunk(*, input_shape):
        layer = nn.Linear(*input_shape, 32)
        nn.init.constant_(layer.bias, -100)
        return layer

    LAYERS.add("sunk", sunk, provider="tests")
    found = run_step(check_gradients, ["flatten", dense("relu"), "sunk", "relu"], digits())
    assert found.verdict == "failed"
    assert "100% of model.layers[3].relu is dead" in found.text
    assert found.figures["dead_units"]["model.layers[1].dense"] < 0.5


def test_some_dead_units(run_step, registries):
    """More than half of a layer is a warning."""

    def half_sunk(*, input_shape):
        layer = nn.Linear(*input_shape, 32)
        nn.init.constant_(layer.bias[:20], -100)
        return layer

    LAYERS.add("half_sunk", half_sunk, provider="tests")
    found = run_step(check_gradients, ["flatten", "half_sunk", "relu"], digits())
    assert found.verdict == "warning"
    assert "of model.layers[2].relu is dead" in found.text


def test_kernels_of_zero(run_step):
    """A layer of zeros behind a relu never learns."""
    found = run_step(check_gradients, ["flatten", dense("relu", init="zeros")], digits())
    assert found.verdict == "failed"
    assert "vanishing in 1 of 2 layers, most at model.layers[1].dense: 0, 0.0" in found.text


def test_kernels_of_zero_that_are_meant(run_step):
    """The last kernel of a residual may start at zero: what is before it gets gradients soon."""
    block = {"residual": [dense("tanh"), {"dense": {"units": 32, "init": "zeros"}}]}
    found = run_step(check_gradients, ["flatten", dense("tanh"), block], digits())
    assert found.verdict == "ok", found.text
    assert "model.layers[2].residual.layers[0].dense" in found.figures["gradients"]


def test_units_of_the_loss_play_no_part(run_step):
    """The same network on targets in other units has the same figures."""
    normalized, plain = (
        run_step(
            check_gradients,
            [dense("tanh")],
            BundledData("diabetes"),
            problem="regression",
            head={"normalize_target": normalize},
        ).figures["gradients"]["model.layers[0].dense"]
        for normalize in (True, False)
    )
    assert 1e-3 < plain / normalized < 10


def test_lines(run_step):
    """Each layer and each activation has a line, named as the config has it."""
    lines = [line.split()[0] for line in run_step(check_gradients, [dense("relu")]).lines]
    assert lines == ["layer", "model.layers[0].dense", "model.head", "activation", "model.layers[0].dense"]


def test_dead_channels_and_features(run_step, registries):
    """Units are channels after a convolution, and features after a dense layer on a sequence."""

    def sink(layer):
        nn.init.constant_(layer.bias[:24], -100)
        return layer

    LAYERS.add("sunk_conv", lambda *, input_shape: sink(nn.Conv1d(input_shape[0], 32, 1)), provider="tests")
    LAYERS.add("sunk_dense", lambda *, input_shape: sink(nn.Linear(input_shape[-1], 32)), provider="tests")
    for name in ("sunk_conv", "sunk_dense"):
        found = run_step(check_gradients, [{"reshape": [8, 8]}, name, "relu", "flatten"], digits())
        assert 0.75 <= found.figures["dead_units"]["model.layers[2].relu"] < 0.9, name
