"""Steps that are compiled to a file of machine code, for CPUs."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.fx import GraphModule

from lightlab.compiled.request import LAYOUTS, PACKAGE, Request, inductor_options, layouts
from lightlab.compiled.trace import trace
from lightlab.errors import PluginError
from lightlab.registry import import_plugin

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
    for plugin in request.plugins:
        with suppress(PluginError):  # one that the model needs is missed when it is built
            import_plugin(plugin)
    graph, moved, new = trace(request)
    exported = torch.export.export(_Graph(graph), (*moved, *new), strict=False)
    options = {**NO_HEADERS, **inductor_options(request.mode)}
    (folder / LAYOUTS).write_text(json.dumps(layouts(moved)), encoding="utf-8")
    part = str(folder / f"part-{PACKAGE}")
    torch._inductor.aoti_compile_and_package(exported, package_path=part, inductor_configs=options)
    os.replace(part, folder / PACKAGE)
