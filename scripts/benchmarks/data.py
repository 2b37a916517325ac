"""The arrays of the tasks, as files that all contestants read. None can be learned to the last row."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from benchmarks.jobs import Job, Task

#: Share of the labels that say nothing.
NOISE = 0.1


def table(rows: int, features: int, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return normal numbers, and which of two classes: no straight line parts them, and noise stands on them."""
    inputs = generator.standard_normal((rows, features), dtype=np.float32)
    score = inputs[:, :3].prod(1) + inputs[:, 3] + 0.5 * generator.standard_normal(rows, dtype=np.float32)
    return inputs, (score > 0).astype(np.int64)


def images(rows: int, shape: tuple[int, ...], classes: int, generator: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Return a pattern for each class under noise, of standard deviation 1."""
    channels, height, width = shape
    # The patterns are the same for all splits; they change from every fourth pixel to the next.
    coarse = np.random.default_rng(7).normal(size=(classes, channels, -(-height // 4), -(-width // 4)))
    patterns = coarse.repeat(4, 2).repeat(4, 3)[:, :, :height, :width].astype(np.float32)
    targets = generator.integers(0, classes, rows)
    inputs = generator.standard_normal((rows, *shape), dtype=np.float32)
    inputs += 0.3 * patterns[targets]
    drawn = generator.random(rows) < NOISE
    targets[drawn] = generator.integers(0, classes, int(drawn.sum()))
    return inputs / inputs.std(), targets


def colour_images(rows: int, shape: tuple[int, ...], classes: int, generator: np.random.Generator):
    """Return the same as bytes."""
    inputs, targets = images(rows, shape, classes, generator)
    return (128 + 48 * inputs).clip(0, 255).astype(np.uint8), targets


def digits() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the splits of scikit-learn's digits, standardised; the rest is for a test that is not taken here."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    inputs, targets = load_digits(return_X_y=True)
    inputs = inputs.astype(np.float32).reshape(-1, 1, 8, 8)
    train, rest, train_targets, rest_targets = train_test_split(
        inputs, targets, train_size=1_257, random_state=0, stratify=targets
    )
    mean, deviation = train.mean(), train.std()
    return {
        "train": ((train - mean) / deviation, train_targets),
        "val": ((rest[:270] - mean) / deviation, rest_targets[:270]),
    }


def splits(task: Task) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return inputs, (rows, …), and targets, (rows,), of the train and the validation split."""
    if task.network == "digits":
        return digits()
    generator = np.random.default_rng(0)

    def made(rows: int) -> tuple[np.ndarray, np.ndarray]:
        if task.network == "mlp":
            return table(rows, *task.shape, generator)
        make = colour_images if task.network == "resnet18" else images
        return make(rows, task.shape, task.classes, generator)

    return {"train": made(task.rows), "val": made(task.val_rows)}


def main() -> None:
    """Write the arrays of a job's task into its folder."""
    job = Job.read(sys.argv[1])
    for split, (inputs, targets) in splits(job.task).items():
        np.save(Path(job.folder) / f"{split}_inputs.npy", inputs)
        np.save(Path(job.folder) / f"{split}_targets.npy", targets)


if __name__ == "__main__":
    main()
