"""Trains layers and head in half precision, and leaves the data as it is."""

from __future__ import annotations

from lightning.pytorch import Trainer
from lightning.pytorch.plugins.precision import HalfPrecision, Precision


class HalfPrecisionNetwork(HalfPrecision):
    """Lightning's ``bf16-true`` and ``16-true``, in which inputs and targets come to the model as they were read.

    Lightning's own rounds them to two or three digits: the years from 1985 to 1995 would be four, 70,000 infinite.
    """

    convert_input = Precision.convert_input  # it does nothing


def keep_data_exact(trainer: Trainer) -> None:
    """Have a Trainer of half precision leave inputs and targets as they are."""
    strategy = trainer.strategy
    if type(strategy.precision_plugin) is HalfPrecision:
        strategy.precision_plugin = HalfPrecisionNetwork(strategy.precision_plugin.precision)
