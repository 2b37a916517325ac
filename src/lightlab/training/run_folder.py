"""The folder of a run: ``<root>/<name>/version_N``, made once, never overwritten, and never left empty."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import Logger

from lightlab.errors import RunError
from lightlab.training.run_paths import CONFIG, DATA, ENVIRONMENT, claim_run


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
        "git_changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
    }


def _git(*arguments: str) -> str | None:
    try:
        result = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return result.stdout.strip() or None


class RunFolder(Callback):
    """Claims the run folder when training starts, and keeps config, environment, hashes of the data and logs there.

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

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Claim the folder in one process, and tell the others.

        Raises:
            RunError: it can't be made; in every process.
        """
        if stage != "fit" or self.path is not None or getattr(trainer, "fast_dev_run", False):
            return
        outcome: Path | str = ""
        if trainer.is_global_zero:
            try:
                outcome = self._make()
            except (RunError, OSError) as error:
                outcome = str(error)
        outcome = trainer.strategy.broadcast(outcome)
        if isinstance(outcome, str):
            raise RunError(outcome)
        self.path = outcome
        if self.make_logger:
            trainer.logger = self.make_logger(self.root, self.name, self.path.name)
        for callback in trainer.checkpoint_callbacks:
            if isinstance(callback, ModelCheckpoint) and callback.dirpath is None:
                callback.dirpath = str(self.path / "checkpoints")

    def _make(self) -> Path:
        path = claim_run(self.root, self.name)
        (path / CONFIG).write_text(self.config, encoding="utf-8")
        (path / ENVIRONMENT).write_text(json.dumps(environment(), indent=2) + "\n", encoding="utf-8")
        return path

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep which rows are trained on: for each split their number, and the SHA-256 of what they hold."""
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it untyped
        if self.path is not None and trainer.is_global_zero:
            (self.path / DATA).write_text(json.dumps(datamodule.digests(), indent=2) + "\n", encoding="utf-8")

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Remove the folder again if training failed before its first step."""
        if self.path is None or trainer.global_step > 0 or not trainer.is_global_zero:
            return
        self.remove(trainer)

    def remove(self, trainer: Trainer) -> None:
        """Remove the folder, and those above it that were made for it alone."""
        if self.path is None:
            return
        for logger in trainer.loggers:
            logger.finalize("failed")
        shutil.rmtree(self.path, ignore_errors=True)
        for folder in (self.path.parent, self.root):  # made for this run alone
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
