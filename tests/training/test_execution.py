"""How many steps are taken in one go, as a config says it; what can't be is refused with its place."""

from pathlib import Path

import lightning
import pytest
import torch
from lightning import Callback, Trainer

from lightlab import BundledData, Model
from lightlab.cli import main
from lightlab.errors import ConfigError
from lightlab.training.execution import Execution
from lightlab.training.fused_loop import FusedEpochLoop

CONFIG = """\
seed_everything: 1
data: {class_path: BundledData, init_args: {name: wine, batch_size: 8}}
model: {problem: multiclass, layers: [{dense: 8}]}
steps_per_execution: 4
compile: false
tensorboard: null
trainer:
  max_epochs: 1
  accelerator: cpu
"""
AVERAGES = "  callbacks: {class_path: EMAWeightAveraging, init_args: {decay: 0.9}}\n"


def test_refused_with_its_place(capsys):
    """Where a callback sees each batch, several steps in one go are an error with file and line; nothing is left."""
    Path("wine.yaml").write_text(CONFIG + AVERAGES)
    assert main(["fit", "--config", "wine.yaml"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == (
        "lightlab: error: wine.yaml:4: steps_per_execution: Several steps can be taken in one go where nothing has to "
        "see each of them. Here EMAWeightAveraging.on_train_batch_end is told of each batch. Received: 4. Set it to "
        "auto or 1."
    )
    assert not Path("runs").exists()


@pytest.mark.parametrize("steps", ["auto", "1"])
def test_the_way_out(capsys, steps):
    """What the message says helps."""
    Path("wine.yaml").write_text(CONFIG + AVERAGES)
    assert main(["fit", "--config", "wine.yaml", "--steps_per_execution", steps]) == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    reason = "(EMAWeightAveraging.on_train_batch_end is told of each batch)"
    assert f"one step at a time {reason}\n" in printed.out


@pytest.mark.parametrize("value", ["0", "-1", "2.5", "many", "true"])
def test_numbers_that_it_can_not_be(capsys, value):
    """It is auto, or a number of steps."""
    Path("wine.yaml").write_text(CONFIG.replace("execution: 4", f"execution: {value}"))
    assert main(["fit", "--config", "wine.yaml"]) == 2
    assert "wine.yaml:4: steps_per_execution" in capsys.readouterr().err


def test_the_line_at_the_start(capsys):
    """One line says what is computed in, where the data is, and nothing of steps where several are taken."""
    Path("wine.yaml").write_text(CONFIG)
    assert main(["fit", "--config", "wine.yaml"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("speed: ")]
    assert line == "speed: float32, fused AdamW, data in memory"


def test_a_release_of_lightning_that_is_not_known(train, monkeypatch, capsys):
    """Its loop is left as it is, and training goes on; several steps in one go are refused."""
    monkeypatch.setattr(lightning, "__version__", "2.7.0")
    trained = train("auto")
    assert not isinstance(trained.trainer.fit_loop.epoch_loop, FusedEpochLoop)
    assert "one step at a time (Lightning 2.7.0 may have another loop than 2.6)" in capsys.readouterr().out
    assert trained.differs(train(None)) == []
    with pytest.raises(ConfigError, match="Lightning 2.7.0 may have another loop"):
        train(4)


class Told(Callback):
    """Counts the batches that it is told of."""

    count = 0

    def on_train_batch_end(self, *arguments):
        """Count one more."""
        self.count += 1


@pytest.mark.parametrize("deterministic", [False, True])
def test_nothing_that_is_to_be_repeated_depends_on_the_clock(deterministic):
    """`auto` compiles beside a training, which rounds otherwise from some moment on; not if it is deterministic."""
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    execution = Execution("auto", "auto")
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        callbacks=[execution],
        enable_model_summary=False,
        deterministic=deterministic,
        **options,
    )
    try:
        trainer.fit(Model([{"dense": 4}], problem="multiclass"), BundledData("wine", batch_size=8))
    finally:
        torch.use_deterministic_algorithms(False)
    assert (execution.compilation is None) == deterministic


@pytest.mark.parametrize("watched", [False, True])
def test_trained_again(watched):
    """A Trainer that trains another model after the first trains that, and leaves the first alone."""
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(
        max_epochs=1,
        accelerator="cpu",
        callbacks=[Execution("auto", compile=False)],
        enable_model_summary=False,
        log_every_n_steps=1,
        **options,
    )
    data = BundledData("wine", batch_size=8)
    models = [Model([{"dense": 4}], problem="multiclass") for _ in range(2)]
    trainer.fit(models[0], data)
    trained = [parameter.detach().clone() for parameter in models[0].parameters()]
    told = Told()
    if watched:
        trainer.callbacks.append(told)
    trainer.fit_loop.max_epochs = 2
    trainer.fit(models[1], data)
    assert (trainer.global_step, told.count) == (32, 16 if watched else 0)
    moments = trainer.optimizers[0].state
    assert {int(moments[parameter]["step"]) for parameter in models[1].parameters()} == {16}
    assert all(map(torch.equal, trained, models[0].parameters()))
