"""Run a command as people do, in a terminal, and take its time and memory."""

from __future__ import annotations

import os
import pty
import subprocess
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Of what a command said, this much is kept for the case that it fails.
TAIL = 4_000


@dataclass(frozen=True)
class Finished:
    """A command that has ended.

    Attributes:
        code: 0 if all went well.
        seconds: from its start to its end.
        processor_seconds: on all cores together.
        peak_mib: the largest resident set; of several processes that of the largest.
        said: the end of what it printed.
    """

    code: int
    seconds: float
    processor_seconds: float
    peak_mib: float
    said: str


def run(command: Sequence[str], folder: Path, environment: Mapping[str, str], cores: Collection[int] = ()) -> Finished:
    """Run a command on a pseudo-terminal, where progress bars are drawn, on some cores or all."""
    terminal, end = pty.openpty()
    said = bytearray()
    reader = threading.Thread(target=_drain, args=(terminal, said), daemon=True)
    start = time.perf_counter()
    process = subprocess.Popen(
        _pinned(command, cores), cwd=folder, env=dict(environment), stdin=subprocess.DEVNULL, stdout=end, stderr=end
    )
    os.close(end)
    reader.start()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)  # so that Popen does not wait for it, too
    reader.join(timeout=1)
    unit = 2**20 if os.uname().sysname == "Darwin" else 2**10  # bytes there, KiB elsewhere
    text = said.decode(errors="replace")
    return Finished(process.returncode, seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit, text)


def _pinned(command: Sequence[str], cores: Collection[int]) -> list[str]:
    return ["taskset", "--cpu-list", ",".join(map(str, cores)), *command] if cores else list(command)


def _drain(terminal: int, said: bytearray) -> None:
    """Read what is printed, or it could not be printed; a terminal that nobody holds any more is an error on Linux."""
    try:
        while part := os.read(terminal, 65_536):
            said += part
            del said[:-TAIL]
    except OSError:
        pass
    finally:
        os.close(terminal)
