"""What every fault is: something done to a training, and what must hold then."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from fault_injection.forked import Forked

T, R = TypeVar("T"), TypeVar("R")
#: A command takes no longer than this, in seconds, or it hangs.
LONGEST = 180


@dataclass(frozen=True)
class Finding:
    """What a fault came to.

    Attributes:
        holds: whether lightlab does what it promises.
        lightlab: its figure: "100 of 100 files load".
        stock: the figure of Lightning alone, measured beside it; empty where it has nothing of the kind.
    """

    holds: bool
    lightlab: str
    stock: str = ""


@dataclass(frozen=True)
class Fault:
    """A row of the table.

    Attributes:
        name: such as R1.
        injected: what is done.
        promise: what must hold.
        inject: does it.
    """

    name: str
    injected: str
    promise: str
    inject: Callable[[Laboratory], Finding]


FAULTS: dict[str, Fault] = {}


def fault(name: str, injected: str, promise: str) -> Callable[[Callable[[Laboratory], Finding]], Fault]:
    """Register the function that injects a fault."""

    def register(inject: Callable[[Laboratory], Finding]) -> Fault:
        FAULTS[name] = Fault(name, injected, promise, inject)
        return FAULTS[name]

    return register


@dataclass(frozen=True)
class Finished:
    """A process that has ended.

    Attributes:
        code: its exit code; below 0, the signal that ended it.
        said: all that it printed, errors too.
        seconds: from its start to its end.
    """

    code: int
    said: str
    seconds: float


@dataclass
class Laboratory:
    """Where a fault is injected.

    Args:
        folder: an empty one.
        quick: whether a few repetitions do.
    """

    folder: Path
    quick: bool
    environment: dict[str, str] = field(
        default_factory=lambda: os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[1])}
    )

    def times(self, all_of_them: int, quickly: int) -> int:
        """Return how often to repeat."""
        return quickly if self.quick else all_of_them

    def start(
        self, *command: str, folder: Path | None = None, said: Path | None = None, **environment: str
    ) -> subprocess.Popen[str] | Forked:
        """Start a process in a session of its own, whose output goes into a file, or can be read.

        Where a few repetitions do, programs of Python's are forked, unless Python is to start in a way of its own.
        """
        folder, environment = folder or self.folder, self.environment | environment
        if self.quick and command[0] == sys.executable and "PYTHONHASHSEED" not in environment:
            return Forked(list(command[1:]), folder, environment, said)
        with said.open("w") if said else nullcontext(subprocess.PIPE) as stream:
            return subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
                text=True,
                start_new_session=True,
            )

    def run(self, *command: str, folder: Path | None = None, **environment: str) -> Finished:
        """Run a command to its end."""
        start = time.monotonic()
        process = self.start(*command, folder=folder, **environment)
        said, _ = process.communicate(timeout=LONGEST)
        return Finished(process.wait(), said, time.monotonic() - start)

    def lightlab(self, *arguments: str, folder: Path | None = None, **environment: str) -> Finished:
        """Run a command of lightlab's to its end."""
        return self.run(*LIGHTLAB, *arguments, folder=folder, **environment)

    def python(self, code: str, *arguments: str, folder: Path | None = None, **environment: str) -> Finished:
        """Run a program of Python's to its end."""
        return self.run(sys.executable, "-c", code, *arguments, folder=folder, **environment)

    def side_by_side(self, do: Callable[[T], R], things: Iterable[T]) -> list[R]:
        """Do the same with several things, as many at once as there are processors."""
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            return list(threads.map(do, things))


#: As it is installed beside Python: of several processes Lightning starts the others by the name of the first.
LIGHTLAB = (sys.executable, str(Path(sys.executable).with_name("lightlab")))


def examine(each: Fault, folder: Path, quick: bool) -> tuple[Finding, float]:
    """Inject a fault in a folder of its own; return what it came to, and its seconds."""
    start = time.monotonic()
    own = folder / each.name
    own.mkdir()
    try:
        finding = each.inject(Laboratory(own, quick))
    except Exception as error:  # a fault that can't be injected proves nothing
        finding = Finding(False, f"{type(error).__name__}: {error}")
    shutil.rmtree(own, ignore_errors=True)
    return finding, time.monotonic() - start


def as_table(findings: Mapping[str, tuple[Finding, float]]) -> str:
    """Return the findings as a table in Markdown."""
    lines = ["| | fault injected | what must hold | lightlab | stock Lightning | s |", "|---|---|---|---|---|---:|"]
    for name, (finding, seconds) in findings.items():
        row = FAULTS[name]
        mark = "" if finding.holds else "**does not hold** "
        cells = [name, row.injected, row.promise, mark + finding.lightlab, finding.stock or "–", f"{seconds:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
