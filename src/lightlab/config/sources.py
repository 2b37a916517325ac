"""The config files and the options of a call, laid over one another, with the place that each value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lightlab.config.documents import read_document, read_value
from lightlab.errors import ConfigError, Fault, Key, collect, format_key

COMMAND_LINE = "command line"

#: Keys whose value names a class, with its arguments in ``init_args``: a name alone is short for that.
CLASSES: tuple[Key, ...] = (("data",), ("model", "optimizer"), ("model", "lr_scheduler"))
#: What stands beside the class of a scheduler, and is no argument of it.
BESIDE = frozenset({"class_path", "init_args"})
BESIDE_SCHEDULER = BESIDE | {"interval", "warmup", "monitor"}


class Sources:
    """What a call says.

    Args:
        files: the config files, in the order in which each overrides those before it.
        options: those of the command line, ``--key value`` or ``--key=value``, which override all files.

    Attributes:
        values: the config that they make together.

    Raises:
        ConfigError: a file that is not there, is no YAML, or has a key twice; an option without a value; with every
            fault.
    """

    def __init__(self, files: Sequence[str], options: Sequence[str]) -> None:
        self.values: dict[str, Any] = {}
        self._files = list(files)
        self._places: dict[Key, tuple[str, Key]] = {}
        self._texts: dict[Key, str] = {}
        faults: list[Fault] = []
        for file in files:
            with collect(faults):
                document = read_document(file)
                self._note(document.values, {key: f"{file}:{line}" for key, line in document.lines.items()})
                self.values = merge(self.values, spell_out(document.values))
        for name, text in _pairs(options, faults):
            with collect(faults):
                self._set(name, text)
        if faults:
            raise ConfigError(faults)

    def add_below(self, values: Mapping[str, Any], place: str) -> None:
        """Put a config below all that was given: what it says counts where nothing else does.

        Args:
            values: the config.
            place: where it comes from, in words.
        """
        for key in values:
            self._places.setdefault((key,), (place, (key,)))
        self.values = merge(spell_out(dict(values)), self.values)

    def _note(self, values: Any, places: Mapping[Key, str]) -> None:
        """Remember where values come from, and forget where those came from that they replace."""
        for key, place in places.items():
            bare = bare_key(key)
            if not isinstance(_look_up(values, key), Mapping):
                for other in [other for other in self._places if other[: len(bare)] == bare and len(other) > len(bare)]:
                    del self._places[other]
            if key[-1] != "init_args":
                self._places[bare] = place, key

    def _set(self, name: str, text: str) -> None:
        """Lay what one option says over the config."""
        appends = name.endswith("+")
        key = _parse_key(name.removesuffix("+"))
        value = read_value(text, key)
        key = _spell_key(key)
        if appends:
            given = _look_up(self.values, key)
            given = [] if given is None else given if isinstance(given, list) else [given]
            value = [*given, *(value if isinstance(value, list) else [value])]
        try:
            self.values = spell_out(_lay(self.values, key, value, ()))
        except ConfigError as error:
            raise ConfigError([replace(fault, place=COMMAND_LINE) for fault in error.faults]) from error
        self._note(self.values, {key: COMMAND_LINE})
        self._texts.pop(bare_key(key), None)
        if not appends and not isinstance(value, str | list | Mapping):
            self._texts[bare_key(key)] = text

    def read_as_text(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Take options' values as text after all, since a shell has taken their quotation marks.

        Args:
            keys: of values that do not fit as they were read.

        Returns:
            the values as they were read, for `put_back`.
        """
        changed = {}
        for key in {bare_key(key) for key in keys} & self._texts.keys():
            written = self._places[key][1]
            changed[key] = _look_up(self.values, written)
            self.values = _lay(self.values, written, self._texts[key], ())
        return changed

    def put_back(self, values: Mapping[Key, Any]) -> None:
        """Undo `read_as_text` for some of its values."""
        for key, value in values.items():
            self.values = _lay(self.values, self._places[key][1], value, ())

    def find(self, key: Key, value: Any) -> Key | None:
        """Return where below a key a value stands, if it does."""
        return next(_find(_look_up(self.values, key), value, key), None)

    def locate(self, key: Key) -> str:
        """Return where a key, or what is nearest above it, was given; empty where it was not."""
        return self._nearest(key)[0]

    def _nearest(self, key: Key) -> tuple[str, Key]:
        """Return the place, and the key as it was written, with what is below the place."""
        bare = bare_key(key)
        for length in range(len(bare), 0, -1):
            if bare[:length] in self._places:
                place, written = self._places[bare[:length]]
                return place, key if len(bare) > length else written
        inside = [place for other, (place, _) in self._places.items() if bare and other[:1] == bare[:1]]
        return (inside[0] if inside else ""), key

    def located(self, error: ConfigError) -> ConfigError:
        """Return the error with the place that each fault comes from, in the order of the files."""
        faults = []
        for fault in error.faults:
            place, key = self._nearest(fault.key)
            faults.append(fault if fault.place else replace(fault, key=key, place=place))
        return ConfigError(sorted(faults, key=self._rank))

    def _rank(self, fault: Fault) -> tuple[int, int]:
        """Return by what a fault comes before others: its file, and its line there; the command line comes last."""
        file, _, line = fault.place.rpartition(":")
        return (self._files.index(file), int(line)) if file in self._files else (len(self._files), 0)


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay one config over another: what the upper says wins, key by key; lists are replaced.

    Where the upper names another class, the lower's arguments for its class are dropped.

    >>> merge({"a": {"x": 1, "y": [1, 2]}}, {"a": {"y": [3]}})
    {'a': {'x': 1, 'y': [3]}}
    """
    merged = dict(below)
    if "class_path" in above and above["class_path"] != below.get("class_path"):
        merged.pop("init_args", None)
    for name, value in above.items():
        both = isinstance(value, Mapping) and isinstance(merged.get(name), Mapping)
        merged[name] = merge(merged[name], value) if both else value
    return merged


def spell_out(config: dict[str, Any]) -> dict[str, Any]:
    """Return a config in which classes that are given by name alone, or by arguments, have their long form.

    >>> spell_out({"model": {"optimizer": "SGD", "lr_scheduler": {"T_max": 3, "warmup": 1}}})["model"]
    {'optimizer': {'class_path': 'SGD'}, 'lr_scheduler': {'warmup': 1, 'init_args': {'T_max': 3}}}
    """
    for key in CLASSES:
        given = _look_up(config, key)
        if given is not None:
            config = _replace(config, key, spell_class(given, _beside(key)))
    return config


def spell_class(value: Any, beside: frozenset[str] = BESIDE) -> Any:
    """Return a class that a config names in its long form: arguments in ``init_args``.

    >>> spell_class("EarlyStopping"), spell_class({"class_path": "Timer", "duration": "00:12:00:00"})
    ({'class_path': 'EarlyStopping'}, {'class_path': 'Timer', 'init_args': {'duration': '00:12:00:00'}})
    """
    if isinstance(value, str):
        return {"class_path": value}
    if not isinstance(value, Mapping) or not isinstance(value.get("init_args", {}), Mapping | None):
        return value
    arguments = {name: part for name, part in value.items() if name not in beside}
    rest = {name: part for name, part in value.items() if name in beside}
    return {**rest, "init_args": {**(rest.get("init_args") or {}), **arguments}} if arguments else rest


def _beside(key: Key) -> frozenset[str]:
    return BESIDE_SCHEDULER if key[-1] == "lr_scheduler" else BESIDE


def _spell_key(key: Key) -> Key:
    """Return a key in whose class arguments stand in ``init_args``."""
    for place in CLASSES:
        length = len(place)
        if key[:length] == place and len(key) > length and key[length] not in _beside(place):
            return (*place, "init_args", *key[length:])
    return key


def _pairs(options: Sequence[str], faults: list[Fault]) -> list[tuple[str, str]]:
    """Return the name and the text of each option."""
    pairs: list[tuple[str, str]] = []
    given = iter(options)
    for option in given:
        name, equals, text = option.removeprefix("--").partition("=")
        value = text if equals else next(given, None) if option.startswith("--") else ""
        if not option.startswith("--"):
            near = f" Write --config {option}." if option.endswith((".yaml", ".yml")) else ""
            faults.append(Fault((), f"What follows the verb is --key value. Received: {option}.{near}", COMMAND_LINE))
        elif value is None or (not equals and value.startswith("--")):
            faults.append(Fault((), f"--{name} takes a value. Received nothing.", COMMAND_LINE))
            return pairs
        else:
            pairs.append((name, value))
    return pairs


def _parse_key(text: str) -> Key:
    """Return the key that a dotted text means.

    >>> _parse_key("model.layers[2].dense.units"), _parse_key("model.layers.2.dense")
    (('model', 'layers', 2, 'dense', 'units'), ('model', 'layers', 2, 'dense'))
    """
    parts = re.sub(r"\[(\d+)\]", r".\1", text).split(".")
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _lay(below: Any, key: Key, value: Any, above: Key) -> Any:
    """Return a config with another value at a key.

    Raises:
        ConfigError: a list that has no such entry.
    """
    if not key:
        return merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    first, rest = key[0], key[1:]
    if isinstance(below, list) and below:
        if not isinstance(first, int):  # as in LightningCLI, `--trainer.callbacks.patience 3` is for the last
            last = _lay(spell_class(below[-1]), ("init_args", *key), value, above)
            return [*below[:-1], last]
        if first >= len(below):
            rule = f"{format_key(above)} has {len(below)} entries, from [0] on."
            raise ConfigError.at((*above, first), f"{rule} Received: [{first}].")
        return [*below[:first], _lay(below[first], rest, value, (*above, first)), *below[first + 1 :]]
    if isinstance(below, str):  # a name alone, whose arguments follow
        below = spell_class(below)
    known: Mapping[Any, Any] = below if isinstance(below, Mapping) else {}
    laid: dict[Any, Any] = {first: _lay(known.get(first), rest, value, (*above, first))}
    return merge(known, laid)


def _replace(config: Mapping[Any, Any], key: Key, value: Any) -> dict[str, Any]:
    first, *rest = key
    return {**config, str(first): _replace(config[first], tuple(rest), value) if rest else value}


def _look_up(values: Any, key: Key) -> Any:
    """Return the value at a key; ``None`` where there is none."""
    for part in key:
        in_list = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if not in_list and not (isinstance(values, Mapping) and part in values):
            return None
        values = values[part]
    return values


def _find(values: Any, value: Any, key: Key) -> Iterator[Key]:
    if values is not None and values == value:
        yield key
    parts = values.items() if isinstance(values, Mapping) else enumerate(values) if isinstance(values, list) else ()
    for name, part in parts:
        if name == value:
            yield (*key, name)
        yield from _find(part, value, (*key, name))


def bare_key(key: Key) -> Key:
    """Return a key without ``init_args``, which may or may not be written."""
    return tuple(part for part in key if part != "init_args")
