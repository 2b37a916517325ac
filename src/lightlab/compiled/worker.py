"""The process that compiles a step, beside the training: ``python -m lightlab.compiled.worker FOLDER TRAINING``.

TRAINING is the number of the training's process, which may have ended before anything here runs.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from lightlab.compiled.request import FAILURE, LAYOUTS, PACKAGE, Request, first_line, inductor_options, layouts
from lightlab.compiled.trace import trace
from lightlab.errors import PluginError
from lightlab.registry import import_plugin

#: The training has the processor; this takes what is left of it.
NICENESS = 19
#: Precompiled headers, 200 MiB each, stay in the temporary folder, and make nothing quicker here.
NO_HEADERS = {"aot_inductor.precompile_headers": False, "cpp_cache_precompile_headers": False}


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
    graph, moved, new = trace(request)
    exported = torch.export.export(_Graph(graph), (*moved, *new), strict=False)
    options = {**NO_HEADERS, **inductor_options(request.mode)}
    (folder / LAYOUTS).write_text(json.dumps(layouts(moved)), encoding="utf-8")
    part = str(folder / f"part-{PACKAGE}")
    torch._inductor.aoti_compile_and_package(exported, package_path=part, inductor_configs=options)
    os.replace(part, folder / PACKAGE)


def main(folder: Path) -> int:
    """Compile what a folder's request asks for; where that fails, say why in its file `FAILURE`."""
    logging.disable(logging.WARNING)
    try:
        request = Request.read(folder)
        for plugin in request.plugins:
            with suppress(PluginError):  # one that the model needs is missed when it is built
                import_plugin(plugin)
        compile_step(request, folder)
    except Exception as cause:
        part = folder / f"part-{FAILURE}"
        part.write_text(first_line(cause), encoding="utf-8")
        os.replace(part, folder / FAILURE)
        return 1
    return 0


def end_with(parent: int, folder: Path) -> None:
    """Wait for a process to end, as one that is killed does; then end this one, its compilers and what they wrote."""
    while os.getppid() == parent:
        time.sleep(1)
    shutil.rmtree(folder, ignore_errors=True)
    if os.getpid() == os.getpgrp():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(NICENESS)
        threading.Thread(target=end_with, args=(int(sys.argv[2]), Path(sys.argv[1])), daemon=True).start()
    sys.exit(main(Path(sys.argv[1])))
