"""The parts that a config can name, by kind."""

from __future__ import annotations

import ast
import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from lightlab.errors import LightlabError, did_you_mean, sentences
from lightlab.registry import ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, PROBLEMS, Registry
from lightlab.signatures import Signature, signature_of
from lightlab.signatures.source import ancestors
from lightlab.signatures.words import first_sentence

if TYPE_CHECKING:
    from lightlab.config.classes import Family
    from lightlab.problems import Problem

#: The packages that everyone has; what comes from others is said to.
EVERYONES = ("lightlab", "lightning", "torch")


@dataclass(frozen=True)
class Part:
    """A thing that configs can name.

    Attributes:
        kind: one of `KINDS`; ``section`` or ``key`` for what a config itself is made of.
        name: as a config writes it.
        provider: the module that it comes from.
        read: returns its signature; it is read when it is asked for, since a look-up of one asks for no other.
        about: what it is, where its signature does not say.
        facts: what else there is to know, by what it is.
    """

    kind: str
    name: str
    provider: str
    read: Callable[[], Signature] = field(repr=False, compare=False)
    about: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)

    @property
    def docstring(self) -> str:
        """What its code says of it."""
        return self.about or self.signature.docstring

    @property
    def summary(self) -> str:
        """What it is, in a sentence."""
        return first_sentence(self.docstring)

    @cached_property
    def signature(self) -> Signature:
        """What it takes."""
        return self.read()

    @property
    def foreign(self) -> str:
        """The package that it comes from, where not everyone has it; empty where everyone does."""
        package = self.provider.partition(".")[0]
        return "" if package in EVERYONES else package


@dataclass(frozen=True)
class Kind:
    """Parts of one kind.

    Attributes:
        name: what ``lightlab list`` calls it.
        one: one of its parts, in words.
        place: where configs name it.
        find: returns its parts by name.
    """

    name: str
    one: str
    place: str
    find: Callable[[str], Iterator[Part]]

    def parts(self) -> dict[str, Part]:
        """Return its parts by name, sorted."""
        found = {part.name: part for part in self.find(self.name)}
        return dict(sorted(found.items(), key=lambda item: item[0].casefold()))


def _registered(registry: Registry[Any], hidden: tuple[str, ...], kind: str) -> Iterator[Part]:
    for name in registry.names():
        entry = registry.entry(name)
        read = partial(signature_for_configs, entry.item, hidden)
        yield Part(kind, name, entry.provider, read, inspect.getdoc(entry.item) or "")


def signature_for_configs(component: Callable[..., Any], hidden: tuple[str, ...]) -> Signature:
    """Return the signature of a part that `lightlab.build` gives its share to; without what a config can't give."""
    from lightlab.specs import INJECTED

    return signature_of(component, {*INJECTED, *hidden})


def _problems(kind: str) -> Iterator[Part]:
    for name in PROBLEMS.names():
        entry = PROBLEMS.entry(name)
        read = partial(Signature, name, entry.provider)
        yield Part(kind, name, entry.provider, read, _describe(entry.item), _facts(entry.item))


def _describe(problem: Problem) -> str:
    return f"{problem.decoded[0].upper()}{problem.decoded[1:]}; from {problem.output}."


def _facts(problem: Problem) -> dict[str, str]:
    return {
        "output": problem.output,
        "losses": ", ".join(problem.losses),
        "decoded as": problem.decoded,
        "metrics": ", ".join(problem.metrics),
        "watched": f"{problem.monitor} ({problem.mode})",
    }


def _optimizers(kind: str) -> Iterator[Part]:
    from lightlab.optim import OPTIMIZERS, class_signature

    for name, item in OPTIMIZERS.items():
        yield Part(kind, name, item.__module__, partial(class_signature, item), inspect.getdoc(item) or "")


def _schedulers(kind: str) -> Iterator[Part]:
    from lightlab.optim import SCHEDULERS, class_signature

    for name, item in SCHEDULERS.items():
        yield Part(kind, name, item.__module__, partial(class_signature, item), inspect.getdoc(item) or "")


def _classes(family_name: str, kind: str) -> Iterator[Part]:
    from lightlab.config.classes import FAMILIES

    family = next(each for each in FAMILIES if each.name == family_name)
    for name, path in family.names().items():
        yield Part(kind, name, path.rpartition(".")[0], partial(_signature_of_class, family, name))


def _signature_of_class(family: Family, name: str) -> Signature:
    """Return a class's signature, with the docstring of its constructor or base where it has none of its own."""
    signature = family.find(name, ())
    return signature if signature.docstring else replace(signature, docstring=_nearest_docstring(signature.path))


def itself(signature: Signature) -> Signature:
    """Return a signature that is known already."""
    return signature


def _nearest_docstring(path: str) -> str:
    """Return what is said of a class in its constructor, or else of a class that it derives from."""
    for _, statement in ancestors(path):
        constructors = (each for each in statement.body if getattr(each, "name", "") == "__init__")
        for each in (statement, *constructors):
            if isinstance(each, ast.ClassDef | ast.FunctionDef) and (docstring := ast.get_docstring(each)):
                return docstring
    return ""


def _strategies(kind: str) -> Iterator[Part]:
    from lightlab.config.sections import Strategies

    for name in typing.get_args(Strategies):
        about = next(text for start, text in STRATEGIES.items() if name.startswith(start))
        yield _name_of_trainers(kind, name, about)
    yield from _classes("strategy", kind)


def _accelerators(kind: str) -> Iterator[Part]:
    for name, about in ACCELERATORS.items():
        yield _name_of_trainers(kind, name, about)
    yield from _classes("accelerator", kind)


def _profilers(kind: str) -> Iterator[Part]:
    for name, about in PROFILERS.items():
        yield _name_of_trainers(kind, name, about)
    yield from _classes("profiler", kind)


def _name_of_trainers(kind: str, name: str, about: str) -> Part:
    home = f"lightning.pytorch.{kind}"
    return Part(kind, name, home, partial(Signature, name, home), about)


#: Lightning's own names, which its docstrings say nothing of; of the strategies, what names start with.
ACCELERATORS = {
    "auto": "A GPU or TPU where there is one, the CPU otherwise.",
    "cpu": "The CPU.",
    "gpu": "A GPU, NVIDIA's, AMD's or Apple's.",
    "cuda": "A GPU of NVIDIA's or AMD's.",
    "mps": "A GPU of Apple's.",
    "tpu": "A TPU of Google's.",
}
PROFILERS = {
    "simple": "Times each step of the training loop; SimpleProfiler.",
    "advanced": "Times each function, with Python's cProfiler; AdvancedProfiler.",
    "pytorch": "Times each operation of torch, on the GPU too; PyTorchProfiler.",
    "xla": "Times TPUs; XLAProfiler.",
}
STRATEGIES = {
    "auto": "What suits the devices: one process for one, ddp for several.",
    "ddp_spawn": "Data parallel, with a process for each device that the first one spawns.",
    "ddp_fork": "Data parallel, with a process for each device that the first one forks.",
    "ddp_notebook": "Data parallel in notebooks, where processes are forked.",
    "ddp": "Data parallel: a process for each device, gradients averaged.",
    "deepspeed": "DeepSpeed's ZeRO: states, gradients and, in stage 3, parameters are shared out over devices.",
    "fsdp": "Fully sharded data parallel: parameters, gradients and states are shared out over devices.",
    "single": "One process on one device.",
    "xla": "A process for each TPU.",
}
KINDS = {
    kind.name: kind
    for kind in (
        Kind("layers", "a layer", "model.layers", partial(_registered, LAYERS, ())),
        Kind("activations", "an activation", "a layer's activation", partial(_registered, ACTIVATIONS, ())),
        Kind("problems", "a problem", "model.problem", _problems),
        Kind("heads", "a head", "model.head, by its problem", partial(_registered, HEADS, ("in_features", "target"))),
        Kind("optimizers", "an optimizer", "model.optimizer", _optimizers),
        Kind("schedulers", "a learning-rate scheduler", "model.lr_scheduler", _schedulers),
        Kind("data", "a data source", "data.class_path", partial(_classes, "data source")),
        Kind("augmentations", "an augmentation", "data.augment", partial(_registered, AUGMENTATIONS, ())),
        Kind("callbacks", "a callback", "trainer.callbacks", partial(_classes, "callback")),
        Kind("loggers", "a logger", "trainer.logger", partial(_classes, "logger")),
        Kind("strategies", "a strategy", "trainer.strategy", _strategies),
        Kind("accelerators", "an accelerator", "trainer.accelerator", _accelerators),
        Kind("profilers", "a profiler", "trainer.profiler", _profilers),
        Kind("plugins", "a plugin of the Trainer", "trainer.plugins", partial(_classes, "plugin of the Trainer")),
    )
}


def find_kind(name: str) -> Kind:
    """Return the kind of this name.

    Raises:
        LightlabError: there is none.
    """
    if name in KINDS:
        return KINDS[name]
    near = did_you_mean(name, KINDS) or f"There are: {', '.join(KINDS)}."
    raise LightlabError(sentences(f"No kind is called {name!r}.", near))
