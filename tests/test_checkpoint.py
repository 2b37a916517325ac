"""Checkpoints are data, whole at every moment, and told apart from what is none."""

import hashlib
import pickle
from pathlib import Path

import pytest
import torch

from lightlab.checkpoint import digests, read_checkpoint, write_checkpoint
from lightlab.errors import CheckpointError

WHOLE = {"state_dict": {"w": torch.arange(4.0)}, "hyper_parameters": {"layers": []}, "data_spec": {"problem": "binary"}}


class Canary:
    """Leaves a file behind when it is unpickled by something that runs what it reads."""

    def __reduce__(self):
        return Path.touch, (Path("ran"),)


def test_round_trip():
    """What is written is read back, and nothing but the file is left."""
    write_checkpoint(WHOLE, "runs/a.ckpt")
    assert torch.equal(read_checkpoint("runs/a.ckpt")["state_dict"]["w"], WHOLE["state_dict"]["w"])
    assert [path.name for path in Path("runs").iterdir()] == ["a.ckpt"]


@pytest.mark.parametrize("writer", [pickle.dump, lambda value, stream: torch.save(value, stream)])
def test_nothing_in_a_checkpoint_runs(writer):
    """A payload in a checkpoint is refused, and does not run."""
    with Path("evil.ckpt").open("wb") as stream:
        writer({**WHOLE, "extra": Canary()}, stream)
    with pytest.raises(CheckpointError, match=r"evil\.ckpt can't be read as a checkpoint"):
        read_checkpoint("evil.ckpt")
    assert not Path("ran").exists()


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"PK\x03\x04" + b"\0" * 100])
def test_no_checkpoint(content):
    """Files that are something else are refused by name."""
    Path("some.file").write_bytes(content)
    with pytest.raises(CheckpointError, match=r"some\.file can't be read"):
        read_checkpoint("some.file")


def test_truncated_checkpoint():
    """A checkpoint of which the end is missing is refused."""
    write_checkpoint(WHOLE, "a.ckpt")
    data = Path("a.ckpt").read_bytes()
    Path("a.ckpt").write_bytes(data[: len(data) // 2])
    with pytest.raises(CheckpointError, match=r"a\.ckpt can't be read"):
        read_checkpoint("a.ckpt")


def test_checkpoint_of_another_program():
    """A file of torch's that lightlab did not write is refused, with what it lacks."""
    torch.save({"state_dict": {}}, "other.ckpt")
    with pytest.raises(CheckpointError, match="holds hyper_parameters, data_spec"):
        read_checkpoint("other.ckpt")
    with pytest.raises(CheckpointError, match=r"There is none at missing\.ckpt"):
        read_checkpoint("missing.ckpt")


def test_failed_write_leaves_the_old_file():
    """A checkpoint that can't be written in the middle leaves the old one to the byte, and no other file."""
    write_checkpoint(WHOLE, "a.ckpt")
    before = Path("a.ckpt").read_bytes()
    with pytest.raises(Exception, match="pickle"):
        write_checkpoint({**WHOLE, "extra": lambda: None}, "a.ckpt")
    assert Path("a.ckpt").read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["a.ckpt"]


def test_unwritable_folder():
    """A place that can't be written to is named."""
    Path("file").touch()
    with pytest.raises(CheckpointError, match=r"file/a\.ckpt can't be written"):
        write_checkpoint(WHOLE, "file/a.ckpt")


def test_digests():
    """The digests are those of the whole file."""
    content = bytes(range(256)) * 10_000
    Path("file").write_bytes(content)
    assert digests("file") == {
        "sha256": hashlib.sha256(content).hexdigest(),
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }
