"""The sections of a config and their keys, for people to look up."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator
from dataclasses import replace
from functools import partial

from lightlab.config.sections import CONFIG, SECTIONS, section_signature
from lightlab.inspect.catalogue.parts import KINDS, Part, itself
from lightlab.signatures import Parameter, Signature, read_signature

#: What may stand beside the class of a scheduler.
BESIDE_SCHEDULER = (
    Parameter("interval", str, default="epoch", description="whether it moves on after each step or each epoch."),
    Parameter("warmup", int, default=0, description="over how many of these the rate first rises, linearly."),
    Parameter("monitor", str | None, default=None, description="what ReduceLROnPlateau watches."),
)
SECTION, KEY = "section", "key"
#: What the fact is called that says which parts take a key.
TAKEN_BY = "taken by"


def sections() -> dict[str, Part]:
    """Return the sections of a config by name."""
    return {name: _section(name) for name in SECTIONS}


def _section(name: str) -> Part:
    signature = data_signature() if name == "data" else section_signature(name)
    about = CONFIG.get(name)
    assert about is not None, name
    text = about.description
    if name == "data":
        text += " Below is what every source takes."
    return Part(SECTION, name, signature.module, partial(itself, signature), text[0].upper() + text[1:])


def data_signature() -> Signature:
    """Return what every data source takes, after its class."""
    signature = read_signature("lightlab.data.base.Data")
    assert signature is not None
    named = Parameter("class_path", str, description="the data source; 'lightlab list data' has them.")
    return replace(signature, parameters=(named, *signature.parameters))


def keys() -> dict[str, Part]:
    """Return the keys of a config that do not depend on what it names, as the command line writes them."""
    found = dict(_keys("", CONFIG.module, (each for each in CONFIG.parameters if each.name not in SECTIONS)))
    for name, part in sections().items():
        found |= _keys(f"{name}.", part.provider, part.signature.parameters)
    return found | dict(_keys("model.lr_scheduler.", CONFIG.module, BESIDE_SCHEDULER))


def keys_of_parts() -> dict[str, Part]:
    """Return the keys that only some data sources, optimizers or schedulers take."""
    known = keys()
    prefixes = {"data": "data.", "optimizers": "model.optimizer.", "schedulers": "model.lr_scheduler."}
    return {name: key for kind, prefix in prefixes.items() for name, key in _of_parts(kind, prefix, known).items()}


def _keys(prefix: str, provider: str, parameters: Iterable[Parameter]) -> Iterator[tuple[str, Part]]:
    for parameter in parameters:
        name = f"{prefix}{parameter.name}"
        signature = Signature(name, provider, (parameter,))
        yield name, Part(KEY, name, provider, partial(itself, signature), parameter.description)


def _of_parts(kind: str, prefix: str, known: Container[str]) -> dict[str, Part]:
    """Return the keys that only some parts of a kind take, with the names of these; the first one's words count."""
    found: dict[str, Part] = {}
    takers: dict[str, list[str]] = {}
    for part in KINDS[kind].parts().values():
        for name, key in _keys(prefix, part.provider, part.signature.parameters):
            found.setdefault(name, key)
            takers.setdefault(name, []).append(part.name)
    return {
        name: replace(key, facts={TAKEN_BY: ", ".join(takers[name])})
        for name, key in found.items()
        if name not in known
    }
