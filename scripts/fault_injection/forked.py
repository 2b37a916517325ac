"""Programs of Python's in processes that need not start: they are forked from one that has imported what they import.

Starting takes most of a short training's time. Of all repetitions each has a process that starts on its own.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import runpy
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from multiprocessing.connection import wait
from pathlib import Path
from types import ModuleType

#: What is imported once.
IMPORTED = [
    "lightlab.commands.fit",
    "lightlab.commands.evaluation",
    "lightlab.data",
    "lightlab.inspect",
    "sklearn.datasets",
]
# Read as the first of these processes starts: what has threads of OpenMP's waits for ever once it is forked.
os.environ["OMP_NUM_THREADS"] = "1"
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(IMPORTED)
#: Whoever starts a process, or looks after one, looks after all, which only one thread may do at a time.
LOCK = threading.Lock()


class Forked:
    """A program in a forked process, with what is used here of `subprocess.Popen`.

    Args:
        arguments: those of Python: ``-c CODE …``, ``-m MODULE …`` or ``FILE …``.
        folder: where it works.
        environment: its variables; those that Python or OpenMP read as they start come too late.
        said: the file that takes what it prints, errors too; by default one that `communicate` reads.
    """

    def __init__(
        self, arguments: list[str], folder: Path, environment: Mapping[str, str], said: Path | None = None
    ) -> None:
        self._is_read = said is None
        self._said = said or _empty_file()
        self._process = CONTEXT.Process(target=_run, args=(arguments, folder, dict(environment), self._said))
        with LOCK:
            self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Its exit code; below 0, the signal that ended it; ``None`` while it runs."""
        with LOCK:
            return self._process.exitcode

    def poll(self) -> int | None:
        """Return its exit code."""
        return self.returncode

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait for its end; return its exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended after so many seconds.
        """
        if not wait([self._process.sentinel], timeout):
            raise subprocess.TimeoutExpired(str(self._process), timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Wait for its end; return what it has printed."""
        self.wait(timeout)
        said = self._said.read_text(encoding="utf-8", errors="replace")
        if self._is_read:
            self._said.unlink()
        return said, None


def _empty_file() -> Path:
    handle, name = tempfile.mkstemp()
    os.close(handle)
    return Path(name)


def _run(arguments: list[str], folder: Path, environment: Mapping[str, str], said: Path) -> None:
    """Become what a process is that Python has started with these arguments."""
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    tempfile.tempdir = None  # it is the one of this environment
    handle = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(handle, stream)
    os.close(handle)
    first, *rest = arguments
    if first in ("-c", "-m"):
        name, *rest = rest
    sys.argv = [first if first in ("-c", "-m") else str(folder / first), *rest]
    own = str(Path(sys.argv[0]).parent) if first not in ("-c", "-m") else ""
    sys.path[:0] = [own, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        if first == "-c":
            sys.modules["__main__"] = program = ModuleType("__main__")
            exec(compile(name, "<string>", "exec"), vars(program))  # noqa: S102 - it is one of ours
        elif first == "-m":
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(sys.argv[0], run_name="__main__")
    finally:
        atexit._run_exitfuncs()  # which no process does that multiprocessing starts
