"""Checkpoints are data, whole at every moment, and told apart from what is none."""

import hashlib
import pickle
import random
import re
import signal
import zipfile
from collections import Counter, OrderedDict
from pathlib import Path
from threading import Lock

import numpy as np
import pytest
import torch

from lightlab.checkpoints import check_readable, digests, read_checkpoint, write_checkpoint
from lightlab.checkpoints.checksum import Hashing
from lightlab.errors import CheckpointError

WHOLE = {"state_dict": {"w": torch.arange(4.0)}, "hyper_parameters": {"layers": []}, "data_spec": {"problem": "binary"}}
LARGE = {**WHOLE, "state_dict": {"w": torch.arange(9_000.0), "step": torch.tensor(3)}}


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
    """A file that lightlab did not write is refused: nothing tells whether it is whole; or for what it lacks."""
    torch.save(WHOLE, "other.ckpt")
    with pytest.raises(CheckpointError, match="something else, or damaged .*there is no checksum at its end"):
        read_checkpoint("other.ckpt")
    write_checkpoint({"state_dict": {}}, "less.ckpt")
    with pytest.raises(CheckpointError, match="holds hyper_parameters, data_spec"):
        read_checkpoint("less.ckpt")
    with pytest.raises(CheckpointError, match=r"There is none at missing\.ckpt"):
        read_checkpoint("missing.ckpt")


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/a.ckpt", "https://x.invalid/a.ckpt", "s3://x/a", "file:///a"])
def test_addresses(address):
    """Nothing is fetched from elsewhere, or sent there."""
    with pytest.raises(CheckpointError, match="never fetched or sent. Received the address"):
        read_checkpoint(address)
    with pytest.raises(CheckpointError, match="never fetched or sent. Received the address"):
        write_checkpoint(WHOLE, address)
    assert not list(Path().iterdir())


def test_no_altered_byte_is_loaded():
    """Of 300 files with a bit flipped and 50 cut short none loads; the message names the checkpoint that would."""
    write_checkpoint(LARGE, "last.ckpt")
    content, numbers = Path("last.ckpt").read_bytes(), random.Random(0)
    Path("best.ckpt").write_bytes(content[:-1])  # no help, either
    write_checkpoint(LARGE, "other.ckpt")
    altered = [flip(content, numbers.randrange(8 * len(content))) for _ in range(300)]
    altered += [flip(content, bit) for bit in range(8 * len(content) - 8 * 110, 8 * len(content))]  # the end itself
    altered += [content[: numbers.randrange(len(content))] for _ in range(50)]
    altered += [content + b"\0", content[1:], content[:-1] + b"x", content[:-84], content[:-86]]
    for each in altered:
        Path("last.ckpt").write_bytes(each)
        with pytest.raises(CheckpointError, match=r"last\.ckpt can't be read .*damaged .*other\.ckpt is whole"):
            read_checkpoint("last.ckpt")


def flip(content, bit):
    """Return bytes with one bit changed."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_checkpoint_stays_one_of_torch_s():
    """What lightlab writes torch reads, from the file and mapped into memory, and other programs as a zip file."""
    write_checkpoint(LARGE, "a.ckpt")
    for mmap in (False, True):
        read = torch.load("a.ckpt", weights_only=True, mmap=mmap)
        assert torch.equal(read["state_dict"]["w"], LARGE["state_dict"]["w"])
    with zipfile.ZipFile("a.ckpt") as archive:
        assert archive.testzip() is None


def test_disk_full():
    """Where the disk is full in the middle, the old file stays to the byte, alone, and the cause is said."""
    resource = pytest.importorskip("resource")
    write_checkpoint(WHOLE, "a.ckpt")
    before, limits = Path("a.ckpt").read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(CheckpointError, match=r"The checkpoint a\.ckpt can't be written: .*File too large"):
            write_checkpoint(LARGE, "a.ckpt")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert Path("a.ckpt").read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["a.ckpt"]


def test_what_interrupts_writing_is_passed_on(monkeypatch):
    """A signal in the middle of writing is not taken for a fault of the file, and leaves the old one."""
    write_checkpoint(WHOLE, "a.ckpt")
    before = Path("a.ckpt").read_bytes()

    def interrupt(self, content):
        self.failure = KeyboardInterrupt()
        raise self.failure

    monkeypatch.setattr(Hashing, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_checkpoint(LARGE, "a.ckpt")
    assert Path("a.ckpt").read_bytes() == before
    assert [path.name for path in Path().iterdir()] == ["a.ckpt"]


def nested(depth):
    """Return lists in lists."""
    value = []
    for _ in range(depth):
        value = [value]
    return value


def doubled(times):
    """Return lists that hold the same list twice, and so on: a few bytes that unfold to any number of parts."""
    value = [1, 2]
    for _ in range(times):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"state_dict": {"w": [1.0]}}, "its state_dict holds something else than tensors"),
        ({"state_dict": {3: torch.zeros(1)}}, "its state_dict holds something else than tensors"),
        ({"state_dict": torch.zeros(1)}, "its state_dict is no dictionary"),
        ({"hyper_parameters": [1]}, "its hyper_parameters is no dictionary"),
        ({"data_spec": None}, "its data_spec is no dictionary"),
        ({"hyper_parameters": {"layers": doubled(40)}}, "unfolds to more than the file"),
        ({"data_spec": {"problem": nested(200)}}, "nested more than 100 times"),
        ({"optimizer_states": [doubled(40)]}, "unfolds to more than the file"),
        ({"callbacks": OrderedDict(mine=nested(200))}, "nested more than 100 times"),
        ({"texts": ["a" * 10_000] * 10_000}, "unfolds to more than the file"),
    ],
)
def test_parts_of_another_form(parts, message):
    """What is no model's, or would unfold to anything, is refused before anybody works with it."""
    write_checkpoint({**WHOLE, **parts}, "a.ckpt")
    with pytest.raises(CheckpointError, match=message):
        read_checkpoint("a.ckpt")


def test_what_can_not_be_read_again():
    """It is said of a checkpoint before it is needed."""
    write_checkpoint(WHOLE, "a.ckpt")
    check_readable("a.ckpt")
    write_checkpoint({**WHOLE, "callbacks": {"mine": {(1, (2, 3)): 4}}}, "b.ckpt")
    with pytest.raises(CheckpointError, match="plain data and tensors, or it can't be read again.*neither plain nor"):
        check_readable("b.ckpt")


class Odd(float):
    """A number with a class of its own."""


@pytest.mark.parametrize(
    ("value", "place", "name"),
    [
        (Path("x"), "callbacks.mine.0", "pathlib.PosixPath"),
        (np.float64(1), "callbacks.mine.0", "numpy.float64"),
        (np.zeros(2), "callbacks.mine.0", "numpy.ndarray"),
        (Odd(1), "callbacks.mine.0", "tests.checkpoints.test_file.Odd"),
        (torch.nn.Parameter(torch.zeros(1)), "callbacks.mine.0", "torch.nn.parameter.Parameter"),
        (torch.float32, "callbacks.mine.0", "torch.dtype"),
        (len, "callbacks.mine.0", "builtins.len"),
        (Odd, "callbacks.mine.0", "tests.checkpoints.test_file.Odd"),
        (frozenset({1}), "", "builtins.frozenset"),
        (torch.zeros(2, dtype=torch.uint16), "callbacks.mine.0", "a tensor of type torch.uint16"),
    ],
)
def test_what_can_not_be_read_again_is_not_written(value, place, name):
    """Neither plain data nor a tensor: it is said what it is, and where, and the file stays what it was."""
    write_checkpoint(WHOLE, "a.ckpt")
    before = Path("a.ckpt").read_bytes()
    with pytest.raises(CheckpointError, match=rf"Received{place and f' in {place}'}: {re.escape(name)}[.,]"):
        write_checkpoint({**WHOLE, "callbacks": {"mine": [value]}}, "a.ckpt")
    assert Path("a.ckpt").read_bytes() == before


def test_finding_what_can_not_be_read_again_ends():
    """However often what holds it stands there."""
    data = {"a": Odd(1)}
    for _ in range(60):
        data = {"left": dict(data), "right": data}
    with pytest.raises(CheckpointError, match=r"Received in data\.left.*test_file\.Odd"):
        write_checkpoint({**WHOLE, "data": data}, "a.ckpt")


def test_all_that_is_plain_is_written_and_read():
    """Numbers, texts, bytes, what holds them, and tensors."""
    given = {
        "a": [1, 2.0, True, None, 2**80, 1j, "é", b"\0x"],
        3: (1, {2, 3}, Counter({30: 1, 80: 2})),
        (1, "b"): OrderedDict(c=torch.ones(2, 3).T),
    }
    write_checkpoint({**WHOLE, "given": given}, "a.ckpt")
    read = read_checkpoint("a.ckpt")["given"]
    assert torch.equal(read[1, "b"].pop("c"), given[1, "b"].pop("c"))
    assert read == given


def test_failed_write_leaves_the_old_file():
    """A checkpoint that can't be written in the middle leaves the old one to the byte, and no other file."""
    write_checkpoint(WHOLE, "a.ckpt")
    before = Path("a.ckpt").read_bytes()
    for extra in (lambda: None, Lock(), (each for each in "ab")):
        with pytest.raises(
            CheckpointError, match=r"plain data and tensors, .* Received in extra: .* a\.ckpt is not written"
        ):
            write_checkpoint({**WHOLE, "extra": extra}, "a.ckpt")
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
