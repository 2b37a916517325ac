"""What a config calls the parts of a model."""

from __future__ import annotations

import re
from typing import Any

from lightlab.errors import Key, format_key


def module_key(path: str) -> Key:
    """Return where in the config a module, or a parameter, of a built model stands.

    Args:
        path: as ``named_modules`` or ``named_parameters`` has it.

    Example:
        >>> format_key(module_key("network.1_residual.inner.0_dense.weight"))
        'model.layers[1].residual.layers[0].dense'
        >>> format_key(module_key("head.linear"))
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


def name_module(model: Any, path: str) -> str:
    """Return what people call it: its place in the config, or the column whose categories it embeds."""
    embedded = re.match(r"preprocess\.embeddings\.(\d+)", path)
    if embedded and model.data_spec is not None:
        return f"embedding of column {list(model.data_spec.input.embeddings)[int(embedded[1])]}"
    return format_key(module_key(path))
