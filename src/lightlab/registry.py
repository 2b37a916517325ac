"""Names for the parts that a config can use, and the plugins that add to them.

A part registers itself under a name where it is defined::

    from lightlab.registry import LAYERS

    @LAYERS.register("scale")
    def scale(factor: float = 1.0) -> nn.Module:
        ...

lightlab's own parts and those of other packages come in by the same door. A package offers its parts through
the entry-point group ``lightlab.plugins``; a module of one's own is named on the command line (``--plugin``).
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import entry_points
from types import ModuleType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lightlab.errors import PluginError, RegistryError, did_you_mean, sentences
from lightlab.terminal import say

if TYPE_CHECKING:
    from torch import nn

    from lightlab.heads.base import Head
    from lightlab.problems import Problem

T = TypeVar("T")

ENTRY_POINT_GROUP = "lightlab.plugins"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True)
class Entry(Generic[T]):
    """What is registered, and the module that did it."""

    item: T
    provider: str


class Registry(Generic[T]):
    """Parts of one kind by name.

    Args:
        kind: what the parts are, for messages: "layer".
        home: the module whose import registers lightlab's own parts. It is imported when a name is first asked
            for or registered, so that a registry can be had without them, and no plugin comes before them.
    """

    def __init__(self, kind: str, home: str) -> None:
        self.kind = kind
        self._home = home
        self._entries: dict[str, Entry[T]] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Return a decorator that registers what it decorates under ``name``; it raises what `add` does."""

        def decorate(item: T) -> T:
            self.add(name, item, provider=getattr(item, "__module__", "unknown"))
            return item

        return decorate

    def add(self, name: str, item: T, provider: str) -> None:
        """Register ``item`` as coming from the module ``provider``.

        Raises:
            RegistryError: the name is malformed, or taken.
        """
        if not NAME_PATTERN.fullmatch(name):
            raise RegistryError(
                f"A {self.kind}'s name has lower-case letters, digits and underscores, and starts with a letter. "
                f"Received: {name!r} from {provider}."
            )
        importlib.import_module(self._home)
        if name in self._entries:
            holder = self._entries[name].provider
            raise RegistryError(
                f"A {self.kind}'s name is registered once. {name!r} is already provided by {holder}. "
                f"Received it again from {provider}."
            )
        self._entries[name] = Entry(item, provider)

    def get(self, name: str) -> T:
        """Return what is registered under ``name``.

        Raises:
            RegistryError: nothing is.
        """
        return self.entry(name).item

    def entry(self, name: str) -> Entry[T]:
        """Return what is registered under ``name``, with its provider.

        Raises:
            RegistryError: nothing is; the message has the nearest names, and the plugins that failed to import.
        """
        if name in self:
            return self._entries[name]
        raise RegistryError(
            sentences(
                f"No {self.kind} is called {name!r}.",
                did_you_mean(name, self.names()) or f"There are: {', '.join(self.names())}.",
                f"'lightlab list {self.kind}s' has them all; one of your own comes with --plugin MODULE.",
                *failed_plugins(),
            )
        )

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        self._load()
        return tuple(sorted(self._entries))

    def __contains__(self, name: object) -> bool:
        self._load()
        return name in self._entries

    def _load(self) -> None:
        importlib.import_module(self._home)
        load_plugins()


#: A layer is a function or class that returns an ``nn.Module``; see `lightlab.layers`.
LAYERS: Registry[Callable[..., nn.Module]] = Registry("layer", home="lightlab.layers")
#: An activation is a layer that keeps the shape; it also serves as the ``activation`` of other layers.
ACTIVATIONS: Registry[Callable[..., nn.Module]] = Registry("activation", home="lightlab.layers")
#: A head stands under the name of its problem; see `lightlab.heads`.
HEADS: Registry[type[Head]] = Registry("head", home="lightlab.heads")
#: A problem type is a row of the table in `lightlab.problems`.
PROBLEMS: Registry[Problem] = Registry("problem", home="lightlab.problems")
#: An augmentation is a class or function that returns an ``nn.Module``; see `lightlab.data.augment`.
AUGMENTATIONS: Registry[Callable[..., nn.Module]] = Registry("augmentation", home="lightlab.data.augment")

_failures: dict[str, str] = {}
_plugins: set[str] = set()
_named: dict[str, None] = {}
_loaded = False


def load_plugins() -> None:
    """Import what installed packages offer as plugins, once.

    One that fails is remembered (`failed_plugins`) and said on standard error: it breaks only what needs it.
    """
    global _loaded
    if _loaded:
        return
    _loaded = True
    for plugin in entry_points(group=ENTRY_POINT_GROUP):
        try:
            plugin.load()
            _plugins.add(plugin.module)
        except Exception as cause:
            package = plugin.dist.name if plugin.dist else "unknown package"
            _failures[plugin.name] = (
                f"The plugin {plugin.name!r} (of {package}) can't be imported from {plugin.value}: {_describe(cause)}."
            )
            say(f"lightlab: warning: {_failures[plugin.name]}", is_error=True)


def import_plugin(module: str) -> None:
    """Import a module that registers parts: what ``--plugin`` names.

    Raises:
        PluginError: the import fails; the cause is in the message and attached.
    """
    try:
        importlib.import_module(module)
        _plugins.add(module)
        _named[module] = None
    except Exception as cause:
        raise PluginError(
            f"--plugin takes the name of a module that can be imported from here. Received: {module}: "
            f"{_describe(cause)}."
        ) from cause


def plugin_modules() -> dict[str, ModuleType]:
    """Return the modules that are plugins, and those inside of them that are imported: what a config may reach."""
    load_plugins()
    return {
        name: module
        for name, module in list(sys.modules.items())
        if any(name == plugin or name.startswith(f"{plugin}.") for plugin in _plugins) and module is not None
    }


def plugin_options() -> list[str]:
    """Return what names the same plugins on another command line; installed ones need no name."""
    return [part for module in _named for part in ("--plugin", module)]


def failed_plugins() -> tuple[str, ...]:
    """Return what is to be said of the plugins that failed to import."""
    return tuple(_failures.values())


def _describe(cause: Any) -> str:
    return f"{type(cause).__name__}: {cause}".rstrip(".")
