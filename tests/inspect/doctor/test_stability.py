"""Exploding and vanishing gradients, dead units and wild losses, on runs made by hand."""

import math

import pytest

from lightlab.inspect.doctor import diagnose
from lightlab.inspect.evaluation import LayerRecord


def layers(*gradients, dead=None):
    """Return layers with such gradients over weights."""
    return tuple(
        LayerRecord(f"{place}_dense", f"model.layers[{place}].dense", first_gradient=gradient, dead=dead)
        for place, gradient in enumerate(gradients)
    )


def test_exploding(make_history, make_evaluation, config):
    """The layer with the largest gradient is named; small ones beside it are no second illness."""
    evaluation = make_evaluation(train=(0.5, 0.5), val=(0.5, 0.5), layers=layers(1e-3, 1e5, 0.1))
    (finding,) = diagnose(make_history([0.9, 0.5], [0.8, 0.5]), evaluation, config).findings
    assert finding.illness == "exploding gradients"
    assert finding.text.startswith("in 1 of 3 layers, most at model.layers[1].dense: 1.00e+05 times")
    assert finding.remedies[0] == "trainer.gradient_clip_val: 1.0"


@pytest.mark.parametrize("gradients", [(1e-7, 0.2), (0.0, 0.2)])
def test_vanishing(illnesses, gradients):
    """A gradient next to that of others, where there is much left to learn; a network that learned is well."""
    assert illnesses(layers=layers(*gradients), train=(0.5, 0.5), val=(0.5, 0.5)) == ["vanishing gradients"]
    assert illnesses(layers=layers(*gradients)) == []


def test_vanishing_is_measured_beside_the_largest(illnesses):
    """Gradients that are small everywhere are not vanishing: the loss may be flat, or small."""
    assert illnesses(layers=layers(1e-7, 2e-7), train=(0.5, 0.5), val=(0.5, 0.5)) == []


@pytest.mark.parametrize(
    ("share", "left", "ill"), [(0.95, 0.05, True), (0.6, 0.5, True), (0.6, 0.05, False), (0.4, 0.5, False)]
)
def test_dead_units(illnesses, share, left, ill):
    """Half of a layer is an illness where there is much left to learn, nearly all of it is in any case."""
    found = illnesses(layers=layers(0.1, 0.2, dead=share), train=(left, left), val=(left, left))
    assert found == ["dead units"] * ill


def test_dead_units_are_said_with_their_share(make_history, make_evaluation, config):
    """The worst layer is named, by its own name where several stand at one place, and the others are counted."""
    found = (
        LayerRecord("1_mlp_1", "model.layers[1].mlp", dead=0.92),
        LayerRecord("1_mlp_2", "model.layers[1].mlp", dead=0.97),
    )
    (finding,) = diagnose(make_history([0.9, 0.1]), make_evaluation(layers=found), config).findings
    assert finding.text == "97% of the units of model.layers[1].mlp (1_mlp_2) are zero for all rows, and many of 1 more"


def test_wild(illnesses):
    """A loss of many times the constant answer's is a step far too long."""
    assert illnesses([25.0, 0.9, 0.3, 0.1], [1.0, 0.9, 0.3, 0.1]) == ["unstable"]


def test_jumps(make_history, make_evaluation, config):
    """Three jumps are an illness, and the largest is told; two are not."""
    losses = [0.9, 0.3, 0.5, 0.2, 0.4, 0.2, 0.7, 0.1]
    (finding,) = diagnose(make_history(losses), make_evaluation(), config).findings
    assert finding.illness == "unstable"
    assert finding.text == "train/loss jumped up in 3 of 8 epochs, in epoch 7 from 0.20 to 0.70"
    assert diagnose(make_history(losses[2:]), make_evaluation(), config).healthy


def test_losses_that_waver_are_stable(illnesses):
    """Dropout and small batches make a loss go up and down by a little."""
    assert (
        illnesses([2.0, 1.5, 1.7, 1.4, 1.6, 1.2, 1.3, 0.5, 0.54, 0.5, 0.54, 0.5], [], train=(0.1, 0.1), val=None) == []
    )


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e9])
@pytest.mark.parametrize("name", ["train/loss", "gradient_norm_max"])
def test_broken_off_by_an_overflow(make_history, config, name, value):
    """A run that broke off with a loss or gradients that were no numbers, or huge, is told from its history."""
    history = make_history([0.9, 0.5, 0.4, 0.4])
    history.loc[3, name] = value
    (finding,) = diagnose(history, None, config).findings
    assert finding.illness == "exploding gradients"
    assert finding.text.startswith(f"{name} was ")
    assert finding.figures["epoch"] == 4


def test_broken_off_in_an_epoch(make_history, config):
    """An epoch that broke off has gradients and no loss: that alone is no illness, and infinite gradients are."""
    history = make_history([0.9, 0.5, 0.4])
    history.loc[2, ["train/loss", "epoch_seconds"]] = math.nan
    assert diagnose(history, None, config).findings == ()
    history.loc[2, "gradient_norm_max"] = math.nan
    assert [each.illness for each in diagnose(history, None, config).findings] == ["exploding gradients"]
