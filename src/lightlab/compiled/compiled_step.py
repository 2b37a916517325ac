"""Compiled steps in the training's process: they move the model's own tensors."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import Any

import torch

from lightlab.batch import Batch
from lightlab.compiled.program import Program
from lightlab.compiled.request import Request, batch_tensors, frozen_parameters, layouts, step_tensors


class CompiledSteps:
    """Takes some steps at once, on batches of the shapes that they were compiled for.

    Args:
        program: takes them.
        request: for what it was compiled.
        model: whose weights are trained.
        optimizer: whose state moves along.

    Raises:
        ValueError: it does not fit.
        RuntimeError: a GPU's steps can't be recorded.
    """

    def __init__(self, program: Program, request: Request, model: Any, optimizer: torch.optim.Optimizer) -> None:
        self._program = program
        self._batch = [(torch.Size(shape), getattr(torch, kind)) for shape, kind in request.batch]
        self._frozen = request.frozen
        self.steps = request.steps
        self.model = model
        self.optimizer = optimizer
        if not self.bind():
            raise ValueError("it is for other settings of the optimizer, or other weights")

    def bind(self) -> bool:
        """Take up the model's tensors, which others may have replaced; return whether the steps still fit them.

        Raises:
            RuntimeError: a GPU's steps can't be recorded on these.
        """
        tensors = step_tensors(self.model, self.optimizer)
        if not (
            frozen_parameters(self.model) == self._frozen
            and all(layer.training for layer in self.model.network.modules())
            and _is_as_made(self.optimizer)
            and layouts(tensors) == self._program.layouts
        ):
            return False
        self._program.bind(tensors)
        return True

    def fit(self, batches: Sequence[Batch]) -> bool:
        """Return whether batches are as many, and of the shapes, that the steps were compiled for."""
        each_one = [batch_tensors(batch) for batch in batches]
        kinds = ([(each.shape, each.dtype) for each in tensors] for tensors in each_one)
        dense = all(each.is_contiguous() for tensors in each_one for each in tensors)
        return len(batches) == self.steps and dense and all(kind == self._batch for kind in kinds)

    def __call__(self, batches: Sequence[Batch], rates: Sequence[float]) -> None:
        """Train on batches that `fit`.

        Args:
            batches: one for each step.
            rates: the learning rate of each step.
        """
        tensors = [batch_tensors(batch) for batch in batches]
        rate = torch.tensor(rates, dtype=torch.float64).to(tensors[0][0].device, non_blocking=True)
        logits, losses, *extra = self._program([rate, *chain.from_iterable(tensors)])
        targets = torch.cat([each[1] for each in tensors])
        self.model.keep(logits, losses, targets, extra[0] if extra else None)


def _is_as_made(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether an optimizer has one group, and in it what it was made with: that stands in compiled steps.

    A schedule may move more than the learning rate, such as the momentum; a checkpoint may bring in other numbers.
    """
    free = ("lr", "foreach", "fused", "capturable")
    fixed = {name: value for name, value in optimizer.defaults.items() if name not in free}
    return len(optimizer.param_groups) == 1 and fixed.items() <= optimizer.param_groups[0].items()
