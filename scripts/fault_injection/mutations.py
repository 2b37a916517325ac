"""R16: configs and tables changed at random are answered in lightlab's own words, soon, and nothing is left of them."""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fault_injection.base import Finding, Laboratory, fault

#: Longer than this, in seconds of a processor, no small input may take; and longer than that by the clock.
MOST_SECONDS, MOST_WAITING = 10, 60
#: More addresses than this, in bytes, a process may not take, of which libraries have half: what would must be refused
#: before. With more, a few words ask for weights by the billion, which are no small input.
MOST_MEMORY = 12 << 30
#: Exit codes of lightlab: done; wrong input; a check that a model did not pass.
GOOD_CODES = (0, 2, 3)
#: Of accepted configs and tables one in so many is trained.
TRAINED = 5
#: What keeps an accepted config's training small, and in its place.
SMALL = {
    "trainer.max_epochs": 1,
    "trainer.max_steps": -1,
    "trainer.min_epochs": "null",
    "trainer.min_steps": "null",
    "trainer.limit_train_batches": 2,
    "trainer.accelerator": "cpu",
    "trainer.devices": 1,
    "trainer.num_nodes": 1,
    "trainer.strategy": "auto",
    "trainer.default_root_dir": "runs",
    "compile": "false",
}


@dataclass
class Tally:
    """What became of many inputs.

    Attributes:
        tried: how many there were.
        good: of these, how many were answered as they should be.
        accepted: of these, how many were found to be right.
        trained: of these, how many were trained, or refused by what only a training can find.
        slowest: seconds that one took at most.
        harms: what should not have been.
    """

    tried: int = 0
    good: int = 0
    accepted: int = 0
    trained: int = 0
    slowest: float = 0.0
    harms: list[str] = field(default_factory=list)

    def add(self, other: dict[str, Any]) -> None:
        """Take over another's."""
        for name, value in other.items():
            setattr(self, name, max(self.slowest, value) if name == "slowest" else getattr(self, name) + value)

    def carry_out(self, *arguments: str) -> bool:
        """Carry out a call of lightlab's in an empty folder but for its inputs; return whether it was accepted."""
        before = {path.name for path in Path().iterdir()}
        code, said, seconds = call(arguments)
        self.slowest = max(self.slowest, seconds)
        left = sorted({path.name for path in Path().iterdir()} - before)
        found = [
            f"exit code {code}" if code not in GOOD_CODES else "",
            "a traceback" if "Traceback (most recent" in said else "",
            "nothing said" if code == 2 and "lightlab: error: " not in said else "",
            f"{seconds:.0f} s" if seconds > MOST_SECONDS else "",
            f"left: {', '.join(left)}" if left and code else "",
        ]
        if any(found):
            last = said.strip().splitlines()[-2:]
            self.harms.append(f"{' '.join(arguments)}: {'; '.join(filter(None, found))}: {' | '.join(last)}"[:600])
        for name in left:
            shutil.rmtree(name) if Path(name).is_dir() else Path(name).unlink()
        return code == 0


def call(arguments: tuple[str, ...]) -> tuple[int, str, float]:
    """Carry out a call of lightlab's in this process; return its exit code, what it said, and its seconds."""
    from lightlab.cli import main

    said, start = io.StringIO(), time.process_time()
    signal.setitimer(signal.ITIMER_REAL, MOST_WAITING)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
            warnings.simplefilter("default")  # people see warnings as text, and go on
            code = main(list(arguments))
    except BaseException as error:
        code = 1
        said.write(f"{type(error).__name__}: {error}")
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    return code, said.getvalue(), time.process_time() - start


def try_config(tally: Tally, content: bytes) -> None:
    """Have a config read; where it is right, its data and model made; and one in a few trained."""
    Path("config.yaml").write_bytes(content)
    if not tally.carry_out("fit", "--config", "config.yaml", "--print_config"):
        return
    tally.accepted += 1
    if tally.carry_out("summary", "config.yaml", "--format", "json") and tally.accepted % TRAINED == 0:
        tally.trained += 1
        options = [f"--{name}={value}" for name, value in SMALL.items()]
        tally.carry_out("fit", "--config", "config.yaml", *options)


def try_table(tally: Tally, table: Any) -> None:
    """Have a table looked at, read, connected to a model; and one in a few trained on."""
    Path("table.csv").write_bytes(table.content)
    options = {"path": "table.csv", **table.options}
    model: dict[str, Any] = {"layers": [{"dense": {"units": 4, "activation": "relu"}}]}
    model |= {"problem": table.problem} if table.problem else {}
    model |= {"head": {"low": 0, "high": 1}} if table.problem == "bounded_regression" else {}
    config = {"data": {"class_path": "TableData", "init_args": options}, "model": model}
    Path("config.yaml").write_text(json.dumps(config), encoding="utf-8", errors="surrogatepass")
    tally.carry_out("init", "table.csv")
    if not tally.carry_out("summary", "config.yaml", "--format", "json"):
        return
    tally.accepted += 1
    tally.carry_out("data", "config.yaml")
    if tally.accepted % TRAINED == 0:
        tally.trained += 1
        options = [f"--{name}={value}" for name, value in SMALL.items()]
        tally.carry_out("fit", "--config", "config.yaml", *options)


TRIED: dict[str, Callable[[Tally, Any], None]] = {"configs": try_config, "tables": try_table}


def try_many(kind: str, count: int, number: int) -> Tally:
    """Try out so many inputs of a kind, the same ones for the same number, in a folder of their own."""
    from hypothesis import HealthCheck, Phase, given, seed, settings

    from fault_injection import mutants

    tally = Tally()
    strategy = {"configs": mutants.config_files, "tables": mutants.tables}[kind]()
    options = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}

    @seed(number)
    @settings(max_examples=count, phases=[Phase.generate], **options)
    @given(strategy)
    def each(example: Any) -> None:
        harms = len(tally.harms)
        TRIED[kind](tally, example)
        tally.tried += 1
        tally.good += len(tally.harms) == harms

    with in_empty_folder(), without_hanging():
        call(("summary", str(mutants.CONFIGS / "iris_mlp.yaml")))  # what is imported late is there when time counts
        each()
    return tally


class Hangs(BaseException):
    """What takes for ever; no Exception, which lightlab might answer."""


@contextlib.contextmanager
def in_empty_folder() -> Iterator[None]:
    """Work in an empty folder."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        yield


@contextlib.contextmanager
def without_hanging() -> Iterator[None]:
    """Have an alarm end what takes for ever."""

    def ring(*_: Any) -> None:
        raise Hangs

    before = signal.signal(signal.SIGALRM, ring)
    try:
        yield
    finally:
        signal.signal(signal.SIGALRM, before)


@fault(
    "R16",
    "10,000 configs and 2,000 tables changed at random",
    "lightlab's own errors, none slower than 10 s, nothing left behind",
)
def mutations(lab: Laboratory) -> Finding:
    """Have processes of their own try out inputs, some at a time."""
    tallies = {"configs": Tally(), "tables": Tally()}
    counts = json.dumps({"configs": lab.times(250, 100), "tables": lab.times(50, 25)})
    program = sys.executable, "-m", "fault_injection.mutations", counts
    for done in lab.side_by_side(lambda number: lab.run(*program, str(number)), range(lab.times(40, 1))):
        if done.code:
            tallies["configs"].harms.append(f"exit code {done.code}: {done.said.strip()[-300:]}")
            continue
        for kind, found in json.loads(done.said.splitlines()[-1]).items():
            tallies[kind].add(found)
    said = [
        f"{tally.good:,} of {tally.tried:,} {kind} ({tally.accepted:,} accepted, {tally.trained:,} "
        f"trained; slowest {tally.slowest:.1f} s)"
        for kind, tally in tallies.items()
    ]
    harms = [harm for tally in tallies.values() for harm in tally.harms]
    whole = all(tally.tried and tally.good == tally.tried for tally in tallies.values())
    return Finding(whole and not harms, "; ".join([*said, *harms[:3]]))


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    os.environ.setdefault("HYPOTHESIS_STORAGE_DIRECTORY", tempfile.gettempdir())
    counts, number = json.loads(sys.argv[1]), int(sys.argv[2])
    print(json.dumps({kind: vars(try_many(kind, count, number)) for kind, count in counts.items()}))
