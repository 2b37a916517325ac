"""From specs and the shape of what comes in to a network; every shape error is raised here, and names its layer."""

from __future__ import annotations

import copy
import inspect
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn.modules.module import (
    register_module_module_registration_hook,
    register_module_parameter_registration_hook,
)
from torch.nn.parameter import UninitializedParameter

from lightlab.errors import ConfigError, Key, LightlabError, ShapeError, place_in_code
from lightlab.layer_faults import first_line, say_raised
from lightlab.layers.base import activation_name
from lightlab.layers.parameters import Shape
from lightlab.layers.stack import Stack
from lightlab.problems import Problem
from lightlab.specs import LayerSpec, parse_layers
from lightlab.training.memory import free_host_memory

#: More modules than this no network has that somebody trains; `repeat` within `repeat` may.
MOST_MODULES = 10_000
#: Weights are there twice at least: when a layer is tried out, and in training beside their gradients.
COPIES = 2
#: Layers that leave the activation before them the last.
PASSING = frozenset(
    {"alpha_dropout", "dropout", "flatten", "gaussian_noise", "linear", "nn.Dropout", "nn.Flatten", "nn.Identity"}
)
#: What torch raises where a layer can't be built so, or does not fit.
OF_TORCH = (TypeError, ValueError, RuntimeError, AssertionError, ArithmeticError, IndexError)
#: What is said where the codes of a text's words reach layers that compute.
CODES = "Codes of words become vectors first: put an embedding before layers that compute."


@contextmanager
def affordable(key: Key = ("model", "layers")) -> Iterator[None]:
    """Build what is built inside as long as there is memory for its parameters, which are refused before they take any.

    Args:
        key: where in the config the parts stand, for messages.

    Raises:
        ConfigError: they are too large, or too many.
    """
    left, free, modules = free_host_memory(), free_host_memory(), 0

    def weigh(module: nn.Module, name: str, parameter: nn.Parameter | None) -> None:
        nonlocal left
        if left is None or parameter is None or parameter.is_meta or isinstance(parameter, UninitializedParameter):
            return
        left -= COPIES * parameter.nbytes
        if left < 0:
            rule = f"A model and its gradients fit into memory, of which {free:,} bytes are free."
            shape = tuple(parameter.shape)
            raise ConfigError.at(key, f"{rule} Received: a {type(module).__name__} whose {name} is of shape {shape}.")

    def count(*_: object) -> None:
        nonlocal modules
        modules += 1
        if modules > MOST_MODULES:
            raise ConfigError.at(key, f"A model has at most {MOST_MODULES:,} modules. Received: more.")

    with register_module_parameter_registration_hook(weigh), register_module_module_registration_hook(count):
        yield


def build_network(
    layers: list[Any], input_shape: Shape, key: Key = ("layers",), *, vocabulary_size: int | None = None
) -> tuple[nn.Sequential, Shape]:
    """Build a list of layers, as a config has it.

    Args:
        layers: each ``name``, ``{name: value}`` or ``{name: {parameter: value}}``.
        input_shape: the shape of one sample, without the batch.
        key: where the list stands in the config, for messages.
        vocabulary_size: how many codes of words there are; ``None`` where the inputs are no text.

    Returns:
        the network, whose children are called after the layers and their places in the list; and the shape of
        one sample as it leaves.

    Raises:
        ConfigError: a layer that does not exist, or parameters that it does not take.
        ShapeError: a layer that does not fit what arrives at it.

    Example:
        >>> network, shape = build_network([{"dense": {"units": 25, "activation": "relu"}}, {"dropout": 0.2}], (14,))
        >>> list(dict(network.named_children())), shape
        (['0_dense', '1_dropout'], (25,))
    """
    return build_layers(parse_layers(layers, key), input_shape, vocabulary_size)


def build_layers(
    specs: tuple[LayerSpec, ...], input_shape: Shape, vocabulary_size: int | None = None, codes_on: str = "cpu"
) -> tuple[nn.Sequential, Shape]:
    """Build layers that were checked already; see `build_network`.

    Args:
        specs: the layers.
        input_shape: of one sample.
        vocabulary_size: how many codes of words there are.
        codes_on: the device that these are tried out on: ``meta`` takes no memory, and tells no code from a number.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    batch, before = _example(input_shape, vocabulary_size, codes_on), "the input"
    for index, spec in enumerate(specs):
        module = build_layer(spec, tuple(batch.shape[1:]), before, vocabulary_size, codes_on)
        batch = _run(module, batch, spec, before)
        if vocabulary_size is None or batch.is_floating_point():  # no codes, or no longer
            batch, vocabulary_size = _example(tuple(batch.shape[1:])), None
        modules[f"{index}_{spec.name.replace('.', '_')}"] = module
        before = spec.name
    if vocabulary_size is not None:
        raise ShapeError.at(specs[-1].key if specs else (), f"{CODES} Received: codes from {before}.")
    return Stack(modules), tuple(batch.shape[1:])


def build_layer(
    spec: LayerSpec, input_shape: Shape, before: str, vocabulary_size: int | None = None, codes_on: str = "cpu"
) -> nn.Module:
    """Build one layer for what arrives at it.

    Raises:
        ShapeError: it takes inputs of another rank.
        ConfigError: its own constructor refuses; what that said is in the message, and attached.
    """
    component = spec.component
    layouts: tuple[str, ...] = getattr(component, "expects", ())
    if layouts and len(input_shape) not in {layout.count(",") + 1 for layout in layouts}:
        wanted = " or ".join(f"rank {layout.count(',') + 2} (batch, {layout})" for layout in layouts)
        raise ShapeError.at(spec.key, f"{spec.name} needs {wanted}. Received: {_batched(input_shape)} after {before}.")
    injected: dict[str, Any] = {
        "input_shape": input_shape,
        "build": partial(_build_nested, spec, vocabulary_size, codes_on),
        "vocabulary_size": vocabulary_size,
    }
    wanted_names = inspect.signature(component).parameters.keys() & injected.keys()
    try:
        module = component(**spec.parameters, **{name: injected[name] for name in wanted_names})
    except (LightlabError, MemoryError):
        raise
    except Exception as cause:  # whatever a layer of one's own makes of it
        reason = _reason(cause, component)
        raise ConfigError.at(
            spec.key, f"{spec.name} can't be built for {_batched(input_shape)} after {before}: {reason}"
        ) from cause
    if not isinstance(module, nn.Module):
        raise ConfigError.at(spec.key, f"A layer returns an nn.Module. Received from {spec.name}: {module!r}.")
    return module


def _build_nested(
    outer: LayerSpec,
    vocabulary_size: int | None,
    codes_on: str,
    layers: list[Any],
    input_shape: Shape,
    *where: str | int,
) -> tuple[nn.Module, Shape]:
    return build_layers(parse_layers(layers, (*outer.key, *where)), input_shape, vocabulary_size, codes_on)


def output_shape(module: nn.Module, input_shape: Shape, spec: LayerSpec, before: str) -> Shape:
    """Run a copy on the meta device, which holds shapes and no values, and return the shape of one sample.

    Raises:
        ShapeError: the layer can't take the input, or returns no batch.
    """
    return tuple(_run(module, _example(input_shape), spec, before).shape[1:])


def _example(input_shape: Shape, vocabulary_size: int | None = None, codes_on: str = "cpu") -> torch.Tensor:
    """Return a batch: of numbers without values; or of codes, where there is a vocabulary."""
    if vocabulary_size is None:
        return torch.empty(2, *input_shape, device="meta")
    return torch.zeros(2, *input_shape, dtype=torch.long, device=codes_on)


def _run(module: nn.Module, batch: torch.Tensor, spec: LayerSpec, before: str) -> torch.Tensor:
    # On the meta device weights would multiply codes without a word, which they can't where there are values.
    try:
        probe = copy.deepcopy(module).to(batch.device).eval()
        with torch.no_grad():
            outputs = probe(batch)
    except (LightlabError, MemoryError):
        raise
    except Exception as cause:  # whatever a layer of one's own makes of it
        reason = _reason(cause, spec.component) if batch.is_floating_point() else CODES
        raise ShapeError.at(
            spec.key, f"{spec.name} can't take {_batched(batch.shape[1:])} after {before}: {reason}"
        ) from cause
    if not isinstance(outputs, torch.Tensor) or outputs.shape[:1] != batch.shape[:1]:
        received = tuple(outputs.shape) if isinstance(outputs, torch.Tensor) else type(outputs).__name__
        raise ShapeError.at(spec.key, f"A layer returns a batch of as many rows as it got, 2. Received: {received}.")
    if 0 in outputs.shape:
        raise ShapeError.at(
            spec.key,
            f"{spec.name} leaves nothing of {_batched(batch.shape[1:])} after {before}: {_batched(outputs.shape[1:])}.",
        )
    return outputs


def check_learns_from_one(
    specs: tuple[LayerSpec, ...], network: nn.Sequential, input_shape: Shape, vocabulary_size: int | None = None
) -> None:
    """Refuse layers that can't be trained on one row at a time, such as batch norm after a dense layer.

    Args:
        specs: of the layers.
        network: as `build_layers` has built it of them.
        input_shape: of one sample.
        vocabulary_size: how many codes of words there are; ``None`` where the inputs are no text.

    Raises:
        ConfigError: with the first such layer.
    """
    batch = _example(input_shape, vocabulary_size)[:1]
    for spec, module in zip(specs, network, strict=True):
        try:
            with torch.no_grad():
                outputs = copy.deepcopy(module).to(batch.device).train()(batch)
        except ValueError as cause:
            raise ConfigError.at(
                spec.key,
                f"{spec.name} can't learn from one row at a time: {first_line(cause)}. Received: a step in which a "
                f"process has one row. Set data.batch_size to at least 2 for each process, or take layer_norm or "
                f"group_norm.",
            ) from cause
        batch = torch.empty_like(outputs, device="meta") if outputs.is_floating_point() else outputs


def check_last_layer(specs: tuple[LayerSpec, ...], outputs: int | None, problem: Problem | None) -> None:
    """Refuse a last layer that does the head's work: Keras' habit of ending in ``dense(C, activation="softmax")``.

    Args:
        specs: the layers.
        outputs: how many the head has; ``None`` where only the data says it.
        problem: says what the head applies; ``None`` where only the data says it.

    Raises:
        ConfigError: the last layer is a softmax, or a sigmoid over as many units as the head has.
    """
    last = next((spec for spec in reversed(specs) if spec.name not in PASSING), None)
    if last is None:
        return
    if last.name == "repeat":
        check_last_layer(parse_layers(last.parameters["layers"], (*last.key, "layers")), outputs, problem)
        return
    name = activation_name(last.parameters.get("activation")) or last.name
    units = next((spec.parameters["units"] for spec in reversed(specs) if "units" in spec.parameters), None)
    key = (*last.key, "activation") if "activation" in last.parameters else last.key
    if name in {"softmax", "log_softmax", "nn.Softmax", "nn.LogSoftmax"} or (
        name in {"sigmoid", "nn.Sigmoid"} and (units[-1:] if isinstance(units, list) else [units]) == [outputs]
    ):
        adds = f"problem {problem.name} adds it ({problem.output})" if problem else "the problem adds it"
        raise ConfigError.at(
            key,
            f"The head is not written: {adds} after the last layer. Received: {name} at the end. Leave this layer out, "
            "or give it another activation.",
        )


def _reason(cause: Exception, component: Any) -> str:
    """Return what an error of torch's says; of one of a plugin's also what it is, and where it was raised."""
    packages = [getattr(component, "__module__", "")]
    is_foreign = place_in_code(cause, packages) or not isinstance(cause, OF_TORCH)
    return say_raised("it", cause, packages) if is_foreign else first_line(cause)


def _batched(shape: Sequence[int]) -> str:
    return f"(batch, {', '.join(map(str, shape))})"
