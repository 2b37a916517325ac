"""Where in a network a number came up that is not finite."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lightlab.batch import Batch
from lightlab.names import name_module
from lightlab.random_state import random_state_kept

#: Rows of larger batches are not looked at one by one.
MOST_ROWS_ALONE = 1024


def are_finite(tensors: Iterable[Tensor]) -> bool:
    """Return whether all numbers are finite; the device is waited for."""
    given = [each.detach() for each in tensors if each.is_floating_point()]
    if not given:
        return True
    # A sum takes a fraction of the time; but large finite numbers may have one that is not.
    if math.isfinite(float(torch.stack([each.sum().float() for each in given]).sum())):
        return True
    return all(bool(torch.isfinite(each).all()) for each in given)


def not_finite(tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of the tensors that hold a number that is not finite."""
    if are_finite(tensors.values()):
        return []
    return [name for name, each in tensors.items() if not are_finite([each])]


def broken_by_gradients(model: nn.Module) -> list[str]:
    """Return the parameters whose gradients of the last step are not finite, if that step was the first with such.

    Then they explain all weights that are not.
    """
    weights = {name: each.detach() for name, each in model.named_parameters()}
    gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
    explained = [torch.isfinite(weights[name]) | ~torch.isfinite(each) for name, each in gradients.items()]
    return not_finite(gradients) if all(bool(each.all()) for each in explained) else []


@dataclass(frozen=True)
class Look:
    """What a batch gives when it goes through the network again.

    Attributes:
        features: what the first layer is given; ``None`` where that can't be told.
        losses: of each row, (rows,); ``None`` likewise.
        module: the path of the first module with an output that is not finite; empty where there is none.
        largest: the largest size of a finite number that came out of a module.
    """

    features: Tensor | None
    losses: Tensor | None
    module: str
    largest: float


def look(model: Any, batch: Batch, precision: Any) -> Look:
    """Have a batch go through the network again, and look at what each module gives.

    Args:
        model: in training mode; layers may change what they keep.
        batch: as a step takes it.
        precision: the Trainer's plugin, which says what is computed in.
    """
    seen: list[tuple[str, bool, float]] = []
    features = losses = None
    # A layer may be of those that can't be run again: then there is less to say, and the same error to raise.
    with suppress(Exception), torch.no_grad(), random_state_kept(batch.inputs.device), precision.train_step_context():
        features = model.preprocess(batch.inputs)
        with _watching(model, seen):
            _, losses, _ = model.evaluate(batch)
    first = next((path for path, finite, _ in seen if not finite), "")
    return Look(features, losses, first, max((size for _, _, size in seen), default=0.0))


def rows_with_gradients(model: Any, batch: Batch, precision: Any) -> Tensor:
    """Return which rows of a batch give gradients that are not finite, computed anew: (rows,).

    None does where that is not seen again, and all where a row can't be looked at without the others.

    Args:
        model: in training mode; layers may change what they keep.
        batch: as a step takes it.
        precision: the Trainer's plugin, which says what is computed in.
    """
    count, device = len(batch.inputs), batch.inputs.device
    parameters = [each for each in model.parameters() if each.requires_grad]

    def is_fine(given: Batch) -> bool:
        _, losses, _ = model.evaluate(given)
        gradients = torch.autograd.grad(losses.sum(), parameters, allow_unused=True)  # tells other processes nothing
        return are_finite(each for each in gradients if each is not None)

    found = [False] * count
    with suppress(Exception), random_state_kept(device), precision.train_step_context():
        if is_fine(batch):
            return torch.tensor(found, device=device)
        found = [True] * count
        if batch.mixed is None and batch.targets is not None and count <= MOST_ROWS_ALONE:
            rows = (slice(row, row + 1) for row in range(count))
            fine = [is_fine(Batch(batch.inputs[row], batch.targets[row])) for row in rows]
            found = found if all(fine) else [not each for each in fine]
    return torch.tensor(found, device=device)


@contextmanager
def _watching(model: nn.Module, seen: list[tuple[str, bool, float]]) -> Iterator[None]:
    """Note for each module of the network, as it is done, whether its output is finite, and how large."""

    def watch(path: str, module: nn.Module) -> Any:
        def note(module: nn.Module, given: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point() and output.numel():
                known = output[torch.isfinite(output)]
                size = float(known.abs().max()) if known.numel() else 0.0
                seen.append((path, known.numel() == output.numel(), size))

        return module.register_forward_hook(note)

    parts = ("preprocess", "network", "head")
    hooks = [watch(path, module) for path, module in model.named_modules() if path.startswith(parts)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def config_paths(model: nn.Module) -> list[str]:
    """Return the paths of the layers of a config, in order, without those that hold others; then that of the head."""
    paths = [path for path, _ in model.named_modules() if re.fullmatch(r"network\.(.*\.)?\d+_[^.]+", path)]
    leaves = [path for path in paths if not any(other.startswith(f"{path}.") for other in paths)]
    return ["preprocess", *leaves, "head"]


def say_between(model: nn.Module, bad: Iterable[str], fine: Iterable[str], backward: bool = False) -> str:
    """Say which layers lie between the last one that is fine and the first that is not.

    Args:
        model: of lightlab's.
        bad: the parameters of layers that something came to that is not finite.
        fine: of those to which it was still finite.
        backward: whether it comes from the head, as gradients do.
    """
    paths = config_paths(model)
    places = {
        name: next((place for place, path in enumerate(paths) if name.startswith(f"{path}.")), -1)
        for name in (*bad, *fine)
    }
    if not places.keys() & set(bad):
        return ""
    if backward:
        first = max(places[name] for name in bad)
        stop = min((places[name] for name in fine if places[name] > first), default=len(paths))
    else:
        stop = min(places[name] for name in bad)
        first = max((places[name] for name in fine if places[name] < stop), default=0)
    names = [name_module(model, path) for path in paths[first:stop] if path != "preprocess" or stop == 1]
    return f"It came up in {' or '.join(names)}." if names else ""


def fed(model: nn.Module, loss: Tensor) -> tuple[list[str], list[str]]:
    """Return the parameters whose layers were given numbers that are not finite, and those whose were fine.

    Args:
        model: that gave the loss.
        loss: with its graph, which keeps what layers were given: their gradients take it.
    """
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    bad: list[str] = []
    fine: list[str] = []
    seen: set[Any] = set()
    waiting: list[Any] = [loss.grad_fn]
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        waiting += [each for each, _ in node.next_functions]
        for name in filter(None, (_leaf(each, names) for each, _ in node.next_functions)):
            kept = (getattr(node, each) for each in dir(node) if each.startswith("_saved_"))
            given = [each for each in kept if isinstance(each, Tensor)]
            (fine if are_finite(given) else bad).append(name)
    return bad, [name for name in fine if name not in bad]


def _leaf(node: Any, names: Mapping[int, str]) -> str:
    """Return the parameter that an operation takes as it is, transposed or in another type; nothing where none."""
    while node is not None and not hasattr(node, "variable"):
        if len(node.next_functions) != 1:
            return ""
        node = node.next_functions[0][0]
    return names.get(id(node.variable), "") if node is not None else ""
