"""What lightlab raises when something given to it is wrong.

::

    LightlabError
    ├── ConfigError          a config, or the same arguments in Python; holds every fault that was found
    │   └── ShapeError       a layer that does not fit what arrives at it
    ├── RegistryError        a name that is taken, malformed or unknown
    ├── PluginError          a plugin that can't be imported
    ├── DataError            a file, a row or a column
    │   └── TargetError      a target that does not fit the problem
    ├── CheckpointError      a checkpoint that is missing, unreadable or of another model
    └── RunError             a run folder that can't be made or found, or a training that can't go on
        └── NotFiniteError   its numbers are not finite any more

Every message states the rule, what was received, where, and the nearest right thing.
"""

from __future__ import annotations

import difflib
import reprlib
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import ValidationError

#: Where in a config something stands: ``("model", "layers", 2, "dense", "units")``.
Key = tuple[str | int, ...]


def format_key(key: Key) -> str:
    """Write a key as people do.

    >>> format_key(("model", "layers", 2, "dense", "units"))
    'model.layers[2].dense.units'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in key)
    return text.removeprefix(".")


#: Names are near from this likeness on; and as near as the nearest, if they are so little less like it.
LEAST_LIKENESS, MARGIN = 0.6, 0.08
#: Other names for the same, which don't look like it.
SYNONYMS = {"swish": "silu"}
#: From here on a name can only be meant for the nearest.
SURE_LIKENESS = 0.85


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the question that names what comes nearest, or nothing where nothing is near.

    >>> did_you_mean("conv", ["dense", "conv2d", "conv1d"])
    'Did you mean conv2d or conv1d?'
    """
    near = _rank(name, known)
    return f"Did you mean {' or '.join(near)}?" if near else ""


def surely_meant(name: object, known: Iterable[str]) -> str | None:
    """Return what a misspelt name was meant for, where it can be told.

    >>> surely_meant("densee", ["dense", "conv2d"])
    'dense'
    """
    near = _rank(name, known)
    return next((match for match, likeness in near.items() if len(near) == 1 and likeness >= SURE_LIKENESS), None)


def _fold(name: str) -> str:
    """Return a name as people compare them, who write MaxPooling2D and max_pooling2d."""
    return name.casefold().replace("_", "")


def _rank(name: object, known: Iterable[str]) -> dict[str, float]:
    """Return at most three names that are near, the nearest first, with their likeness."""
    by_folded: dict[str, list[str]] = {}
    for candidate in known:
        by_folded.setdefault(_fold(candidate), []).append(candidate)
    given = SYNONYMS.get(_fold(str(name)), _fold(str(name)))
    near = difflib.get_close_matches(given, by_folded, n=3, cutoff=LEAST_LIKENESS)
    # As get_close_matches compares them: the likeness depends on the order.
    likeness = {match: difflib.SequenceMatcher(None, match, given).ratio() for match in near}
    least = max(likeness.values(), default=0) - MARGIN
    return {name: each for match, each in likeness.items() if each >= least for name in by_folded[match]}


def sentences(*parts: str) -> str:
    """Join the parts of a message that are not empty."""
    return " ".join(part for part in parts if part)


def first_misfit(error: ValidationError) -> str:
    """Return where data first differ from the form that they have to have, and how, without pydantic's name for it."""
    first = error.errors(include_url=False)[0]
    place = format_key(first["loc"])
    received = "" if first["type"] == "missing" else f", received {reprlib.repr(first['input'])}"
    return f"{place and f'{place}: '}{first['msg'][0].lower()}{first['msg'][1:]}{received}"


def place_in_code(error: BaseException, packages: Iterable[str]) -> str:
    """Return the file and line of the innermost code of some packages; empty where it is torch's or lightlab's."""
    own = set(map(_top, packages)) - {"torch", "lightlab"}
    found = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if _top(frame.f_globals.get("__name__", "")) in own:
            found = f"{frame.f_code.co_filename}:{line}"
    return found


def _top(module: str) -> str:
    return module.partition(".")[0]


class LightlabError(Exception):
    """The base of all that lightlab raises on purpose."""


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong in a config.

    Attributes:
        key: where it stands.
        message: the rule, what was received, and the nearest right thing.
        place: the file and line that it comes from, or the command line; empty where that is not known.
    """

    key: Key
    message: str
    place: str = ""

    def __str__(self) -> str:
        return ": ".join(part for part in (self.place, format_key(self.key), self.message) if part)


class ConfigError(LightlabError):
    """A config, or the same arguments given in Python, that can't be used.

    Attributes:
        faults: all that was found, in the order of the config, each once.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        self.faults = tuple(dict.fromkeys(faults))
        super().__init__("\n".join(map(str, self.faults)))

    @classmethod
    def at(cls, key: Key, message: str) -> ConfigError:
        """Make the error of a single fault."""
        return cls([Fault(key, message)])


class ShapeError(ConfigError):
    """A layer that does not fit the shape that arrives at it."""


@contextmanager
def collect(faults: list[Fault]) -> Iterator[None]:
    """Add the faults of a `ConfigError` raised inside to a list, and go on."""
    try:
        yield
    except ConfigError as error:
        faults += error.faults


class RegistryError(LightlabError):
    """A name that a registry can't take or does not have."""


class PluginError(LightlabError):
    """A plugin that can't be imported."""


class DataError(LightlabError):
    """A file, a row or a column that can't be used.

    Args:
        message: what is wrong; or several such, one for each of a list of values.
        about: what in a config it goes back to: a key, or the value of an option that names what can't be used, such
            as a column; or a list of such values.

    Attributes:
        messages: each with what it goes back to.
    """

    def __init__(self, message: str | list[str], about: Key | str | list[str] | None = None) -> None:
        texts = [message] if isinstance(message, str) else message
        super().__init__("\n".join(texts))
        self.messages = list(zip(texts, about if isinstance(about, list) else [about], strict=True))


class TargetError(DataError):
    """A target that does not fit the problem."""


class CheckpointError(LightlabError):
    """A checkpoint that is missing, unreadable, or of another model."""


class RunError(LightlabError):
    """A run folder that can't be made or found, or a training that can't go on."""


class NotFiniteError(RunError):
    """A training whose numbers are not finite any more.

    Args:
        message: where that came from.
        figures: those that were none when it broke off, by their names in ``history.csv``.
    """

    def __init__(self, message: str, figures: Mapping[str, float]) -> None:
        super().__init__(message)
        self.figures = dict(figures)
