"""What a config calls the parts of a model."""

from __future__ import annotations

import re

from lightlab.errors import Key, format_key
from lightlab.module import Model


def module_key(model: Model, path: str) -> Key:
    """Return where in the config a module, or a parameter, of a built model stands.

    Args:
        model: built.
        path: as ``named_modules`` or ``named_parameters`` has it.

    Example:
        >>> from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
        >>> model = Model(["tanh", {"residual": [{"dense": 4}]}], problem="regression")
        >>> inputs, target = InputSpec((4,), (0.0,), (1.0,)), TargetSpec(("y",), mean=(0.0,), std=(1.0,))
        >>> model.build(DataSpec("regression", inputs, target))
        >>> format_key(module_key(model, "network.1_residual.inner.0_dense.weight"))
        'model.layers[1].residual.layers[0].dense'
        >>> format_key(module_key(model, "head.linear"))
        'model.head'
    """
    first, *parts = path.split(".")
    if first == "head":
        return ("model", "head")
    if first == "preprocess":
        return ("data",)
    key: list[str | int] = ["model"]
    for part in parts:
        if layer := re.fullmatch(r"(\d+)_(nn_)?(.+)", part):
            place, torch_module, name = layer.groups()
            # After the place of a branch comes the place of the layer in it.
            key += [] if isinstance(key[-1], int) else ["layers"]
            key += [int(place), f"nn.{name}" if torch_module else name]
        elif part == "branches" or (part.isdigit() and key[-1] == "branches"):
            key.append(int(part) if part.isdigit() else part)
    return tuple(key)


def name_module(model: Model, path: str) -> str:
    """Return what people call it: its place in the config, or the column whose categories it embeds."""
    embedded = re.match(r"preprocess\.embeddings\.(\d+)", path)
    if embedded and model.data_spec is not None:
        return f"embedding of column {list(model.data_spec.input.embeddings)[int(embedded[1])]}"
    return format_key(module_key(model, path))


def name_modules(model: Model, paths: list[str]) -> dict[str, str]:
    """Return what people call each; those that stand at one place in the config, as in an mlp, are numbered."""
    names = {path: name_module(model, path) for path in paths}
    shared = list(names.values())
    seen: dict[str, int] = {}
    for path, name in names.items():
        seen[name] = seen.get(name, 0) + 1
        if shared.count(name) > 1:
            names[path] = f"{name} ({seen[name]})"
    return names
