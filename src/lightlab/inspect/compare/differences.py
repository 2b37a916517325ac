"""What differs in the configs of runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any

import yaml

from lightlab.config.documents import Dumper
from lightlab.inspect.tensorboard.hyperparameters import Plain, flatten_config

#: Of each key the value in each run; ``None`` where a run lacks it.
Differences = dict[str, list[Plain | None]]
#: The keys that runs of the same thing differ in.
SEEDS = ("seed_everything", "data.seed")
#: Stands for layers that all runs have.
SAME = "…"


def find_differences(configs: Sequence[Mapping[str, Any]]) -> Differences:
    """Return what results depend on, and is not the same in all configs, by short names.

    Where all have the same layers with other parameters, each of these has a key; otherwise ``layers`` has the layers
    of a run that not all have, in their order.

    Args:
        configs: of the runs, with all sections.

    Example:
        >>> layers = [["flatten", {"dense": {"units": 8}}], ["flatten", {"dense": {"units": 16}}]]
        >>> find_differences([{"model": {"layers": each}, "trainer": {"max_epochs": 5}} for each in layers])
        {'layers[1].dense.units': [8, 16]}
        >>> layers = [["flatten", {"dense": 8}], ["flatten", {"dropout": 0.5}, {"dense": 8}]]
        >>> find_differences([{"model": {"layers": each}} for each in layers])
        {'layers': ['…', '…, dropout: 0.5, …']}
    """
    settings = [flatten_config(_without_layers(config)) for config in configs]
    layers = _flatten_layers([list(_model(config).get("layers") or []) for config in configs])
    flat = [{**one, **two} for one, two in zip(settings, layers, strict=True)]
    names = dict.fromkeys(name for values in flat for name in values)
    found = {name: [values.get(name) for values in flat] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def shorten_keys(keys: Sequence[str]) -> dict[str, str]:
    """Return keys by as many of their last parts as tell them apart.

    >>> shorten_keys(["optimizer.lr", "layers[0].dense.units", "layers[2].dense.units"])
    {'optimizer.lr': 'lr', 'layers[0].dense.units': 'layers[0].dense.units',
     'layers[2].dense.units': 'layers[2].dense.units'}
    """
    parts = {key: key.split(".") for key in keys}
    short = {}
    for key in keys:
        endings = (parts[key][-count:] for count in range(1, len(parts[key]) + 1))
        alone = (end for end in endings if sum(other[-len(end) :] == end for other in parts.values()) == 1)
        short[key] = ".".join(next(alone, parts[key]))
    return short


def _model(config: Mapping[str, Any]) -> Mapping[str, Any]:
    return config.get("model") or {}


def _without_layers(config: Mapping[str, Any]) -> dict[str, Any]:
    return {**config, "model": {name: value for name, value in _model(config).items() if name != "layers"}}


def _flatten_layers(layers: Sequence[list[Any]]) -> list[dict[str, Plain]]:
    """Return the layers of each config by keys: parameter by parameter where only these differ."""
    kinds = [[layer if isinstance(layer, str) else next(iter(layer)) for layer in each] for each in layers]
    if any(kind != kinds[0] for kind in kinds):
        return [{"layers": text} for text in _tell_apart([[_write(layer) for layer in each] for each in layers])]
    return [
        {
            key: value
            for place, layer in enumerate(each)
            if isinstance(layer, Mapping)
            for name, given in layer.items()
            for key, value in _parameters(f"layers[{place}].{name}", given).items()
        }
        for each in layers
    ]


def _parameters(name: str, given: Any) -> dict[str, Plain]:
    """Return the parameters of a layer; a lone value has the layer's own name."""
    values = {f"{name}.{key}": value for key, value in given.items()} if isinstance(given, Mapping) else {name: given}
    return {key: value if isinstance(value, Plain) else _write(value) for key, value in values.items()}


def _tell_apart(lists: Sequence[list[str]]) -> list[str]:
    """Return of each list what not all have, and `SAME` for what stands between."""
    common = lists[0]
    for each in lists[1:]:
        common = [common[place] for place, _ in _matches(common, each)]
    found = []
    for each in lists:
        shared = {place for _, place in _matches(common, each)}
        words = [SAME if place in shared else text for place, text in enumerate(each)]
        found.append(", ".join(word for word, group in groupby(words) for word in ([SAME] if word == SAME else group)))
    return found


def _matches(first: list[str], second: list[str]) -> list[tuple[int, int]]:
    """Return the places in two lists of what they have in common, in its order."""
    blocks = SequenceMatcher(None, first, second).get_matching_blocks()
    return [(block.a + step, block.b + step) for block in blocks for step in range(block.size)]


def _write(value: Any) -> str:
    """Return a value as a line of YAML, a layer without braces around it."""
    text = yaml.dump(value, Dumper=Dumper, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True)
    text = str(text).removesuffix("...\n").strip()
    return text[1:-1] if isinstance(value, Mapping) else text
