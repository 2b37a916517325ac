"""What is known of a run, on one scale for all losses."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from lightlab.inspect.doctor.setup import Setup
from lightlab.inspect.evaluation.record import Evaluation, LayerRecord, Reference, SampleLoss


class UnknownError(Exception):
    """A run does not hold what it takes to tell."""


@dataclass(frozen=True)
class Curve:
    """A figure over a training; with validations within epochs, an epoch has several.

    Attributes:
        epochs: (points,): the first is 1.
        values: (points,): finite.
    """

    epochs: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def last(self) -> float:
        """What it ends at."""
        return float(self.values[-1])

    @property
    def lowest(self) -> float:
        """The least of its values."""
        return float(self.values.min())

    def smooth(self) -> Curve:
        """Return the median of each value and its neighbours."""
        padded = np.concatenate([self.values[:1], self.values, self.values[-1:]])
        return Curve(self.epochs, np.median(np.lib.stride_tricks.sliding_window_view(padded, 3), axis=1))


@dataclass(frozen=True)
class Level:
    """How much there is left to learn of a split, as a share: 0 is all learned, 1 the best constant answer.

    Attributes:
        best: with the best weights.
        last: with the weights that training ended with.
        error: the standard error of ``best``, larger where it comes of few rows itself.
        rows: of the sample.
        floor: the loss at 0.
        room: what the loss is higher by at 1.
    """

    best: float
    last: float
    error: float
    rows: int
    floor: float
    room: float

    def loss(self, share: float) -> float:
        """Return the loss that is such a share."""
        return self.floor + share * self.room

    def shares(self, losses: Curve) -> Curve:
        """Return losses as shares."""
        return Curve(losses.epochs, (losses.values - self.floor) / self.room)


class Evidence:
    """A run's history, evaluation and config, as the rules ask for them.

    Args:
        history: as in ``history.csv``.
        evaluation: ``None`` where training broke off.
        config: of the run.
    """

    def __init__(self, history: pd.DataFrame, evaluation: Evaluation | None, config: Mapping[str, Any]) -> None:
        self.history = history.apply(pd.to_numeric, errors="coerce")
        self._evaluation = evaluation
        self.setup = Setup(config)

    @property
    def evaluation(self) -> Evaluation:
        """What the best weights make of the data.

        Raises:
            UnknownError: training broke off.
        """
        if self._evaluation is None:
            raise UnknownError
        return self._evaluation

    @property
    def finished(self) -> bool:
        """Whether training came to its end."""
        return self._evaluation is not None

    @cached_property
    def train(self) -> Level:
        """Of the train split.

        Raises:
            UnknownError: there are no such figures.
        """
        return _level(self.evaluation.samples.get("train"))

    @cached_property
    def val(self) -> Level:
        """Of the validation split.

        Raises:
            UnknownError: there are no such figures.
        """
        return _level(self.evaluation.samples.get("val"))

    @property
    def layers(self) -> dict[str, LayerRecord]:
        """Gradients and dead units of each layer, by its place in the config; several at one place by name, too.

        Raises:
            UnknownError: training broke off.
        """
        layers = self.evaluation.layers
        places = [layer.key for layer in layers]
        return {layer.key if places.count(layer.key) == 1 else f"{layer.key} ({layer.name})": layer for layer in layers}

    @property
    def reference(self) -> Reference:
        """What another learner makes of the rows.

        Raises:
            UnknownError: none was asked, or it was asked for something else: where the network is to find the rows of
                rare classes, at the cost of others, it has less accuracy than one that is not.
        """
        reference = self.evaluation.reference
        weighted = self.setup.get("model", "head", "class_weight") or self.setup.get("data", "init_args", "balanced")
        if reference is None or (weighted and reference.metric == "accuracy"):
            raise UnknownError
        return reference

    def column(self, name: str) -> Curve:
        """Return the finite figures of a column, by epoch; a validation within an epoch is one more of the same.

        Raises:
            UnknownError: there are none.
        """
        if name not in self.history or "epoch" not in self.history:
            raise UnknownError
        epochs, values = self.history["epoch"].to_numpy(float), self.history[name].to_numpy(float)
        known = np.isfinite(epochs) & np.isfinite(values)
        if not known.any():
            raise UnknownError
        return Curve(epochs[known].astype(int), values[known])

    def measured(self, name: str) -> npt.NDArray[np.float64]:
        """Return a figure of all epochs that have one, also where it is not finite; none where nothing has.

        Args:
            name: of the loss in training, or of gradients: a validation within an epoch has neither.
        """
        if name not in self.history or "learning_rate" not in self.history:
            return np.empty(0)
        ended = self.history.get("epoch_seconds", self.history["learning_rate"]).notna()
        rows = ended if name.startswith("train/") else self.history["learning_rate"].notna()
        return np.asarray(self.history.loc[rows, name], dtype=float)

    @cached_property
    def train_curve(self) -> Curve:
        """The share left to learn in training: with dropout and augmentation, while weights change.

        Raises:
            UnknownError: there is none.
        """
        return self.train.shares(self.column("train/loss"))

    @cached_property
    def val_curve(self) -> Curve:
        """The share left to learn of the validation split.

        Raises:
            UnknownError: there is none.
        """
        return self.val.shares(self.column("val/loss"))

    @property
    def epochs(self) -> int:
        """How many were begun."""
        return int(self.column("epoch").values.max())

    @property
    def reached_limit(self) -> bool:
        """Whether it was the config's limit that ended training."""
        epochs, steps = (self.setup.number("trainer", name) for name in ("max_epochs", "max_steps"))
        return 0 < epochs <= self.epochs or 0 < steps <= self.column("step").last

    @property
    def unlearned(self) -> float:
        """The share of the train split that was never learned: that of the weights that know it best."""
        return min(self.train.best, self.train.last)


def _uncertainty(rows: int) -> float:
    """Return by how much an error that was estimated from so few rows is to be larger, at 3 times of it.

    The quantile of Student's t over that of the normal distribution, by the first terms of its expansion (Fisher and
    Cornish 1960).
    """
    free = max(1, rows - 1)
    return 1 + 2.5 / free + 5.75 / free**2


def _level(sample: SampleLoss | None) -> Level:
    if sample is None or sample.best is None or sample.constant is None or sample.floor is None:
        raise UnknownError
    room = sample.constant - sample.floor
    last, error = (sample.best if sample.last is None else sample.last), sample.error or 0.0
    if room <= 1e-6 * max(1.0, abs(sample.constant)) or not all(map(math.isfinite, (room, sample.best, last, error))):
        raise UnknownError  # all targets are the same
    return Level(
        best=(sample.best - sample.floor) / room,
        last=(last - sample.floor) / room,
        error=error / room * _uncertainty(sample.rows),
        rows=sample.rows,
        floor=sample.floor,
        room=room,
    )
