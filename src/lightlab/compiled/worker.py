"""The process that compiles a step, beside the training: ``python -m lightlab.compiled.worker FOLDER``."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from lightlab.compiled.request import FAILURE, PACKAGE, Request
from lightlab.compiled.trace import trace
from lightlab.registry import import_plugin

#: The training has the processor; this takes what is left of it.
NICENESS = 19


class _Graph(nn.Module):
    """A graph as a module: torch.export takes nothing else."""

    def __init__(self, graph: GraphModule) -> None:
        super().__init__()
        self.graph = graph

    def forward(self, *given: Tensor) -> tuple[Tensor, ...]:
        return self.graph(*given)  # type: ignore[no-any-return]  # a GraphModule returns what was traced


def compile_step(request: Request, folder: Path) -> None:
    """Compile a step to machine code, in the file `PACKAGE` of a folder.

    Raises:
        Exception: whatever stands in the way, such as a layer that can't be traced, or no C++ compiler.
    """
    graph, given = trace(request)
    exported = torch.export.export(_Graph(graph), given, strict=False)
    # Random numbers are then those of torch's own generator, as without compiling.
    options = {"fallback_random": True, **torch._inductor.list_mode_options(request.mode)}
    options = {name: value for name, value in options.items() if name != "triton.cudagraphs"}
    part = str(folder / f"part-{PACKAGE}")
    torch._inductor.aoti_compile_and_package(exported, package_path=part, inductor_configs=options)
    os.replace(part, folder / PACKAGE)


def main(folder: Path) -> int:
    """Compile what a folder's request asks for; where that fails, say why in its file `FAILURE`."""
    logging.disable(logging.WARNING)
    try:
        request = Request.read(folder)
        for plugin in request.plugins:
            import_plugin(plugin)
        compile_step(request, folder)
    except Exception as cause:
        part = folder / f"part-{FAILURE}"
        part.write_text(f"{type(cause).__name__}: {str(cause).strip().splitlines()[0] if str(cause) else ''}")
        os.replace(part, folder / FAILURE)
        return 1
    return 0


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(NICENESS)
    sys.exit(main(Path(sys.argv[1])))
