"""An example of each part: a piece of a config that is right as it stands."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from types import UnionType
from typing import Any

import yaml

from lightlab.config.documents import Dumper
from lightlab.errors import ConfigError
from lightlab.inspect.catalogue.keys import KEY, SECTION, TAKEN_BY
from lightlab.inspect.catalogue.parts import KINDS, Part
from lightlab.signatures import Code, Parameter, Signature

#: What people would write for a parameter, where it fits.
SENSIBLE: dict[str, Any] = {
    "T_0": 10,
    "adjust_lr_fn": "original",
    "augment": ["random_flip"],
    "base_lr": 1e-4,
    "callbacks": ["LearningRateMonitor"],
    "ckpt_path": "best",
    "class_path": "TableData",
    "default_root_dir": "runs",
    "devices": 2,
    "device": "cuda",
    "dims": [2, 1],
    "dirpath": "checkpoints",
    "filters": 32,
    "gamma": 0.9,
    "head": {"label_smoothing": 0.1},
    "id_column": "id",
    "ids": "id",
    "kernel_size": 3,
    "layers": [{"dense": 64}, "relu"],
    "line_search_fn": "strong_wolfe",
    "lr": 1e-3,
    "max_epochs": 50,
    "max_time": "00:12:00:00",
    "max_lr": 1e-2,
    "milestones": [30, 40],
    "monitor": "val/loss",
    "optimizer": "AdamW",
    "lr_scheduler": "CosineAnnealingLR",
    "output": "predictions.csv",
    "output_dim": 16,
    "output_size": 4,
    "path": "table.csv",
    "plugins": ["DoublePrecision"],
    "precision": "16-mixed",
    "problem": "multiclass",
    "pruning_fn": "l1_unstructured",
    "save_dir": "logs",
    "scheduling": {5: 2},
    "seed_everything": 42,
    "separator": ";",
    "shape": [4, 16],
    "split": [0.8, 0.1, 0.1],
    "step_size": 10,
    "strategy": "ddp",
    "swa_lrs": 1e-2,
    "target": "label",
    "text": "text",
    "times": 2,
    "units": 64,
}
#: What fits many types, where nothing better is known: of these the first that is right is taken.
CANDIDATES: tuple[Any, ...] = (
    1, 2, 0.5, 0.1, "name", "relu", True, [1], [1, 1], [0.5], ["name"], [{"dense": 64}],
    [[{"dense": 64}], [{"dense": 64}]], {},
)  # fmt: skip
#: lightlab's own sources can be given arrays in Python, so nothing is required of a config; this is what one gives.
DATA: dict[str, dict[str, Any]] = {
    "ArrayData": {"path": "arrays.npz", "inputs": "x", "targets": "y"},
    "ImageFolderData": {"path": "images"},
    "ImageShards": {"path": "shards", "target_key": "cls"},
    "IterableData": {"train": "my_module:samples"},
    "ParquetStream": {"path": "rows", "target": "label"},
    "SyntheticData": {"shape": [16]},
    "TableData": {"path": "table.csv", "target": "label"},
    "TextData": {"path": "texts.csv", "text": "text", "target": "label"},
    "TorchvisionData": {"name": "MNIST"},
}
SECTION_EXAMPLES: dict[str, dict[str, Any]] = {
    "data": {"data": {"class_path": "TableData", "init_args": DATA["TableData"]}},
    "model": {"model": {"problem": "multiclass", "layers": SENSIBLE["layers"]}},
    "trainer": {"trainer": {"max_epochs": 50}},
    "early_stopping": {"early_stopping": {"monitor": "val/loss", "patience": 5}},
    "checkpoint": {"checkpoint": {"every_n_epochs": 5}},
    "tensorboard": {"tensorboard": {"histograms": 5, "embeddings": False}},
}
#: The keys of the Trainer that take one part of a kind.
ONE = {"loggers": "logger", "strategies": "strategy", "accelerators": "accelerator", "profilers": "profiler"}
#: Kinds of which an option is shown where nothing is required.
OPTIONS_SHOWN = frozenset({"layers", "activations", "heads", "augmentations", "optimizers"})
#: The parts that an option is shown with, where they take it.
MAIN = ("TableData", "AdamW", "CosineAnnealingLR")


class _Flow(dict[str, Any]):
    """A mapping that is written in one line."""


class _Writer(Dumper):
    """Writes configs as people do: short mappings in one line."""


_Writer.add_representer(
    _Flow, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value.items(), flow_style=True)
)


def example(part: Part) -> str | None:
    """Return YAML to paste into a config: the part with the sections around it, and what it has to be given.

    ``None`` where it has to be given what a config can't write.
    """
    config = SECTION_EXAMPLES[part.name] if part.kind == SECTION else _key(part) if part.kind == KEY else _part(part)
    if config is None:
        return None
    text: str = yaml.dump(config, Dumper=_Writer, sort_keys=False, allow_unicode=True)
    return text


def _part(part: Part) -> dict[str, Any] | None:
    """Return a part where a config has it."""
    arguments = _arguments(part)
    if arguments is None:
        return None
    name = part.name
    named = {name: _lone(part.signature, arguments)} if arguments else name
    class_given: dict[str, Any] = {"class_path": name}
    if arguments:
        class_given["init_args"] = _Flow(arguments)
    match part.kind:
        case "layers":
            return {"model": {"layers": [named] if _can_be_last(named) else [named, {"dense": 64}]}}
        case "activations":
            dense = {"dense": _Flow({"units": 64, "activation": named})}
            return {"model": {"layers": [dense, {"dense": 64}]}}
        case "problems":
            return {"model": {"problem": name}}
        case "heads":
            return {"model": {"problem": name, "head": _Flow(arguments)}}
        case "augmentations":
            return {"data": {"init_args": {"augment": [named]}}}
        case "data":
            return {"data": class_given}
        case "optimizers":
            return {"model": {"optimizer": class_given}}
        case "schedulers":
            return {"model": {"lr_scheduler": class_given}}
    key = part.kind if part.kind in ("callbacks", "plugins") else ONE[part.kind]
    is_name = part.about or key == part.kind  # where the Trainer has names of its own, a class is not named alone
    value = name if is_name and not arguments else class_given
    return {"trainer": {key: [value] if key == part.kind else value}}


def _arguments(part: Part) -> dict[str, Any] | None:
    """Return what a part has to be given, and what shows best how it is given; ``None`` if no config can."""
    if part.kind == "data" and part.name in DATA:
        return DATA[part.name]
    arguments = {each.name: _value(each) for each in part.signature.parameters if each.required}
    if None in arguments.values():
        return None
    if part.kind in OPTIONS_SHOWN and not arguments:
        shown = (each for each in part.signature.parameters if _is_plain(each.default))
        arguments = {each.name: _value(each) for each in [next(shown, None)] if each}
    return arguments


def _key(part: Part) -> dict[str, Any] | None:
    """Return a key with the sections around it, and the class that takes it."""
    (parameter,) = part.signature.parameters
    value = _value(parameter)
    *above, name = part.name.split(".")
    takers = part.facts.get(TAKEN_BY, "").split(", ")
    if value is None:
        return None
    if isinstance(value, bool) and value is parameter.default:
        value = not value  # what is so anyway need not be written
    if above == ["model", "lr_scheduler"] and takers == [""]:
        return {"model": {"lr_scheduler": {"class_path": "ReduceLROnPlateau", name: value}}}
    if takers != [""]:
        kind = {"data": "data", "optimizer": "optimizers", "lr_scheduler": "schedulers"}[above[-1]]
        taker = KINDS[kind].parts()[next((each for each in MAIN if each in takers), takers[0])]
        config = _part(taker)
        below = config
        for each in (*above, "init_args"):
            below = below.setdefault(each, _Flow()) if below is not None else None
        if below is not None:
            below[name] = value
        return config
    around = [*above, "init_args"] if above == ["data"] and name != "class_path" else above
    config = {name: value}
    for each in reversed(around):
        config = {each: config}
    return config


def _value(parameter: Parameter) -> Any:
    """Return a value that a parameter takes; ``None`` if a config can't write one."""
    sensible = [SENSIBLE[parameter.name]] if parameter.name in SENSIBLE else []
    default = [parameter.default] if _is_plain(parameter.default) else []
    choices = [value for kind in _leaves(parameter.type) if typing.get_origin(kind) is typing.Literal
               for value in typing.get_args(kind)]  # fmt: skip
    return next((value for value in (*sensible, *default, *choices, *CANDIDATES) if _fits(parameter, value)), None)


def _fits(parameter: Parameter, value: Any) -> bool:
    """Return whether lightlab takes a value: by the check that configs are held against."""
    if parameter.type is Any:  # nothing is known of it
        return value in (parameter.default, SENSIBLE.get(parameter.name))
    from lightlab.config.classes import check_arguments

    signature = Signature(parameter.name, "", (parameter,))
    try:
        check_arguments(signature, {parameter.name: value}, (), name=parameter.name)
    except ConfigError:
        return False
    return True


def _leaves(kind: Any) -> Iterator[Any]:
    """Return the alternatives of a type."""
    if typing.get_origin(kind) in (typing.Union, UnionType):
        for part in typing.get_args(kind):
            yield from _leaves(part)
    else:
        yield kind


def _is_plain(default: Any) -> bool:
    """Return whether a default says how a value looks."""
    return isinstance(default, bool | int | float | str | list | tuple) and not isinstance(default, Code)


def _lone(signature: Signature, arguments: Mapping[str, Any]) -> Any:
    """Return arguments as a layer has them: the first parameter's value may stand alone."""
    first = signature.parameters[0]
    if list(arguments) == [first.name] and (first.required or len(signature.parameters) == 1):
        return arguments[first.name]
    return _Flow(arguments)


def _can_be_last(layer: Any) -> bool:
    from lightlab.build import check_last_layer
    from lightlab.specs import parse_layers

    try:
        check_last_layer(parse_layers([layer], ()), None, None)
    except ConfigError:
        return False
    return True
