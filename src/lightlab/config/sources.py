"""The config files and the options of a call, laid over one another, with the place that each value comes from."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lightlab.config.documents import COMMAND_LINE, read_document, read_value
from lightlab.errors import ConfigError, Fault, Key, collect, did_you_mean, format_key, sentences

#: Keys whose value names a class, with its arguments in ``init_args``: a name alone is short for that.
CLASSES: tuple[Key, ...] = (("data",), ("model", "optimizer"), ("model", "lr_scheduler"))
#: What stands beside the class of a scheduler, and is no argument of it.
BESIDE = frozenset({"class_path", "init_args"})
BESIDE_SCHEDULER = BESIDE | {"interval", "warmup", "monitor"}


#: What begins an option; a value can begin with dashes, too.
OPTION = re.compile(r"--[A-Za-z_][^\s=]*(=|\Z)")
_NOTHING: Any = object()


class Sources:
    """What a call says.

    Args:
        files: the config files, in the order in which each overrides those before it.
        options: those of the command line, ``--key value`` or ``--key=value``, which override all files.

    Attributes:
        values: the config that they make together.
        faults: what is wrong with the files' keys, such as one that stands twice.

    Raises:
        ConfigError: a file that is not there or is no YAML; an option without a value; with every fault.
    """

    def __init__(self, files: Sequence[str], options: Sequence[str]) -> None:
        self.values: dict[str, Any] = {}
        self.faults: list[Fault] = []
        self._files = list(files)
        self._places: dict[Key, tuple[str, Key]] = {}  # of a key without init_args: the place, and the key as written
        self._texts: dict[Key, tuple[Key, str]] = {}
        faults: list[Fault] = []
        for file in files:
            with collect(faults):
                document = read_document(file)
                self.faults += document.faults
                self.values = merge(self.values, spell_out(document.values))
                lines = {key: (f"{file}:{line}", key) for key, line in document.lines.items()}
                self._note({**self._places, **_bare(lines)})
        for name, text in _pairs(options, faults):
            with collect(faults):
                self._set(name, text)
        if faults:
            raise ConfigError(sorted([*self.faults, *faults], key=self._rank))

    def add_below(self, values: Mapping[str, Any], place: str) -> None:
        """Put a config below all that was given: what it says counts where nothing else does.

        Args:
            values: the config.
            place: where it comes from, in words.
        """
        self.values = merge(spell_out(dict(values)), self.values)
        self._note({**_bare({key: (place, key) for key in _keys(values, ())}), **self._places})

    def _note(self, places: Mapping[Key, tuple[str, Key]]) -> None:
        """Remember where values come from: those that there still are, after what was laid over them."""
        self._places = {
            key: place for key, place in places.items() if _look_up(self.values, key, _NOTHING) is not _NOTHING
        }

    def _set(self, name: str, text: str) -> None:
        """Lay what one option says over the config."""
        written = _parse_key(name.removesuffix("+"))
        value = read_value(text, written)
        key = _resolve(self.values, written)
        bare = bare_key(key)
        self._texts = {other: text for other, text in self._texts.items() if other[: len(bare)] != bare}
        if name.endswith("+"):
            given = _as_list(_look_up(self.values, key))
            value = [*given, *_as_list(value)]
            new = [part for part in _keys(value, key) if int(part[len(key)]) >= len(given)]
        else:
            if key in CLASSES:
                value = spell_class(value, _beside(key))
            new = [key, *_keys(value, key)]
            if not isinstance(value, str | list | Mapping):
                self._texts[bare] = key, text
        self.values = spell_out(_lay(self.values, key, value))
        above = {bare[:length]: (COMMAND_LINE, bare[:length]) for length in range(1, len(bare) + 1)}
        own = {part: (COMMAND_LINE, (*written, *part[len(key) :])) for part in new}
        self._note({**above, **self._places, **_bare(own)})

    def read_as_text(self, keys: Iterable[Key]) -> dict[Key, Any]:
        """Take options' values as text after all, since a shell has taken their quotation marks.

        Args:
            keys: of values that do not fit as they were read.

        Returns:
            the values as they were read, for `put_back`.
        """
        changed = {}
        for bare in {bare_key(key) for key in keys} & self._texts.keys():
            key, text = self._texts[bare]
            changed[bare] = _look_up(self.values, key)
            self.values = spell_out(_lay(self.values, key, text))
        return changed

    def put_back(self, values: Mapping[Key, Any]) -> None:
        """Undo `read_as_text` for some of its values."""
        for bare, value in values.items():
            self.values = spell_out(_lay(self.values, self._texts[bare][0], value))

    def find(self, key: Key, value: Any) -> Key | None:
        """Return where below a key a value stands, if it does."""
        return next(_find(_look_up(self.values, key), value, key), None)

    def locate(self, key: Key) -> str:
        """Return where a key, or what is nearest above it, was given; empty where it was not."""
        return self._nearest(key)[0]

    def _nearest(self, key: Key) -> tuple[str, Key]:
        """Return where a key, or what is nearest above it, was given, and the key as it was written there."""
        found: Key = ()
        written: Key = ()
        is_named = False  # what a lone value stands for: the class, or the first parameter
        for index, part in enumerate(key):
            if (*found, part) in self._places:
                found = (*found, part)
                written = (*written, part) if is_named else self._places[found][1]
            elif part in BESIDE or (isinstance(part, str) and not isinstance(_look_up(self.values, found), Mapping)):
                is_named = is_named or part != "init_args"
                written = (*written, part) if part != "init_args" else written
            else:
                written = (*written, *key[index - (key[index - 1] == "init_args") :])
                break
        return self._places.get(found, ("",))[0], written

    def located(self, error: ConfigError) -> ConfigError:
        """Return the error with the place that each fault comes from, in the order of the files."""
        faults = []
        for fault in error.faults:
            place, key = self._nearest(fault.key)
            place = place or next(iter(self._files), "")
            faults.append(fault if fault.place else replace(fault, key=key, place=place))
        return type(error)(sorted(faults, key=self._rank))

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


def _pairs(options: Sequence[str], faults: list[Fault]) -> list[tuple[str, str]]:
    """Return the name and the text of each option."""
    pairs: list[tuple[str, str]] = []
    waiting = list(options)
    while waiting:
        option = waiting.pop(0)
        name, equals, text = option.removeprefix("--").partition("=")
        if not OPTION.match(option):
            near = f"Write --{option}." if equals and re.fullmatch(r"[\w.]+", name) else ""
            near = f"Write --config {option}." if option.endswith((".yaml", ".yml")) else near
            rule = f"What follows the verb is --key value. Received: {option!r}."
            faults.append(Fault((), sentences(rule, near), COMMAND_LINE))
        elif (equals and not text) or (not equals and (not waiting or OPTION.match(waiting[0]))):
            faults.append(Fault((), f"--{name} takes a value. Received nothing.", COMMAND_LINE))
        else:
            pairs.append((name, text if equals else waiting.pop(0)))
    return pairs


def _parse_key(text: str) -> Key:
    """Return the key that a dotted text means.

    >>> _parse_key("model.layers[2].dense.units"), _parse_key("model.layers.2.dense")
    (('model', 'layers', 2, 'dense', 'units'), ('model', 'layers', 2, 'dense'))
    """
    parts = re.sub(r"\[(\d+)\]", r".\1", text).split(".")
    if "" in parts:
        rule = "An option is --key value, its key made of words and numbers with dots between them."
        raise ConfigError([Fault((), f"{rule} Received: --{text}.", COMMAND_LINE)])
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _resolve(values: Any, key: Key) -> Key:
    """Return where the value of an option goes.

    As in LightningCLI, ``--trainer.callbacks.patience 3`` is for the last of the callbacks.

    Raises:
        ConfigError: a list that has no such entry.
    """
    for index, part in enumerate(key):
        if isinstance(values, list):
            if key[0] == "trainer" and values and not isinstance(part, int):
                return (*key[:index], len(values) - 1, *key[index:])
            if not isinstance(part, int) or part >= len(values):
                rule = f"{format_key(key[:index])} has {len(values)} entries, from [0] on."
                received = f"[{part}]" if isinstance(part, int) else part
                raise ConfigError([Fault(key[: index + 1], f"{rule} Received: {received}.", COMMAND_LINE)])
        layer = next(iter(values), None) if isinstance(values, Mapping) and len(values) == 1 else values
        if (
            index
            and isinstance(key[index - 1], int)
            and key[0] != "trainer"
            and isinstance(layer, str)
            and part != layer
        ):
            rule = sentences(f"{format_key(key[:index])} is {layer}. Received: {part}.", did_you_mean(part, [layer]))
            raise ConfigError([Fault(key[: index + 1], rule, COMMAND_LINE)])
        values = _look_up(values, (part,))
    return key


def _lay(below: Any, key: Key, value: Any) -> Any:
    """Return a config with another value at a key."""
    if not key:
        return merge(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    first, rest = key[0], key[1:]
    if isinstance(below, list):
        return [_lay(part, rest, value) if index == first else part for index, part in enumerate(below)]
    if isinstance(below, str) and below == first:  # a layer by its name alone, whose parameters follow
        below = {below: None}
    elif isinstance(below, str) or first == "init_args":  # likewise a class; or its arguments beside it
        below = spell_class(below)
    known: Mapping[Any, Any] = below if isinstance(below, Mapping) else {}
    arguments = known.get("init_args")
    if first not in known and isinstance(arguments, Mapping) and first in arguments:
        return {**known, "init_args": _lay(arguments, key, value)}
    laid: dict[Any, Any] = {first: _lay(known.get(first), rest, value)}
    return merge(known, laid)


def _replace(config: Mapping[Any, Any], key: Key, value: Any) -> dict[str, Any]:
    first, *rest = key
    return {**config, str(first): _replace(config[first], tuple(rest), value) if rest else value}


def _look_up(values: Any, key: Key, missing: Any = None) -> Any:
    """Return the value at a key, in which ``init_args`` may be left out."""
    for part in key:
        if isinstance(values, Mapping) and part not in values and isinstance(values.get("init_args"), Mapping):
            values = values["init_args"]
        in_list = isinstance(values, list) and isinstance(part, int) and part < len(values)
        if not in_list and not (isinstance(values, Mapping) and part in values):
            return missing
        values = values[part]
    return values


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _keys(value: Any, key: Key) -> Iterator[Key]:
    """Return the key of all that stands in a value."""
    parts = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
    for name, part in parts:
        yield (*key, name)
        yield from _keys(part, (*key, name))


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


def _bare(places: Mapping[Key, tuple[str, Key]]) -> dict[Key, tuple[str, Key]]:
    return {bare_key(key): place for key, place in places.items() if key[-1] != "init_args"}
