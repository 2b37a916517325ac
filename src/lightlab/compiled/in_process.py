"""Steps that are compiled in the training's own process, for its GPU: kernels by torch.compile, recorded as one graph.

For CPUs a process beside the training does it (`lightlab.compiled.worker`). On a GPU the training waits: kernels are
tried out on the very GPU that they are for, and what is recorded there belongs to the process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from lightlab.compiled.compiled_step import MachineCode
from lightlab.compiled.request import Request, layouts
from lightlab.compiled.trace import trace
from lightlab.random_state import random_state_kept


def compile_here(request: Request) -> MachineCode:
    """Compile what a request asks for.

    Raises:
        Exception: whatever stands in the way, such as a layer that can't be traced; nothing has moved then.
    """
    device = torch.device(request.device)
    options = {**torch._inductor.list_mode_options(request.mode), "fallback_random": True, "triton.cudagraphs": False}
    with random_state_kept(device):
        graph, given = trace(request)
        moving = len(given) - 1 - len(request.batch) * request.steps  # without learning rates and batches
        run = torch.compile(graph, fullgraph=True, dynamic=False, options=options)
        run(*given)  # which compiles, on tensors of its own
        if device.type != "cuda":
            return lambda tensors: run(*tensors), layouts(given[:moving])
        recorded = Recorded(run, moving)
        recorded(given)  # what can't be recorded shows here
        return recorded, layouts(given[:moving])


class Recorded:
    """Steps as a CUDA graph: recorded once on a training's tensors, then launched all at once.

    torch's own recording (``reduce-overhead``) passes over what moves the tensors that it is given.

    Args:
        run: takes the steps; it was run before.
        moving: how many of its tensors stay where they are, and are moved; the others are new each time.
    """

    def __init__(self, run: Callable[..., Sequence[Tensor]], moving: int) -> None:
        self._run = run
        self._moving = moving
        self._places: list[int] = []
        self._graph: torch.cuda.CUDAGraph | None = None
        self._new: list[Tensor] = []
        self._results: Sequence[Tensor] = ()

    def __call__(self, tensors: Sequence[Tensor]) -> Sequence[Tensor]:
        """Take the steps."""
        moved, new = tensors[: self._moving], tensors[self._moving :]
        places = [each.data_ptr() for each in moved]
        if self._graph is None or places != self._places:  # a state was restored, into tensors of its own
            self._new = [each.clone() for each in new]
            self._graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):  # a loader has the GPU, too
                self._results = self._run(*moved, *self._new)
            self._places = places
        for kept, each in zip(self._new, new, strict=True):
            kept.copy_(each, non_blocking=True)
        self._graph.replay()
        return [each.clone() for each in self._results]  # the next steps write over them
