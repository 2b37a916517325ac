"""What a config's ``model`` section says, checked as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lightlab.data_spec import TargetSpec
from lightlab.errors import ConfigError, Fault, Key, RegistryError, collect
from lightlab.optim import OptimizerSpec, SchedulerSpec, parse_optimizer, parse_scheduler
from lightlab.registry import HEADS, PROBLEMS
from lightlab.specs import LayerSpec, check_parameters, parse_layers

KEY: Key = ("model",)
#: What a head is given by `lightlab.module.Model`; a config can't.
GIVEN_TO_HEADS = ("in_features", "target")


@dataclass(frozen=True)
class ModelSpec:
    """The parts of a model.

    Attributes:
        layers: in order, without the head.
        optimizer: what trains them.
        scheduler: of the learning rate; ``None`` for a constant one.
        problem: the name of the problem's type; ``None`` to infer it from the target.
        head: arguments of the problem's head.
    """

    layers: tuple[LayerSpec, ...]
    optimizer: OptimizerSpec
    scheduler: SchedulerSpec | None = None
    problem: str | None = None
    head: Mapping[str, Any] = field(default_factory=dict)


def parse_model(
    layers: Any, problem: Any = None, head: Any = None, optimizer: Any = "AdamW", lr_scheduler: Any = None
) -> ModelSpec:
    """Read a model; the parameters are those of `lightlab.module.Model`.

    Raises:
        ConfigError: with every fault.
    """
    faults: list[Fault] = []
    parts: dict[str, Any] = {"layers": (), "optimizer": None}
    with collect(faults):
        parts["layers"] = parse_layers(layers, (*KEY, "layers"))
    with collect(faults):
        parts["optimizer"] = parse_optimizer(optimizer, (*KEY, "optimizer"))
    with collect(faults):
        if lr_scheduler is not None:
            parts["scheduler"] = parse_scheduler(lr_scheduler, (*KEY, "lr_scheduler"))
    with collect(faults):
        if head is not None and not isinstance(head, Mapping):
            raise ConfigError.at((*KEY, "head"), f"head is a mapping of its arguments. Received: {head!r}.")
    with collect(faults):
        if problem is not None:
            parts["head"] = parse_head(problem, head if isinstance(head, Mapping) else None)
    if faults:
        raise ConfigError(faults)
    return ModelSpec(**parts, problem=problem)


def parse_head(problem: Any, head: Any) -> dict[str, Any]:
    """Read the arguments of a problem's head.

    Raises:
        ConfigError: with every fault.
    """
    if not isinstance(problem, str):
        raise ConfigError.at(
            (*KEY, "problem"), f"problem is a name: {', '.join(PROBLEMS.names())}. Received: {problem!r}."
        )
    try:
        component = HEADS.get(PROBLEMS.get(problem).name)
    except RegistryError as error:
        raise ConfigError.at((*KEY, "problem"), str(error)) from error
    place = (*KEY, "head")
    options = check_parameters(component, head, place, name=f"the {problem} head", hidden=GIVEN_TO_HEADS)
    if PROBLEMS.get(problem).target == "numbers":  # of classes only the data says how many there are
        quantities = max((len(value) for value in options.values() if isinstance(value, list)), default=1) or 1
        names = tuple(f"target {number}" for number in range(quantities))
        target = TargetSpec(names, mean=(0.0,) * quantities, std=(1.0,) * quantities, rows=1)
        try:
            component(1, target=target, **options)
        except (ValueError, TypeError, RuntimeError) as cause:
            raise ConfigError.at(place, str(cause)) from cause
    return options
