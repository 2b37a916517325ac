"""Finds every fault of a config at once, before anything heavy is imported and before any data is read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from lightlab.build import check_last_layer
from lightlab.config.classes import DATA, check_arguments, check_class, default_mode
from lightlab.config.places import find_strays
from lightlab.config.sections import (
    CONFIG,
    MOST_EXPLAINED,
    TRAINER_VERBS,
    find_place,
    find_unknown_keys,
    section_signature,
)
from lightlab.config.sources import Sources, bare_key, spell_class
from lightlab.data.augment.base import parse_augment
from lightlab.data.splits import parse_split
from lightlab.errors import ConfigError, Fault, Key, collect, did_you_mean, surely_meant
from lightlab.model_spec import parse_model
from lightlab.problems import Problem
from lightlab.registry import PROBLEMS
from lightlab.signatures import Signature
from lightlab.specs import check_parameters, parse_layers
from lightlab.training.options import Mode, TensorBoardOptions, say_not_logged, say_wrong_way

#: The metrics of which less is better.
ERRORS = frozenset({"loss", "mse", "rmse", "mae"})


def check_config(sources: Sources) -> dict[str, Any]:
    """Find what is wrong in a config.

    Args:
        sources: what a call says.

    Returns:
        the config, classes in their long form with their whole path.

    Raises:
        ConfigError: with every fault, and the place of each.
    """
    if not sources.values:
        raise ConfigError.at((), "A config is needed: --config FILE. 'lightlab init PATH' writes one for your data.")
    checked, faults = _Check(sources.values).run()
    if changed := sources.read_as_text(fault.key for fault in faults):
        wrong = [bare_key(fault.key) for fault in _Check(sources.values).run()[1]]
        sources.put_back(
            {key: value for key, value in changed.items() if any(each[: len(key)] == key for each in wrong)}
        )
        checked, faults = _Check(sources.values).run()
    faults += find_strays(checked, sources.locate)
    twice = [bare_key(fault.key) for fault in sources.faults]  # which of its values is meant can't be told
    faults = [fault for fault in faults if not any(key and bare_key(fault.key)[: len(key)] == key for key in twice)]
    if sources.faults or faults:
        raise sources.located(ConfigError([*sources.faults, *faults]))
    return checked


class _Check:
    """One pass over a config."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = values
        self.faults: list[Fault] = list(find_unknown_keys(values))
        self.checked = dict(values)

    def run(self) -> tuple[dict[str, Any], list[Fault]]:
        """Return the config, classes in their long form; and its faults."""
        with collect(self.faults):
            wrapped = any(verb in self.values for verb in TRAINER_VERBS)
            config = CONFIG.without([] if not wrapped else [name for name in CONFIG.names if name not in self.values])
            off = [name for name in ("early_stopping", "tensorboard") if self.values.get(name) is False]
            rule = "is a mapping, or null to switch it off. Received: False."
            self.faults += [Fault((name,), f"{name} {rule}") for name in off]
            given = {name: value for name, value in _known(self.values, CONFIG.names).items() if name not in off}
            check_parameters(_without_misspelt(config, self.values), given, (), name="A config")
        self.check_model()
        self.check_data()
        for section in ("trainer", "early_stopping", "checkpoint", "tensorboard"):
            signature = section_signature(section)
            with collect(self.faults):
                given = _known(self.section(section), signature.names)
                if self.section(section):
                    self.checked[section] = check_arguments(signature, given, (section,), name=section)
        self.faults += self.contradictions()
        return self.checked, self.faults

    def section(self, name: str) -> Mapping[str, Any]:
        """Return what a config says in a section; nothing where that is no mapping."""
        value = self.values.get(name)
        return value if isinstance(value, Mapping) else {}

    def check_model(self) -> None:
        """Look at the layers, the head and what trains them."""
        if not isinstance(self.values.get("model"), Mapping):
            return
        model = self.section("model")
        given = _known(model, section_signature("model").names)
        misspelt = "init_args" in model or any(did_you_mean(key, ["layers"]) for key in model)
        if "layers" not in given and not misspelt:
            self.faults.append(Fault(("model",), "model needs 'layers'."))
        with collect(self.faults):
            parse_model(**{"layers": [], **given})

    def check_data(self) -> None:
        """Look at the data source and its options."""
        given = _known(self.section("data"), ("class_path", "init_args"))
        if "data" not in self.values or not isinstance(self.values["data"], Mapping):
            return
        with collect(self.faults):
            if "class_path" not in given:
                names = ", ".join(sorted(DATA.names()))
                raise ConfigError.at(("data",), f"data has a class_path: what reads it. There are: {names}.")
            self.checked["data"] = check_class(self.without_strangers(given), ("data",), DATA)
        options = given.get("init_args")
        for name, parse in (("split", parse_split), ("augment", parse_augment)):
            value = options.get(name) if isinstance(options, Mapping) else None
            if isinstance(value, list | dict):
                with collect(self.faults):
                    parse(value)

    def without_strangers(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return ``data`` without arguments that belong somewhere else; these are faults."""
        arguments = data.get("init_args")
        if not isinstance(arguments, Mapping) or not isinstance(data.get("class_path"), str):
            return data
        name = surely_meant(data["class_path"], DATA.names())
        known = DATA.find(name, ("data",)).names if name else ()
        places = {key: find_place(key) for key in arguments if name and key not in known}
        self.faults += [
            Fault(("data", "init_args", key), f"{name} has no parameter {key!r}. {place}")
            for key, place in places.items()
            if place
        ]
        return {**data, "init_args": {key: value for key, value in arguments.items() if not places.get(key)}}

    # Parts that are right each, and don't go together

    def contradictions(self) -> Iterator[Fault]:
        """Return what can be told without the data."""
        name = self.section("model").get("problem")
        problem = PROBLEMS.get(name) if isinstance(name, str) and name in PROBLEMS else None
        with suppress(ConfigError):  # what is wrong with a layer itself has been said
            layers = parse_layers(self.section("model").get("layers"), ("model", "layers"))
            outputs = 1 if problem and problem.output.startswith("1 ") else None
            try:
                check_last_layer(layers, outputs, problem)
            except ConfigError as error:
                yield from error.faults
        for index, name, _ in self.callbacks():
            if name.rsplit(".", 1)[-1] == "EarlyStopping" and self.values.get("early_stopping") is not None:
                rule = "There is one early stopping: the section early_stopping, or a callback."
                yield Fault(("trainer", "callbacks", index), f"{rule} Received: both.")
        logger, board = self.section("trainer").get("logger"), self.section("tensorboard")
        if logger not in (None, True) and {**asdict(TensorBoardOptions()), **board} != asdict(TensorBoardOptions()):
            rule = "tensorboard says what lightlab's own logger writes. trainer.logger has another log, or none."
            yield Fault(("tensorboard",), f"{rule} Received: both.")
        for key, monitor, mode in self.monitors():
            yield from _check_monitor(key, monitor, mode, problem, self.is_validated())

    def is_validated(self) -> bool:
        """Return whether there can be a validation split."""
        options = self.section("data").get("init_args")
        options = options if isinstance(options, Mapping) else {}
        split = options.get("split")
        shares = split.get("shares") if isinstance(split, Mapping) else split
        has_share = not isinstance(shares, list) or len(shares) != 3 or shares[1] != 0 or bool(options.get("val_path"))
        return has_share and self.section("trainer").get("limit_val_batches") != 0

    def monitors(self) -> Iterator[tuple[Key, Any, Any]]:
        """Return where each metric that something watches is or could be written, the metric, and the mode."""
        stopping, checkpoint = self.section("early_stopping"), self.section("checkpoint")
        if isinstance(self.values.get("early_stopping"), Mapping):
            yield ("early_stopping",), stopping.get("monitor", "val/loss"), stopping.get("mode")
        if "monitor" in checkpoint or "mode" in checkpoint:
            default = "val/loss" if self.is_validated() else "train/loss"
            yield ("checkpoint",), checkpoint.get("monitor", default), checkpoint.get("mode")
        scheduler = self.section("model").get("lr_scheduler")
        if isinstance(scheduler, Mapping):
            on_plateau = str(scheduler.get("class_path")).endswith("ReduceLROnPlateau")
            yield ("model", "lr_scheduler"), scheduler.get("monitor", "val/loss" if on_plateau else None), None
        for index, path, arguments in self.callbacks():
            key: Key = ("trainer", "callbacks", index, "init_args")
            yield key, arguments.get("monitor"), arguments.get("mode", default_mode(path))

    def callbacks(self) -> Iterator[tuple[int, str, Mapping[str, Any]]]:
        """Return place, class and arguments of each of the Trainer's callbacks that has a class."""
        trainer = self.checked.get("trainer")
        given = trainer.get("callbacks") if isinstance(trainer, Mapping) else None
        for index, callback in enumerate(given if isinstance(given, list) else [given]):
            spelled = spell_class(callback)
            if isinstance(spelled, Mapping) and isinstance(spelled.get("class_path"), str):
                arguments = spelled.get("init_args")
                yield index, spelled["class_path"], arguments if isinstance(arguments, Mapping) else {}


def _without_misspelt(signature: Signature, values: Mapping[Any, Any]) -> Signature:
    """Return a signature without what is there under a wrong name, which `find_unknown_keys` says."""
    absent = [name for name in signature.names if name not in values]
    strangers = [key for key in values if key not in signature.names][:MOST_EXPLAINED]
    return signature.without([name for name in absent if any(did_you_mean(key, [name]) for key in strangers)])


def _known(values: Mapping[Any, Any], names: list[str] | tuple[str, ...]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name in names}


def better_way(metric: str, problem: Problem | None) -> Mode | None:
    """Return whether less or more of a metric is better; ``None`` where only a plugin's head says it."""
    name = metric.partition("/")[0]
    if name in ERRORS:
        return "min"
    own = problem is not None and PROBLEMS.entry(problem.name).provider.startswith("lightlab.")
    return "max" if own else None


def _check_monitor(key: Key, monitor: Any, mode: Any, problem: Problem | None, validated: bool) -> Iterator[Fault]:
    """Return a fault where something watches a metric that won't be logged, or the wrong way round.

    As far as that can be told without data: of a plugin's metrics its head says which way is better.
    """
    if not isinstance(monitor, str):
        return
    split, _, metric = monitor.partition("/")
    splits = ["train", "val"] if validated else ["train"]
    metrics = ["loss", *problem.metrics] if problem else None
    patterns = [name.partition("<")[0] for name in metrics or () if "<" in name]
    fits = metrics is None or metric in metrics or any(metric.startswith(pattern) for pattern in patterns)
    if split in splits and metric and fits:
        better = better_way(metric, problem)
        if better and mode in ("min", "max") and mode != better:
            yield Fault((*key, "mode"), say_wrong_way(monitor, better, mode))
        return
    logged = [f"{each}/{name}" for each in splits for name in metrics or ["loss", "…"]]
    yield Fault((*key, "monitor"), say_not_logged(monitor, logged))
