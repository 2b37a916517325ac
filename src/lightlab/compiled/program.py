"""Steps that are compiled, as something that can be called."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightlab.compiled.request import LAYOUTS


class Program:
    """Takes steps on the tensors that it is bound to.

    Args:
        run: takes parameters, buffers, the optimizer's state, learning rates and batches; moves the first three, and
            returns logits, losses and penalties.
        layouts: how those have to lie in memory, as `lightlab.compiled.request.layouts` returns it.
    """

    def __init__(self, run: Callable[[list[Tensor]], Sequence[Tensor]], layouts: list[list[Any]]) -> None:
        self.run = run
        self.layouts = layouts
        self._moved: list[Tensor] = []

    def bind(self, moved: list[Tensor]) -> None:
        """Move these tensors from now on: parameters, buffers, the optimizer's state."""
        self._moved = moved

    def __call__(self, new: Sequence[Tensor]) -> Sequence[Tensor]:
        """Take the steps with these learning rates and batches; return logits, losses and penalties."""
        return self.run([*self._moved, *new])


class Recorded(Program):
    """A CUDA graph: recorded once on the tensors that are moved, then launched all at once.

    torch's own recording (``reduce-overhead``) leaves out what moves the tensors that it is given.

    Args:
        run: as a `Program` takes it; it has run before, so that nothing is compiled while it is recorded.
        layouts: likewise.
        new: learning rates and batches of the kind that come, whose memory is taken for them from now on.
    """

    def __init__(
        self, run: Callable[[list[Tensor]], Sequence[Tensor]], layouts: list[list[Any]], new: Sequence[Tensor]
    ) -> None:
        super().__init__(run, layouts)
        self._new = new
        self._places: list[int] = []
        self._graph: torch.cuda.CUDAGraph
        self._results: Sequence[Tensor] = ()

    def bind(self, moved: list[Tensor]) -> None:
        """Move these tensors from now on; they are recorded anew where they lie elsewhere than those before.

        Raises:
            RuntimeError: they can't be recorded. Nothing has moved.
        """
        super().bind(moved)
        places = [each.data_ptr() for each in moved]
        if places == self._places:
            return
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # a loader's thread has the GPU, too
            self._results = self.run([*moved, *self._new])
        self._places = places

    def __call__(self, new: Sequence[Tensor]) -> Sequence[Tensor]:
        """Take the steps with these learning rates and batches; return logits, losses and penalties."""
        for kept, each in zip(self._new, new, strict=True):
            kept.copy_(each, non_blocking=True)
        self._graph.replay()
        return [each.clone() for each in self._results]  # the next steps write over them


def load(package: Path) -> Program:
    """Load what the process that compiles has left.

    Raises:
        Exception: of some kind; it can't be loaded.
    """
    logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it misses a GPU where none is meant
    # `torch._inductor.aoti_load_package` calls this, and imports for it what compiles: a second, and 150 MiB.
    run = torch._C._aoti.AOTIModelPackageLoader(str(package), "model", False, 1, -1).boxed_run
    return Program(run, json.loads(package.with_name(LAYOUTS).read_text(encoding="utf-8")))
