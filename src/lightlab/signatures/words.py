"""Types, defaults and docstrings in the words of people who write configs."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from enum import Enum
from os import PathLike
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from lightlab.config.documents import Dumper
from lightlab.signatures.signature import Parameter, Signature
from lightlab.signatures.source import Code

SIMPLE: dict[Any, str] = {
    bool: "true or false",
    int: "int",
    float: "number",
    str: "text",
    Path: "path",
    PathLike: "path",
    timedelta: "duration",
    Callable: "function",
    type(None): "null",
}
#: How a limit is written, and what annotations call it.
LIMITS = {">": "gt", "≥": "ge", "<": "lt", "≤": "le"}
#: The limit of sizes that are told from a slip (`lightlab.layers.parameters.MOST`): nothing that people need to read.
MOST = 2**31 - 1
#: A section of a docstring in Google's style, with what is indented below it.
SECTION = re.compile(
    r"^(Args|Arguments|Attributes|Examples?|Note|Raises|Returns|Yields):{1,2}[ ]*\n(?:(?:[ \t].*)?(?:\n|\Z))*", re.M
)


def type_in_words(parameter: Parameter) -> str:
    """Return what a parameter takes.

    Where the code's annotation says nothing that a value can be held against, it is the annotation as it stands.

    >>> from pydantic import Field
    >>> type_in_words(Parameter("units", typing.Annotated[int, Field(gt=0)] | None))
    'int > 0 or null'
    >>> type_in_words(Parameter("padding", typing.Literal["valid", "same"]))
    'one of valid, same'
    """
    if parameter.type is not Any:
        return words(parameter.type)
    return _annotation_in_words(parameter.written) or "anything"


def _annotation_in_words(text: str) -> str:
    """Return an annotation whose names are not to be had here, with those replaced that people would stumble over."""
    text = re.sub(r"^(?:typing\.)?Optional\[(.*)\]$", r"\1 | None", text)
    text = re.sub(r"Literal\[([^]]*)\]", lambda found: f"one of {found[1].replace(chr(39), '')}", text)
    names = {"None": "null", "bool": "true or false", "float": "number", "str": "text", "Callable": "function"}
    text = re.sub(r"\b(?:None|bool|float|str|Callable)\b", lambda found: names[found[0]], text)
    return text.replace(" | ", " or ")


def words(kind: Any) -> str:
    """Return a type in words: alternatives are joined by "or", and null comes last.

    >>> words(list[int] | str | None), words(tuple[float, float]), words(dict[str, bool])
    ('list of int, text, or null', '[number, number]', 'mapping of true or false')
    """
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, types.UnionType):
        return _either(arguments)
    if origin is typing.Literal:
        return f"one of {', '.join(map(value_in_yaml, arguments))}" if len(arguments) > 1 else value_in_yaml(*arguments)
    if origin is typing.Annotated:
        return _annotated(*arguments)
    if origin is tuple and arguments[-1] is not Ellipsis:
        return f"[{', '.join(map(words, arguments))}]"
    base = origin or kind
    if base in SIMPLE:
        return SIMPLE[base]
    if isinstance(base, type) and issubclass(base, Enum):
        return f"one of {', '.join(member.name for member in base)}"
    if isinstance(base, type) and issubclass(base, Mapping):
        return f"mapping of {words(arguments[-1])}" if arguments and arguments[-1] is not Any else "mapping"
    if isinstance(base, type) and issubclass(base, Iterable) and (arguments or base in (list, tuple, set)):
        return f"list of {words(arguments[0])}" if arguments and arguments[0] is not Any else "list"
    return "anything" if kind is Any else getattr(kind, "__name__", str(kind))


def _either(kinds: Sequence[Any]) -> str:
    """Return alternatives in words; those that are values come as one list."""
    values = [value for kind in kinds if typing.get_origin(kind) is typing.Literal for value in typing.get_args(kind)]
    rest = [kind for kind in kinds if typing.get_origin(kind) is not typing.Literal]
    found = [words(typing.Literal[tuple(values)])] if values else []
    found += dict.fromkeys(words(kind) for kind in rest if kind is not type(None))
    if SIMPLE[Path] in found and SIMPLE[str] in found:  # a path is written as text
        found.remove(SIMPLE[str])
    found += ["null"] * (type(None) in kinds)
    if len(found) < 3 and not any("," in word or " or " in word for word in found):
        return " or ".join(found)
    return ", ".join([*found[:-1], f"or {found[-1]}"])


def _annotated(kind: Any, *marks: Any) -> str:
    """Return a type and what is asked of it beside: a range, or the style of layers."""
    limits: dict[str, Any] = {}
    for mark in marks:
        if isinstance(mark, Enum):
            return str(mark.value)
        for each in mark.metadata if isinstance(mark, FieldInfo) else [mark]:
            limits |= {sign: getattr(each, name) for sign, name in LIMITS.items() if hasattr(each, name)}
    if limits.get("≤") == MOST:
        del limits["≤"]
    if limits.keys() == {"≥", "≤"}:
        return f"{words(kind)} from {limits['≥']} to {limits['≤']}"
    return f"{words(kind)} {' and '.join(f'{sign} {limit}' for sign, limit in limits.items())}".rstrip()


def value_in_yaml(value: Any) -> str:
    """Return a value as a config writes it, in one line.

    >>> value_in_yaml(None), value_in_yaml((0.7, 0.3)), value_in_yaml("1e-3"), value_in_yaml(Code("os.sep"))
    ('null', '[0.7, 0.3]', "'1e-3'", 'os.sep')
    """
    if isinstance(value, Code):
        return str(value)
    text: str = yaml.dump(value, Dumper=Dumper, default_flow_style=True, width=10**6, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")


def call_in_yaml(signature: Signature) -> str:
    """Return the parameters with their defaults as a mapping; a lone name is one that has to be given.

    >>> call_in_yaml(Signature("clip", "", (Parameter("low"), Parameter("high", default=1.0))))
    '{low, high: 1.0}'
    """
    parts = (
        each.name if each.required else f"{each.name}: {value_in_yaml(each.default)}" for each in signature.parameters
    )
    return f"{{{', '.join(parts)}}}"


def first_sentence(docstring: str) -> str:
    r"""Return what a docstring starts with, without markup.

    >>> first_sentence("Cut ``x`` at `low`, e.g. 0. See\n    `other.thing`.")
    'Cut x at low, e.g. 0.'
    """
    paragraph = next(iter(_paragraphs(docstring)), "")
    ends = (found.end() for found in re.finditer(r"\.(?=\s|$)", paragraph))
    ends = (end for end in ends if not paragraph[:end].endswith(("e.g.", "i.e.", "et al.")))
    return paragraph[: next(ends, None)]


def description(docstring: str) -> list[str]:
    r"""Return the paragraphs of a docstring, without its sections (``Args:`` and the like) and without markup.

    >>> description("Do it.\n\nInput shape: (batch,).\n\nArgs:\n    often: how often.\n\nUse with care.")
    ['Do it.', 'Input shape: (batch,).', 'Use with care.']
    """
    return list(_paragraphs(docstring))


def _paragraphs(docstring: str) -> Iterator[str]:
    """Yield the prose: no sections, nothing that Sphinx sets apart (``.. math::``), no code."""
    for block in re.split(r"\n\s*\n(?=\S)", SECTION.sub("\n", inspect.cleandoc(docstring)).strip()):
        block = re.split(r"\n\s*\n", block)[0]  # what is indented below a paragraph belongs to code or a directive
        if block and not block.startswith((".. ", ">>> ", "```", "__ ")):
            yield without_markup(" ".join(block.split()))


def without_markup(text: str) -> str:
    """Return a text as it reads when Sphinx has made a page of it.

    >>> without_markup("As in :class:`~torch.nn.GELU`, with ``x`` > 0; see `the paper <https://arxiv.org>`_.")
    'As in torch.nn.GELU, with x > 0; see the paper.'
    """
    text = re.sub(r"`([^`<]+?)\s*<[^`>]*>`_+", r"\1", text)  # a link
    text = re.sub(r":\w+(?::\w+)*:`~?\.?([^`]*)`", r"\1", text)  # a role
    return re.sub(r"``?([^`]*)``?|\*\*([^*]*)\*\*", lambda found: found[1] or found[2] or "", text)
