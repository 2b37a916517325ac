"""What layers raise, as faults of a config: which layer it was, and where in its code."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Iterable
from types import FrameType
from typing import Any, TypeVar, cast

import torch
from torch import nn

from lightlab.errors import ConfigError, Key, LightlabError, place_in_code
from lightlab.names import module_key
from lightlab.training.culprit import config_paths
from lightlab.training.memory import is_out_of_memory

Method = TypeVar("Method", bound=Callable[..., Any])

#: Of layers.
RULE = "A layer returns a batch of as many rows as it got"


def names_layer(method: Method) -> Method:
    """Have what is raised in the layers or the head while a method of the model runs name the innermost of the config.

    What goes on as it is: errors of lightlab's, those that say that no memory is left, and those that come from outside
    of the layer: of a device, which tells of them later, and of other processes. A StopIteration is named, too, which
    Lightning would take for the end of the data.

    Args:
        method: whose first argument is inputs, or a batch that begins with them.
    """

    @functools.wraps(method)
    def named(model: Any, *args: Any, **options: Any) -> Any:
        try:
            return method(model, *args, **options)
        except Exception as error:
            given = next(iter((*args, *options.values())))
            inputs = given if isinstance(given, torch.Tensor) else given[0]
            fault = None if _comes_from_elsewhere(error) else _find_fault(model, error, len(inputs))
            if fault is None:
                raise
            raise fault from error

    return cast("Method", named)


def say_raised(name: str, error: Exception, packages: Iterable[str], when: str = "") -> str:
    """Say what a layer has raised, and where in the code of a plugin, if it comes from one.

    Args:
        name: the layer's.
        error: what it has raised.
        packages: the modules that the layer's code is in.
        when: that was.
    """
    text, place = first_line(error), place_in_code(error, packages)
    return f"{name} raised {type(error).__name__}{when}{text and f': {text}'}{place and f' ({place})'}"


def first_line(error: Exception) -> str:
    """Return what an error says, without the stack that may follow where it is torch's."""
    return str(error).strip().split("\n")[0]


def _comes_from_elsewhere(error: Exception) -> bool:
    if isinstance(error, LightlabError | torch.AcceleratorError) or is_out_of_memory(error):
        return True
    frames = (frame for frame, _ in traceback.walk_tb(error.__traceback__))
    return any(frame.f_globals.get("__name__", "").startswith("torch.distributed.") for frame in frames)


def _find_fault(model: Any, error: Exception, rows: int) -> ConfigError | None:
    """Return the fault of the innermost layer, or of the head, that was at work on so many rows; ``None`` if none was.

    What a layer returns shows where it is used: where that can't be a batch, the fault is of the layer before.
    """
    paths = {id(module): path for path, module in model.named_modules() if path.startswith(("network.", "head"))}
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if id(_argument(frame, 0)) in paths]
    if not frames:
        return None
    path, when = paths[id(_argument(frames[-1], 0))], _when(model)
    key = module_key(path)
    own = [frame for frame in frames if module_key(paths[id(_argument(frame, 0))]) == key]
    given = [_argument(frame, 1) for frame in own if frame.f_code.co_argcount > 1][:1]
    if given and given[0] is None and (before := _before(model, path)):
        return ConfigError.at(before, f"{RULE}. Received from {_name(before)}{when}: None.")
    if path.startswith("head") and any(isinstance(each, torch.Tensor) and len(each) != rows for each in given):
        return ConfigError.at(("model", "layers"), f"{RULE}, {rows}. Received from the last{when}: {len(given[0])}.")
    packages = [type(_argument(frame, 0)).__module__ for frame in own]
    return ConfigError.at(key, say_raised(_name(key), error, packages, when))


def _argument(frame: FrameType, number: int) -> Any:
    """Return what a function at work was given, by the argument's number; ``None`` where it takes fewer by name."""
    names = frame.f_code.co_varnames[: frame.f_code.co_argcount]
    return frame.f_locals.get(names[number]) if number < len(names) else None


def _before(model: nn.Module, path: str) -> Key:
    """Return the key of the layer before one, or before the head, in the order of the config; empty where none is."""
    layers = config_paths(model)[1:]  # without preprocessing
    place = next((number for number, each in enumerate(layers) if f"{path}.".startswith(f"{each}.")), 0)
    return module_key(layers[place - 1]) if place else ()


def _name(key: Key) -> str:
    return next(part for part in reversed(key) if isinstance(part, str))


def _when(model: Any) -> str:
    trainer = model._trainer
    if trainer is None or not (trainer.training or trainer.validating):
        return ""
    return f" in step {trainer.global_step + 1}" if trainer.training else " in validation"
