"""Checkpoints of strangers, with the right checksum: what claims more than it holds or is no plain data is refused."""

import io
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from pickle import encode_long

import pytest
import torch

from lightlab.checkpoints import read_checkpoint, write_checkpoint
from lightlab.checkpoints.checksum import Hashing
from lightlab.errors import CheckpointError

WHOLE = {"state_dict": {"w": torch.arange(6.0)}, "hyper_parameters": {"layers": []}, "data_spec": {"problem": "binary"}}
#: More numbers than any machine holds.
HUGE = 10**15


def write(content, path="evil.ckpt"):
    """Write a file as whoever wants it read would: with the right checksum."""
    with Path(path).open("xb+") as stream:
        sealed = Hashing(stream)
        sealed.write(content)
        sealed.seal()


def saved(checkpoint):
    """Return the bytes that torch writes."""
    stream = io.BytesIO()
    torch.save(checkpoint, stream)
    return stream.getvalue()


def packed(records, compression=zipfile.ZIP_STORED):
    """Return a zip file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(name, content)
    return stream.getvalue()


def records(checkpoint=WHOLE):
    """Return the records of what torch writes, by name."""
    with zipfile.ZipFile(io.BytesIO(saved(checkpoint))) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


class Call:
    """What a pickle has called when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def claimed(shape, strides=None, offset=0, numbers=6, kind=torch.float32, hooks=None):
    """Return what is read as a tensor of some shape over so many numbers."""
    storage = torch.zeros(numbers, dtype=kind)._typed_storage()
    strides = strides or (1,) * len(shape)
    return Call(torch._utils._rebuild_tensor_v2, storage, offset, shape, strides, False, hooks or OrderedDict())


def test_what_there_is_to_read():
    """All types of numbers, views of others' numbers, empty tensors and all sorts of plain data are read again."""
    base = torch.arange(12.0).reshape(3, 4)
    kinds = [torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64]
    kinds += [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128]
    tensors = {str(kind): torch.ones(5, dtype=kind) for kind in kinds}
    tensors |= {"base": base, "column": base[:, 1], "turned": base.T, "empty": torch.empty(0, 3), "number": base[1, 2]}
    tensors["colours"] = torch.rand(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)
    plain = {
        "counted": dict.fromkeys(range(20_000)),
        "from 3": {number: {} for number in range(3, 9_000)},
        "a": [1, -2, 2**40, 10**30, 0.5, float("inf"), None, True, False],
        "b": ("é", b"\0\xff"),
        3: {1, 2},
        "c": 1j,
    }
    write_checkpoint({**WHOLE, "state_dict": tensors, "plain": plain, "ordered": OrderedDict(a=1)}, "a.ckpt")
    read = read_checkpoint("a.ckpt")
    assert all(torch.equal(read["state_dict"][name], value) for name, value in tensors.items())
    assert all(read["state_dict"][name].stride() == value.stride() for name, value in tensors.items())
    assert read["plain"] == plain
    assert read["ordered"] == OrderedDict(a=1)


CLAIMS = {
    "a huge shape": claimed((HUGE,)),
    "a huge shape of many sizes": claimed((10**5, 10**5, 10**5)),
    "one number many times": claimed((HUGE,), (0,)),
    "strides past the end": claimed((3, 3), (HUGE, 1)),
    "a start past the end": claimed((1,), offset=HUGE),
    "one number past the end": claimed((7,)),
    "a negative start": claimed((1,), offset=-1),
    "a negative size": claimed((-1,)),
    "negative strides": claimed((3,), (-1,)),
    "fewer strides than sizes": claimed((2, 2), (1,)),
    "hooks": claimed((3,), hooks=OrderedDict(a=print)),
    "a buffer of any size": Call(bytearray, HUGE),
    "a compressed text": Call(__import__("_codecs").encode, "x" * 9, "punycode"),
    "an empty tensor made from a size": Call(torch.Tensor, HUGE),
}


@pytest.mark.parametrize("claim", CLAIMS)
def test_tensors_that_claim_more_than_is_stored(claim):
    """They are refused by what is stored, and not because a machine has no room for them."""
    write(saved({**WHOLE, "state_dict": {"w": CLAIMS[claim]}}))
    with pytest.raises(CheckpointError, match=r"evil\.ckpt can't be read") as caught:
        read_checkpoint("evil.ckpt")
    assert not any(word in str(caught.value) for word in ("memory", "Memory", "allocate", "RuntimeError"))


@pytest.mark.parametrize(
    "place", ["state_dict", "hyper_parameters", "data_spec", "callbacks", "optimizer_states", "loops"]
)
@pytest.mark.parametrize("function", [os.mkdir, os.system, eval, torch.load, pickle.loads, Path.touch])
def test_nothing_runs(place, function):
    """What would call something is refused wherever it stands, and does not run."""
    argument = {os.mkdir: "ran", os.system: "touch ran", eval: "open('ran', 'w')", Path.touch: Path("ran")}
    call = Call(function, argument.get(function, "ran"))
    write(saved({**WHOLE, place: {"w": call}}))
    with pytest.raises(CheckpointError, match="evil.ckpt can't be read.*UnpicklingError: it names"):
        read_checkpoint("evil.ckpt")
    assert not Path("ran").exists()


def test_states_of_objects():
    """A pickle gives no state to what is no dictionary: to the functions that stand for torch's, least of all."""
    pickled = pickle.dumps(torch._utils._rebuild_tensor_v2, 2)[:-1] + b"}X\x01\x00\x00\x00aK\x01sb."
    write(packed({**records(), "archive/data.pkl": pickled}))
    with pytest.raises(CheckpointError, match="an object with a state"):
        read_checkpoint("evil.ckpt")
    stateful = OrderedDict()
    stateful.append = 1
    write_checkpoint({**WHOLE, "other": stateful}, "fine.ckpt")
    assert read_checkpoint("fine.ckpt")["other"] == OrderedDict()


ZEROS = bytes(50 << 20)


def longer(content):
    """Return a directory's bytes in which the records are longer than in the file."""
    place = content.index(b"PK\1\2")
    sizes = struct.pack("<LL", 1 << 30, 1 << 30)
    return content[: place + 20] + sizes + content[place + 28 :]


def twice(content):
    """Return a file with a second directory behind the first, of which each may be what a reader finds."""
    start = content.index(b"PK\1\2")
    return content + content[start:]


ARCHIVES = {
    "a bomb": lambda: packed({**records(), "archive/data/0": ZEROS}, zipfile.ZIP_DEFLATED),
    "a bomb in the pickle": lambda: packed({**records(), "archive/data.pkl": ZEROS}, zipfile.ZIP_DEFLATED),
    "a bomb elsewhere": lambda: packed({**records(), "archive/data/77": ZEROS}, zipfile.ZIP_DEFLATED),
    "a compressed file": lambda: packed(records(), zipfile.ZIP_DEFLATED),
    "a short record": lambda: packed({**records(), "archive/data/0": b"1234"}),
    "a long record": lambda: packed({**records(), "archive/data/0": bytes(4096)}),
    "no record": lambda: packed({name: each for name, each in records().items() if name != "archive/data/0"}),
    "a record of another name": lambda: packed({**records(), "archive/code.py": b"open('ran', 'w')"}),
    "a record outside": lambda: packed({**records(), "../data/1": b"x"}),
    "a program": lambda: packed({**records(), "archive/constants.pkl": b"x"}),
    "records longer than the file": lambda: longer(saved(WHOLE)),
    "two directories": lambda: twice(saved(WHOLE)),
    "something before it": lambda: bytes(100) + saved(WHOLE),
    "a directory elsewhere": lambda: twice(packed(records())),
    "a name in two cases": lambda: packed({**records(), "archive/DATA.pkl": b"x"}),
    "an end alone": lambda: saved(WHOLE)[-22:],
    "a short file": lambda: b"PK",
    "nothing": lambda: bytes(2),
    "zeros": lambda: bytes(1000),
}


#: What is said of them.
SAID = {
    "a short record": "it holds no 6 numbers of '0'",
    "a long record": "it holds no 6 numbers of '0'",
    "no record": "it holds no 6 numbers of '0'",
    "a record of another name": "other records than torch writes",
    "a record outside": "other records than torch writes",
    "a program": "other records than torch writes",
    "a name in two cases": "other records than torch writes",
    "two directories": "it has two ends",
    "something before it": "it has two ends",
    "a directory elsewhere": "its directory is not where its end says",
    "an end alone": "unpack requires",
    "a short file": "its checksum is that of other bytes",
    "nothing": "unpack requires",
    "zeros": "its directory is not where its end says",
}


@pytest.mark.parametrize("archive", ARCHIVES)
def test_archives_that_are_not_torch_s(archive):
    """A zip file that claims more than it holds, or may be read in two ways, is refused, and nothing is unpacked."""
    write(ARCHIVES[archive]())
    assert len(Path("evil.ckpt").read_bytes()) < 1 << 20
    with pytest.raises(CheckpointError, match=SAID.get(archive, "its records are larger than what is stored of them")):
        read_checkpoint("evil.ckpt")


def text(content):
    """Return a text as a pickle has it."""
    return b"X" + struct.pack("<L", len(content)) + content.encode()


#: Tuples of which each holds the one before twice: to hash, compare or show the last takes 2 ** 60 steps.
DEEP = b")q\0" + b"".join(b"h%c\x86q%c" % (level, level + 1) for level in range(60))
SET, ENCODE = b"c__builtin__\nset\n", b"c_codecs\nencode\n"
ORDERED, TENSOR = b"ccollections\nOrderedDict\n", b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGE = b"(" + text("storage") + b"ctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x06tQ"
#: Whole numbers of one hash: each is looked for behind all that are there before it.
ALIKE = [b"\x8a" + bytes([len(number)]) + number for number in (encode_long((2**61 - 1) * n) for n in range(150_000))]
#: What a pickle may ask for that takes for ever, or far more memory than it has bytes; and what is said of it.
ENDLESS = {
    "keys of one hash": (b"}(" + b"N".join(ALIKE) + b"Nu.", "more than 10,000 keys that are neither texts"),
    "keys of one hash, one by one": (b"}" + b"".join(each + b"Ns" for each in ALIKE) + b".", "more than 10,000 keys"),
    "members of one hash": (SET + b"](" + b"".join(ALIKE) + b"e\x85R.", "more than 10,000 keys"),
    "a deep value": (DEEP + b".", "unfolds to more than the file"),
    "a long dictionary, often": (
        b"](}(" + b"".join(text(f"{number}") + b"N" for number in range(9_000)) + b"uq\0" + b"h\0" * 900_000 + b"e.",
        "unfolds to more than the file",
    ),
    "a state of a dictionary, often": (
        ORDERED + b")R}(" + text("a") + DEEP + b"ub.", "unfolds to more than the file"
    ),
    "a deep key": (b"}" + DEEP + b"K\1s.", "it has a key"),
    "a deep key of several": (b"}(" + DEEP + b"K\1u.", "it has a key"),
    "a deep member of a set": (SET + b"](" + DEEP + b"e\x85R.", "it has a key"),
    "a set of a tuple": (SET + DEEP + b"\x85R.", "something else than a list"),
    "a counter of a tuple": (b"ccollections\nCounter\n" + DEEP + b"\x85R.", "counts something else"),
    "an ordered dictionary of something": (ORDERED + b"](" + DEEP + b"K\1\x86e\x85R.", "of something"),
    "a state of pairs": (ORDERED + b")R](" + DEEP + b"K\1\x86eb.", "a state that is no dictionary"),
    "a deep type": (b"(" + text("storage") + DEEP + text("0") + text("cpu") + b"K\6tQ.", "else than texts"),
    "a deep name": (
        b"(" + text("storage") + b"ctorch\nFloatStorage\n" + DEEP + text("cpu") + b"K\6tQ.",
        "else than texts",
    ),
    "a deep encoding": (ENCODE + text("a") + DEEP + b"\x86R.", "not written in latin1"),
    "a deep shape": (TENSOR + b"(" + STORAGE + b"K\0" + DEEP + b"h\x3c\x89" + ORDERED + b")RtR.", "no whole number"),
    "a long shape": (
        TENSOR + b"(" + STORAGE + b"K\0(" + b"K\2" * 300_000 + b"t(" + b"K\0" * 300_000 + b"t\x89}tR.",
        "at most 64 sizes",
    ),
    "a long key, often": (b"}((" + b"N" * 9_000 + b"tq\0N" + b"h\0N" * 9_000 + b"u.", "it repeats what it holds"),
    "a set, often": (
        b"(](" + b"".join(b"J" + struct.pack("<l", number) for number in range(9_000)) + b"eq\0"
        + SET + b"q\1h\0\x85R" + b"h\1h\0\x85R" * 9_000 + b"t.",
        "it repeats what it holds",
    ),
    "a text, often": (
        b"(" + text("a" * 99_000) + b"q\0" + text("latin1") + b"q\2" + ENCODE + b"q\1h\0h\2\x86R"
        + b"h\1h\0h\2\x86R" * 9_000 + b"t.",
        "it repeats what it holds",
    ),
    "a state, often": (
        b"}(" + b"".join(b"J" + struct.pack("<l", number) + b"N" for number in range(9_000)) + b"uq\0("
        + ORDERED + b"q\1)Rh\0b" + b"h\1)Rh\0b" * 9_000 + b"t.",
        "it repeats what it holds",
    ),
}  # fmt: skip
#: Opens a file with little memory and time, and says what is said of it.
OPEN_ONE = """
import resource
from lightlab.checkpoints import read_checkpoint
from lightlab.errors import CheckpointError
before = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (before + (256 << 20),) * 2)
try:
    read_checkpoint("evil.ckpt")
except CheckpointError as refusal:
    print(refusal)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is not limited so")
@pytest.mark.parametrize("endless", ENDLESS)
def test_pickles_that_take_for_ever(endless):
    """A pickle that has a few bytes hashed, compared, shown or copied without end is refused at once."""
    content, said = ENDLESS[endless]
    write(packed({**records(), "archive/data.pkl": b"\x80\2" + content}))
    call = [sys.executable, "-c", OPEN_ONE]
    finished = subprocess.run(call, capture_output=True, text=True, check=False, timeout=60)
    assert said in finished.stdout, finished.stderr


def test_memory_that_is_taken(growth):
    """No file of at most a megabyte has the process that opens it grow by more than a few."""
    write_checkpoint(WHOLE, "fine.ckpt")
    contents = [saved({**WHOLE, "state_dict": {"w": claim}}) for claim in CLAIMS.values()]
    contents += [content for make in ARCHIVES.values() if len(content := make()) > 100]
    hungry = b"\x80\x02]r\xff\xff\xff\x7f."  # which remembers a value at a place behind two billion others
    contents += [packed({**records(), "archive/data.pkl": hungry})]
    for number, content in enumerate(contents):
        write(content, f"evil{number}.ckpt")
    assert growth("file") < 32
