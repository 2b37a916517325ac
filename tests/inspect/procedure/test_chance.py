"""What can be had without inputs, as a head's own loss finds it, against closed forms."""

import math

import pytest
import torch

from lightlab import TargetSpec
from lightlab.heads.base import Head
from lightlab.inspect.procedure.chance import best_constant, find_chance
from lightlab.registry import HEADS

CLASSES = torch.tensor([0] * 50 + [1] * 30 + [2] * 20)
SHARES = torch.tensor([0.5, 0.3, 0.2])


def entropy(shares):
    return -(shares * shares.log()).sum().item()


def make_head(name, targets, **options):
    if name in ("binary", "multiclass"):
        names = tuple("abcdefgh"[: int(targets.max()) + 1])
        spec = TargetSpec(("y",), names, tuple(targets.bincount().tolist()), rows=len(targets))
    else:
        mean, std = targets.mean(0).tolist(), targets.std(0, correction=0).tolist()
        names = tuple("abcdefgh"[: targets.shape[1]])
        counts = tuple(targets.sum(0).int().tolist()) if name == "multilabel" else ()
        spec = TargetSpec(names, (), counts, tuple(mean), tuple(std), len(targets))
    return HEADS.get(name)(4, target=spec, **options)


def numbers():
    return torch.randn(200, 2, generator=torch.Generator().manual_seed(0)) * torch.tensor([50.0, 2.0]) + 150


def test_multiclass():
    """Nothing known costs ln C, the shares of the classes their entropy, and all known nothing."""
    chance = find_chance(make_head("multiclass", CLASSES), CLASSES)
    assert chance.silent == pytest.approx(math.log(3))
    assert chance.constant == pytest.approx(entropy(SHARES), rel=1e-4)
    assert chance.floor == pytest.approx(0, abs=1e-4)
    assert chance.share(chance.constant) == pytest.approx(1)


def test_label_smoothing():
    """Smoothed targets can't be reached: the floor is their entropy."""
    smooth = 0.3
    chance = find_chance(make_head("multiclass", CLASSES, label_smoothing=smooth), CLASSES)
    own, other = 1 - smooth + smooth / 3, smooth / 3
    assert chance.floor == pytest.approx(entropy(torch.tensor([own, other, other])), rel=1e-3)
    assert chance.constant == pytest.approx(entropy(SHARES * (1 - smooth) + smooth / 3), rel=1e-3)


def test_class_weights():
    """Weights move the best constant answer to the weighted shares."""
    weights = torch.tensor([1.0, 5.0, 2.0])
    logits, least = best_constant(make_head("multiclass", CLASSES, class_weight=weights.tolist()), CLASSES)
    wanted = SHARES * weights / (SHARES * weights).sum()
    torch.testing.assert_close(logits[0].softmax(0), wanted, atol=1e-3, rtol=0)
    assert least == pytest.approx(-(SHARES * weights * wanted.log()).sum().item(), rel=1e-3)


def test_binary_and_labels():
    """A rate's entropy, with a floor of 0."""
    codes = (CLASSES > 1).long()
    rates = torch.tensor([0.2, 0.8])
    chance = find_chance(make_head("binary", codes), codes)
    assert (chance.silent, chance.constant) == (pytest.approx(math.log(2)), pytest.approx(entropy(rates), rel=1e-4))
    labels = torch.stack([codes, 1 - codes], 1).float()
    chance = find_chance(make_head("multilabel", labels), labels)
    assert (chance.silent, chance.constant) == (pytest.approx(math.log(2)), pytest.approx(entropy(rates), rel=1e-4))
    assert chance.floor == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize("normalize", [True, False])
def test_regression(normalize):
    """Squared errors cost the variance in the units of the loss, absolute ones the distance from the median."""
    targets = numbers()
    units = targets.std(0, correction=0) if normalize else torch.ones(2)
    scaled = targets / units
    chance = find_chance(make_head("regression", targets, normalize_target=normalize), targets)
    assert chance.constant == pytest.approx(scaled.var(0, correction=0).mean().item(), rel=1e-4)
    assert chance.floor == pytest.approx(0, abs=1e-4)
    distances = (scaled - scaled.median(0).values).abs().mean().item()
    chance = find_chance(make_head("regression", targets, loss="mae", normalize_target=normalize), targets)
    assert chance.constant == pytest.approx(distances, rel=1e-3)
    assert chance.floor < 0.02 * chance.constant
    if not normalize:
        assert chance.silent > 100  # far from the targets, whose mean is 150


def test_bounded_regression():
    """Places between the bounds: their variance; with cross-entropy the floor is the entropy of the places."""
    targets = numbers().clamp(0, 300)
    places = targets / 300
    chance = find_chance(make_head("bounded_regression", targets, low=0, high=300), targets)
    assert chance.constant == pytest.approx(places.var(0, correction=0).mean().item(), rel=1e-3)
    chance = find_chance(
        make_head("bounded_regression", targets, low=0, high=300, loss="binary_cross_entropy"), targets
    )
    inner = places.clamp(1e-6, 1 - 1e-6)
    each = -(inner * inner.log() + (1 - inner) * (1 - inner).log())
    assert chance.floor == pytest.approx(each.mean().item(), rel=1e-3)


def test_targets_that_are_all_the_same():
    """There is nothing to learn, and that is known."""
    targets = torch.zeros(20, dtype=torch.long)
    head = HEADS.get("multiclass")(4, target=TargetSpec(("y",), ("a", "b"), (20, 0), rows=20))
    assert not find_chance(head, targets).something_to_learn
    assert find_chance(make_head("multiclass", CLASSES), CLASSES).something_to_learn


class Counts(Head):
    """A plugin's head, whose loss is below zero for large counts."""

    def __init__(self, in_features, target):
        super().__init__(in_features, 1, target)
        with torch.no_grad():
            self.linear.bias.fill_(1.0)

    def loss(self, logits, target):
        return torch.nn.functional.poisson_nll_loss(logits, target, reduction="none").mean(1)


def test_a_plugins_head():
    """Any loss will do: of Poisson's the constant is the mean rate, and the floor each row's own."""
    counts = torch.tensor([[2.0], [10.0], [30.0], [50.0]])
    chance = find_chance(Counts(4, TargetSpec(("y",))), counts)
    mean = counts.mean()
    assert chance.silent == pytest.approx((math.e - mean).item(), rel=1e-4)
    assert chance.constant == pytest.approx((mean - mean * mean.log()).item(), rel=1e-4)
    assert chance.floor == pytest.approx((counts - counts * counts.log()).mean().item(), rel=1e-4)
    assert chance.floor < 0
    assert chance.share((chance.constant + chance.floor) / 2) == pytest.approx(0.5)
