"""Memory: whether an error says that none is left, how much there is, and a way to try out what may need more."""

from __future__ import annotations

import ctypes
import errno
import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

#: What torch and the libraries below it say where there is no memory left.
WORDS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "bad_alloc",
    "ALLOC_FAILED",
    "could not create a memory object",
)
#: Control groups, of the second and of the first kind: where they lie, what a group may take, what it takes, and what
#: of that the system can take back at once.
GROUPS = {
    "": ("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"),
    "memory": ("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
}

#: From glibc's malloc.h.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
#: Pieces of memory up to such a size are kept for the next step, in bytes; the second is the most that mallopt took up
#: to glibc 2.34. A piece of more than the first would leave a gap that is soon too short for the next of its size.
KEPT_PIECE, KEPT_PIECE_BEFORE = 2**28, 2**25
#: So much of what is free is kept: the most that mallopt takes.
KEPT = 2**31 - 1


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error says that no memory is left, on a GPU or of the machine.

    >>> is_out_of_memory(MemoryError()), is_out_of_memory(ValueError("out of memory"))
    (True, False)
    """
    if isinstance(error, OSError):
        return error.errno == errno.ENOMEM
    says_so = isinstance(error, RuntimeError) and any(word in str(error) for word in WORDS)
    return says_so or isinstance(error, MemoryError | torch.OutOfMemoryError)


def free_host_memory() -> int | None:
    """Return how many bytes are left for this process; ``None`` where the system doesn't say it, as only Linux does.

    That is what the machine has left, or the container or group of processes that it belongs to, or what its own limit
    leaves (``ulimit -v``).
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return min(int(fields["MemAvailable"].split()[0]) * 1024, _left_of_own(), *_left_in_groups())
    except (OSError, KeyError, ValueError):
        return None


def peak_host_memory() -> int | None:
    """Return the most memory that this process took so far, in bytes; ``None`` where the system doesn't say it."""
    if sys.platform == "win32":
        return None
    # Linux's ru_maxrss counts what the process took that started this one, too, which may be more.
    with suppress(OSError, KeyError, ValueError):
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return int(dict(line.split(":", 1) for line in lines)["VmHWM"].split()[0]) * 1024
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _left_of_own() -> int:
    """Return how many bytes of addresses this process may still take."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft - _addressed()


def _addressed() -> int:
    """Return how many bytes of addresses this process has taken."""
    import resource

    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0]) * resource.getpagesize()


def _left_in_groups() -> Iterator[int]:
    """Give how many bytes are left in each control group with a limit that this process belongs to."""
    for line in Path("/proc/self/cgroup").read_text(encoding="utf-8").splitlines():
        _, kinds, path = line.split(":", 2)
        if kinds not in GROUPS:
            continue
        folder, most, taken, idle = GROUPS[kinds]
        root = Path(folder)
        own = root / path.lstrip("/")
        for group in (own, *own.parents):
            with suppress(OSError, ValueError):  # the outermost has none, and others may be hidden
                limit = int((group / most).read_text())
                stat = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
                yield limit - int((group / taken).read_text()) + int(stat.get(idle, 0))
            if group == root:
                break


@contextmanager
def limited_to(more: int | None) -> Iterator[None]:
    """Have this process take so many bytes more at most: what needs more of them raises an error.

    Without a limit Linux ends a process that takes more than there is, and nothing can be done about it. Threads that
    have run before go on: what they need comes from the 64 MiB of addresses that glibc has set aside for each.

    Args:
        more: bytes; ``None`` for no limit.
    """
    if more is None or sys.platform != "linux":
        yield
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    most = _addressed() + more
    resource.setrlimit(resource.RLIMIT_AS, (most if soft == resource.RLIM_INFINITY else min(soft, most), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def collect_garbage() -> None:
    """Give back what is no longer used, on the GPU, too."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def keep_memory() -> None:
    """Have glibc keep the memory that a step gives back for the next one, instead of returning it to the system.

    A step on a CPU takes and gives back the same large pieces over and over; the system clears each anew, which costs a
    convolutional network up to half its time. Other C libraries have no such setting, and are left alone.
    """
    with suppress(OSError, AttributeError):
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018 - others may have a mallopt that means something else
        if any(libc.mallopt(M_MMAP_THRESHOLD, size) for size in (KEPT_PIECE, KEPT_PIECE_BEFORE)):
            libc.mallopt(M_TRIM_THRESHOLD, KEPT)
