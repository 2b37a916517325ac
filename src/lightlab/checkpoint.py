"""Reading and writing checkpoints; the one place that calls torch.load and torch.save.

A checkpoint is data: it is read with ``weights_only=True``, so that nothing in it runs. It is written beside its
place and moved there when it is whole, so that the file under its name can always be loaded.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any, cast

import torch
from lightning.fabric.plugins.io import CheckpointIO

from lightlab.errors import CheckpointError


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a checkpoint holds, on the CPU.

    Raises:
        CheckpointError: there is no such file, it can't be read, or it is no checkpoint of lightlab's.
    """
    if not Path(path).is_file():
        raise CheckpointError(f"A checkpoint is a file. There is none at {path}.")
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as cause:  # bytes that are no checkpoint make the unpickler stumble in any way
        reason = str(cause).split("\n")[0].split(". ")[0]
        raise CheckpointError(
            f"{path} can't be read as a checkpoint: something else, or damaged ({type(cause).__name__}: {reason})."
        ) from cause
    parts = ("state_dict", "hyper_parameters", "data_spec")
    missing = [part for part in parts if not isinstance(checkpoint, dict) or part not in checkpoint]
    if missing:
        raise CheckpointError(f"A checkpoint of lightlab's holds {', '.join(missing)}. {path} does not.")
    return cast("dict[str, Any]", checkpoint)


def write_checkpoint(checkpoint: dict[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a checkpoint so that the file under its name is whole at every moment.

    Raises:
        CheckpointError: it can't be written; what stood there before still does.
    """
    target = Path(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                torch.save(checkpoint, stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, target)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except (OSError, RuntimeError) as cause:
        raise CheckpointError(f"The checkpoint {target} can't be written: {cause}.") from cause


def digests(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return a file's ``sha256`` and ``md5``, in hexadecimal."""
    sums = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with Path(path).open("rb") as stream:
        while block := stream.read(1 << 20):
            for digest in sums.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in sums.items()}


class SafeCheckpointIO(CheckpointIO):
    """Has the Trainer read and write checkpoints by the functions of this module."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | os.PathLike[str], storage_options: Any | None = None
    ) -> None:
        """See `write_checkpoint`."""
        write_checkpoint(checkpoint, path)

    def load_checkpoint(
        self, path: str | os.PathLike[str], map_location: Any | None = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """See `read_checkpoint`; it always reads onto the CPU, and weights only."""
        return read_checkpoint(path)

    def remove_checkpoint(self, path: str | os.PathLike[str]) -> None:
        """Remove the file, where there is one."""
        Path(path).unlink(missing_ok=True)
