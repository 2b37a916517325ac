"""Weights as safetensors, with all that rebuilds the model they belong to, and a SHA-256 of the whole file.

A file of this form holds tensors and texts, and nothing that could run (https://huggingface.co/docs/safetensors). What
a checkpoint says of model and data stands in its header, each part as JSON, and the sum beside them. It is taken of the
file with zeros in its own place.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load, save
from typing_extensions import Buffer

from lightlab.checkpoints.unfolding import check_unfolded
from lightlab.files import replacing

#: What of a checkpoint goes along.
KEPT = (
    *("hyper_parameters", "data_spec", "metrics", "epoch", "global_step"),
    *("lightlab_version", "pytorch-lightning_version"),
)
FORMAT_VERSION = 1
#: Where the sum stands, and what stands there while it is taken.
SUM = re.compile(rb'"sha256":"([0-9a-f]{64})"')
ZEROS = "0" * 64
#: The length of the header comes first.
LENGTH = 8


def write_weights(checkpoint: Mapping[str, Any], path: Path) -> None:
    """Write weights and description of a checkpoint's model, all of it or nothing.

    Args:
        checkpoint: as `lightlab.checkpoints.read_checkpoint` returns it.
        path: of the file.

    Raises:
        OSError: it can't be written; what stood there before still does.
    """
    described = {name: checkpoint[name] for name in KEPT if name in checkpoint}
    described |= {"problem": checkpoint["data_spec"]["problem"], "format_version": FORMAT_VERSION}
    texts = {name: json.dumps(value) for name, value in described.items()}
    texts |= {"format": "pt", "sha256": ZEROS}
    # Parameters that are one in the model are two here: no memory is shared in such a file.
    weights = checkpoint["state_dict"].items()
    own = {name: each.clone(memory_format=torch.contiguous_format) for name, each in weights}
    content = memoryview(save(own, texts))
    place = _find_sum(content)
    with replacing(path) as stream:
        for part in (content[:place], _digest(content, place).encode(), content[place + len(ZEROS) :]):
            stream.write(part)


def read_weights(path: Path) -> dict[str, Any]:
    """Return what a file holds, in the form of a checkpoint.

    Raises:
        ValueError: it is damaged, or `write_weights` has not written it.
    """
    content = path.read_bytes()
    place = _find_sum(content)
    if content[place : place + len(ZEROS)].decode() != _digest(content, place):
        raise ValueError("its checksum is that of other bytes")
    texts = json.loads(_header(content))["__metadata__"]
    if texts["format_version"] != str(FORMAT_VERSION):
        raise ValueError(f"it is of format {texts['format_version']}, and this lightlab reads {FORMAT_VERSION}")
    described = {name: json.loads(texts[name]) for name in KEPT if name in texts}
    check_unfolded(described, len(content))
    return {"state_dict": load(content), **described}


def _header(content: Buffer) -> bytes:
    """Return the header, which is JSON, and comes after its length."""
    view = memoryview(content)
    return bytes(view[LENGTH : LENGTH + int.from_bytes(view[:LENGTH], "little")])


def _find_sum(content: Buffer) -> int:
    """Return where the sum stands in a file.

    Raises:
        ValueError: it has none.
    """
    found = SUM.search(_header(content))
    if found is None:
        raise ValueError("there is no checksum in its header")
    return LENGTH + found.start(1)


def _digest(content: Buffer, place: int) -> str:
    """Return the SHA-256 of a file in which zeros stand in a place."""
    view = memoryview(content)
    digest = hashlib.sha256(view[:place])
    digest.update(ZEROS.encode())
    digest.update(view[place + len(ZEROS) :])
    return digest.hexdigest()
