"""What a compiled step is made for: all that its graph depends on, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from lightlab.batch import Batch

#: The files of a request's folder: what is asked for; what came of it, and how the tensors lie in memory that it takes;
#: or why nothing did.
REQUEST, PACKAGE, LAYOUTS, FAILURE = "request.json", "step.pt2", "layouts.json", "failure.txt"


@dataclass(frozen=True)
class Request:
    """What a step is compiled for.

    Attributes:
        model: the arguments of `lightlab.module.Model`.
        data_spec: what the model knows of the data, as a dictionary.
        batch: shape and type of each of a batch's tensors, in the order of `batch_tensors`.
        steps: how many steps are taken at once, each on a batch of its own.
        frozen: the parameters that are not trained, by name.
        precision: the type that autocast computes in; ``None`` for the weights' own.
        clip: the bound of the gradients and how it is held (``norm`` or ``value``); ``None`` for none.
        mode: of torch.compile.
        plugins: modules to import, which register layers.
        device: that computes.
    """

    model: dict[str, Any]
    data_spec: dict[str, Any]
    batch: list[tuple[list[int], str]]
    steps: int
    frozen: list[str]
    precision: str | None
    clip: tuple[float, str] | None
    mode: str
    plugins: list[str]
    device: str

    def write(self, folder: Path) -> None:
        """Write it into a folder."""
        (folder / REQUEST).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> Request:
        """Read what `write` has written."""
        return cls(**json.loads((folder / REQUEST).read_text(encoding="utf-8")))

    def example(self) -> list[Tensor]:
        """Return the tensors of so many batches, all zeros."""
        kinds = ((shape, getattr(torch, kind)) for shape, kind in self.batch * self.steps)
        return [torch.zeros(shape, dtype=kind, device=self.device) for shape, kind in kinds]


def batch_tensors(batch: Batch) -> list[Tensor]:
    """Return the tensors of a batch that a step computes with: inputs, targets, and how rows were mixed."""
    batch = Batch(*batch)  # a loader of one's own gives pairs
    return [batch.inputs, cast("Tensor", batch.targets), *(batch.mixed or ())]


def describe(tensors: Iterable[Tensor]) -> list[tuple[list[int], str]]:
    """Return shape and type of each tensor, as JSON can hold them."""
    return [(list(each.shape), str(each.dtype).removeprefix("torch.")) for each in tensors]


def layouts(tensors: Iterable[Tensor]) -> list[list[Any]]:
    """Return shape, type, strides and device of each tensor: machine code relies on all four, and asks no more."""
    return [[list(each.shape), str(each.dtype), list(each.stride()), each.device.type] for each in tensors]


def inductor_options(mode: str) -> dict[str, Any]:
    """Return how torch is to compile, for a mode of torch.compile.

    Random numbers are those of torch's own generator, as without compiling. CUDA graphs are recorded by lightlab.

    Raises:
        RuntimeError: there is no such mode.
    """
    return {**torch._inductor.list_mode_options(mode), "fallback_random": True, "triton.cudagraphs": False}


def first_line(error: BaseException) -> str:
    """Return an error's type, and the first line of what it says."""
    first, *_ = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first}"


def step_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return what a step moves and reads beside its batch: parameters, buffers, the optimizer's state; in one order.

    Raises:
        ValueError: the optimizer keeps something else than tensors.
    """
    trained = [each for each in model.parameters() if each.requires_grad]
    return [*(each.detach() for each in trained), *fixed_tensors(model).values(), *state_tensors(trained, optimizer)]


def fixed_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the buffers of a model's layers, which may move, and the parameters that are not trained, by name."""
    parts = ("preprocess.", "network.", "head.")
    frozen = {name: each.detach() for name, each in model.named_parameters() if not each.requires_grad}
    return frozen | {name: each for name, each in model.named_buffers() if name.startswith(parts)}


def frozen_parameters(model: nn.Module) -> list[str]:
    """Return the names of the parameters that are not trained."""
    return [name for name, each in model.named_parameters() if not each.requires_grad]


def state_tensors(trained: list[nn.Parameter], optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Return what an optimizer keeps of each parameter, in one order."""
    states = [optimizer.state[each] for each in trained]
    kept = [state[name] for state in states for name in sorted(state) if state[name] is not None]
    if not all(isinstance(each, Tensor) for each in kept):
        raise ValueError(f"{type(optimizer).__name__} keeps something else than tensors.")
    return kept
