"""All who take part."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from benchmarks.contestants import lightlab_cli
from benchmarks.jobs import TASKS, Job, Outcome, Task

SCRIPTS = Path(__file__).resolve().parents[2]
#: What hides TensorFlow, which TensorBoard imports wherever it is found.
WITHOUT = SCRIPTS / "benchmarks" / "without"
BASE = "hand"
MLP, SMALL = ("mlp",), ("mlp", "cnn", "digits")
IMAGES, ALL = ("cnn", "digits", "resnet18"), tuple(dict.fromkeys(task.network for task in TASKS.values()))


@dataclass(frozen=True)
class Contestant:
    """Who takes part, as a process of its own.

    Attributes:
        name: as the command line has it.
        title: as tables have it.
        module: in this folder, which fits a job.
        networks: what it can train.
        options: handed to the module.
        cuda: whether it takes part on a GPU.
        whole: whether it is a script of its own, and no mere variant.
        long: whether it takes a while to its full speed.
    """

    name: str
    title: str
    module: str
    networks: Sequence[str] = ALL
    options: dict[str, Any] = field(default_factory=dict)
    cuda: bool = True
    whole: bool = True
    long: bool = False

    @property
    def path(self) -> list[str]:
        """Where its process finds modules beside those that are installed."""
        return [str(SCRIPTS), *([] if self.options.get("backend") == "tensorflow" else [str(WITHOUT)])]

    def takes(self, task: Task, device: str) -> bool:
        """Return whether it trains such a network on such a device."""
        return task.network in self.networks and (device == "cpu" or self.cuda)

    def command(self, job: Job) -> list[str]:
        """Write the job, and return the command that does it."""
        return [sys.executable, "-m", f"benchmarks.contestants.{self.module}", str(job.write())]

    def outcome(self, job: Job) -> Outcome:
        """Return what came of a job that is done."""
        return Outcome.read(job.outcome_file)


@dataclass(frozen=True)
class Lightlab(Contestant):
    """lightlab, whose process has nothing of ours in it."""

    def command(self, job: Job) -> list[str]:
        """Write the config, and return the command that trains by it."""
        return lightlab_cli.command(job)

    def outcome(self, job: Job) -> Outcome:
        """Return what the run folder says."""
        return lightlab_cli.outcome(job)


def hand(name: str, title: str, networks: Sequence[str] = ALL, **options: Any) -> Contestant:
    return Contestant(name, f"hand-written, {title}", "hand", networks, options, whole=False, long="compile" in options)


def keras(backend: str, title: str, steps: int = 1) -> Contestant:
    options = {"backend": backend, "steps_per_execution": steps}
    name, ending = f"keras-{backend}", "" if steps == 1 else f", {steps} steps per execution"
    # The extra bench installs TensorFlow and JAX for the CPU.
    return Contestant(
        name if steps == 1 else f"{name}-{steps}", f"Keras on {title}{ending}", "keras_fit", SMALL, options, cuda=False
    )


def _compiles(arguments: list[str]) -> bool:
    """Return whether such a training may compile its steps, which takes a while."""
    return "--compile=false" not in arguments


CONTESTANTS = {
    contestant.name: contestant
    for contestant in (
        Contestant(BASE, "hand-written loop", "hand"),
        hand("hand-loader", "DataLoader", SMALL, loader=True),
        hand("hand-channels-last", "channels_last", IMAGES, channels_last=True),
        hand("hand-bf16", "bf16", bf16=True),
        hand("hand-compiled", "network compiled", compile=True),
        hand("hand-tuned", "compiled, channels_last, bf16", IMAGES, compile=True, channels_last=True, bf16=True),
        *(
            Lightlab(
                name, title, "", options={"arguments": arguments}, whole=name == "lightlab", long=_compiles(arguments)
            )
            for name, (title, arguments) in lightlab_cli.VARIANTS.items()
        ),
        Contestant("lightning", "textbook Lightning", "textbook"),
        keras("jax", "JAX"),
        keras("jax", "JAX", 16),
        keras("tensorflow", "TensorFlow"),
        keras("tensorflow", "TensorFlow", 16),
        keras("torch", "torch"),  # which knows no more than one step per execution
        Contestant("skorch", "skorch", "skorch_fit", SMALL),
        Contestant("fastai", "fastai", "fastai_fit", SMALL),
        Contestant("sklearn", "scikit-learn's MLP", "sklearn_fit", MLP, cuda=False),
    )
}


def chosen(patterns: Sequence[str]) -> list[Contestant]:
    """Return the contestants whose names match, as in ``keras-*``, after the one that all are measured by.

    Raises:
        ValueError: a pattern matches none.
    """
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in CONTESTANTS):
            raise ValueError(f"A contestant is one of {', '.join(CONTESTANTS)}. Received: {pattern}.")
    return [each for name, each in CONTESTANTS.items() if any(fnmatchcase(name, one) for one in [BASE, *patterns])]
