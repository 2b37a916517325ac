"""Taking the steps of an epoch once more: they are those that were taken, to the bit, and stop where they broke."""

import pytest
import torch
from lightning import Callback
from torch import nn

from lightlab.errors import RunError
from lightlab.registry import LAYERS
from lightlab.training import replay as module
from lightlab.training.replay import remember, replay

#: Accumulated steps of which the last of an epoch has one batch.
EVERY, BATCHES = 3, 10
OPTIONS = {"accumulate_grad_batches": EVERY, "limit_train_batches": BATCHES, "max_epochs": 1}


class Odd(nn.Module):
    """Gives a gradient that is not finite for rows of one number, and a finite loss: no loss of later steps uses it."""

    def __init__(self, number):
        super().__init__()
        self.number = number
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        """Take a root whose slope at 0 is infinite."""
        is_odd = inputs[:, :1] == self.number
        if inputs.is_meta or not bool(is_odd.any()):
            return inputs
        return inputs + torch.where(is_odd, self.weight.abs().sqrt(), 0.0)


@pytest.fixture(autouse=True)
def layers():
    """A layer at fault, for the length of a test."""

    @LAYERS.register("odd")
    def odd(number: float) -> nn.Module:
        """Fail at a row."""
        return Odd(number)

    yield
    del LAYERS._entries["odd"]


class KeepWithin(Callback):
    """Keeps the state behind so many batches."""

    def __init__(self, after):
        self.after = after

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Keep it."""
        if batch_idx == self.after - 1:
            trainer.save_checkpoint("within.ckpt")


class Numbers(Callback):
    """Notes the first number of each row, as layers get it, by batch."""

    def __init__(self):
        self.of = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Note them."""
        self.of.append(set(pl_module.preprocess(batch[0])[:, 0].tolist()))

    def one_of(self, batch):
        """Return one that no other batch has."""
        return min(self.of[batch].difference(*self.of[:batch], *self.of[batch + 1 :]))


@pytest.mark.parametrize(("resumed_after", "batch"), [(0, 5), (0, 9), (4, 5), (4, 9), (6, 7), (7, 8), (7, 9)])
def test_finds_a_step_of_several_batches(train, batch, resumed_after):
    """Steps in one go leave a broken weight behind; the step is named, of a run gone on with within one, too.

    The last step of the epoch has one batch.
    """
    numbers = Numbers()
    fine = ({"odd": {"number": 1e9}}, {"dense": 8})
    train(1, layers=fine, make_callbacks=lambda: [numbers, KeepWithin(resumed_after)], **OPTIONS)
    odd = ({"odd": {"number": numbers.one_of(batch)}}, {"dense": 8})
    with pytest.raises(RunError) as error:
        train("auto", layers=odd, ckpt_path="within.ckpt" if resumed_after else None, **OPTIONS)
    step = batch // EVERY + 1
    assert f"In step {step} (batch {min(step * EVERY, BATCHES)} of epoch 1) the loss is finite" in str(error.value)
    assert "gradient of network.0_odd.weight is not. It came up in model.layers[0].odd" in str(error.value)


def state(trainer):
    """Return copies of all that steps change."""
    model, (optimizer,) = trainer.lightning_module, trainer.optimizers
    moments = [value for each in optimizer.state.values() for value in each.values()]
    rates = [torch.tensor(group["lr"]) for group in optimizer.param_groups]
    named = [value for name, value in model.state_dict().items() if name.startswith(("network.", "head."))]
    return [each.detach().clone() for each in (*named, *moments, *rates, torch.get_rng_state())]


class Again(Callback):
    """Takes the steps of the last epoch from a batch on again when it is over, and notes what came of both."""

    def __init__(self, since):
        self.since = since

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Remember what that batch starts from."""
        if batch_idx == self.since:
            self.start = remember(trainer, batch_idx, None)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Note what the last batch leaves."""
        if batch_idx == BATCHES - 1:
            self.once = state(trainer)

    def on_train_epoch_end(self, trainer, pl_module):
        """Take them again."""
        self.indices = list(replay(trainer, self.start, BATCHES, seconds=60.0))
        self.twice = state(trainer)


@pytest.mark.parametrize("every", [1, EVERY])
@pytest.mark.parametrize("since", [0, 4, 6])
@pytest.mark.parametrize("epochs", [1, 2])
def test_takes_the_same_steps(train, every, since, epochs):
    """Weights, statistics, moments, the learning rate and random numbers are then as they were, from any batch on."""
    again = Again(since)
    train(
        1,
        layers=({"dense": 8}, "batch_norm", {"dropout": 0.5}),
        make_callbacks=lambda: [again],
        lr_scheduler={"class_path": "ExponentialLR", "init_args": {"gamma": 0.9}, "interval": "step"},
        **OPTIONS | {"accumulate_grad_batches": every, "max_epochs": epochs},
    )
    assert again.indices == list(range(since, BATCHES))
    assert all(map(torch.equal, again.once, again.twice))


class Remembers(Callback):
    """Remembers the state of each epoch's start in the memory of the one before."""

    def __init__(self):
        self.starts = []

    def on_train_epoch_start(self, trainer, pl_module):
        """Remember it."""
        self.starts.append(remember(trainer, 0, self.starts[-1] if self.starts else None))


def test_memory_is_used_again(train):
    """From the second epoch on, when the optimizer has its state, nothing more is allocated."""
    remembers = Remembers()
    train(1, make_callbacks=lambda: [remembers], **OPTIONS | {"max_epochs": 3})
    _, second, third = remembers.starts
    assert all(one is other for one, other in zip(second._kept, third._kept, strict=True))
    assert (third.epoch, third.batches, third.step) == (2, 0, 2 * -(-BATCHES // EVERY))


def test_large_state_is_not_kept(train, monkeypatch):
    """Of a state that takes too much memory none is remembered."""
    monkeypatch.setattr(module, "MOST_BYTES", 100)
    remembers = Remembers()
    train(1, make_callbacks=lambda: [remembers], **OPTIONS)
    assert remembers.starts == [None]
