"""What files and charts call the layers of a model."""

from __future__ import annotations

import re

from torch import nn

from lightlab.module import Model
from lightlab.names import name_module


def layer_name(model: Model, path: str) -> str:
    """Return what files and charts call the layer of the config that a module belongs to: its places and its names.

    >>> from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
    >>> model = Model([{"dense": {"units": 4, "activation": "relu"}}, {"residual": [{"dense": 4}]}])
    >>> inputs, target = InputSpec((4,), (0.0,), (1.0,)), TargetSpec(("y",), mean=(0.0,), std=(1.0,))
    >>> model.build(DataSpec("regression", inputs, target))
    >>> [layer_name(model, path) for path in ("network.0_dense.0", "network.1_residual.inner.0_dense", "head.linear")]
    ['0_dense', '1_residual/0_dense', 'head']
    """
    embedded = re.match(r"preprocess\.embeddings\.(\d+)", path)
    if embedded and model.data_spec is not None:
        return f"preprocess/{list(model.data_spec.input.embeddings)[int(embedded[1])]}"
    first, *parts = path.split(".")
    if first != "network":
        return first
    names: list[str] = []
    for part in parts:
        if re.fullmatch(r"\d+_.+", part):
            names.append(part)
        elif part.isdigit() and names and names[-1] == "branches":
            names[-1] = f"branch_{part}"
        elif part == "branches":
            names.append(part)
    return "/".join(names)


def config_layers(model: Model) -> dict[str, nn.Module]:
    """Return each layer of the config, those inside other layers included, and the head, by `layer_name`."""
    found = {
        f"network.{path}": module
        for path, module in model.network.named_modules()
        if re.fullmatch(r"\d+_.+", path.rpartition(".")[2])
    }
    return {**{name: found[path] for path, name in name_layers(model, list(found)).items()}, "head": model.head}


def name_layers(model: Model, paths: list[str]) -> dict[str, str]:
    """Return the `layer_name` of each module; those that belong to one layer, as in an mlp, are numbered."""
    return _number({path: layer_name(model, path) for path in paths}, "{name}/{number}")


def name_modules(model: Model, paths: list[str]) -> dict[str, str]:
    """Return what people call each; those that stand at one place in the config, as in an mlp, are numbered."""
    return _number({path: name_module(model, path) for path in paths}, "{name} ({number})")


def _number(names: dict[str, str], form: str) -> dict[str, str]:
    """Return names that are different from each other."""
    shared = list(names.values())
    seen: dict[str, int] = {}
    for path, name in names.items():
        seen[name] = seen.get(name, 0) + 1
        if shared.count(name) > 1:
            names[path] = form.format(name=name, number=seen[name])
    return names
