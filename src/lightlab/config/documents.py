"""YAML as configs use it: plain data, with the line of every value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import yaml

from lightlab.errors import ConfigError, Fault, Key, did_you_mean, sentences

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

#: More than this no config has; but what takes memory and time for ever has.
MOST_DEPTH, MOST_VALUES = 64, 100_000


class Loader(_Base):  # type: ignore[misc]  # the faster of two loaders, where there is one
    """Reads plain data only, by the rules of YAML 1.2: ``1e-3`` is a number; ``yes``, dates and ``12:30`` are text."""

    yaml_implicit_resolvers: ClassVar[dict[str, Any]] = {
        first: [
            (tag, pattern)
            for tag, pattern in resolvers
            if tag.rsplit(":", 1)[-1] not in ("bool", "float", "int", "timestamp")
        ]
        for first, resolvers in _Base.yaml_implicit_resolvers.items()
    }


class Dumper(yaml.SafeDumper):
    """Writes plain data; text that looks like a number to one reader of YAML, such as ``1e3``, is quoted for all."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write a value that stands in two places twice, as people do."""
        return True


Dumper.add_representer(tuple, Dumper.represent_list)
Dumper.add_multi_representer(Enum, lambda dumper, item: dumper.represent_str(item.name))
Dumper.add_multi_representer(object, lambda dumper, value: dumper.represent_str(str(value)))

BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")
INT = re.compile(r"([-+]?[0-9]+|0x[0-9a-fA-F]+)\Z")
FLOAT = re.compile(r"([-+]?(\.\d+|\d+(\.\d*)?)([eE][-+]?\d+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z")
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", BOOL, list("tTfF"))
Loader.add_implicit_resolver("tag:yaml.org,2002:int", INT, list("-+0123456789"))
Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value, 16 if "x" in node.value else 10))
for _each in (Loader, Dumper):
    _each.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789."))


@dataclass(frozen=True)
class Document:
    """A config file.

    Attributes:
        values: what it says.
        lines: the line of each key, and of each entry of a list.
    """

    values: dict[str, Any] = field(default_factory=dict)
    lines: dict[Key, int] = field(default_factory=dict)


def read_document(file: str) -> Document:
    """Read a config file.

    Raises:
        ConfigError: it is not there, is no YAML, holds more than plain data, or has a key twice; with every fault.
    """
    path = Path(file)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        others = [str(other) for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError.at(
            (), sentences(f"A config is a YAML file. Received: {file} ({what}).", did_you_mean(file, others))
        )
    try:
        text = path.read_text(encoding="utf-8")
    except (UnicodeDecodeError, OSError) as cause:
        raise ConfigError([Fault((), f"A config is text in UTF-8, as YAML. {cause}.", file)]) from cause
    return _Reader(text, file).read()


def read_value(text: str, key: Key) -> Any:
    """Return the value that a text on the command line means.

    What is no YAML is text: a path, a separator.

    Raises:
        ConfigError: a list or mapping that is no YAML, or more than plain data.
    """
    try:
        value = _Reader(text, "command line").value()
    except ConfigError as error:
        if not text.lstrip().startswith(("[", "{", "!", "&")) or len(text.strip()) == 1:
            return text
        raise ConfigError([Fault(key, fault.message, "command line") for fault in error.faults]) from error
    return text if value is None and text.strip() not in ("", "~", "null", "Null", "NULL") else value


class _Reader:
    """Reads one text, and says where in it something is wrong."""

    def __init__(self, text: str, name: str) -> None:
        self.text = text
        self.name = name

    def read(self) -> Document:
        node = self.compose()
        if node is None:
            raise ConfigError([Fault((), "A config is made of 'key: value' lines. This one is empty.", self.name)])
        if not isinstance(node, yaml.MappingNode):
            word = repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list"
            fault = Fault((), f"A config is made of 'key: value' lines. Received: {word}.", f"{self.name}:1")
            raise ConfigError([fault])
        lines: dict[Key, int] = {}
        if faults := list(self.walk(node, (), lines)):
            raise ConfigError(faults)
        return Document(self.construct(node), lines)

    def value(self) -> Any:
        node = self.compose()
        if faults := [] if node is None else list(self.walk(node, (), {})):
            raise ConfigError(faults)
        return None if node is None else self.construct(node)

    def fault(self, message: str, mark: Any = None, key: Key = ()) -> Fault:
        return Fault(key, message, f"{self.name}:{mark.line + 1}" if mark else self.name)

    def compose(self) -> yaml.Node | None:
        """Return the text as YAML's nodes.

        Raises:
            ConfigError: it is no YAML, or YAML that is not for configs.
        """
        try:
            if faults := list(self.refused()):
                raise ConfigError(faults)
            node = yaml.compose(self.text, Loader=Loader)
        except yaml.MarkedYAMLError as cause:
            mark = cause.problem_mark or cause.context_mark
            tab = "Indent with spaces, not tabs." if mark and self.at(mark).startswith("\t") else ""
            what = ": ".join(filter(None, (cause.context, cause.problem)))
            raise ConfigError([self.fault(sentences(f"This is no YAML: {what}.", tab), mark)]) from cause
        except yaml.YAMLError as cause:
            raise ConfigError([self.fault(f"This is no YAML: {cause}.")]) from cause
        if node is not None:
            self.measure(node, {}, set())
        return node

    def refused(self) -> Iterator[Fault]:
        """Return what is YAML and not for configs, as far as that shows before anything is made of it."""
        depth = 0
        for event in yaml.parse(self.text, Loader=Loader):
            if tag := getattr(event, "tag", None):
                rule = "A config holds plain data: numbers, text, lists and mappings, without YAML's tags."
                yield self.fault(f"{rule} Received: {tag.replace('tag:yaml.org,2002:', '!!')}.", event.start_mark)
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MOST_DEPTH:
                yield self.fault(f"A config is nested at most {MOST_DEPTH} deep.", event.start_mark)
                return

    def measure(self, node: yaml.Node, sizes: dict[int, int], above: set[int]) -> int:
        """Return how many values a node has when its aliases are written out.

        Raises:
            ConfigError: too many, or endlessly many.
        """
        if id(node) in above:
            raise ConfigError([self.fault("An alias stands outside of what it names.", node.start_mark)])
        if id(node) not in sizes:
            parts = node.value if isinstance(node, yaml.CollectionNode) else []
            children = [child for part in parts for child in (part if isinstance(part, tuple) else (part,))]
            sizes[id(node)] = 1 + sum(self.measure(child, sizes, above | {id(node)}) for child in children)
        if sizes[id(node)] > MOST_VALUES:
            rule = f"A config has at most {MOST_VALUES:,} values, aliases written out."
            raise ConfigError([self.fault(f"{rule} This has {sizes[id(node)]:,}.", node.start_mark)])
        return sizes[id(node)]

    def walk(self, node: yaml.Node, key: Key, lines: dict[Key, int]) -> Iterator[Fault]:
        """Note the line of every value, and return the keys that stand twice or are none."""
        if isinstance(node, yaml.SequenceNode):
            for index, item in enumerate(node.value):
                place = (*key, index)
                lines[place] = item.start_mark.line + 1
                if isinstance(item, yaml.ScalarNode):
                    lines[(*place, item.value)] = item.start_mark.line + 1
                yield from self.walk(item, place, lines)
        elif isinstance(node, yaml.MappingNode):
            seen: dict[Any, int] = {}
            for name, value in node.value:
                line = name.start_mark.line + 1
                if name.tag == "tag:yaml.org,2002:merge":
                    for merged in value.value if isinstance(value, yaml.SequenceNode) else [value]:
                        yield from self.walk(merged, key, lines)
                    continue
                part = _key_part(name)
                if part is None:
                    rule = "A key is text or a whole number."
                    yield self.fault(f"{rule} Received: {self.at(name.start_mark).splitlines()[0]}.", name.start_mark)
                    continue
                place = (*key, part)
                if part in seen:
                    message = f"A key stands once. It is in line {seen[part]}, too."
                    yield self.fault(message, name.start_mark, place)
                seen[part] = line
                lines[place] = line
                yield from self.walk(value, place, lines)

    def construct(self, node: yaml.Node) -> Any:
        """Return what a node holds.

        Raises:
            ConfigError: it holds more than plain data.
        """
        loader = Loader("")
        try:
            return loader.construct_document(node)
        except (yaml.MarkedYAMLError, ValueError) as cause:
            mark, problem = getattr(cause, "problem_mark", None), getattr(cause, "problem", cause)
            raise ConfigError([self.fault(f"A config holds plain data only: {problem}.", mark)]) from cause
        finally:
            loader.dispose()

    def at(self, mark: Any) -> str:
        """Return the text from a mark on."""
        before = self.text.splitlines(keepends=True)[: mark.line]
        return self.text[sum(map(len, before)) + mark.column :]


def _key_part(name: yaml.Node) -> str | int | None:
    if not isinstance(name, yaml.ScalarNode):
        return None
    if name.tag == "tag:yaml.org,2002:int" and re.fullmatch(r"-?\d+", name.value):
        return int(name.value)
    return name.value if name.tag == "tag:yaml.org,2002:str" else None
