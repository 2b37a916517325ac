"""The catalogue as people and tools read it."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightlab.inspect.catalogue.example import example
from lightlab.inspect.catalogue.keys import KEY, SECTION
from lightlab.inspect.catalogue.parts import KINDS, Part
from lightlab.signatures import Code, Parameter
from lightlab.signatures.words import call_in_yaml, description, type_in_words, value_in_yaml, without_markup

WIDTH = 112
#: What a part of each kind is, in words.
ONE = {name: kind.one for name, kind in KINDS.items()} | {SECTION: "a section", KEY: "a key"}


def names_as_text(parts: Mapping[str, Sequence[Part]]) -> str:
    """Return the names of the parts of some kinds, a paragraph a kind.

    Args:
        parts: by kind.
    """
    paragraphs = []
    for kind, found in parts.items():
        head = f"{kind} ({KINDS[kind].place})"
        paragraphs.append(f"{head}\n{_fill(', '.join(_named(part) for part in found), '  ')}")
    return "\n\n".join(
        [*paragraphs, "'lightlab list KIND' says what they are, 'lightlab describe NAME' what they take."]
    )


def summaries_as_text(parts: Sequence[Part]) -> str:
    """Return a line for each part: its name and what it is."""
    width = max(len(part.name) for part in parts)
    return "\n".join(
        f"{part.name:<{width}}  {part.summary}{f' ({part.foreign})' if part.foreign else ''}".rstrip() for part in parts
    )


def _named(part: Part) -> str:
    return f"{part.name} ({part.foreign})" if part.foreign else part.name


def as_text(part: Part) -> str:
    """Return all that there is to know of a part."""
    parameters = part.signature.parameters
    blocks = [f"{part.name}: {ONE[part.kind]}, from {part.provider}"]
    if parameters and part.kind not in (SECTION, KEY):
        blocks.append(f"  {part.name}: {call_in_yaml(part.signature)}")
    blocks += [_fill(paragraph) for paragraph in _prose(part)]
    if parameters:
        blocks.append("\n".join(["Takes:", *map(_parameter, parameters)]))
    if part.signature.open_ended:
        blocks.append("It takes other parameters, too.")
    if part.facts:
        blocks.append("\n".join(_fill(f"{name}: {fact}", "", "  ") for name, fact in part.facts.items()))
    shown = example(part)
    needed = ", ".join(each.name for each in parameters if each.required)
    without = f"It needs {needed}, which a config can't write." if part.kind != KEY else ""
    blocks.append(f"Example:\n{textwrap.indent(shown, '  ')}" if shown else without)
    return "\n\n".join(block.rstrip() for block in blocks if block)


def _prose(part: Part) -> list[str]:
    """Return what there is to say of a part as a whole."""
    if part.kind == KEY:  # its parameter says it
        return []
    paragraphs = description(part.docstring)
    # What torch's and Lightning's docstrings go on with is formulas, tables and code in Python.
    return paragraphs[:1] if part.provider.startswith(("torch.", "lightning.")) else paragraphs


def _parameter(parameter: Parameter) -> str:
    head = f"  {parameter.name}: {type_in_words(parameter)}"
    head += "" if parameter.required else f"; {value_in_yaml(parameter.default)} by default"
    about = [_fill(without_markup(parameter.description), "      ")] if parameter.description else []
    return "\n".join([_fill(head, "", "      "), *about])


def as_data(part: Part) -> dict[str, Any]:
    """Return all that there is to know of a part, as plain data."""
    return {
        "kind": part.kind,
        "name": part.name,
        "provider": part.provider,
        "summary": part.summary,
        "description": _prose(part),
        "signature": call_in_yaml(part.signature),
        "parameters": [_parameter_as_data(each) for each in part.signature.parameters],
        "open_ended": part.signature.open_ended,
        "facts": dict(part.facts),
        "example": example(part),
    }


def _parameter_as_data(parameter: Parameter) -> dict[str, Any]:
    given = {} if parameter.required else {"default": _plain(parameter.default)}
    about = {"name": parameter.name, "type": type_in_words(parameter), "required": parameter.required}
    return {**about, **given, "description": without_markup(parameter.description)}


def _plain(default: Any) -> Any:
    """Return a default as JSON can have it; as text where it is code, or an object."""
    plain = default is None or isinstance(default, bool | int | float | str | list | tuple | dict)
    return default if plain and not isinstance(default, Code) else value_in_yaml(default)


def as_names(parts: Iterable[Part]) -> list[dict[str, str]]:
    """Return the names of parts, with what they are and who provides them, as plain data."""
    return [{"name": part.name, "summary": part.summary, "provider": part.provider} for part in parts]


def _fill(text: str, first: str = "", other: str | None = None) -> str:
    """Return a text in lines that fit a terminal."""
    rest = first if other is None else other
    return textwrap.fill(
        text, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False
    )
