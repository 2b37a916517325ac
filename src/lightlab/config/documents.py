"""YAML as configs use it: plain data, with the line of every value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta
from enum import Enum
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

import yaml

from lightlab.errors import ConfigError, Fault, Key, collect, did_you_mean, sentences

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: More than this no config has; but what takes memory and time for ever has.
MOST_DEPTH, MOST_VALUES, MOST_DIGITS = 64, 100_000, 1000
#: The place of what is no file.
COMMAND_LINE = "command line"
TOO_DEEP = f"A config is nested at most {MOST_DEPTH} deep."
NULL, TEXT, INTEGER, MERGE = (f"tag:yaml.org,2002:{name}" for name in ("null", "str", "int", "merge"))

BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")
INT = re.compile(r"([-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+)\Z")
FLOAT = re.compile(r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z")


class Loader(_Base):  # type: ignore[misc]  # the faster of two loaders, where there is one
    """Reads plain data only, by the rules of YAML 1.2: ``1e-3`` is a number; ``yes``, dates and ``12:30`` are text."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [(tag, pattern) for tag, pattern in resolvers if tag.rsplit(":", 1)[-1] in ("merge", "null")]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }

    def construct_whole_number(self, node: yaml.ScalarNode) -> int:
        """Return a number.

        Raises:
            ConstructorError: it is too long to be one; Python itself refuses to write such numbers.
        """
        if len(node.value) > MOST_DIGITS:
            rule = f"a number has at most {MOST_DIGITS} digits"
            raise yaml.constructor.ConstructorError(None, None, rule, node.start_mark)
        return whole_number(node.value)


class Dumper(yaml.SafeDumper):
    """Writes plain data; text that looks like a number to one reader of YAML, such as ``1e3``, is quoted for all."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that stands in two places twice, as people do."""
        return True

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Write text; line breaks that PyYAML takes for spaces as escapes."""
        return self.represent_scalar(TEXT, text, style='"' if re.search("[\x85\u2028\u2029]", text) else None)


Dumper.add_representer(str, Dumper.represent_text)
Dumper.add_multi_representer(dict, Dumper.represent_dict)
Dumper.add_representer(timedelta, lambda dumper, value: dumper.represent_str(f"PT{value.total_seconds():g}S"))
Dumper.add_representer(tuple, Dumper.represent_list)
Dumper.add_multi_representer(Enum, lambda dumper, item: dumper.represent_str(item.name))
Dumper.add_multi_representer(object, lambda dumper, value: dumper.represent_str(str(value)))

Loader.add_implicit_resolver("tag:yaml.org,2002:bool", BOOL, list("tTfF"))
Loader.add_constructor(INTEGER, Loader.construct_whole_number)
for _each in (Loader, Dumper):
    _each.add_implicit_resolver(INTEGER, INT, list("-+0123456789"))
    _each.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))


def whole_number(text: str) -> int:
    """Return a number of base 10, 16 or 8.

    >>> whole_number("010"), whole_number("0x1F"), whole_number("0o17")
    (10, 31, 15)
    """
    return int(text, {"0x": 16, "0o": 8}.get(text[:2], 10))


def load_plain(text: str) -> Any:
    """Return what YAML says that holds plain data.

    Raises:
        yaml.YAMLError: it is no YAML, or holds more.
    """
    return yaml.load(text, Loader=Loader)  # noqa: S506 - it knows plain data only


@dataclass(frozen=True)
class Document:
    """A config file.

    Attributes:
        values: what it says.
        lines: the line of each key, and of each entry of a list.
        faults: what is wrong with its keys, such as one that stands twice.
    """

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()


def read_document(file: str) -> Document:
    """Read a config file.

    Raises:
        ConfigError: it is not there, is no YAML, or holds more than plain data.
    """
    path = Path(file)
    try:
        if path.is_dir() or not path.exists():
            what = "a folder" if path.is_dir() else "no such file"
            near = did_you_mean(file, map(str, path.parent.glob("*.y*ml")))
            raise ConfigError.at((), sentences(f"A config is a YAML file. Received: {file} ({what}).", near))
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as cause:
        line = cause.object[: cause.start].count(b"\n") + 1
        raise ConfigError([Fault((), f"A config is text in UTF-8, as YAML. {cause}.", f"{file}:{line}")]) from cause
    except OSError as cause:
        raise ConfigError.at(
            (), f"A config is a file that can be read. Received: {file} ({cause.strerror})."
        ) from cause
    return _Reader(text, file).read()


def read_value(text: str, key: Key) -> Any:
    """Return the value that a text on the command line means: a number, true, false, null, ``[…]``, ``{…}`` or text.

    What else YAML would read into a text, such as a comment or a key, stays text.

    >>> read_value("1e-3", ()), read_value("[1, a]", ()), read_value("'2'", ()), read_value("|", ())
    (0.001, [1, 'a'], '2', '|')

    Raises:
        ConfigError: a list or mapping in brackets that is no YAML, or more than plain data.
    """
    reader = _Reader(text, COMMAND_LINE)
    if text.lstrip().startswith(("[", "{", "!!")) and text.strip() not in ("[", "{"):
        try:
            return reader.value()
        except ConfigError as error:
            faults = [replace(fault, key=(*key, *fault.key), place=COMMAND_LINE) for fault in error.faults]
            raise ConfigError(faults) from error
    with suppress(ConfigError):
        node = reader.compose()
        if not text or _is_value(node, text):
            return reader.construct(node)
    return text


def _is_value(node: yaml.Node | None, text: str) -> bool:
    """Return whether a text is a number, true, false, null or in quotation marks, as a whole."""
    if not isinstance(node, yaml.ScalarNode) or text.strip() != text[node.start_mark.index : node.end_mark.index]:
        return False
    return node.style in ("'", '"') or (not node.style and node.tag != TEXT)


class _Reader:
    """Reads one text, and says where in it something is wrong."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    def read(self) -> Document:
        node = self.compose()
        if node is None or node.tag == NULL:
            raise ConfigError([self.fault("A config is made of 'key: value' lines. This one is empty.")])
        if not isinstance(node, yaml.MappingNode):
            word = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list"
            rule = "A config is made of 'key: value' lines."
            raise ConfigError([self.fault(f"{rule} Received: {word}.", node.start_mark.line)])
        lines: dict[Key, int] = {}
        faults: list[Fault] = []
        with collect(faults):
            self.check(node, lines)
        try:
            return Document(self.construct(node), lines, tuple(faults))
        except ConfigError as error:
            raise ConfigError(faults or error.faults) from error

    def value(self) -> Any:
        node = self.compose()
        self.check(node, {})
        return self.construct(node)

    @cached_property
    def lines(self) -> list[str]:
        return self.text.splitlines()

    def rest_of_line(self, mark: Any) -> str:
        """Return what stands in a line from a mark on."""
        return self.lines[mark.line][mark.column :] if mark.line < len(self.lines) else ""

    def fault(self, message: str, line: int | None = None, key: Key = ()) -> Fault:
        return Fault(key, message, self.name if line is None else f"{self.name}:{line + 1}")

    def compose(self) -> yaml.Node | None:
        """Return the text as YAML's nodes.

        Raises:
            ConfigError: it is no YAML, or YAML that is not for configs.
        """
        if found := yaml.reader.Reader.NON_PRINTABLE.search(self.text):
            line = len(self.text[: found.start()].splitlines()) - 1
            what = f"the character {found[0]!a} has no place in a text"
            raise ConfigError([self.fault(f"This is no YAML: {what}.", max(line, 0))])
        try:
            if faults := list(self.refused()):
                raise ConfigError(faults)
            node = yaml.compose(self.text, Loader=Loader)
        except yaml.MarkedYAMLError as cause:
            mark: Any = cause.problem_mark or cause.context_mark
            tab = "Indent with spaces, not tabs." if self.rest_of_line(mark).startswith("\t") else ""
            what = ": ".join(filter(None, (cause.context, cause.problem)))
            if re.search("flow|quoted", cause.context or ""):  # what is never closed is noticed much later
                mark = cause.context_mark
            raise ConfigError([self.fault(sentences(f"This is no YAML: {what}.", tab), mark.line)]) from cause
        if node is not None:
            self.measure(node, {}, frozenset())
        return node

    def refused(self) -> Iterator[Fault]:
        """Return what is YAML and not for configs, as far as that shows before anything is made of it."""
        depth = 0
        for event in yaml.parse(self.text, Loader=Loader):
            line = event.start_mark.line if event.start_mark else None
            if tag := getattr(event, "tag", None):
                rule = "A config holds plain data: numbers, text, lists and mappings, without YAML's tags."
                yield self.fault(f"{rule} Received: {tag.replace('tag:yaml.org,2002:', '!!')}.", line)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                yield self.fault(TOO_DEEP, line)
                return

    def measure(self, node: yaml.Node, sizes: dict[int, tuple[int, int]], above: frozenset[int]) -> tuple[int, int]:
        """Return how many values a node has, and how deep they are nested, when its aliases are written out.

        Raises:
            ConfigError: too many, or endlessly many.
        """
        if id(node) in above:
            raise ConfigError([self.fault("An alias stands outside of what it names.", node.start_mark.line)])
        if id(node) in sizes or not isinstance(node, yaml.CollectionNode):
            return sizes.get(id(node), (1, 0))
        children = [child for part in node.value for child in (part if isinstance(part, tuple) else (part,))]
        within = [self.measure(child, sizes, above | {id(node)}) for child in children]
        count, depth = 1 + sum(count for count, _ in within), 1 + max((depth for _, depth in within), default=0)
        if count > MOST_VALUES:
            rule = f"A config has at most {MOST_VALUES:,} values, aliases written out."
            raise ConfigError([self.fault(f"{rule} This has {count:,}.", node.start_mark.line)])
        if depth > MOST_DEPTH:
            raise ConfigError([self.fault(TOO_DEEP, node.start_mark.line)])
        sizes[id(node)] = count, depth
        return count, depth

    def check(self, node: yaml.Node | None, lines: dict[Key, int]) -> None:
        """Note the line of every value.

        Raises:
            ConfigError: keys that stand twice or are none.
        """
        if node is not None and (faults := list(self.walk(node, (), lines))):
            # What an alias repeats is wrong in one place.
            raise ConfigError(list({(fault.place, fault.message): fault for fault in reversed(faults)}.values())[::-1])

    def walk(self, node: yaml.Node, key: Key, lines: dict[Key, int]) -> Iterator[Fault]:
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                lines[(*key, index)] = item.start_mark.line + 1
                yield from self.walk(item, (*key, index), lines)
        elif isinstance(node, yaml.MappingNode):
            seen: dict[Any, int] = {}
            merged: dict[Key, int] = {}
            for name, value in node.value:
                part, line = _key_part(name), name.start_mark.line
                if part is None:
                    received = f"Received: {self.rest_of_line(name.start_mark).strip() or 'nothing'}."
                    yield self.fault(f"A key is text or a whole number. {received}", line)
                    continue
                place = (*key, part)
                if part in seen:
                    yield self.fault(f"A key stands once. It is in line {seen[part]}, too.", line, place)
                seen[part] = line + 1
                if name.tag == MERGE:
                    for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                        own: dict[Key, int] = {}
                        yield from self.walk(each, key, own)
                        merged = own | merged
                else:
                    lines[place] = line + 1
                    yield from self.walk(value, place, lines)
            for place, line in merged.items():  # what is written beats what is merged
                lines.setdefault(place, line)

    def construct(self, node: yaml.Node | None) -> Any:
        """Return what a node holds.

        Raises:
            ConfigError: it holds more than plain data.
        """
        loader = Loader("")
        try:
            return None if node is None else loader.construct_document(node)
        except yaml.MarkedYAMLError as cause:
            mark: Any = cause.problem_mark
            fault = self.fault(f"A config holds plain data only: {cause.problem}.", mark and mark.line)
            raise ConfigError([fault]) from cause
        finally:
            loader.dispose()


def _key_part(name: yaml.Node) -> str | int | None:
    """Return a key; ``None`` for what can't be one."""
    if not isinstance(name, yaml.ScalarNode) or len(name.value) > MOST_DIGITS:
        return None
    if name.tag == INTEGER:
        return whole_number(name.value)
    return name.value if name.tag in (TEXT, MERGE) else None
