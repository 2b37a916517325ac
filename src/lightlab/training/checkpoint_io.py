"""Has the Trainer read and write checkpoints as lightlab does."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.io import CheckpointIO, TorchCheckpointIO
from lightning.pytorch import Trainer

from lightlab.checkpoints import check_readable, read_checkpoint, write_checkpoint


class SafeCheckpointIO(CheckpointIO):
    """Reads and writes by the functions of `lightlab.checkpoints`, and nothing but files."""

    def __init__(self) -> None:
        self._has_written = False

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """See `write_checkpoint`.

        Raises:
            CheckpointError: it can't be written; or it is the first, and holds something that can't be read again,
                which is better said now than when it is needed.
        """
        write_checkpoint(checkpoint, path)
        if not self._has_written:
            check_readable(path)
            self._has_written = True

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """See `read_checkpoint`; it always reads onto the CPU, and weights only."""
        return read_checkpoint(path)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Remove the file, where there is one."""
        Path(path).unlink(missing_ok=True)


def use_safe_checkpoints(trainer: Trainer) -> None:
    """Have a Trainer that reads and writes checkpoints by Lightning's own means do it by lightlab's."""
    strategy = trainer.strategy
    if type(strategy._checkpoint_io) in (type(None), TorchCheckpointIO):  # those who ask for it get Lightning's
        strategy.checkpoint_io = SafeCheckpointIO()
