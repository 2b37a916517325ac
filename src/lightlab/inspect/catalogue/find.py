"""Finds what a name stands for: parts of all kinds, sections, keys, and torch's own modules."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import partial

from lightlab.config.sections import CONFIG
from lightlab.errors import LightlabError, RegistryError, did_you_mean, sentences
from lightlab.inspect.catalogue.keys import keys, keys_of_parts, sections
from lightlab.inspect.catalogue.parts import KINDS, Part, signature_for_configs

TORCH = "nn."
#: Kinds whose parts are classes, whose names have capital letters.
OF_CLASSES = frozenset({"data", "callbacks", "loggers", "plugins"})


def all_parts() -> list[Part]:
    """Return everything that has a name: sections and keys of a config, and the parts of each kind."""
    found = [*sections().values(), *keys().values()]
    return found + [part for kind in KINDS.values() for part in kind.parts().values()]


def find(name: str) -> list[Part]:
    """Return all that a name stands for.

    Args:
        name: a part's name (``dense``), with or without its kind (``layers.dense``); a section (``trainer``); a key
            (``trainer.max_epochs``); a module of torch.nn (``nn.GELU``); or the path of a class.

    Raises:
        LightlabError: it stands for nothing; the message has the nearest names.
    """
    if name.startswith(TORCH):
        return [_torch_module(name)]
    bare = name.replace(".init_args.", ".")
    if found := [part for part in _candidates(bare) if bare in _names(part)]:
        return _once(found)
    if "." in bare and (found := [part for name, part in keys_of_parts().items() if name == bare]):
        return found
    if name in KINDS:
        raise LightlabError(f"{name} is a kind: 'lightlab list {name}' lists what there is.")
    parts = all_parts()
    names = [part.name for part in parts]
    names += [*(f"{part.kind}.{part.name}" for part in parts), *keys_of_parts()] if "." in name else []
    near = did_you_mean(name, names) or "'lightlab list' lists what there is."
    raise LightlabError(sentences(f"Nothing is called {name!r}.", near))


def _candidates(name: str) -> Iterator[Part]:
    """Yield what could be called so; what cannot is not looked up, since that takes a while."""
    if name in CONFIG.names or "." in name:
        yield from [*sections().values(), *keys().values()]
    for kind in KINDS.values():
        if kind.name not in OF_CLASSES or name != name.lower():
            yield from kind.parts().values()


def _once(parts: list[Part]) -> list[Part]:
    """Return each part once: an activation that is a layer, too, is the same thing under the same name."""
    activations = {part.name for part in parts if part.kind == "activations"}
    doubled = [part.name for part in parts if part.kind == "layers" and part.name in activations]
    return [
        replace(part, facts={"also": "a layer by itself"}) if part.name in doubled else part
        for part in parts
        if part.kind != "layers" or part.name not in doubled
    ]


def _names(part: Part) -> Iterable[str]:
    """Return what a part can be called."""
    return part.name, f"{part.kind}.{part.name}", f"{part.provider}.{part.name}"


def _torch_module(name: str) -> Part:
    from lightlab.specs import find_layer

    try:
        item = find_layer(name)
    except RegistryError as error:
        raise LightlabError(str(error)) from error
    read = partial(signature_for_configs, item, ())
    return Part("layers", name, item.__module__, read, inspect.getdoc(item) or "")
