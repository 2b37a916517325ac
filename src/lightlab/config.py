"""Where each value of a config stands: file and line, or the command line."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightlab.errors import ConfigError, Fault, Key, did_you_mean, format_key, sentences

#: A loader that only knows plain data: text, numbers, lists, mappings.
Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Sources:
    """The config files and the arguments of one call.

    Args:
        files: the config files, in the order in which each overrides those before it.
        arguments: the command line's, after the verb.

    Raises:
        ConfigError: a file that is not there, is no YAML, or has a key twice; with every fault.
    """

    def __init__(self, files: Sequence[str], arguments: Sequence[str]) -> None:
        self.arguments = list(arguments)
        self._given = {argument[2:].split("=")[0].rstrip("+") for argument in arguments if argument.startswith("--")}
        self._lines: list[tuple[str, dict[Key, int]]] = []
        faults: list[Fault] = []
        for file in files:
            lines: dict[Key, int] = {}
            self._lines.append((file, lines))
            node = _compose(file)
            if node is not None and not isinstance(node, yaml.MappingNode):
                faults.append(Fault((), f"{file}:1: A config is made of 'key: value' lines. Received: {_word(node)}."))
            elif node is None:
                faults.append(Fault((), f"{file}: A config is made of 'key: value' lines. This one is empty."))
            else:
                faults += _walk(node, (), lines, file)
        if faults:
            raise ConfigError(faults)

    def keys(self) -> Iterable[Key]:
        """Return the key of every value in the files, of mappings and lists too."""
        for _, lines in self._lines:
            yield from lines

    def locate(self, key: Key) -> str:
        """Return where a key, or what is nearest above it, was given; empty where it was not."""
        for length in range(len(key), 0, -1):
            spellings = _spellings(key[:length])
            if self._given.intersection(map(format_key, spellings)):
                return "command line"
            for file, lines in reversed(self._lines):
                for spelling in spellings:
                    if spelling in lines:
                        return f"{file}:{lines[spelling]}"
        above = f"{key[0]}." if key else ""
        return "command line" if above and any(option.startswith(above) for option in self._given) else ""

    def located(self, error: ConfigError) -> ConfigError:
        """Return the error with the place that each fault comes from."""
        return ConfigError(
            [Fault((), ": ".join(filter(None, (self.locate(fault.key), str(fault))))) for fault in error.faults]
        )


def _spellings(key: Key) -> tuple[Key, ...]:
    """Return the ways to write a key: what a class takes may stand under ``init_args``, or directly."""
    if len(key) < 2:
        return (key,)
    without = tuple(part for part in key if part != "init_args")
    return (key, without, (key[0], "init_args", *key[1:]))


def _compose(file: str) -> yaml.Node | None:
    path = Path(file)
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        others = [str(other) for other in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise ConfigError.at(
            (), sentences(f"--config takes a YAML file. Received: {file} ({what}).", did_you_mean(file, others))
        )
    text = ""
    try:
        text = path.read_text(encoding="utf-8")
        return yaml.compose(text, Loader=Loader)
    except yaml.MarkedYAMLError as cause:
        mark = cause.problem_mark or cause.context_mark
        line = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        tab = " Indent with spaces, not tabs." if mark and text[_offset(text, mark) :].startswith("\t") else ""
        what = ": ".join(filter(None, (cause.context, cause.problem)))
        raise ConfigError.at((), f"{file}{line}: This is no YAML: {what}.{tab}") from cause
    except (yaml.YAMLError, UnicodeDecodeError) as cause:
        raise ConfigError.at((), f"{file}: A config is text in UTF-8, as YAML. {cause}") from cause


def _offset(text: str, mark: yaml.Mark) -> int:
    return sum(len(line) for line in text.splitlines(keepends=True)[: mark.line]) + mark.column


def _walk(node: yaml.Node, key: Key, lines: dict[Key, int], file: str) -> list[Fault]:
    """Note the line of every value, and return the keys that stand twice."""
    faults: list[Fault] = []
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            place = (*key, index)
            lines[place] = item.start_mark.line + 1
            if isinstance(item, yaml.ScalarNode):
                lines[(*place, item.value)] = item.start_mark.line + 1
            faults += _walk(item, place, lines, file)
    elif isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for name, value in node.value:
            if not isinstance(name, yaml.ScalarNode):
                continue
            line = name.start_mark.line + 1
            place = (*key, name.value)
            if name.value in seen:
                twice = f"A key stands once. It is in line {seen[name.value]}, too."
                faults.append(Fault((), f"{file}:{line}: {format_key(place)}: {twice}"))
            seen[name.value] = line
            lines[place] = line
            faults += _walk(value, place, lines, file)
    return faults


def _word(node: yaml.Node) -> str:
    return repr(node.value) if isinstance(node, yaml.ScalarNode) else "a list"
