"""The folder of a run: ``<root>/<name>/version_N``, made once, never overwritten, and never left empty."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

from lightlab.errors import LightlabError, RunError
from lightlab.files import write_text
from lightlab.terminal import say
from lightlab.training.run_paths import (
    CONFIG,
    DATA,
    ENVIRONMENT,
    LAST,
    check_space,
    claim_run,
    remove_unfinished,
    version_number,
)

#: A folder may come from anyone, with a repository whose settings name programs: git is to start none of them.
GIT_SETTINGS = {"core.fsmonitor": "false", "core.hooksPath": os.devnull, "safe.bareRepository": "explicit"}
GIT_FILTERS = r"^filter\..*\.(clean|process|required)$"


def environment() -> dict[str, Any]:
    """Return what a run depends on beside its config: versions, devices, and the git commit where there is one."""
    packages: dict[str, str | None] = {}
    for name in ("lightlab", "torch", "lightning", "torchmetrics", "numpy", "pandas", "scikit-learn"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    devices = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return {
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cpu_count": os.cpu_count(),
        "packages": packages,
        "cuda": torch.version.cuda,
        "gpus": devices,
        "git_commit": _git("rev-parse", "HEAD"),
        "git_changed": _is_changed(),
    }


def _is_changed() -> bool:
    """Return whether the working tree differs from the commit; found without the repository's own filters."""
    filters = (_git("config", "--name-only", "--get-regexp", GIT_FILTERS) or "").splitlines()
    return bool(_git("status", "--porcelain", "--untracked-files=no", "--ignore-submodules", off=filters))


def _git(*arguments: str, off: Sequence[str] = ()) -> str | None:
    settings = GIT_SETTINGS | dict.fromkeys(off, "")
    given = {"GIT_OPTIONAL_LOCKS": "0", "GIT_CONFIG_COUNT": str(len(settings))}
    for place, (name, value) in enumerate(settings.items()):
        given |= {f"GIT_CONFIG_KEY_{place}": name, f"GIT_CONFIG_VALUE_{place}": value}
    try:
        result = subprocess.run(  # noqa: S603 - all of its words are written here
            ["git", *arguments],  # noqa: S607 - wherever a machine has it
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            env={**os.environ, **given},
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


class RunFolder(Callback):
    """Claims the run folder when training starts, and keeps config, environment, hashes of the data and logs there.

    Where a part of the folder is deleted while training is under way, training stops, and what it has come to goes
    into the folder, or into a new one, so that it can be gone on from.

    Args:
        root: what holds the runs of all configs.
        name: the config's.
        config: the text that goes into ``config.yaml``.
        make_logger: returns what logs into the folder, given root, name and version; ``None`` to leave the Trainer's.

    Attributes:
        path: the folder, from the start of training on.
    """

    def __init__(
        self, root: Path, name: str, config: str, make_logger: Callable[[Path, str, str], Logger] | None
    ) -> None:
        self.root = root
        self.name = name
        self.config = config
        self.make_logger = make_logger
        self.path: Path | None = None
        self._made: list[Path] = []
        self._is_rescued = False
        self._seen: set[Path] = set()
        self._steps_before: int | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Claim the folder in one process, and tell the others.

        Raises:
            RunError: it can't be made, or has no room for the model; or processes have read different configs. In
                every process.
        """
        if stage != "fit" or self.path is not None or getattr(trainer, "fast_dev_run", False):
            return
        size = sum(value.nbytes for value in pl_module.state_dict().values() if isinstance(value, torch.Tensor))
        self.path = self._claim(trainer, size * len(trainer.checkpoint_callbacks))
        if not trainer.strategy.reduce_boolean_decision(trainer.strategy.broadcast(self.config) == self.config):
            raise RunError(f"All processes train by one config. That of {self.name} was changed while they started.")
        if self.make_logger:
            trainer.logger = self.make_logger(self.root, self.name, self.path.name)
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(self.path / "checkpoints")

    def _claim(self, trainer: Trainer, size: int = 0, after: int = -1) -> Path:
        """Make the folder in one process, and tell the others; or why it can't be made."""
        outcome: Path | str = ""
        if trainer.is_global_zero:
            try:
                outcome = self._make(size, after)
            except (RunError, OSError) as error:
                outcome = str(error)
        outcome = trainer.strategy.broadcast(outcome)
        if isinstance(outcome, str):
            raise RunError(outcome)
        return outcome

    def _make(self, size: int, after: int) -> Path:
        folder = self.root / self.name
        self._made = [each for each in (folder, *folder.parents) if not each.exists()]
        path = claim_run(self.root, self.name, after)
        remove_unfinished(folder)
        try:
            check_space(path, size)
            self._describe(path)
        except BaseException:
            self._remove(path)
            raise
        return path

    def _describe(self, path: Path) -> None:
        write_text(self.config, path / CONFIG, "config")
        write_text(json.dumps(environment(), indent=2) + "\n", path / ENVIRONMENT, "environment")

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep which rows are trained on: for each split their number, and the SHA-256 of what they hold."""
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it untyped
        if self.path is not None and trainer.is_global_zero:
            write_text(json.dumps(datamodule.digests(), indent=2) + "\n", self.path / DATA, "hashes of the data")

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep how many steps there were before, where a training is gone on with."""
        self._steps_before = trainer.global_step

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the folder again if training failed before its first step; if the folder is gone, say so."""
        if self.path is None or not trainer.is_global_zero:
            return
        if self._steps_before in (None, trainer.global_step):
            self.remove(trainer)
        elif (
            isinstance(exception, LightlabError | OSError)
            and trainer.world_size == 1
            and (loss := self._see_loss(trainer, pl_module))
        ):
            say(f"warning: {loss}")

    def remove(self, trainer: Trainer) -> None:
        """Remove the folder, and those above it that were made for it alone."""
        if self.path is None:
            return
        for logger in trainer.loggers:
            logger.finalize("failed")
        self._remove(self.path)
        self.path = None

    def _remove(self, path: Path) -> None:
        shutil.rmtree(path, ignore_errors=True)
        for folder in self._made:
            with suppress(OSError):  # another run lies in it by now
                folder.rmdir()

    # Parts that are gone

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look whether the folder is whole, before the best weights are kept in it.

        Raises:
            RunError: a part of it is gone; in every process.
        """
        if not trainer.sanity_checking:
            self._check_whole(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look whether the folder is whole, before the last weights are kept in it.

        Raises:
            RunError: a part of it is gone; in every process.
        """
        self._check_whole(trainer, pl_module)

    def _check_whole(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if loss := self._see_loss(trainer, pl_module):
            raise RunError(loss)

    def _see_loss(self, trainer: Trainer, pl_module: LightningModule) -> str:
        """Return what is to be said where a part of the folder is gone, when what was trained so far is kept."""
        if self.path is None or self._is_rescued:
            return ""
        gone = trainer.strategy.broadcast(self._find_gone(trainer, self.path) if trainer.is_global_zero else None)
        if gone is None:
            return ""
        self._is_rescued = True
        try:
            kept = self._rescue(trainer, pl_module, self.path)
        except (LightlabError, OSError) as error:
            kept = str(error)
        return f"{gone} is gone: it was deleted while training was under way, which stops. {kept}"

    def _find_gone(self, trainer: Trainer, path: Path) -> Path | None:
        """Return what was in the folder, and is no more."""
        kept = (each.best_model_path for each in trainer.checkpoint_callbacks if isinstance(each, ModelCheckpoint))
        checkpoints = [file for file in map(Path, kept) if file.is_relative_to(path)]
        self._seen.update(filter(os.path.exists, checkpoints))  # Lightning names a file before it is written
        written = (path, path / CONFIG, *(file for file in checkpoints if file in self._seen))
        return next((part for part in written if not os.path.exists(part)), None)

    def _rescue(self, trainer: Trainer, pl_module: LightningModule, path: Path) -> str:
        """Keep what was trained so far, in a new folder where this one is gone, and return how to go on from there."""
        if not trainer.strategy.broadcast((path / CONFIG).is_file()):
            self.path = path = self._claim(trainer, after=version_number(path))
            self.on_fit_start(trainer, pl_module)
        last = path / "checkpoints" / LAST
        trainer.save_checkpoint(last)
        if not trainer.strategy.broadcast((path / CONFIG).is_file() and last.is_file()):
            # Whoever deletes a folder does it file by file, and was still at it.
            if trainer.is_global_zero:
                self._describe(path)
            self.on_fit_start(trainer, pl_module)
            trainer.save_checkpoint(last)
        command = shlex.join(["lightlab", "fit", "--config", str(path / CONFIG), "--ckpt_path", "last"])
        return f"Go on from {last} with: {command}"
