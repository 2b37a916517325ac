"""What a checkpoint would have torch build, looked at before torch reads it: plain data, and tensors that are there.

A checkpoint may come from anyone. ``weights_only=True`` has torch run nothing of it, but torch believes what it says of
sizes: a record of a few bytes may unpack to gigabytes, and a tensor may claim more numbers than are stored. So the
directory of the zip file is held against the file first, and then the pickle in it is read with stand-ins for tensors,
which take no memory.
"""

from __future__ import annotations

import math
import pickle
import re
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Iterable, Mapping
from io import BytesIO
from typing import Any, BinaryIO, ClassVar

from lightlab.checkpoints.checksum import HEAD
from lightlab.checkpoints.unfolding import check_unfolded

#: How many bytes a number takes in each kind of torch's storages.
ITEM_SIZES = {
    "BoolStorage": 1,
    "ByteStorage": 1,
    "CharStorage": 1,
    "ShortStorage": 2,
    "HalfStorage": 2,
    "BFloat16Storage": 2,
    "IntStorage": 4,
    "FloatStorage": 4,
    "LongStorage": 8,
    "DoubleStorage": 8,
    "ComplexFloatStorage": 8,
    "ComplexDoubleStorage": 16,
}
#: The records of a file that torch writes, below a folder.
RECORDS = re.compile(r"(data\.pkl|\.format_version|\.storage_alignment|byteorder|version|\.data/\w+|data/\d+)")
#: The end of a zip file, where it says how long its directory is, and where it begins; and the same of a large file,
#: which stands before it, with a pointer between the two.
END, LARGE_END, POINTER = struct.Struct("<4s4H2LH"), struct.Struct("<4sQ2H2L4Q"), struct.Struct("<4sLQL")
#: What may be a key, or a part of one that is a tuple.
PLAIN = (str, int, float, bool, type(None), bytes)
#: A file has at most so many keys beside texts, and numbers that count the items of a dictionary from 0: their hashes
#: are known, so that they may be chosen to be looked for in the same places, each behind all others.
MOST_KEYS = 10_000
#: What has a length, and may be read again and again.
SIZED = (str, bytes, tuple, list, dict, set)
#: A tensor has at most so many dimensions.
MOST_SIZES = 64
#: What torch writes plain data and tensors with.
OPERATIONS = (
    *(pickle.PROTO, pickle.STOP, pickle.MARK, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3),
    *(pickle.EMPTY_TUPLE, pickle.EMPTY_LIST, pickle.EMPTY_DICT, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE),
    *(pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINFLOAT, pickle.BINUNICODE),
    *(pickle.BINGET, pickle.LONG_BINGET, pickle.BINPUT, pickle.LONG_BINPUT, pickle.BINPERSID, pickle.GLOBAL),
    *(pickle.APPEND, pickle.APPENDS, pickle.SETITEM, pickle.SETITEMS, pickle.REDUCE, pickle.BUILD),
)


def check_archive(stream: BinaryIO) -> None:
    """See to it that a file that torch has written, with a checksum at its end, holds what it says, and plain data.

    Raises:
        ValueError: it is no such file, or claims more than it holds.
        pickle.UnpicklingError: it has something else in it.
    """
    _check_end(stream)
    with zipfile.ZipFile(stream) as archive:
        records = _check_records(archive.infolist(), stream.seek(0, 2))
        content = archive.read(records["data.pkl"])
        check_unfolded(_Reader(content, records).load(), len(content))
    stream.seek(0)


def _check_end(stream: BinaryIO) -> None:
    """See to it that there is one directory only that this file can be read by, so that all readers read the same."""
    ends = stream.seek(0, 2) - len(HEAD) - 64 + 2 - END.size
    before = POINTER.size + LARGE_END.size
    stream.seek(max(ends - before, 0))
    tail = stream.read(min(ends, before) + END.size)
    *_, size, start, _ = END.unpack(tail[-END.size :])
    pointer = POINTER.unpack(tail[-END.size - POINTER.size : -END.size])
    if pointer[0] == b"PK\6\7":
        ends -= before
        *_, size, start = LARGE_END.unpack(tail[: LARGE_END.size])
        if pointer[2] != ends:
            raise ValueError("it has two ends")
    if start + size != ends:
        raise ValueError("its directory is not where its end says")


def _check_records(infos: list[zipfile.ZipInfo], size: int) -> dict[str, zipfile.ZipInfo]:
    """Return the records by name.

    Raises:
        ValueError: there are others than torch writes, or together they are longer than the file.
    """
    folders = {info.filename.partition("/")[0] for info in infos}
    records = {info.filename.partition("/")[2]: info for info in infos}
    if len(folders) != 1 or len(records) != len(infos) or not all(map(RECORDS.fullmatch, records)):
        raise ValueError("it holds other records than torch writes")
    packed = any(info.compress_type != zipfile.ZIP_STORED or info.file_size != info.compress_size for info in infos)
    if packed or sum(info.file_size for info in infos) > size:
        raise ValueError("its records are larger than what is stored of them")
    return records


class _Storage:
    """Stands for the numbers of a record: how many there are, and which kind of storage torch reads them into."""

    def __init__(self, kind: str, count: int) -> None:
        self.kind = kind
        self.count = count


class _Reader(pickle._Unpickler):  # the one in C makes as much room as a pickle asks for
    """Reads a pickle of torch's, with stand-ins for tensors.

    Args:
        content: the pickle.
        records: of the archive, by name.
    """

    dispatch: ClassVar = {code: pickle._Unpickler.dispatch[code] for (code,) in OPERATIONS}

    def __init__(self, content: bytes, records: Mapping[str, zipfile.ZipInfo]) -> None:
        super().__init__(BytesIO(content))
        self.records = records
        self.storages: dict[str, _Storage] = {}
        self.left = len(content)
        self.keys_left = MOST_KEYS

    def _take(self, *parts: Any) -> None:
        """Count what is read through to build something, as often as it is: what stands there once is remembered.

        Raises:
            pickle.UnpicklingError: together it is more than stands in the pickle, in which all of it has a byte.
        """
        self.left -= sum(len(part) for part in parts if isinstance(part, SIZED))
        if self.left < 0:
            raise pickle.UnpicklingError("it repeats what it holds to more than the file")

    def _check_keys(self, keys: Iterable[Any], before: int = 0) -> None:
        """See to it that keys of a dictionary, or members of a set, are plain before they are hashed.

        The hash of a tuple is made of those of its parts: sixty that hold the one before twice take for ever.

        Args:
            keys: to be added.
            before: how many there are already.

        Raises:
            pickle.UnpicklingError: they are not; or there are too many whose hashes are known.
        """
        for place, key in enumerate(keys, before):
            if type(key) not in (str, bytes) and not (type(key) is int and key == place):
                self.keys_left -= 1
            if self.keys_left < 0:
                raise pickle.UnpicklingError(
                    f"it has more than {MOST_KEYS:,} keys that are neither texts nor counted from 0"
                )
            for part in key if type(key) is tuple else (key,):
                if type(part) not in PLAIN:
                    raise pickle.UnpicklingError(
                        "it has a key or a member of a set that is neither plain nor a tuple of what is"
                    )
            if type(key) is tuple:
                self._take(key)

    def _set_items(self, items: list[Any]) -> None:
        if type(self.stack[-1]) not in (dict, OrderedDict):  # type: ignore[attr-defined]  # typeshed leaves it out
            raise pickle.UnpicklingError("it sets items of something else than a dictionary")
        self._check_keys(items[::2], len(self.stack[-1]))  # type: ignore[attr-defined]  # likewise
        self.stack[-1].update(zip(items[::2], items[1::2], strict=True))  # type: ignore[attr-defined]  # likewise

    def load_setitem(self) -> None:
        """Set one item of a dictionary."""
        items = self.stack[-2:]  # type: ignore[attr-defined]  # likewise
        del self.stack[-2:]  # type: ignore[attr-defined]  # likewise
        self._set_items(items)

    dispatch[pickle.SETITEM[0]] = load_setitem  # type: ignore[assignment]  # it takes this reader, and no other

    def load_setitems(self) -> None:
        """Set items of a dictionary."""
        self._set_items(self.pop_mark())  # type: ignore[attr-defined]  # likewise

    dispatch[pickle.SETITEMS[0]] = load_setitems  # type: ignore[assignment]  # likewise

    def load_reduce(self) -> None:
        """Call what stands for a function of torch's, each time with arguments of its own.

        Raises:
            pickle.UnpicklingError: the arguments are repeated, or would be hashed and are not plain.
        """
        arguments = self.stack.pop()  # type: ignore[attr-defined]  # likewise
        function = self.stack[-1]  # type: ignore[attr-defined]  # likewise
        if type(arguments) is not tuple:
            raise pickle.UnpicklingError("it calls something with no tuple of arguments")
        self._take(arguments, *arguments)
        if function is OrderedDict and arguments:
            raise pickle.UnpicklingError("it makes an ordered dictionary of something")
        if function is set:
            (members,) = arguments
            if type(members) is not list:
                raise pickle.UnpicklingError("it makes a set of something else than a list")
            self._check_keys(members)
        self.stack[-1] = function(*arguments)  # type: ignore[attr-defined]  # likewise

    dispatch[pickle.REDUCE[0]] = load_reduce  # type: ignore[assignment]  # likewise

    def load_build(self) -> None:
        """Have nothing but ordered dictionaries take a state, as torch does.

        Raises:
            pickle.UnpicklingError: something else is to.
        """
        state = self.stack.pop()  # type: ignore[attr-defined]  # typeshed leaves out what only Python's own has
        if type(self.stack[-1]) is not OrderedDict:  # type: ignore[attr-defined]  # likewise
            raise pickle.UnpicklingError("it holds an object with a state, which is neither plain data nor a tensor")
        if type(state) is not dict:
            raise pickle.UnpicklingError("it gives a state that is no dictionary")
        self._take(state)
        vars(self.stack[-1]).update(state)  # type: ignore[attr-defined]  # likewise

    dispatch[pickle.BUILD[0]] = load_build  # type: ignore[assignment]  # it takes this reader, and no other

    def find_class(self, module: str, name: str) -> Any:
        """Return what a pickle may name.

        Raises:
            pickle.UnpicklingError: it is something else.
        """
        if module == "torch" and name in ITEM_SIZES:
            return name
        if (module, name) in ALLOWED:
            return ALLOWED[module, name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which is neither plain data nor a tensor")

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the stand-in of a storage.

        Raises:
            ValueError: the record has another length.
        """
        what, kind, key, location, count = pid
        # What is no text or number may take for ever to be hashed, compared or shown.
        if not all(isinstance(part, str) for part in (what, kind, key, location)) or type(count) is not int:
            raise ValueError("it names numbers by something else than texts")
        record = self.records.get(f"data/{key}")
        if what != "storage" or record is None or record.file_size != count * ITEM_SIZES[kind]:
            raise ValueError(f"it holds no {count} numbers of {key!r}")
        found = self.storages.setdefault(key, _Storage(kind, count))
        if found.kind != kind:
            raise ValueError(f"it reads {key!r} as two types")
        return found


def _check_tensor(
    storage: _Storage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool,
    hooks: Mapping[Any, Any],
) -> None:
    """Hold a tensor against the numbers that it is made of.

    Raises:
        ValueError: there are not as many.
    """
    if type(shape) is not tuple or type(strides) is not tuple or len(shape) > MOST_SIZES:
        raise ValueError(f"it holds a tensor of a shape that is no tuple of at most {MOST_SIZES} sizes")
    if not all(type(number) is int for number in (offset, *shape, *strides)):
        raise ValueError("it holds a tensor with a size that is no whole number")
    if min(offset, *shape, *strides, 0) < 0 or len(shape) != len(strides) or hooks:
        raise ValueError(f"it holds a tensor that can't be, of shape {shape}")
    last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
    if 0 not in shape and (last >= storage.count or math.prod(shape) > storage.count):
        raise ValueError(f"a tensor of shape {shape} takes more numbers than the {storage.count} that are stored")


def _encode(text: str, encoding: str) -> bytes:
    """Return bytes, which pickles of this kind hold as a text."""
    if encoding != "latin1":
        raise pickle.UnpicklingError("it has bytes that are not written in latin1")
    return text.encode(encoding)


def _count(items: Any) -> Counter[Any]:
    """Return a counter, as some schedules keep one; of anything but a dictionary it would hash what it is given."""
    if type(items) is not dict:
        raise pickle.UnpicklingError("it counts something else than the items of a dictionary")
    return Counter(items)


#: All that a pickle may name beside storages, and what stands for it.
ALLOWED = {
    ("torch._utils", "_rebuild_tensor_v2"): _check_tensor,
    ("collections", "OrderedDict"): OrderedDict,
    ("collections", "Counter"): _count,
    ("_codecs", "encode"): _encode,
    ("__builtin__", "set"): set,
    ("__builtin__", "complex"): complex,
}


def may_name(module: str, name: str) -> bool:
    """Return whether a pickle may name something, which pickles of this kind call by its name in Python 2."""
    module = "__builtin__" if module == "builtins" else module
    return (module, name) in ALLOWED or (module == "torch" and name in ITEM_SIZES)
