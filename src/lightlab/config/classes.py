"""The classes that a config can name: Lightning's own, lightlab's, and those of plugins.

What a config names is looked up in lists of what there is. Nothing is imported because a config names it, and a config
can't make the lists longer: that takes an installed plugin, or ``--plugin`` on the command line.
"""

from __future__ import annotations

import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from lightlab.config.sources import spell_class
from lightlab.errors import ConfigError, Fault, Key, collect, did_you_mean, sentences, surely_meant
from lightlab.registry import plugin_modules
from lightlab.signatures import Signature, read_signature, signature_of
from lightlab.signatures.source import Reference, read_module
from lightlab.specs import check_parameters

#: What classes of Lightning's pass further arguments on to, and which of them they give themselves.
PASSED_ON = {
    "EMAWeightAveraging": ("torch.optim.swa_utils.AveragedModel", frozenset({"model", "device", "multi_avg_fn"})),
    "WeightAveraging": ("torch.optim.swa_utils.AveragedModel", frozenset({"model", "device"})),
    "DDPStrategy": (
        "torch.nn.parallel.distributed.DistributedDataParallel",
        frozenset({"module", "device_ids", "output_device", "process_group"}),
    ),
    "PyTorchProfiler": (
        "torch.profiler.profiler.profile",
        frozenset({"activities", "experimental_config", "execution_trace_observer"}),  # objects
    ),
    "TensorBoardLogger": ("torch.utils.tensorboard.writer.SummaryWriter", frozenset({"log_dir"})),
}
#: Exported classes that are bases of others, that take functions, or that ask for a model or Trainer of another make.
UNFINISHED = frozenset(
    {
        "BackboneFinetuning",
        "BaseFinetuning",
        "BasePredictionWriter",
        "Checkpoint",
        "LambdaCallback",
        "LearningRateFinder",
        "ParallelStrategy",
        "ProgressBar",
        "Rows",
    }
)


@dataclass(frozen=True)
class Family:
    """Classes of one kind.

    Attributes:
        name: the kind, in words.
        home: the package whose ``__all__`` lists those that everyone has.
        bases: what they derive from; annotations name one of these.
    """

    name: str
    home: str
    bases: frozenset[str]

    def names(self) -> dict[str, str]:
        """Return the short name of each class, with its path: those that everyone has, and those of plugins."""
        own = {name: f"{self.home}.{name}" for name in self._exported()}
        return own | {found.__name__: f"{found.__module__}.{found.__qualname__}" for found in self._of_plugins()}

    def find(self, name: str, key: Key) -> Signature:
        """Return the signature of the class that a config calls by a short name or by its path.

        Raises:
            ConfigError: there is none.
        """
        for found in self._of_plugins():
            if name in (found.__name__, f"{found.__module__}.{found.__qualname__}"):
                return read_signature(f"{found.__module__}.{found.__qualname__}") or signature_of(found)
        short = name.rsplit(".", 1)[-1]
        if short in self._exported():
            signature = read_signature(f"{self.home}.{short}")
            if signature and name in (short, f"{self.home}.{short}", signature.path):
                return _with_passed_on(signature)
        names = self.names()
        near = did_you_mean(short, names) or f"There are: {', '.join(sorted(names))}."
        module = name.rpartition(".")[0]
        own = f"For a class of your own, call lightlab with --plugin {module}." if module else ""
        raise ConfigError.at(key, sentences(f"No {self.name} is called {name!r}.", near, own))

    def _exported(self) -> list[str]:
        home = read_module(self.home)
        names = home.exported if home else []
        return [name for name in names if name[0].isupper() and name not in self.bases | UNFINISHED]

    def _of_plugins(self) -> Iterator[type]:
        for name, module in plugin_modules().items():
            for found in list(vars(module).values()):
                if (
                    inspect.isclass(found)
                    and found.__module__ == name
                    and self.bases & {base.__name__ for base in found.__mro__[1:]}
                ):
                    yield found


def _with_passed_on(signature: Signature) -> Signature:
    """Return a signature with what the class passes on to one of torch's."""
    path, own = PASSED_ON.get(signature.name, ("", frozenset[str]()))
    target = read_signature(path) if path else None
    if target is None:
        return signature
    others = target.without({*signature.names, *own})
    return replace(signature, parameters=(*signature.parameters, *others.parameters), open_ended=others.open_ended)


DATA = Family("data source", "lightlab.data", frozenset({"Data"}))
FAMILIES = (
    DATA,
    Family("callback", "lightning.pytorch.callbacks", frozenset({"Callback"})),
    Family("logger", "lightning.pytorch.loggers", frozenset({"Logger"})),
    Family("strategy", "lightning.pytorch.strategies", frozenset({"Strategy"})),
    Family("accelerator", "lightning.pytorch.accelerators", frozenset({"Accelerator"})),
    Family("profiler", "lightning.pytorch.profilers", frozenset({"Profiler"})),
    Family(
        "plugin of the Trainer",
        "lightning.pytorch.plugins",
        frozenset({"Precision", "CheckpointIO", "ClusterEnvironment", "LayerSync"}),
    ),
)


def default_mode(path: str) -> Any:
    """Return the ``mode`` that a class has by default; ``None`` where it has no such argument."""
    signature = read_signature(path)
    mode = signature.get("mode") if signature else None
    return mode.default if mode else None


class ClassSpec(dict[str, Any]):
    """A class that a config names at a place for classes, looked up and checked: ``class_path`` and ``init_args``.

    Only these are ever imported and made; a mapping that merely looks like one, anywhere else, is a mapping.
    """


def check_class(value: Any, key: Key, family: Family) -> ClassSpec:
    """Read a class that a config names, with its arguments: ``Name``, or ``{class_path: Name, init_args: {…}}``.

    Returns:
        the long form, with the whole path of the class; likewise inside its arguments.

    Raises:
        ConfigError: with every fault.
    """
    given = spell_class(value)
    if not isinstance(given, Mapping) or not isinstance(given.get("class_path"), str):
        rule = f"A {family.name} is a name, or has a class_path and init_args."
        raise ConfigError.at(key, f"{rule} Received: {value!r}.")
    if not isinstance(given.get("init_args", {}), Mapping | None):
        received = f"Received: {given['init_args']!r}."
        raise ConfigError.at((*key, "init_args"), f"init_args are 'argument: value' lines. {received}")
    faults: list[Fault] = []
    signature: Signature | None = None
    with collect(faults):
        signature = family.find(given["class_path"], (*key, "class_path"))
    if signature is None:  # what else is wrong with it is said as well
        meant = surely_meant(given["class_path"], family.names())
        signature = family.find(meant, key) if meant else None
    arguments = given.get("init_args") or {}
    with collect(faults):
        if signature is not None:
            arguments = check_arguments(signature, arguments, (*key, "init_args"), name=signature.name)
    if faults or signature is None:
        raise ConfigError(faults)
    return ClassSpec(class_path=signature.path, init_args=arguments)


def check_arguments(signature: Signature, values: Mapping[str, Any], key: Key, *, name: str) -> dict[str, Any]:
    """Hold arguments against a signature, those that are classes themselves too.

    Returns:
        the arguments as given, with the long form of classes.

    Raises:
        ConfigError: with every fault.
    """
    faults: list[Fault] = []
    # Of lists and mappings where classes are named, each entry is looked at on its own, below.
    apart = {
        each.name: Any
        for each in signature.parameters
        if isinstance(values.get(each.name), list | Mapping) and any(_references(each.type))
    }
    checked = dict(values)
    with collect(faults):
        checked |= check_parameters(signature.with_types(apart) if apart else signature, values, key, name=name)
    for parameter in signature.parameters:
        place = (*key, parameter.name)
        named = values.get(parameter.name) is not None and any(_references(parameter.type))
        if named and not any(fault.key[: len(place)] == place for fault in faults):
            with collect(faults):
                checked[parameter.name] = _check_classes(values[parameter.name], place, parameter.type)
    if faults:
        raise ConfigError(faults)
    return checked


def _check_classes(value: Any, key: Key, kind: Any) -> Any:
    """Return a value in which classes have their long form, where a parameter takes classes."""
    kinds = list(_leaves(kind))
    references = list(_references(kind))
    if not references or isinstance(value, bool | int | float):
        return value
    choices = [choice for each in kinds for choice in typing.get_args(each)]
    if isinstance(value, str) and (choices or str in kinds):
        if choices and value not in choices:
            rule = f"{key[-1]} is one of {', '.join(choices)}, or has a class_path."
            raise ConfigError.at(key, sentences(rule, f"Received: {value}.", did_you_mean(value, choices)))
        return value
    family = next((each for each in FAMILIES if any(found.__name__ in each.bases for found in references)), None)
    if family is None:
        if dict in kinds:
            return value
        raise ConfigError.at(key, f"{key[-1]} takes an object, which a config can't write. Received: {value!r}.")
    if not isinstance(value, list):
        return check_class(value, key, family)
    faults: list[Fault] = []
    checked = []
    for index, item in enumerate(value):
        with collect(faults):
            checked.append(check_class(item, (*key, index), family))
    if faults:
        raise ConfigError(faults)
    return checked


def _references(kind: Any) -> Iterator[Reference]:
    return (each for each in _leaves(kind) if isinstance(each, Reference))


def _leaves(kind: Any) -> Iterator[Any]:
    """Return the types that an annotation allows, through unions and lists."""
    if typing.get_origin(kind) in (None, typing.Literal, typing.Annotated, dict):
        yield typing.get_origin(kind) if typing.get_origin(kind) is dict else kind
        return
    for part in typing.get_args(kind):
        yield from _leaves(part)
