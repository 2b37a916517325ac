"""Compiled steps move the model's own tensors as eager steps do, and say when they no longer fit."""

import copy

import pytest
import torch
from torch import nn

from lightlab import Batch
from lightlab.compiled.compiled_step import CompiledSteps
from lightlab.compiled.trace import build_model

pytestmark = pytest.mark.xdist_group("compiled")  # one process makes the package
RATES = [0.02, 0.01]


class Training:
    """A model, its optimizer, and compiled steps for them."""

    def __init__(self, compiled, stepped=True):
        torch.manual_seed(0)
        self.model = build_model(compiled.request)
        self.optimizer = self.model.optimizer_spec.build(self.model.parameters())
        if stepped:
            self.eager(compiled.batches[:1], [0.01])
        program = copy.copy(compiled.program)  # which has tensors of its own
        self.steps = CompiledSteps(program, compiled.request, self.model, self.optimizer)

    def eager(self, batches, rates):
        for batch, rate in zip(batches, rates, strict=True):
            logits, losses, extra = self.model.evaluate(batch)
            self.model.keep(logits, losses, batch.targets, extra)
            self.optimizer.zero_grad()
            (losses.mean() + extra).backward()
            nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.param_groups[0]["lr"] = rate
            self.optimizer.step()


@pytest.fixture
def training(compiled):
    return Training(compiled)


@pytest.fixture(params=["compiled", "compiled_here"])
def each(request):
    """Steps of either way of compiling."""
    return request.getfixturevalue(request.param)


def tensors(training):
    """Return all that a training has moved."""
    states = training.optimizer.state_dict()["state"].values()
    return [*training.model.state_dict().values(), *(each for state in states for each in state.values())]


def test_steps_equal_eager_ones(each):
    """Weights, counts, state, losses and penalties are those of eager steps, up to rounding, dropout included."""
    training, other = Training(each), Training(each)
    for start in (0, 2, 4):
        batches = each.batches[start : start + 2]
        torch.manual_seed(start)
        assert training.steps.fit(batches)
        training.steps(batches, RATES)
        torch.manual_seed(start)
        other.eager(batches, RATES)
    torch.testing.assert_close(tensors(training), tensors(other), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(torch.cat(training.model.penalties), torch.cat(other.model.penalties))
    torch.testing.assert_close(training.model.train_metrics.compute(), other.model.train_metrics.compute())
    assert training.model.network[1].num_batches_tracked == 7


def test_same_steps_twice(each):
    """From the same weights and seed come the same weights, to the bit."""
    training, other = Training(each), Training(each)
    for one in (training, other):
        torch.manual_seed(1)
        one.steps(each.batches[:2], RATES)
    assert all(torch.equal(here, there) for here, there in zip(tensors(training), tensors(other), strict=True))


def test_tensors_that_were_replaced(compiled, training):
    """After restoring a state, which makes new tensors, it is these that are moved."""
    state = copy.deepcopy(training.optimizer.state_dict())
    training.optimizer.load_state_dict(state)
    assert training.steps.bind()
    training.steps(compiled.batches[:2], RATES)
    counts = {float(each["step"]) for each in training.optimizer.state.values()}
    assert counts == {3.0}


def test_pairs(compiled, training):
    """A loader of one's own gives pairs of inputs and targets."""
    pairs = [list(batch[:2]) for batch in compiled.batches[:2]]
    assert training.steps.fit(pairs)
    training.steps(pairs, RATES)
    assert training.model.train_metrics.compute().keys() == {"loss", "accuracy", "f1_macro"}


def test_batches_that_do_not_fit(compiled, training):
    """Machine code believes what it is told: batches of another number, shape, type or layout are left to others."""
    one, two = compiled.batches[:2]
    assert training.steps.fit([one, two])
    fewer = Batch(one.inputs[:9], one.targets[:9])
    double = one._replace(inputs=one.inputs.double())
    turned = one._replace(inputs=one.inputs.t().contiguous().t())
    for batches in ([one], [one, two, one], [one, fewer], [double, two], [two, turned]):
        assert not training.steps.fit(batches)


def change(name):
    """Return what changes a training in one way."""

    def settings(training):
        training.optimizer.param_groups[0]["weight_decay"] = 0.5

    def frozen(training):
        training.model.head.linear.weight.requires_grad_(False)

    def swapped(training):  # as many parameters as before are trained, but others
        training.model.network[1].bias.requires_grad_(False)
        training.model.head.linear.bias.requires_grad_(True)

    def layer(training):
        training.model.network[1].eval()

    def layout(training):
        state = training.optimizer.state[training.model.head.linear.weight]
        state["exp_avg"] = state["exp_avg"].t().contiguous().t()

    def group(training):
        training.optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))]})

    def schedule(training):
        torch.optim.lr_scheduler.OneCycleLR(training.optimizer, max_lr=0.1, total_steps=9)  # moves the momentum, too

    return locals()[name]


@pytest.mark.parametrize("name", ["settings", "frozen", "swapped", "layer", "layout", "group", "schedule"])
def test_training_that_has_changed(training, name):
    """What stands in the machine code must be so in the training: when it no longer is, `bind` says so."""
    training.optimizer.param_groups[0]["lr"] = 0.5  # which may change
    assert training.steps.bind()
    change(name)(training)
    assert not training.steps.bind()


def test_training_that_never_fitted(compiled):
    """Steps are not made for an optimizer that has no state yet, or has got other numbers than the config's."""
    with pytest.raises(ValueError, match="other settings"):
        Training(compiled, stepped=False)
    training = Training(compiled)
    training.optimizer.param_groups[0]["betas"] = (0.5, 0.99)
    with pytest.raises(ValueError, match="other settings"):
        CompiledSteps(compiled.program, compiled.request, training.model, training.optimizer)
