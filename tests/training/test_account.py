"""What is said of numbers that are not finite: where they came up, why, and what helps."""

from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from lightning import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import nn

from lightlab import Batch, Model
from lightlab.data import TableData
from lightlab.training.account import Account, StepPosition, find_broken, say_rows, watched

PLACE = StepPosition(4, 2, 1)


def account(target=None, **options):
    """Return the account of a training of one step on a table of two columns, and a batch of its first four rows."""
    table = pd.DataFrame({"area": [float(row % 7) for row in range(40)], "age": [float(row % 5) for row in range(40)]})
    table["price"] = [float(row % 3) for row in range(40)]
    if target is not None:
        table.loc[2, "price"] = target
    table.to_csv("t.csv", index=False)
    quiet = dict.fromkeys(("logger", "enable_progress_bar", "enable_model_summary"), False)
    options = {"max_steps": 1, "limit_val_batches": 0, "enable_checkpointing": False} | options
    data = TableData("t.csv", "price", batch_size=4, split=[1, 0, 0], categorical=[])
    trainer = Trainer(accelerator="cpu", **quiet, **options)
    trainer.fit(Model([{"dense": 3}], "regression"), data)
    inputs, targets = data._encoded["train"]
    batch = Batch(inputs[:4].clone(), targets[:4].clone(), torch.tensor([9, 5, 7, 3]))
    return Account(trainer, trainer.lightning_module.train()), batch


def losses(model, batch):
    """Return a step's loss, with its graph, and that of each row."""
    _, each, _ = model.evaluate(batch)
    return each.mean(), each.detach()


def test_a_number_far_from_all_others():
    """The column and the row are named, and where the row stands; not the layer, whose input was none already."""
    told, batch = account()
    batch.inputs[1, 1] = 1e38
    batch.inputs[1, 1] *= 10
    said = told.of_loss(PLACE, batch, *losses(told.model, batch))
    assert said.startswith("The training loss is a finite number. In step 4 (batch 2 of epoch 1) it is ")
    assert ", of 1 of 4 rows: 5 of train, counted from 0." in said
    assert "The input is none already, as the first layer is given it." in said
    assert "column age of row 5 is beyond what numbers of 32 bits hold. Correct it, or leave the row out." in said


def test_a_target_far_from_all_others():
    """It is named with its distance from the mean."""
    told, batch = account()
    batch.targets[2, 0] = 1e30
    said = told.of_loss(PLACE, batch, *losses(told.model, batch))
    assert "target price of row 7 is 1e+30, 1.2e+30 standard deviations from the mean." in said


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        (1e25, {}, "steps are too large (weights are up to 1e+25, and what layers give up to "),
        (1e25, {}, "Try a smaller learning rate than 0.001, such as 0.0001, or trainer.gradient_clip_val: 1.0."),
        (1e25, {"gradient_clip_val": 2.0}, "Try a smaller learning rate than 0.001, such as 0.0001."),
        (1.0, {}, "weights and what layers give are of ordinary size"),
    ],
)
def test_why_steps_went_wrong(size, options, expected):
    """Large weights are of steps that are too large; ordinary ones of a layer without a finite result."""
    told, batch = account(**options)
    with torch.no_grad():
        told.model.head.linear.weight.fill_(size)
    assert expected in told._reason(batch, told._look(batch), torch.ones(4, dtype=torch.bool))


def test_gradients():
    """The parameter whose gradient is none is named, the rows where a row by itself gives it, and if they do."""
    told, batch = account()
    for parameter in told.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    told.model.head.linear.weight.grad[0] = torch.inf
    said, is_here = told.of_gradients(PLACE, batch)
    assert "the loss is finite, and the gradient of head.linear.weight is not." in said
    assert not is_here  # the batch gives fine ones: it was another process, or another batch of the step


def test_weights():
    """Where loss and gradients are finite, it was the step that was too large."""
    told, _ = account()
    said = told.of_weights(PLACE, ["head.linear.weight", "head.linear.bias"])
    assert "the weights after it are not: head.linear.weight and 1 more. Try a smaller learning rate" in said


def test_the_best_weights_so_far(tmp_path):
    """They are named as long as they are there."""
    keep = ModelCheckpoint(tmp_path / "kept", monitor="train/loss", save_on_train_epoch_end=True)
    told, _ = account(callbacks=[keep], enable_checkpointing=True, max_epochs=1, max_steps=-1)
    assert told.best() == f"The best weights so far are as they were: {keep.best_model_path}."
    Path(keep.best_model_path).unlink()
    assert told.best() == "No weights of it are kept."


def test_what_is_watched():
    """Schedules that look at a metric, and callbacks that go by one."""
    told, _ = account(callbacks=[ModelCheckpoint(monitor="train/loss")], enable_checkpointing=True)
    schedule = SimpleNamespace(reduce_on_plateau=True, monitor="val/loss", scheduler=nn.Identity())
    assert watched(told.trainer) == {"train/loss": "ModelCheckpoint"}
    trainer = SimpleNamespace(lr_scheduler_configs=[schedule], callbacks=told.trainer.callbacks)
    assert watched(trainer) == {"val/loss": "Identity", "train/loss": "ModelCheckpoint"}


def test_masks_are_not_broken():
    """A buffer that was infinite from the start is as it should be."""
    model = nn.Module()
    model.infinite_buffers = frozenset({"mask"})
    tensors = {"mask": torch.tensor([-torch.inf]), "mean": torch.tensor([torch.nan]), "weight": torch.ones(1)}
    assert find_broken(model, tensors) == ["mean"]


def test_many_rows():
    """The first are named; without places they are counted within the batch."""
    assert say_rows(torch.ones(5, dtype=torch.bool), None, "val") == (
        "5 of 5 rows: 0, 1, 2, … of the batch, counted from 0"
    )
