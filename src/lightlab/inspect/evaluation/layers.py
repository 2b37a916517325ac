"""What is kept of each layer: its weights before and after training, its gradients, its dead units."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import nn

from lightlab.errors import format_key
from lightlab.inspect.evaluation.curves import histogram
from lightlab.inspect.evaluation.record import Histogram, LayerRecord
from lightlab.inspect.names import layer_name, name_layers
from lightlab.module import Model
from lightlab.names import module_key

#: For each parameter, by its name in the model, the norm of its gradient and its own.
Norms = Mapping[str, tuple[float, float]]


def weighted_modules(model: Model) -> dict[str, tuple[str, nn.Module]]:
    """Return the path and the module of each that has parameters of its own, by what charts call it, in order."""
    found = {
        path: module for path, module in _in_order(model).items() if any(True for _ in module.parameters(recurse=False))
    }
    return {name: (path, found[path]) for path, name in name_layers(model, list(found)).items()}


def weight_histograms(model: Model) -> dict[str, Histogram]:
    """Return of each layer how its weights are spread: its kernels, or all that it has where these are none."""
    found = {}
    for name, (_, module) in weighted_modules(model).items():
        own = list(module.parameters(recurse=False))
        kernels = [parameter.detach().flatten() for parameter in own if parameter.ndim > 1]
        kernels = kernels or [parameter.detach().flatten() for parameter in own]
        found[name] = histogram(kernels[0] if len(kernels) == 1 else torch.cat(kernels))
    return found


def describe_layers(
    model: Model, before: Mapping[str, Histogram], first: Norms, last: Norms, dead: Mapping[str, float]
) -> tuple[LayerRecord, ...]:
    """Return what is kept of each layer.

    Args:
        model: with the best weights.
        before: of the weights when training began.
        first: what was seen of gradients in the first epoch.
        last: in the last.
        dead: the share of dead units of each rectifier, by its path in the model.
    """
    after = weight_histograms(model)
    names = {path: name for name, (path, _) in weighted_modules(model).items()}
    records: dict[str, LayerRecord] = {}
    latest: dict[str, str] = {}
    for path, module in _in_order(model).items():
        layer, key = layer_name(model, path), format_key(module_key(path))
        if path in names:
            name = latest[layer] = names[path]
            records[name] = LayerRecord(
                name=name,
                key=key,
                parameters=sum(parameter.numel() for parameter in module.parameters(recurse=False)),
                before=before.get(name),
                after=after[name],
                first_gradient=_ratio(path, module, first),
                last_gradient=_ratio(path, module, last),
            )
        if path in dead:  # an activation stands in the config where the layer before it does, or is one itself
            name = latest.get(layer, layer)
            records[name] = replace(records.get(name) or LayerRecord(name, key), dead=dead[path])
    return tuple(records.values())


def _in_order(model: Model) -> dict[str, nn.Module]:
    """Return all modules by path, in the order of their use."""
    parts = {"preprocess": model.preprocess, "network": model.network, "head": model.head}
    return {path: module for name, part in parts.items() for path, module in part.named_modules(prefix=name)}


def _ratio(path: str, module: nn.Module, norms: Norms) -> float | None:
    """Return the norm of a module's gradient over that of its parameters."""
    pairs = [norms[f"{path}.{name}"] for name, _ in module.named_parameters(recurse=False) if f"{path}.{name}" in norms]
    if not pairs:
        return None
    gradient, weights = (math.hypot(*values) for values in zip(*pairs, strict=True))
    return gradient / max(weights, 1e-12)
