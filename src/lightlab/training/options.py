"""What a config says of early stopping, checkpoints and TensorBoard, and the Lightning callbacks that come of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from lightlab.errors import ConfigError, Key, did_you_mean, sentences

if TYPE_CHECKING:
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

Mode = Literal["min", "max"]
#: At most so many batches in one go; ``auto`` for as many as there are until something is due.
StepsPerExecution = Literal["auto"] | Annotated[int, Field(ge=1)]
#: What is done where the loss or a gradient of a step is no finite number.
NonFinite = Literal["stop", "skip"]
#: How torch.compile trades time of compiling for speed; see its ``mode``.
CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]
#: Whether steps are compiled; ``auto`` where it pays.
Compile = Literal["auto"] | bool | dict[Literal["mode"], CompileMode]


@dataclass
class EarlyStoppingOptions:
    """When to stop: after ``patience`` validations without the monitored metric getting better.

    Args:
        monitor: the metric that is watched; by default what the problem says (``val/loss``).
        mode: whether less (``min``) or more (``max``) of it is better; follows from the metric.
        patience: how many validations without progress are put up with.
        min_delta: by how much the metric has to get better to count as progress.
        stopping_threshold: stop as soon as the metric is better than this.
        divergence_threshold: stop as soon as the metric is worse than this.
    """

    monitor: str | None = None
    mode: Mode | None = None
    patience: Annotated[int, Field(ge=0)] = 10
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    stopping_threshold: float | None = None
    divergence_threshold: float | None = None

    def build(self, logged: Mapping[str, Mode], default: str) -> EarlyStopping:
        """Return the callback.

        Args:
            logged: the metrics that training logs, and whether less or more of each is better.
            default: what to watch unless the config says.

        Raises:
            ConfigError: the metric will not be logged.
        """
        from lightning.pytorch.callbacks import EarlyStopping

        monitor, mode = resolve_monitor(self.monitor or default, self.mode, logged, ("early_stopping",))
        return EarlyStopping(
            monitor,
            mode=mode,
            patience=self.patience,
            min_delta=self.min_delta,
            stopping_threshold=self.stopping_threshold,
            divergence_threshold=self.divergence_threshold,
            check_on_train_epoch_end=monitor.startswith("train/"),
        )


@dataclass
class CheckpointOptions:
    """Which weights to keep: the best so far as ``best.ckpt``, the last as ``last.ckpt``.

    Args:
        monitor: the metric that says which are best; by default what the problem says (``val/loss``).
        mode: whether less (``min``) or more (``max``) of it is better; follows from the metric.
        every_n_epochs: how often to look.
    """

    monitor: str | None = None
    mode: Mode | None = None
    every_n_epochs: Annotated[int, Field(ge=1)] = 1

    def build(self, logged: Mapping[str, Mode], default: str) -> list[ModelCheckpoint]:
        """Return the callbacks, that for the best weights first.

        Args:
            logged: the metrics that training logs, and whether less or more of each is better.
            default: what to watch unless the config says.

        Raises:
            ConfigError: the metric will not be logged.
        """
        from lightning.pytorch.callbacks import ModelCheckpoint

        monitor, mode = resolve_monitor(self.monitor or default, self.mode, logged, ("checkpoint",))
        best = ModelCheckpoint(
            filename="best",
            monitor=monitor,
            mode=mode,
            every_n_epochs=self.every_n_epochs,
            enable_version_counter=False,
            save_on_train_epoch_end=monitor.startswith("train/"),
        )
        # Not save_last: that writes only when the best does, and would be no place to resume from.
        last = ModelCheckpoint(filename="last", enable_version_counter=False, save_on_train_epoch_end=True)
        return [best, last]


#: True for as many as are usual, false for none.
Amount = bool | Annotated[int, Field(ge=1)]


@dataclass
class TensorBoardOptions:
    """What is written for TensorBoard; ``null`` for nothing at all.

    Args:
        curves: loss and metrics of train and validation, in one chart each, with the best epoch and the test split.
        learning_rate: over the steps.
        gradient_norm: over the steps, before clipping.
        penalty: what the layers' l1 and l2 add to the loss.
        throughput: samples a second, and seconds an epoch.
        memory: the most that was taken, over all processes: on the GPU, or of the process on the CPU.
        histograms: after every so many epochs those of weights, gradients and activations; true for ever
            more seldom, 9 in 60 epochs.
        weights: whether histograms show weights.
        gradients: whether histograms show gradients.
        activations: whether histograms show what each layer gives.
        graph: the model's graph.
        hyperparameters: what differs between runs, with the final metrics.
        text: config, summary and environment.
        images: so many of the first training batch, as the model sees them: augmented; true for 16.
        mistakes: so many of the worst mistakes on the validation split; true for 16.
        embeddings: so many rows of the validation split as the head gets them, for the projector; true for 500.
        confusion_matrix: of the validation split, as the other charts below.
        roc: true against false positive rate, for each class.
        precision_recall: for each class.
        calibration: how often the predicted class is right, against its probability.
        predictions: predicted against true numbers.
        residuals: predicted minus true numbers.
    """

    curves: bool = True
    learning_rate: bool = True
    gradient_norm: bool = True
    penalty: bool = True
    throughput: bool = True
    memory: bool = True
    histograms: Amount = True
    weights: bool = True
    gradients: bool = True
    activations: bool = True
    graph: bool = True
    hyperparameters: bool = True
    text: bool = True
    images: Amount = True
    mistakes: Amount = True
    embeddings: Amount = True
    confusion_matrix: bool = True
    roc: bool = True
    precision_recall: bool = True
    calibration: bool = True
    predictions: bool = True
    residuals: bool = True


def resolve_monitor(monitor: str, mode: Mode | None, logged: Mapping[str, Mode], key: Key) -> tuple[str, Mode]:
    """Return the metric to watch, and which way is better.

    Args:
        monitor: the metric.
        mode: what the config says of it, if anything.
        logged: the metrics that training logs, and whether less or more of each is better.
        key: of what watches it.

    Raises:
        ConfigError: the metric will not be logged, or the mode contradicts it.
    """
    if monitor not in logged:
        raise ConfigError.at((*key, "monitor"), say_not_logged(monitor, logged))
    better = logged[monitor]
    if mode not in (None, better):
        raise ConfigError.at((*key, "mode"), say_wrong_way(monitor, better, mode))
    return monitor, better


def say_wrong_way(monitor: str, better: Mode, mode: Any) -> str:
    """Return what is to be said of a mode that contradicts the metric."""
    way = "less" if better == "min" else "more"
    return f"{monitor} is better when it is {way}: the mode follows from it. Received: {mode}."


def say_not_logged(monitor: str, logged: Iterable[str]) -> str:
    """Return what is to be said of a metric that is watched, and not among those that are logged."""
    names = list(logged)
    validated = any(name.startswith("val/") for name in names)
    why = "There is no validation split." if monitor.startswith("val/") and not validated else ""
    rule = f"A monitor is a metric that is logged: {', '.join(names)}."
    return sentences(rule, f"Received: {monitor}.", why, did_you_mean(monitor, names))
