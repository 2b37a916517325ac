"""Compiled steps in the training's process: they move the model's own tensors."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightlab.batch import Batch
from lightlab.compiled.request import LAYOUTS, Request, batch_tensors, frozen_parameters, layouts, step_tensors


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
        self._layouts = json.loads(package.with_name(LAYOUTS).read_text(encoding="utf-8"))
        self._frozen = request.frozen
        self.steps = request.steps
        self.model = model
        self.optimizer = optimizer
        self._tensors: list[Tensor] = []
        if not self.bind():
            raise ValueError("it is for other settings of the optimizer, or other weights")

    def bind(self) -> bool:
        """Take up the model's tensors, which others may have replaced; return whether the steps still fit them."""
        self._tensors = step_tensors(self.model, self.optimizer)
        return (
            frozen_parameters(self.model) == self._frozen
            and all(layer.training for layer in self.model.network.modules())
            and _is_as_made(self.optimizer)
            and layouts(self._tensors) == self._layouts
        )

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
        rate = torch.tensor(rates, dtype=torch.float64)
        logits, losses, *extra = self._run([*self._tensors, rate, *chain.from_iterable(tensors)])
        targets = torch.cat([each[1] for each in tensors])
        self.model.keep(logits, losses, targets, extra[0] if extra else None)


def _is_as_made(optimizer: torch.optim.Optimizer) -> bool:
    """Return whether an optimizer has one group, and in it what it was made with: that stands in compiled steps.

    A schedule may move more than the learning rate, such as the momentum; a checkpoint may bring in other numbers.
    """
    free = ("lr", "foreach", "fused", "capturable")
    fixed = {name: value for name, value in optimizer.defaults.items() if name not in free}
    return len(optimizer.param_groups) == 1 and fixed.items() <= optimizer.param_groups[0].items()
