"""What a config says of layers, heads, optimizers and schedulers, checked as soon as it is read.

A component (a registered function, or a class) is described by its own signature: `check_parameters` holds what
the config gives against the annotations, strictly (``"2"`` is no integer), and finds all faults at once.
"""

from __future__ import annotations

import json
import re
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from lightlab.errors import (
    ConfigError,
    Fault,
    Key,
    RegistryError,
    collect,
    did_you_mean,
    format_key,
    sentences,
    surely_meant,
)
from lightlab.layers.parameters import Nested
from lightlab.registry import ACTIVATIONS, LAYERS, Registry
from lightlab.signatures import Signature, signature_of

#: What `lightlab.build` gives to a layer that declares it; a config can't.
INJECTED = frozenset({"input_shape", "build", "vocabulary_size"})

#: The fault of a value for a parameter that takes an object; not said where plain values will do as well.
NO_PLAIN_VALUE = "takes an object, which a config can't write"


@dataclass(frozen=True)
class LayerSpec:
    """One layer of a config.

    Attributes:
        name: a registered name, or ``nn.<Module>``.
        key: where it stands, its name included.
        parameters: what the config gives, checked.
    """

    name: str
    key: Key
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def component(self) -> Callable[..., Any]:
        """The function or class that builds it."""
        return find_layer(self.name)


def find_layer(name: str) -> Callable[..., Any]:
    """Return what builds the layer ``name``, from the registry or, for ``nn.<Module>``, from torch.nn.

    Raises:
        RegistryError: there is none.
    """
    if name.startswith("nn."):
        return _find_torch_module(name)
    return LAYERS.get(name)


def _find_torch_module(name: str) -> Callable[..., Any]:
    from torch import nn

    modules = {
        f"nn.{key}": value
        for key, value in vars(nn).items()
        if isinstance(value, type) and issubclass(value, nn.Module) and value is not nn.Module
    }
    if name not in modules:
        raise RegistryError(sentences(f"torch.nn has no module {name!r}.", did_you_mean(name, modules)))
    return modules[name]


def parse_layers(config: Any, key: Key) -> tuple[LayerSpec, ...]:
    """Read a list of layers.

    Args:
        config: layers, each ``name``, ``{name: value}`` or ``{name: {parameter: value}}``.
        key: where the list stands.

    Raises:
        ConfigError: with every fault of every layer, nested ones too.
    """
    if not isinstance(config, list | tuple):
        raise ConfigError.at(key, f"Layers are a list: one '- name: …' a layer. Received: {config!r}.")
    specs: list[LayerSpec] = []
    faults: list[Fault] = []
    for index, layer in enumerate(config):
        with collect(faults):
            specs.append(parse_component(layer, (*key, index), LAYERS, find_layer))
    if faults:
        raise ConfigError(faults)
    return tuple(specs)


def parse_component(
    config: Any,
    key: Key,
    registry: Registry[Any],
    find: Callable[[str], Callable[..., Any]] | None = None,
) -> LayerSpec:
    """Read one layer or activation: ``name``, ``{name: value}`` or ``{name: {parameter: value}}``.

    Raises:
        ConfigError: with every fault.
    """
    if isinstance(config, Mapping) and len(config) == 1:
        ((name, value),) = config.items()
    else:
        name, value = config, None
    if not isinstance(name, str):
        raise ConfigError.at(
            key, f"One {registry.kind} is 'name', 'name: value' or 'name: {{parameter: value}}'. Received: {config!r}."
        )
    key = (*key, name) if isinstance(config, Mapping) else key
    try:
        component = (find or registry.get)(name)
    except RegistryError as error:
        faults = [Fault(key, str(error))]
        meant = surely_meant(name, registry.names())
        if meant and isinstance(value, Mapping):  # what else is wrong with it is said as well
            with collect(faults):
                check_parameters(registry.get(meant), value, key, name=meant, hidden=INJECTED)
        raise ConfigError(faults) from error
    return LayerSpec(name, key, check_parameters(component, value, key, name=name, hidden=INJECTED))


def check_parameters(
    component: Callable[..., Any] | Signature,
    value: Any,
    key: Key,
    *,
    name: str,
    hidden: Iterable[str] = (),
    optional: Iterable[str] = (),
    beside: Iterable[str] = (),
) -> dict[str, Any]:
    """Hold what a config gives a component against the component's signature.

    Args:
        component: the function or class, or its signature.
        value: a mapping of parameters; ``None``; or a lone value, which goes to the first parameter.
        key: where it stands.
        name: what the config calls the component.
        hidden: parameters that a config can't give.
        optional: parameters that it may leave out, though the signature has no default.
        beside: what else a misspelt parameter may be meant for.

    Returns:
        the parameters that were given, lists as tuples where the signature asks for tuples.

    Raises:
        ConfigError: with every fault, those of nested layers too.
    """
    signature = component if isinstance(component, Signature) else signature_of(component, hidden, optional)
    if value is None:
        value = {}
    if not isinstance(value, Mapping):
        if not signature.parameters:
            raise ConfigError.at(key, f"{name} takes no parameters. Received: {value!r}.")
        value = {signature.names[0]: value}
    faults: list[Fault] = []
    parameters: dict[str, Any] = {}
    try:
        # JSON, since only there does pydantic's strict mode take a list for a tuple.
        parameters = dict(signature.validator.validate_json(json.dumps(value)))
    except ValidationError as error:
        faults += _explain(error, value, key, name=name, known=signature.names, beside=beside)
    except (TypeError, ValueError) as error:
        faults.append(Fault(key, f"{name} takes plain values: numbers, text, lists and mappings. {error}."))
    for parameter in signature.parameters:
        place, given = (*key, parameter.name), value.get(parameter.name)
        if given is not None and not any(fault.key[: len(place)] == place for fault in faults):
            for mark in marks(parameter.type):
                faults += _check_nested(given, place, mark) if isinstance(mark, Nested) else []
    if faults:
        raise ConfigError(faults)
    return parameters


def _check_nested(value: Any, key: Key, kind: Nested) -> list[Fault]:
    faults: list[Fault] = []
    with collect(faults):
        if kind is Nested.LAYERS:
            parse_layers(value, key)
        elif kind is Nested.ACTIVATION:
            parse_component(value, key, ACTIVATIONS)
    if kind is Nested.BRANCHES and isinstance(value, list | tuple):
        for index, branch in enumerate(value):
            faults += _check_nested(branch, (*key, index), Nested.LAYERS)
    return faults


def marks(hint: Any) -> Iterable[Any]:
    """Return what an annotation carries beside its type, through ``| None``."""
    yield from getattr(hint, "__metadata__", ())
    for part in typing.get_args(hint):
        yield from getattr(part, "__metadata__", ())


def _explain(
    error: ValidationError,
    value: Mapping[Any, Any],
    key: Key,
    *,
    name: str,
    known: Iterable[str],
    beside: Iterable[str],
) -> Iterator[Fault]:
    """Say each fault once, in the terms of the config."""
    found: dict[Key, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False):
        found.setdefault(_entry(details["loc"], value), []).append(details)
    # Where an entry of a list is wrong, that is the fault, and not that the list is nothing else that it may be.
    with_entries = {entry[:1] for entry in found if len(entry) > 1}
    for entry, alternatives in found.items():
        parameter, kind = entry[0], alternatives[0]["type"]
        if kind == "extra_forbidden":
            takes = f"It takes {', '.join(known)}." if known else "It takes none."
            near = did_you_mean(parameter, [*known, *beside])
            if parameter in {*beside}:
                near = f"It stands beside class_path: {format_key((*key[:-1], parameter))}."
            yield Fault((*key, *entry), sentences(f"{name} has no parameter {parameter!r}.", near, takes))
        elif kind == "missing" and parameter not in value:
            if not any(did_you_mean(other, [str(parameter)]) for other in value if other not in known):
                yield Fault(key, f"{name} needs {parameter!r}.")  # it is not there under a misspelt name
        elif entry not in with_entries:
            given = value
            for part in entry:
                given = given[part]
            choices = [choice for each in alternatives for choice in _choices(each)]
            rules = dict.fromkeys(rule for rule in map(_rule, alternatives) if rule != NO_PLAIN_VALUE)
            text = f"{name}'s {format_key(entry)} {'; or '.join(rules) or NO_PLAIN_VALUE}. Received: {given!r}."
            yield Fault((*key, *entry), sentences(text, did_you_mean(given, choices)))


def _entry(location: tuple[int | str, ...], value: Mapping[Any, Any]) -> Key:
    """Return the parameter that pydantic speaks of, and the entries of lists in it."""
    first = next((name for name in value if str(name) == str(location[0])), location[0]) if location else ""
    entry: Key = (first,)
    given = value.get(first)
    for part in location[1:]:
        if isinstance(given, list) and isinstance(part, int) and part < len(given):
            entry, given = (*entry, part), given[part]
    return entry


def _rule(details: ErrorDetails) -> str:
    """Return what a value must be."""
    if details["type"] == "missing":
        return "must have more entries"
    if details["type"] in ("needs_python_object", "is_instance_of", "callable_type"):
        return NO_PLAIN_VALUE
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    rule = details["msg"].replace("Input should be", "must be")
    rule = rule.replace("be a valid array", "be a list").replace("be an object", "be a mapping")
    return rule[0].lower() + rule[1:]


def _choices(details: ErrorDetails) -> list[str]:
    """Return the texts to choose from, where a value is none of them."""
    return re.findall(r"'([^']*)'", details["ctx"]["expected"]) if details["type"] == "literal_error" else []
