"""Steps that are compiled in the training's own process, for its GPU: kernels by torch.compile, recorded as one graph.

For CPUs a process beside the training does it (`lightlab.compiled.worker`). On a GPU the training waits: kernels are
tried out on the very GPU that they are for, and what is recorded there belongs to the process.
"""

from __future__ import annotations

from typing import Any

import torch
from torch.fx import GraphModule

from lightlab.compiled.program import Program, Recorded
from lightlab.compiled.request import Request, inductor_options, layouts
from lightlab.compiled.trace import trace
from lightlab.random_state import random_state_kept


def compile_here(request: Request) -> Program:
    """Compile what a request asks for; for a CPU too, where tests see it run.

    Raises:
        ValueError: a step would wait for the GPU.
        Exception: whatever else stands in the way, such as a layer that can't be traced; nothing has moved then.
    """
    device = torch.device(request.device)
    with random_state_kept(device):
        graph, moved, new = trace(request)
        if device.type == "cuda":
            check_waits_for_nothing(graph)
        compiled: Any = torch.compile(graph, fullgraph=True, dynamic=False, options=inductor_options(request.mode))
        compiled(*moved, *new)  # on tensors of its own

    def run(tensors: Any) -> Any:
        return compiled(*tensors)

    return Recorded(run, layouts(moved), new) if device.type == "cuda" else Program(run, layouts(moved))


def check_waits_for_nothing(graph: GraphModule) -> None:
    """Refuse a graph that reads a number from a tensor, for which it would wait.

    Raises:
        ValueError: it does.
    """
    read = torch.ops.aten._local_scalar_dense.default
    if any(node.target is read for node in graph.graph.nodes):
        raise ValueError("on a GPU a step waits for nothing; here a layer or the optimizer reads a tensor's number")
