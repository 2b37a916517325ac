"""What a contestant is asked to do, and what it says of it: files of JSON between two processes.

The process that starts the others imports only this and the standard library: what it takes itself would count as
memory of what it starts.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Task:
    """A network and its data.

    Attributes:
        name: as the command line has it.
        title: as tables have it.
        network: mlp, cnn, digits or resnet18.
        rows: of the train split.
        shape: of an input, channels first.
        classes: how many there are.
        batch_size: rows of a step.
        epochs: how long a steady state is looked at.
        long_epochs: the same of what first finds out how to go fast, and compiles beside the training.
        threads: of a process.
        val_rows: of the validation split.
        units: of the hidden layers of an MLP.
        optimizer: by torch's name, which Keras shares.
        augment: whether training images are flipped and moved.
    """

    name: str
    title: str
    network: str
    rows: int
    shape: tuple[int, ...]
    classes: int
    batch_size: int
    epochs: int
    long_epochs: int
    threads: int
    val_rows: int = 2_000
    units: tuple[int, ...] = (64, 64)
    optimizer: str = "Adam"
    augment: bool = False

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.rows // self.batch_size)


TASKS = {
    task.name: task
    for task in (
        Task("mlp", "MLP 20-64-64-2", "mlp", 100_000, (20,), 2, 256, 16, 500, threads=1),
        Task("cnn", "CNN on 28×28×1", "cnn", 12_000, (1, 28, 28), 10, 128, 4, 8, threads=2),
        Task("resnet18", "ResNet-18 on 32×32×3", "resnet18", 1_024, (3, 32, 32), 10, 128, 2, 2, 2, val_rows=128),
        Task("digits", "digits CNN", "digits", 1_257, (1, 8, 8), 10, 64, 60, 60, 2, val_rows=270, optimizer="AdamW"),
    )
}
#: A GPU takes more at once.
CUDA = {
    "resnet18": {"rows": 51_200, "batch_size": 512, "epochs": 6, "long_epochs": 12, "augment": True},
    "cnn": {"epochs": 20, "long_epochs": 60},
}


@dataclass(frozen=True)
class Job:
    """One training.

    Attributes:
        task: what is trained on what.
        data: the folder of the task's arrays.
        folder: where the contestant leaves what it writes.
        epochs: at most.
        seed: of weights and order.
        device: cpu or cuda.
        threads: of the process.
        validate: whether loss and accuracy on the validation split are found after every epoch.
        patience: after how many epochs without a lower validation loss training stops.
        processes: that train together.
        options: of the contestant.
    """

    task: Task
    data: str
    folder: str
    epochs: int
    seed: int = 0
    device: str = "cpu"
    threads: int = 1
    validate: bool = False
    patience: int | None = None
    processes: int = 1
    options: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome_file(self) -> Path:
        """Where the contestant says what came of it."""
        return Path(self.folder) / "outcome.json"

    def write(self) -> Path:
        """Write the job for another process, and return the file."""
        path = Path(self.folder) / "job.json"
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")
        return path

    @classmethod
    def read(cls, path: str | Path) -> Job:
        given = json.loads(Path(path).read_text(encoding="utf-8"))
        task = {name: tuple(value) if isinstance(value, list) else value for name, value in given["task"].items()}
        return cls(**{**given, "task": Task(**task)})


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Attributes:
        epoch_seconds: of each epoch, validation aside.
        accuracy: of the last epoch, on the validation split if there was one; ``None`` if the contestant has none.
        device_mib: the most memory taken on a GPU.
    """

    epoch_seconds: list[float]
    accuracy: float | None = None
    device_mib: float | None = None

    @classmethod
    def read(cls, path: Path) -> Outcome:
        return cls(**json.loads(path.read_text(encoding="utf-8")))

    @property
    def steady_seconds(self) -> float:
        """Seconds of an epoch, in the mean over the second half: with what is done in some epochs only."""
        kept = self.epoch_seconds[len(self.epoch_seconds) // 2 :]
        return sum(kept) / len(kept)


def take_part(fit: Callable[[Job], Outcome]) -> None:
    """Do the job that the command line names, in the process of a contestant."""
    job = Job.read(sys.argv[1])
    job.outcome_file.write_text(json.dumps(asdict(fit(job))), encoding="utf-8")
