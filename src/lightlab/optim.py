"""Optimizers and learning-rate schedules of torch.optim, by their short names."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import nn, optim
from torch.optim import lr_scheduler as schedules
from torch.optim.lr_scheduler import LinearLR, LRScheduler, ReduceLROnPlateau, SequentialLR
from torch.optim.optimizer import _global_optimizer_post_hooks, _global_optimizer_pre_hooks

from lightlab.errors import ConfigError, Fault, Key, collect, did_you_mean, sentences, surely_meant
from lightlab.layers.parameters import NonNegative, Positive, PositiveInt, Rate
from lightlab.signatures import Signature, signature_of
from lightlab.specs import check_parameters

Interval = Literal["step", "epoch"]

OPTIMIZERS: dict[str, type[optim.Optimizer]] = {
    name: item
    for name, item in vars(optim).items()
    if isinstance(item, type)
    and issubclass(item, optim.Optimizer)
    and item is not optim.Optimizer
    and item is not optim.SparseAdam  # no layer gives sparse gradients
}
DEFAULT_OPTIMIZER = "AdamW"
SCHEDULERS: dict[str, type[LRScheduler]] = {
    name: item
    for name, item in vars(schedules).items()
    if isinstance(item, type)
    and issubclass(item, LRScheduler)
    and item is not LRScheduler
    and name[0] != "_"
    # These three are made of functions or of other schedulers, which a config can't write.
    and item not in (schedules.LambdaLR, schedules.MultiplicativeLR, schedules.ChainedScheduler, SequentialLR)
}
#: The devices for which torch has one kernel for a whole step of an optimizer.
FUSED_ON = {
    **dict.fromkeys(("Adam", "AdamW", "SGD"), frozenset({"cpu", "cuda", "mps"})),
    "Adagrad": frozenset({"cpu"}),
}
#: What torch's constructors ask of numbers, and their annotations don't say.
RANGES: dict[str, Any] = {
    "lr": NonNegative,
    "weight_decay": NonNegative,
    "momentum": NonNegative,
    "betas": tuple[Rate, Rate],
    "rho": Annotated[float, Field(ge=0, le=1)],
    "T_0": PositiveInt,
    "T_max": PositiveInt,
    "milestones": list[PositiveInt],
    "step_size": PositiveInt,
    "gamma": Positive,
    "factor": Positive,
    "patience": Annotated[int, Field(ge=0)],
    "max_lr": Positive | list[Positive],
    "pct_start": Annotated[float, Field(ge=0, le=1)],
    "total_steps": PositiveInt | None,
}
#: Schedulers that are meant to be moved on after every step.
PER_STEP = frozenset({"OneCycleLR", "CyclicLR"})
#: Arguments that are the training's length unless they are given.
FROM_LENGTH = {"CosineAnnealingLR": "T_max", "OneCycleLR": "total_steps", "PolynomialLR": "total_iters"}


@dataclass(frozen=True)
class OptimizerSpec:
    """An optimizer as a config has it.

    Attributes:
        name: in torch.optim.
        arguments: what the config gives, checked.
    """

    name: str
    arguments: Mapping[str, Any]

    def build(self, parameters: Iterable[nn.Parameter], fuse: bool = True) -> optim.Optimizer:
        """Return the optimizer.

        Args:
            parameters: that it moves.
            fuse: whether one kernel takes the whole step, where torch has such a one and the config doesn't say.

        Raises:
            ConfigError: torch refuses the arguments.
        """
        given = list(parameters)
        kernel = self._kernel({each.device.type for each in given}) if fuse else {}
        try:
            return bare(self.name)(given, **{**self.arguments, **kernel})
        except (TypeError, ValueError, RuntimeError) as cause:
            raise ConfigError.at(("model", "optimizer"), f"{self.name} can't be built: {cause}") from cause

    def _kernel(self, devices: set[str]) -> dict[str, bool]:
        """Return the argument that has one kernel take a whole step, where torch has such a one on these devices."""
        given = self.arguments
        is_open = given.get("fused") is None and given.get("foreach") is None
        plain = not (given.get("capturable") or given.get("differentiable"))
        known = devices <= FUSED_ON.get(self.name, frozenset())
        return {"fused": True} if is_open and plain and known else {}


@cache
def bare(name: str) -> type[optim.Optimizer]:
    """Return an optimizer of torch's without what torch wraps around its methods; it does the same, to the bit.

    The wrappers record each step for a profiler, and tell torch.compile to stay away. That costs a small network a
    third of its time, and at the first call the import of torch._dynamo, a second.
    """
    kind = OPTIMIZERS[name]
    names = ("add_param_group", "load_state_dict", "state_dict")
    plain = torch.no_grad()(inspect.unwrap(kind.step))
    with_hooks = optim.Optimizer.profile_hook_step(plain)
    for_all = _global_optimizer_pre_hooks, _global_optimizer_post_hooks

    def step(self: Any, *arguments: Any, **options: Any) -> Any:
        hooked = self._optimizer_step_pre_hooks or self._optimizer_step_post_hooks or any(for_all)
        return (with_hooks if hooked else plain)(self, *arguments, **options)

    def zero_grad(self: Any, set_to_none: bool = True) -> None:
        if not set_to_none:
            inspect.unwrap(kind.zero_grad)(self, set_to_none)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

    step.hooked = True  # type: ignore[attr-defined]  # or torch would wrap it, too
    methods = {name: inspect.unwrap(getattr(kind, name)) for name in names}
    # At every step it asks the driver whether there is a GPU, whose graphs can't hold every optimizer; here none does.
    checks = ("_accelerator_graph_capture_health_check", "_cuda_graph_capture_health_check")  # the latter before 2.12
    unchecked = {name: lambda self: None for name in checks if hasattr(kind, name)}
    own = {"step": step, "zero_grad": zero_grad, "__module__": kind.__module__}
    return type(kind.__name__, (kind,), methods | unchecked | own)


@dataclass(frozen=True)
class SchedulerSpec:
    """A learning-rate schedule as a config has it.

    Attributes:
        name: in torch.optim.lr_scheduler; ``None`` for a constant rate (after the warm-up).
        arguments: what the config gives, checked.
        interval: whether the schedule moves on after each step or each epoch; ReduceLROnPlateau always waits for the
            epoch, whose metrics it needs.
        warmup: over how many of these the rate first rises, linearly.
        monitor: what ReduceLROnPlateau watches; ``None`` for what the problem watches.
    """

    name: str | None
    arguments: Mapping[str, Any]
    interval: Interval
    warmup: int
    monitor: str | None

    @property
    def follows_length(self) -> bool:
        """Whether the schedule is as long as the training, since the config gives no other length."""
        argument = FROM_LENGTH.get(self.name or "")
        return argument is not None and not {"epochs", "steps_per_epoch", argument} & self.arguments.keys()

    def build(
        self, optimizer: optim.Optimizer, length: Callable[[Interval], int], monitor: str, mode: str, every: int = 1
    ) -> list[dict[str, Any]]:
        """Return what Lightning takes for ``lr_scheduler``, a dictionary each.

        Args:
            optimizer: whose learning rate is set.
            length: returns how many steps or epochs the training has; called only where that is needed.
            monitor: what ReduceLROnPlateau watches unless the config says.
            mode: whether less (``min``) or more (``max``) of it is better.
            every: in how many epochs there is a validation, for ReduceLROnPlateau to see.

        Raises:
            ConfigError: torch refuses the arguments.
        """
        # Factor 1/(n + 1) at the start and 1 after n moves: the n-th part of the rate is never zero.
        rise = self.warmup and LinearLR(optimizer, start_factor=1 / (self.warmup + 1), total_iters=self.warmup)
        if self.name is None:
            return [{"scheduler": rise, "interval": self.interval}] if rise else []
        arguments = {**self._defaults(length, mode), **self.arguments}
        try:
            main: Any = SCHEDULERS[self.name](optimizer, **arguments)
        except (TypeError, ValueError, ArithmeticError) as cause:
            raise ConfigError.at(("model", "lr_scheduler"), f"{self.name} can't be built: {cause}") from cause
        entry: dict[str, Any] = {"scheduler": main, "interval": self.interval}
        if isinstance(main, ReduceLROnPlateau):
            watched = self.monitor or monitor
            frequency = every if watched.startswith("val/") else 1
            entry |= {"interval": "epoch", "monitor": watched, "frequency": frequency}
            return [{"scheduler": rise, "interval": self.interval}, entry] if rise else [entry]
        if rise:
            entry["scheduler"] = SequentialLR(optimizer, [rise, main], milestones=[self.warmup])
        return [entry]

    def _defaults(self, length: Callable[[Interval], int], mode: str) -> dict[str, Any]:
        """Return the arguments that follow from the training's length, where the config leaves them out."""
        if self.name == "ReduceLROnPlateau":
            return {"mode": mode}
        if not self.follows_length:
            return {}
        return {FROM_LENGTH[self.name or ""]: max(length(self.interval) - self.warmup, 1)}


def parse_optimizer(config: Any, key: Key) -> OptimizerSpec:
    """Read ``AdamW``, ``{class_path: AdamW, init_args: {lr: 0.001}}``, or ``{lr: 0.001}`` for the default's.

    Raises:
        ConfigError: with every fault.
    """
    if isinstance(config, Mapping) and config:  # arguments alone are for the default
        config = {"class_path": DEFAULT_OPTIMIZER, **config}
    return OptimizerSpec(*_parse_class(config, key, OPTIMIZERS, "optimizer"))


def parse_scheduler(config: Any, key: Key) -> SchedulerSpec:
    """Read ``CosineAnnealingLR``, or ``{class_path: …, init_args: {…}, interval: …, warmup: …, monitor: …}``.

    Raises:
        ConfigError: with every fault.
    """
    options: dict[str, Any] = {}
    if isinstance(config, Mapping):
        options = {name: config[name] for name in ("interval", "warmup", "monitor") if name in config}
        config = {name: value for name, value in config.items() if name not in options}
    faults: list[Fault] = []
    with collect(faults):
        check_parameters(scheduler_options, options, key, name="lr_scheduler")
    name: str | None = None
    arguments: dict[str, Any] = {}
    with collect(faults):
        if config:
            beside = signature_of(scheduler_options).names
            name, arguments = _parse_class(config, key, SCHEDULERS, "learning-rate scheduler", beside)
    if faults:
        raise ConfigError(faults)
    if name is None and not options.get("warmup"):
        raise ConfigError.at(key, "lr_scheduler has a class_path, or warmup: N, or both. Received neither.")
    interval: Interval = options.get("interval") or ("step" if name in PER_STEP else "epoch")
    return SchedulerSpec(name, arguments, interval, options.get("warmup", 0), options.get("monitor"))


def _parse_class(
    config: Any, key: Key, known: Mapping[str, type], what: str, beside: Iterable[str] = ()
) -> tuple[str, dict[str, Any]]:
    """Read a class of torch's, and its arguments; what is wrong with these is said of a misspelt class, too."""
    name, arguments = _class_and_arguments(config, key)
    faults: list[Fault] = []
    if name not in known:
        near = did_you_mean(name, known) or f"There are: {', '.join(sorted(known))}."
        faults.append(Fault((*key, "class_path"), sentences(f"No {what} is called {name!r}.", near)))
    meant = name if name in known else surely_meant(name, known)
    with collect(faults):
        if meant == name or (meant and arguments):
            arguments = check_parameters(
                class_signature(known[meant]), arguments, (*key, "init_args"), name=meant, beside=beside
            )
    if faults:
        raise ConfigError(faults)
    return name, arguments


def class_signature(item: type) -> Signature:
    """Return what a config gives an optimizer or schedule of torch's, numbers with their ranges."""
    # What they are called with, and the lengths that follow from the training, need not be given.
    return _ranged(signature_of(item, {"params", "optimizer"}, FROM_LENGTH.values()))


@cache  # so that one validator is made of each
def _ranged(signature: Signature) -> Signature:
    return signature.with_types(RANGES)


def scheduler_options(
    interval: Interval = "epoch", warmup: Annotated[int, Field(ge=0)] = 0, monitor: str | None = None
) -> None:
    """Stand for what ``lr_scheduler`` takes beside a scheduler's own arguments."""


def _class_and_arguments(config: Any, key: Key) -> tuple[str, dict[str, Any]]:
    if isinstance(config, str):
        return _short_name(config), {}
    if not isinstance(config, Mapping) or not isinstance(config.get("class_path"), str):
        raise ConfigError.at(key, f"{key[-1]} is a name, or has a class_path and init_args. Received: {config!r}.")
    given = config.get("init_args") or {}
    if not isinstance(given, Mapping):
        raise ConfigError.at((*key, "init_args"), f"init_args are 'argument: value' pairs. Received: {given!r}.")
    # An argument beside class_path is how `--model.optimizer.lr 0.01` arrives; it wins.
    beside = {name: value for name, value in config.items() if name not in ("class_path", "init_args")}
    return _short_name(config["class_path"]), {**given, **beside}


def _short_name(name: str) -> str:
    """Return the name without the path that it has in torch."""
    return name.removeprefix("torch.optim.").removeprefix("lr_scheduler.")
