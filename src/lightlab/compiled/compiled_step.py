"""Compiled steps in the training's process: they move the model's own tensors."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightlab.batch import Batch
from lightlab.compiled.request import Request, batch_tensors, step_tensors


class CompiledSteps:
    """Takes some steps at once, on batches of the shapes that they were compiled for.

    Args:
        package: the file that was compiled.
        request: for what.
        model: whose weights are trained.
        optimizer: whose state moves along.

    Raises:
        Exception: the file can't be loaded, or does not fit.
    """

    def __init__(self, package: Path, request: Request, model: Any, optimizer: torch.optim.Optimizer) -> None:
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses a GPU where none is meant
        self._run = torch._inductor.aoti_load_package(str(package)).loader.boxed_run
        self._batch = [(torch.Size(shape), getattr(torch, kind)) for shape, kind in request.batch]
        self.steps = request.steps
        self.model = model
        self.optimizer = optimizer
        self._fixed = _constants(optimizer)
        self._tensors: list[Tensor] = []
        self.bind()

    def bind(self) -> bool:
        """Take up the model's tensors, which others may have replaced; return whether the steps still fit them."""
        self._tensors = step_tensors(self.model, self.optimizer)
        return _constants(self.optimizer) == self._fixed

    def fit(self, batches: Sequence[Batch]) -> bool:
        """Return whether batches are as many, and of the shapes, that the steps were compiled for."""
        kinds = ([(each.shape, each.dtype) for each in batch_tensors(batch)] for batch in batches)
        return len(batches) == self.steps and all(kind == self._batch for kind in kinds)

    def __call__(self, batches: Sequence[Batch], rates: Sequence[float]) -> None:
        """Train on batches that `fit`.

        Args:
            batches: one for each step.
            rates: the learning rate of each step.
        """
        tensors = [each for batch in batches for each in batch_tensors(batch)]
        rate = torch.tensor(rates, dtype=torch.float64)
        logits, losses, *extra = self._run([*self._tensors, rate, *tensors])
        targets = torch.cat([batch.targets for batch in batches if batch.targets is not None])
        self.model.keep(logits, losses, targets, extra[0] if extra else None)


def _constants(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Return what of an optimizer's groups stands in compiled steps as it was."""
    moving = ("params", "lr", "initial_lr")
    return [{name: value for name, value in each.items() if name not in moving} for each in optimizer.param_groups]
