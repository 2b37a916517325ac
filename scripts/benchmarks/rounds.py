"""Alternating rounds: in each, every contestant has its turn, so that what else the machine does falls on all."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from benchmarks.contestants.table import SCRIPTS, Contestant
from benchmarks.jobs import Job, Outcome, Task
from benchmarks.processes import Finished, run

#: Read by OpenMP, MKL, OpenBLAS, TensorFlow, and JAX's pool of threads.
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "NPROC")


@dataclass(frozen=True)
class Measurement:
    """A training, as a process: what the system says of it, and what itself says."""

    finished: Finished
    outcome: Outcome

    @property
    def steady_seconds(self) -> float:
        """Seconds of an epoch, once it is at its speed."""
        return self.outcome.steady_seconds

    @property
    def memory_mib(self) -> float:
        """The most memory taken, on the GPU if there is one."""
        return self.finished.peak_mib if self.outcome.device_mib is None else self.outcome.device_mib


#: What was measured of each contestant, a round each; none of one that failed.
Results = dict[str, list[Measurement]]


@dataclass
class Bench:
    """What runs contestants, in a folder of its own.

    Args:
        folder: for data, configs and runs.
        device: cpu or cuda.
        threads: of a process; by default as the task has it.
    """

    folder: Path
    device: str = "cpu"
    threads: int | None = None

    def measure(self, contestant: Contestant, job: Job, cores: Collection[int] = ()) -> Measurement | None:
        """Run a contestant once; ``None``, and what it said, if it fails."""
        folder = Path(tempfile.mkdtemp(prefix=f"{contestant.name}-", dir=self.folder))
        job = replace(job, folder=str(folder), options=contestant.options)
        try:
            finished = run(contestant.command(job), folder, environment(contestant.path, job), cores)
            if finished.code == 0:
                return Measurement(finished, contestant.outcome(job))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(f"{contestant.name} ended with {finished.code}:\n{finished.said}", file=sys.stderr)
        return None

    def job(self, task: Task, data: Path, epochs: int, **options: object) -> Job:
        """Return a job for a task."""
        threads = self.threads or task.threads
        return Job(task, str(data), "", epochs, device=self.device, threads=threads, **options)

    @contextmanager
    def data(self, task: Task) -> Iterator[Path]:
        """Give the folder of the arrays of a task. Another process makes them, and takes the memory for it."""
        folder = Path(tempfile.mkdtemp(prefix=f"data-{task.name}-".replace(" ", "-"), dir=self.folder))
        file = Job(task, "", str(folder), 0).write()
        made = run([sys.executable, "-m", "benchmarks.data", str(file)], folder, environment([str(SCRIPTS)]))
        if made.code:
            raise SystemExit(f"The data of {task.name} can't be made:\n{made.said}")
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def rounds(self, contestants: Sequence[Contestant], count: int, job: Callable[[Contestant, int], Job]) -> Results:
        """Return what was measured of each contestant in so many rounds; who fails takes no further part."""
        results: Results = {contestant.name: [] for contestant in contestants}
        for turn in range(count):
            start = turn % len(contestants)
            for contestant in [*contestants[start:], *contestants[:start]]:
                if len(results[contestant.name]) < turn:
                    continue
                measured = self.measure(contestant, job(contestant, turn))
                results[contestant.name] += [] if measured is None else [measured]
                said = "failed" if measured is None else described(measured)
                print(f"round {turn + 1}/{count}  {contestant.name:<22} {said}", file=sys.stderr, flush=True)
        return {name: measured if len(measured) == count else [] for name, measured in results.items()}


def described(measured: Measurement) -> str:
    return f"{measured.steady_seconds:.4f} s an epoch, {measured.finished.seconds:.1f} s in all"


def environment(path: Sequence[str], job: Job | None = None) -> dict[str, str]:
    """Return the environment of a process: where it finds modules, its threads, its device."""
    found = os.pathsep.join([*path, *filter(None, [os.environ.get("PYTHONPATH")])])
    given = {**os.environ, "PYTHONPATH": found, "TERM": "xterm-256color", "COLUMNS": "120"}
    given["TF_CPP_MIN_LOG_LEVEL"] = "2"  # its greetings
    if job is None:
        return given
    if job.device == "cpu":
        given["CUDA_VISIBLE_DEVICES"] = ""
    return {**given, **dict.fromkeys(THREADS, str(job.threads))}


def ratios(own: Sequence[Measurement], base: Sequence[Measurement], figure: Callable[[Measurement], float]) -> float:
    """Return the median, over the rounds, of a figure divided by that of the base in the same round."""
    return median(figure(one) / figure(other) for one, other in zip(own, base, strict=True))
