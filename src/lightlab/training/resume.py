"""Going on from a checkpoint: what is checked before, and what of the old run comes along."""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, ModelPruning, StochasticWeightAveraging
from lightning.pytorch.utilities import rank_zero_only

from lightlab.checkpoints import read_checkpoint
from lightlab.data_spec import DataSpec, InputSpec
from lightlab.errors import CheckpointError, ConfigError, Key
from lightlab.files import explained, replacing
from lightlab.optim import parse_optimizer, parse_scheduler
from lightlab.terminal import say

#: What a training goes on with, beside weights and what describes the model.
RESUMED = ("epoch", "global_step", "loops", "optimizer_states", "lr_schedulers")
#: What an `InputSpec` has of the options of data, where they are called otherwise there.
OPTIONS = {"offset": "normalize", "scale": "normalize", "fill": "missing_numbers", "indicators": "missing_numbers"}
#: Statistics of the same rows differ by no more of their size, whatever the machine.
ROUNDING = 1e-4


def check_resumable(
    checkpoint: Mapping[str, Any],
    model: Any,
    max_epochs: int | None,
    max_steps: int | None = None,
    callbacks: Iterable[Any] = (),
    datamodule: Any = None,
) -> None:
    """Hold a checkpoint against the config that goes on from it.

    Args:
        checkpoint: as it was read.
        model: built from the config.
        max_epochs: the Trainer's.
        max_steps: likewise.
        callbacks: that the config has.
        datamodule: whose rows the model was built from.

    Raises:
        CheckpointError: it is of another model, or other data.
        ConfigError: there is nothing left to train; or the config has another optimizer, schedule, head or treatment
            of data than the state that would be restored.
    """
    if missing := [part for part in RESUMED if part not in checkpoint]:
        raise CheckpointError(
            f"A training goes on from a checkpoint as fit writes it, with all of {', '.join(RESUMED)}. This one is for "
            f"predictions alone: it has no {', '.join(missing)}."
        )
    if "data_spec" in checkpoint and _has_same_rows(checkpoint, datamodule):
        _check_treatment(DataSpec.from_dict(checkpoint["data_spec"]).input, datamodule.spec.input)
    if any(isinstance(each, ModelPruning) for each in callbacks):
        raise ConfigError.at(
            ("trainer", "callbacks"),
            "A training goes on with all that its checkpoint keeps, and checkpoints don't keep the masks of "
            "ModelPruning. Start a new run, or leave it out from here on.",
        )
    model.on_load_checkpoint(checkpoint)
    _check_head(checkpoint, model)
    if checkpoint["hyper_parameters"].get("layers") != model.hparams["layers"]:
        rank_zero_only(say)(
            "warning: model.layers is not that of the checkpoint. From here on it is as the config says."
        )
    reached = epochs_over(checkpoint)
    left = reached == max_epochs and any(_has_last_pass(each, checkpoint, model) for each in callbacks)
    if max_epochs is not None and 0 <= max_epochs <= reached and not left:
        raise ConfigError.at(
            ("trainer", "max_epochs"),
            f"max_epochs counts the epochs before the checkpoint, too: {reached}. Received: {max_epochs}.",
        )
    steps = checkpoint["global_step"]
    if max_steps is not None and 0 <= max_steps <= steps:
        raise ConfigError.at(
            ("trainer", "max_steps"),
            f"max_steps counts the steps before the checkpoint, too: {steps}. Received: {max_steps}.",
        )
    stored = checkpoint["hyper_parameters"]
    optimizer = parse_optimizer(stored["optimizer"], ("model", "optimizer"))
    schedule = stored["lr_scheduler"] and parse_scheduler(stored["lr_scheduler"], ("model", "lr_scheduler"))
    if schedule != model.scheduler_spec:
        _refuse(("model", "lr_scheduler"), "lr_scheduler", schedule, model.scheduler_spec)
    same = optimizer == model.optimizer_spec if schedule else optimizer.name == model.optimizer_spec.name
    if not same:
        _refuse(("model", "optimizer"), "optimizer", optimizer, model.optimizer_spec)
    planned = checkpoint.get("max_epochs", max_epochs)
    if schedule and schedule.follows_length and planned != max_epochs:
        raise ConfigError.at(
            ("trainer", "max_epochs"),
            f"The schedule {schedule.name} runs over the whole training, which was {planned} epochs. "
            f"Received: {max_epochs}. Give the schedule a length of its own in init_args, in a new run.",
        )


def _has_last_pass(callback: Any, checkpoint: Mapping[str, Any], model: Any) -> bool:
    """Return whether a callback has an epoch after the last, in which batch norms learn of averaged weights."""
    if not isinstance(callback, StochasticWeightAveraging) or not callback.pl_module_contains_batch_norm(model):
        return False
    return bool(checkpoint.get("callbacks", {}).get(callback.state_key, {}).get("n_averaged"))


def epochs_over(checkpoint: Mapping[str, Any]) -> int:
    """Return how many epochs have all their steps behind them, and their validation."""
    loops = checkpoint["loops"]["fit_loop"]
    place = loops["epoch_loop.state_dict"].get("resume", {}).get("place")
    if place is None:
        return int(checkpoint["epoch"]) + 1
    epochs = loops["epoch_progress"]["current"]
    if place in ("epoch", "between epochs"):
        return int(epochs["processed"])
    is_last = place == "validation" and loops["epoch_loop.batch_progress"]["is_last_batch"]
    return int(epochs["ready"]) - (not is_last)


def _has_same_rows(checkpoint: Mapping[str, Any], datamodule: Any) -> bool:
    """Return whether the train split is known to be that of the checkpoint; the data itself refuses another."""
    if datamodule is None:
        return False
    before = checkpoint.get(type(datamodule).__qualname__, {}).get("splits", {}).get("train")
    return before is not None and before == datamodule.digests().get("train")


def _check_treatment(stored: InputSpec, learned: InputSpec) -> None:
    """Refuse options of data by which the same rows would be treated otherwise than the checkpoint does it.

    Args:
        stored: what the checkpoint goes on with.
        learned: what the config's options make of the rows.

    Raises:
        ConfigError: with the option.
    """
    if (stored.columns, stored.categories) != (learned.columns, learned.categories):
        return  # the model refuses it
    for name, before in vars(stored).items():
        now = getattr(learned, name)
        if name in ("offset", "scale", "fill"):
            before, now = _first_unlike(stored, before, now)
        if before != now:
            option = OPTIONS.get(name, name)
            _refuse(("data", option), f"{option} of the data", f"{name} {before}", f"{name} {now}")


def _first_unlike(spec: InputSpec, before: Sequence[float], now: Sequence[float]) -> tuple[Any, Any]:
    """Return the first of some statistics that differ by more than rounding, or twice the same."""
    if not len(before) == len(now) == len(spec.scale):
        return before, now
    for place, (one, other, spread) in enumerate(zip(before, now, spec.scale, strict=True)):
        if not math.isclose(one, other, rel_tol=ROUNDING, abs_tol=ROUNDING * abs(spread)):
            who = f" of {spec.columns[place]}" if spec.columns else ""
            return f"{one:g}{who}", f"{other:g}{who}"
    return None, None


def _check_head(checkpoint: Mapping[str, Any], model: Any) -> None:
    """Refuse options of the head that the checkpoint's state would overrule, such as weights of classes.

    Raises:
        ConfigError: with the head of both.
    """
    before, now = checkpoint["hyper_parameters"].get("head"), model.hparams["head"]
    if before == now:
        return
    for name, buffer in model.head.named_buffers(recurse=False):
        restored = checkpoint["state_dict"][f"head.{name}"]
        if not torch.allclose(restored, buffer.to(restored.dtype), ROUNDING):
            _refuse(("model", "head"), "head", before, now)


def _refuse(key: Key, name: str, stored: object, given: object) -> NoReturn:
    raise ConfigError.at(
        key,
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

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Keep no folders, of which going on takes the names of files alone: the same run elsewhere has the same."""
        states = checkpoint["callbacks"]
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.state_key in states:
                states[callback.state_key] = _without_folders(states[callback.state_key])

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Adapt the stored states before they are restored."""
        if not checkpoint["lr_schedulers"]:  # with a schedule the rate is the schedule's
            for optimizer in checkpoint["optimizer_states"]:
                for group in optimizer["param_groups"]:
                    group |= self.arguments
        states = checkpoint.get("callbacks", {})
        for callback in trainer.callbacks:  # type: ignore[attr-defined]  # Lightning sets it untyped
            state = states.get(callback.state_key)
            if state is None:
                continue
            if isinstance(callback, EarlyStopping):
                _go_on_waiting(state, callback.patience, checkpoint)
            elif isinstance(callback, ModelCheckpoint) and not _carry_over(
                state, Path(callback.dirpath or "."), trainer, checkpoint["global_step"]
            ):
                del states[callback.state_key]


def _without_folders(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a `ModelCheckpoint` with the names of its files, wherever they lie."""
    paths = ("best_model_path", "kth_best_model_path", "last_model_path")
    models = {_checkpoint_name(path): score for path, score in state["best_k_models"].items()}
    names = {path: _checkpoint_name(state[path]) for path in paths}
    others = {name: value for name, value in state.items() if name != "dirpath"}
    return {**others, **names, "best_k_models": models}


def _go_on_waiting(state: dict[str, Any], patience: int, checkpoint: Mapping[str, Any]) -> None:
    """Have early stopping count on, with as much patience as the config says.

    Raises:
        ConfigError: it has stopped the training.
    """
    state["patience"] = patience
    place = checkpoint["loops"]["fit_loop"]["epoch_loop.state_dict"].get("resume", {})
    if state["wait_count"] >= patience and not place.get("stops"):
        raise ConfigError.at(
            ("early_stopping", "patience"),
            f"The training has stopped early, after {state['wait_count']} validations that were no better. Received: "
            f"{patience}. Set more patience to go on.",
        )


def _carry_over(state: dict[str, Any], folder: Path, trainer: Trainer, step: int) -> bool:
    """Copy the best checkpoint so far into the new run, and have the state point there; return whether there is one.

    Lightning forgets the best score when the folder is another, and would take worse weights for the best. It also
    removes files in its folder that a state names, once there are better ones. A checkpoint may come from anyone, so
    that of its paths only the names count: those of checkpoints beside it, or in the callback's own folder.
    """
    name = _checkpoint_name(state["best_model_path"])
    places = (folder, Path(trainer.ckpt_path or folder).parent)
    old = next((place / name for place in places if name and (place / name).is_file()), None)
    if old is None or old.is_symlink():
        return False
    try:
        best = read_checkpoint(old)
    except CheckpointError as error:  # the training needs none of it
        rank_zero_only(say)(f"warning: training goes on without the best checkpoint so far. {error}")
        return False
    if best["global_step"] > step:  # it was replaced since by one that the training will find again
        return False
    new = folder / name
    if trainer.is_global_zero and old != new:
        with explained(new, "checkpoint"):
            folder.mkdir(parents=True, exist_ok=True)
            with old.open("rb") as source, replacing(new) as target:
                shutil.copyfileobj(source, target)
    models = {str(folder / _checkpoint_name(path)): score for path, score in state["best_k_models"].items()}
    kept = {path: score for path, score in models.items() if path == str(new) or Path(path).is_file()}
    worst = str(folder / _checkpoint_name(state["kth_best_model_path"]))
    state |= {"best_k_models": kept, "kth_best_model_path": worst if worst in kept else next(iter(kept), "")}
    last = _checkpoint_name(state["last_model_path"])
    state |= {"best_model_path": str(new), "last_model_path": last and str(folder / last), "dirpath": str(folder)}
    return True


def _checkpoint_name(path: object) -> str:
    """Return the last part of a path; nothing where that is no checkpoint's name."""
    name = Path(str(path)).name
    return name if name.endswith(ModelCheckpoint.FILE_EXTENSION) else ""
