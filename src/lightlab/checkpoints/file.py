"""Reading and writing checkpoints; the one place that calls torch.load and torch.save.

A checkpoint is data: it is read with ``weights_only=True``, so that nothing in it runs, and only once it has turned out
to be whole (see `checksum`) and to hold what it claims (see `archive`). It is written beside its place and moved there
when it is whole, so that the file under its name can always be loaded.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

import torch

from lightlab.checkpoints import pickler
from lightlab.checkpoints.archive import check_archive
from lightlab.checkpoints.checksum import Hashing, check_seal, read_blocks
from lightlab.errors import CheckpointError, sentences
from lightlab.files import CHECKPOINT, WEIGHTS, replacing

#: What a checkpoint of lightlab's holds at least.
PARTS = ("state_dict", "hyper_parameters", "data_spec")


def read_checkpoint(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what a checkpoint holds, or a file that `lightlab export` has written, on the CPU.

    Raises:
        CheckpointError: there is no such file, it can't be read, is damaged, or is no checkpoint of lightlab's.
    """
    file = _as_file(path)
    if not file.is_file():
        raise CheckpointError(f"A checkpoint is a file. There is none at {path}.")
    try:
        checkpoint = _read_weights(file) if file.suffix == WEIGHTS else _read(file)
        missing = [part for part in PARTS if not isinstance(checkpoint, dict) or part not in checkpoint]
        if not missing:
            _check_parts(checkpoint)
    except Exception as cause:  # bytes that are no checkpoint make readers stumble in any way
        reason = str(cause).split("\n")[0].split(". ")[0]
        raise CheckpointError(
            sentences(
                f"{path} can't be read as a checkpoint: something else, or damaged ({type(cause).__name__}: {reason}).",
                _say_another(file),
            )
        ) from cause
    if missing:
        raise CheckpointError(f"A checkpoint of lightlab's holds {', '.join(missing)}. {path} does not.")
    return cast("dict[str, Any]", checkpoint)


def _as_file(path: str | os.PathLike[str]) -> Path:
    """Return a path as one.

    Raises:
        CheckpointError: it is an address.
    """
    if "://" in str(path):
        raise CheckpointError(f"A checkpoint is a file, and never fetched or sent. Received the address {path}.")
    return Path(path)


def _read(file: Path) -> Any:
    with file.open("rb") as stream:
        check_seal(stream)
        check_archive(stream)
        return torch.load(stream, map_location="cpu", weights_only=True)


def _read_weights(file: Path) -> dict[str, Any]:
    from lightlab.checkpoints.weights import read_weights

    return read_weights(file)


def check_readable(path: str | os.PathLike[str]) -> None:
    """See to it that a checkpoint can be read, without reading its weights.

    Raises:
        CheckpointError: it can't.
    """
    try:
        with Path(path).open("rb") as stream:
            check_seal(stream)
            check_archive(stream)
    except Exception as cause:
        raise CheckpointError(
            f"A checkpoint holds plain data and tensors, or it can't be read again. {path} can't: {cause}."
        ) from cause


def write_checkpoint(checkpoint: Mapping[str, Any], path: str | os.PathLike[str]) -> None:
    """Write a checkpoint so that the file under its name is whole at every moment.

    Raises:
        CheckpointError: it can't be written, or holds what can't be read again; what stood there before still does.
    """
    target = _as_file(path)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as stream:
            _save(checkpoint, Hashing(stream))
    except pickler.UnreadableError as cause:
        place = ".".join(pickler.find(cause.value, checkpoint))
        received = f"Received{place and f' in {place}'}: {cause.name}."
        raise CheckpointError(
            f"A checkpoint holds plain data and tensors, or it can't be read again. {received} Give it as numbers, "
            f"texts, lists, dictionaries or tensors. {target} is not written."
        ) from cause
    except (OSError, RuntimeError) as cause:
        raise CheckpointError(f"The checkpoint {target} can't be written: {cause}.") from cause


def _save(checkpoint: Mapping[str, Any], stream: Hashing) -> None:
    try:
        torch.save(checkpoint, cast("BinaryIO", stream), pickle_module=pickler)
    except RuntimeError:
        if stream.failure:  # torch fails once more where it closes what it could not write
            raise stream.failure from None
        raise
    stream.seal()


def digests(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return a file's ``sha256`` and ``md5``, in hexadecimal."""
    sums = {"sha256": hashlib.sha256(), "md5": hashlib.md5(usedforsecurity=False)}
    with Path(path).open("rb") as stream:
        for block in read_blocks(stream):
            for digest in sums.values():
                digest.update(block)
    return {name: digest.hexdigest() for name, digest in sums.items()}


def _check_parts(checkpoint: Mapping[str, Any]) -> None:
    """See to it that weights are tensors, and that what describes the model has names.

    Raises:
        TypeError: it is something else.
    """
    for part in PARTS:
        if not isinstance(checkpoint[part], dict):
            raise TypeError(f"its {part} is no dictionary")
    weights = checkpoint["state_dict"].items()
    if not all(isinstance(name, str) and type(value) is torch.Tensor for name, value in weights):
        raise TypeError("its state_dict holds something else than tensors by name")


def _say_another(file: Path) -> str:
    """Return a sentence about another checkpoint of the run that is whole; nothing where there is none."""
    another = next((each for each in _others(file) if _is_whole(each)), None)
    return f"{another} is whole." if another else ""


def _others(file: Path) -> Iterator[Path]:
    """Return the checkpoints beside one, last.ckpt and best.ckpt first."""
    beside = sorted(file.parent.glob(f"*{CHECKPOINT}"), key=lambda each: each.stem not in ("last", "best"))
    return (each for each in beside if each.name != file.name and each.is_file())


def _is_whole(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            check_seal(stream)
    except (OSError, ValueError):
        return False
    return True
