"""Going on from a checkpoint: what is checked before, and what of the old run comes along."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lightlab.errors import ConfigError
from lightlab.optim import parse_optimizer, parse_scheduler


def check_resumable(checkpoint: Mapping[str, Any], model: Any, max_epochs: int | None) -> None:
    """Hold a checkpoint against the config that goes on from it.

    Args:
        checkpoint: as it was read.
        model: built from the config.
        max_epochs: the Trainer's.

    Raises:
        CheckpointError: it is of another model, or other data.
        ConfigError: there is nothing left to train, or another optimizer or schedule than its own.
    """
    model.on_load_checkpoint(checkpoint)
    reached = checkpoint["epoch"] + 1
    if max_epochs is not None and 0 <= max_epochs <= reached:
        raise ConfigError.at(
            ("trainer", "max_epochs"),
            f"max_epochs counts the epochs before the checkpoint, too: {reached}. Received: {max_epochs}.",
        )
    stored = checkpoint["hyper_parameters"]
    optimizer = parse_optimizer(stored["optimizer"], ("model", "optimizer"))
    schedule = stored["lr_scheduler"] and parse_scheduler(stored["lr_scheduler"], ("model", "lr_scheduler"))
    if schedule != model.scheduler_spec:
        _refuse("lr_scheduler", schedule, model.scheduler_spec)
    same = optimizer == model.optimizer_spec if schedule else optimizer.name == model.optimizer_spec.name
    if not same:
        _refuse("optimizer", optimizer, model.optimizer_spec)
    planned = checkpoint.get("max_epochs", max_epochs)
    if schedule and schedule.follows_length and planned != max_epochs:
        raise ConfigError.at(
            ("trainer", "max_epochs"),
            f"The schedule {schedule.name} runs over the whole training, which was {planned} epochs. "
            f"Received: {max_epochs}. Give the schedule a length of its own in init_args, in a new run.",
        )


def _refuse(name: str, stored: object, given: object) -> NoReturn:
    raise ConfigError.at(
        ("model", name),
        f"A resumed run goes on with the {name} of its checkpoint, whose state it restores: {stored}. "
        f"Received: {given}. Start a new run to change it.",
    )


class Resume(Callback):
    """Has the restored states keep what the config says, and the best weights of the old run.

    Args:
        arguments: of the optimizer, as the config gives them.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self.arguments = arguments

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adapt the stored states before they are restored."""
        for optimizer in checkpoint.get("optimizer_states", []):
            for group in optimizer["param_groups"]:
                if "initial_lr" not in group:  # with a schedule the rate is the schedule's
                    group |= self.arguments
        states = checkpoint.get("callbacks", {})
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it untyped
            state = states.get(callback.state_key)
            if state is None:
                continue
            if isinstance(callback, EarlyStopping):
                state["patience"] = callback.patience
            elif isinstance(callback, ModelCheckpoint):
                _carry_over(state, Path(callback.dirpath or "."), trainer)


def _carry_over(state: dict[str, Any], folder: Path, trainer: Trainer) -> None:
    """Copy the best checkpoint so far into the new run, and have the state point there.

    Lightning forgets the best score when the folder is another, and would take worse weights for the best.
    """
    old = Path(state["best_model_path"])
    if not old.is_file():
        return
    new = folder / old.name
    if trainer.is_global_zero:
        folder.mkdir(parents=True, exist_ok=True)
        if old.resolve() != new.resolve():  # a callback of one's own may have a folder of its own
            shutil.copyfile(old, new)
    paths = {"best_model_path", "kth_best_model_path", "last_model_path"}
    state |= {name: str(folder / Path(state[name]).name) for name in paths if state[name]}
    state["best_k_models"] = {str(new): score for score in state["best_k_models"].values()}
    state["dirpath"] = str(folder)
