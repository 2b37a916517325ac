"""A step that takes more memory than there is: what was trained is kept, and an error says which size fits."""

from pathlib import Path

import pytest
import torch
from lightning import Trainer
from torch import nn

from lightlab import LAYERS, Model
from lightlab.checkpoints import read_checkpoint
from lightlab.cli import main
from lightlab.data import SyntheticData
from lightlab.training.out_of_memory import OutOfMemory

CONFIG = """\
seed_everything: 1
data: {class_path: SyntheticData, init_args: {shape: [8], rows: 190, batch_size: 16}}
model:
  problem: multiclass
  layers: [{dense: {units: 16, activation: relu}}, {dropout: 0.3}, hungry_of_memory]
trainer: {max_epochs: 3, accelerator: cpu}
tensorboard: null
"""


class Hungry(nn.Module):
    """Asks for 4 PiB where it is given too many rows, or has been called too often."""

    most_rows, most_calls = 10**9, 10**9
    in_evaluation = False
    calls = 0

    def forward(self, features):
        """Ask for it."""
        own = type(self)
        if features.device.type == "cpu" and (self.training or own.in_evaluation):
            own.calls += self.training
            if len(features) > own.most_rows or own.calls > own.most_calls:
                torch.empty(2**50)
        return features


@pytest.fixture
def hungry():
    """The class of a layer that asks for too much."""
    kind = type("Hungry", (Hungry,), {})

    @LAYERS.register("hungry_of_memory")
    def hungry_of_memory() -> nn.Module:
        """Ask for more memory than there is."""
        return kind()

    Path("late.yaml").write_text(CONFIG)
    yield kind
    LAYERS._entries.pop("hungry_of_memory")


def test_the_last_step_of_an_epoch_is_too_large(hungry, capsys):
    """The state after the steps before is kept; the error has the size and the one that fits; training can go on."""
    hungry.most_rows = 16
    assert main(["fit", "--config", "late.yaml"]) == 2
    said = capsys.readouterr().err
    assert (
        "Received: a step of 16 rows (data.batch_size), after 7 steps. 8 rows fit: set data.batch_size to 8, and "
        in said
    )
    assert "trainer.accumulate_grad_batches to 2" in said
    kept = "runs/late/version_0/checkpoints/out_of_memory.ckpt"
    assert f"Weights and optimizer as before the step are kept in {kept}" in said
    stored = read_checkpoint(kept)
    hungry.most_rows = 10**9
    assert main(["fit", "--config", "late.yaml", "--trainer.max_steps", "7"]) == 0
    before = read_checkpoint("runs/late/version_1/checkpoints/last.ckpt")
    assert stored["global_step"] == before["global_step"] == 7
    assert all(torch.equal(value, before["state_dict"][name]) for name, value in stored["state_dict"].items())
    assert main(["fit", "--config", "late.yaml", "--ckpt_path", kept]) == 0
    assert read_checkpoint("runs/late/version_2/checkpoints/last.ckpt")["global_step"] == 3 * 8


def test_a_step_within_an_execution(hungry, capsys):
    """Where several steps are taken in one go, the state is that of before the one that failed; a last.ckpt stays."""
    hungry.most_calls = 12
    assert main(["fit", "--config", "late.yaml"]) == 2
    said = capsys.readouterr().err
    assert "after 12 steps" in said
    assert "Not even one row fits" in said
    assert "With other batches training goes on from last.ckpt" in said
    assert read_checkpoint("runs/late/version_0/checkpoints/out_of_memory.ckpt")["global_step"] == 12
    assert read_checkpoint("runs/late/version_0/checkpoints/last.ckpt")["global_step"] == 8


def test_the_first_step(hungry, capsys):
    """Nothing is kept where nothing was trained."""
    hungry.most_rows = 4
    assert main(["fit", "--config", "late.yaml"]) == 2
    said = capsys.readouterr().err
    assert "after 0 steps. 2 rows fit" in said
    assert "kept" not in said
    assert not Path("runs").exists()


def test_evaluation_goes_on_in_parts(hungry):
    """Batches of evaluation that are too large are evaluated in halves."""
    hungry.most_rows, hungry.in_evaluation = 22, True
    assert main(["fit", "--config", "late.yaml", "--trainer.max_epochs", "1"]) == 0


def test_from_python(hungry):
    """With the callback a Trainer raises torch's error with a note, and the model stays as it was."""
    hungry.most_rows = 4
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=1, accelerator="cpu", callbacks=[OutOfMemory()], enable_checkpointing=False, **quiet)
    with pytest.raises(RuntimeError, match="can't allocate memory") as caught:
        trainer.fit(Model(["hungry_of_memory"], "multiclass"), SyntheticData([8], rows=190))
    assert "2 rows fit: set data.batch_size to 2" in caught.value.__notes__[0]
