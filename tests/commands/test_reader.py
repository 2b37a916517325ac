"""What is wrong with a training, and can only be told with the data: all of it is said before the first step."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lightlab.cli import main

CONFIG = """\
data: {class_path: TableData, init_args: {path: d.csv, target: k}}
model: {problem: binary, layers: [{dense: 4}, batch_norm]}
trainer: {max_epochs: 2, accelerator: cpu}
"""


@pytest.fixture
def config():
    """A config and its table, of 100 rows: two batches of train, one of each other split."""
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"a": generator.normal(size=100), "k": generator.choice(["x", "y"], 100)})
    frame.to_csv("d.csv", index=False)
    Path("c.yaml").write_text(CONFIG)
    return "c.yaml"


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("trainer.max_epochs", "0", "A training takes at least one step. Received: max_epochs 0."),
        ("trainer.max_steps", "0", "A training takes at least one step. Received: max_steps 0."),
        ("trainer.limit_train_batches", "0", "A training takes at least one step"),
        ("trainer.limit_train_batches", "0.4", "of the 2 batches of train is at least one of them: 0.5 or more"),
        ("trainer.limit_val_batches", "0.5", "of the 1 batches of val is at least one of them"),
        ("trainer.limit_test_batches", "0.5", "of the 1 batches of test is at least one of them"),
        ("trainer.check_val_every_n_epoch", "3", "validated at least once in 2 epochs, or not at all"),
        ("data.batch_size", "1", "batch_norm can't learn from one row at a time"),
        ("data.drop_last", "true", "those of a short last batch join the batch before it"),
    ],
)
@pytest.mark.parametrize("verb", ["fit", "check"])
def test_a_training_without_what_it_needs(verb, option, value, says, config, capsys):
    """It is refused with its key, by check as by fit, and no run folder is made."""
    assert main([verb, "--config", config, f"--{option}", value]) == 2
    assert says in capsys.readouterr().err
    assert not Path("runs").exists()


def test_plateau_without_a_validation_in_its_epoch(config, capsys):
    """Where validation follows no epochs, ReduceLROnPlateau may have nothing to go by at the end of one."""
    seldom = ["--trainer.check_val_every_n_epoch", "null", "--trainer.val_check_interval", "3"]
    plateau = ["--model.lr_scheduler", "ReduceLROnPlateau"]
    assert main(["fit", "--config", config, *seldom, *plateau]) == 2
    assert "2 batches, after which ReduceLROnPlateau looks at val/loss: it validates at" in capsys.readouterr().err
    assert not Path("runs").exists()
    assert main(["fit", "--config", config, *seldom, *plateau, "--model.lr_scheduler.monitor", "train/loss"]) == 0


def test_plateau_where_the_clock_validates(config, capsys):
    """By the clock there may be no validation at the end of an epoch, either; without the schedule nobody minds."""
    timed = ["--trainer.val_check_interval", "00:01:00:00"]
    plateau = ["--model.lr_scheduler", "ReduceLROnPlateau"]
    assert main(["fit", "--config", config, *timed, *plateau]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "trainer.val_check_interval: ReduceLROnPlateau looks at val/loss after each epoch, and by the clock" in said
    assert not Path("runs").exists()
    assert main(["fit", "--config", config, *timed, *plateau, "--model.lr_scheduler.monitor", "train/loss"]) == 0
    assert main(["fit", "--config", config, *timed]) == 0


def test_no_time_to_train(config, capsys):
    """Where there was no time for a step, the time is what is named."""
    assert main(["fit", "--config", config, "--trainer.max_time", "00:00:00:00"]) == 2
    assert "It took none: see trainer.max_time (00:00:00:00)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"),
    [("trainer.limit_train_batches", "0.5"), ("trainer.limit_val_batches", "0"), ("data.batch_size", "500")],
)
def test_what_is_just_enough(option, value, config):
    """Half of two batches is one; validation can be switched off; all rows may be one step."""
    assert main(["fit", "--config", config, f"--{option}", value]) == 0
