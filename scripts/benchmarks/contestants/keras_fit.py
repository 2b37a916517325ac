"""Keras 3, by compile and fit, on the backend that the options name."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.jobs import Job, Outcome, Task, take_part


def arrays(job: Job, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs, channels last as TensorFlow and JAX want them, and targets."""
    inputs, targets = (np.load(Path(job.data) / f"{split}_{what}.npy") for what in ("inputs", "targets"))
    first = job.options["backend"] == "torch" or inputs.ndim == 2
    return (inputs if first else np.ascontiguousarray(np.moveaxis(inputs, 1, -1))), targets


def network(task: Task, shape: tuple[int, ...]) -> Any:
    """Return the network of a task."""
    import keras
    from keras import layers

    def conv(filters: int, padding: str = "valid") -> Any:
        return layers.Conv2D(filters, 3, padding=padding, activation="relu", kernel_initializer="he_normal")

    def dense(units: int) -> Any:
        return layers.Dense(units, activation="relu", kernel_initializer="he_normal")

    inner = {
        "mlp": lambda: [dense(units) for units in task.units],
        "cnn": lambda: [
            *(conv(32), layers.MaxPooling2D(2), conv(64), layers.MaxPooling2D(2)),
            *(layers.Flatten(), dense(128)),
        ],
        "digits": lambda: [
            *(conv(32, "same"), layers.BatchNormalization(), conv(64, "same"), layers.BatchNormalization()),
            *(layers.MaxPooling2D(2), layers.Flatten(), layers.Dropout(0.4), dense(128), layers.Dropout(0.4)),
        ],
    }[task.network]()
    return keras.Sequential([keras.Input(shape), *inner, layers.Dense(task.classes)])


def epoch_times() -> Any:
    """Return a callback that takes the time of each epoch, validation aside."""
    import keras

    class EpochTimes(keras.callbacks.Callback):
        def __init__(self) -> None:
            super().__init__()
            self.seconds: list[float] = []

        def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
            self.began, self.validating = time.perf_counter(), 0.0

        def on_test_begin(self, logs: Any = None) -> None:
            self.validation_began = time.perf_counter()

        def on_test_end(self, logs: Any = None) -> None:
            self.validating += time.perf_counter() - self.validation_began

        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            self.seconds.append(time.perf_counter() - self.began - self.validating)

    return EpochTimes()


def fit(job: Job) -> Outcome:
    os.environ["KERAS_BACKEND"] = job.options["backend"]
    import keras

    if job.options["backend"] == "torch":
        keras.config.set_image_data_format("channels_first")  # many times as fast there
    keras.utils.set_random_seed(job.seed)
    train = arrays(job, "train")
    model = network(job.task, train[0].shape[1:])
    model.compile(
        optimizer=getattr(keras.optimizers, job.task.optimizer)(1e-3),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        steps_per_execution=job.options.get("steps_per_execution", 1),
    )
    times = epoch_times()
    callbacks = [times]
    if job.patience is not None:
        callbacks.append(keras.callbacks.EarlyStopping(patience=job.patience, restore_best_weights=True))
    val = arrays(job, "val") if job.validate else None
    history = model.fit(
        *train, batch_size=job.task.batch_size, epochs=job.epochs, validation_data=val, callbacks=callbacks
    )
    accuracy = history.history["val_accuracy" if job.validate else "accuracy"][-1]
    return Outcome(times.seconds, float(accuracy))


if __name__ == "__main__":
    take_part(fit)
