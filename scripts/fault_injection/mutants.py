"""Configs and tables changed at random, as strategies of Hypothesis."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from lightlab.config.classes import DATA, FAMILIES
from lightlab.config.documents import Dumper, Loader
from lightlab.config.sections import SECTIONS, section_signature
from lightlab.config.sources import merge
from lightlab.optim import OPTIMIZERS, SCHEDULERS, class_signature
from lightlab.registry import LAYERS
from lightlab.signatures import signature_of
from lightlab.specs import INJECTED

CONFIGS = Path(__file__).parents[2] / "configs"
TEXTS = [path.read_text(encoding="utf-8") for path in sorted(CONFIGS.glob("*.yaml"))]
SHIPPED = [yaml.load(text, Loader=Loader) for text in TEXTS]  # noqa: S506 - a safe one

# Values

#: Names that mean something somewhere, so that a change is more often nearly right.
NAMES = sorted(
    {"class_path", "init_args", "layers", "units", "monitor", "callbacks", "lr", "fit", "1", "", "__class__", "a.b"}
    | {"[0]", "data", "model", "trainer", "early_stopping", "checkpoint", "seed_everything", "ckpt_path", "output"}
    | {"dict_kwargs", "<<", "dense", "repeat", "times", "filters", "kernel_size", "batch_size", "split", "problem"}
)
#: Classes and functions that do things, and names that are nearly those of what there is.
PATHS = [
    "os.system",
    "subprocess.Popen",
    "builtins.eval",
    "pathlib.Path",
    "torch.load",
    "sys.exit",
    "antigravity",
    "..",
]
PATHS += ["nn.Linear", "nn.", "nn.Module", "nn.LSTM", "AdamW", "LBFGS", "EarlyStopping", "ModelCheckpoint", "TableData"]
PATHS += ["lightlab.data.base.Data", "torch.nn.Linear", "a b", "numpy.random.rand", "__main__.x"]
#: What would take memory or time for ever.
BOMBS = [10**6, 10**9, 2**31 - 1, 2**31, 2**63, 10**12, 10**18, 10**40, -(10**40), 1e30, 1e308, "9" * 2000]
ODD_TEXTS = ["1e-3", "2", "null", "true", "val/loss", "relu", "~", "\0", "\ud83d\ude00", "ü" * 50, "../..", "/", "{}"]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 5),
    st.integers(),
    st.floats(),
    st.sampled_from(BOMBS),
    st.sampled_from([float("nan"), float("inf"), -float("inf"), 1e-320, 0.0, 0.5]),
    st.sampled_from(ODD_TEXTS + PATHS + NAMES),
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=4) | st.integers(-1, 3), inner, max_size=3),
    ),
    max_leaves=6,
)

# Configs


def places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[tuple[Any, ...], list[Any]]]:
    """Return every container in a config, with its keys or indices."""
    found = []
    if isinstance(value, dict | list):
        found.append((above, list(value) if isinstance(value, dict) else list(range(len(value)))))
        for name, part in value.items() if isinstance(value, dict) else enumerate(value):
            found += places(part, (*above, name))
    return found


def look_up(value: Any, key: tuple[Any, ...]) -> Any:
    """Return what stands at a key."""
    for part in key:
        value = value[part]
    return value


def put(container: Any, name: Any, value: Any) -> None:
    """Put a value into a mapping under a name, or into a list."""
    if isinstance(container, dict):
        container[name] = value
    else:
        container.append(value)


@st.composite
def trees(draw: Any) -> Any:
    """Give a shipped config with one to three keys or values changed."""
    config = copy.deepcopy(draw(st.sampled_from(SHIPPED)))
    for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
        key, names = draw(st.sampled_from([place for place in places(config) if place[1]]))
        container, name = look_up(config, key), draw(st.sampled_from(names))
        change = draw(st.sampled_from(["delete", "rename", "retype", "retype", "duplicate", "move", "add", "misspell"]))
        other = look_up(config, draw(st.sampled_from(places(config)))[0])
        if change == "retype":
            container[name] = draw(VALUES)
        elif change == "add":
            put(container, draw(st.sampled_from(NAMES) | st.text(max_size=5)), draw(VALUES))
        elif change == "duplicate":
            put(other, name, copy.deepcopy(container[name]))
        else:
            value = container.pop(name)
            new = name
            if change == "rename":
                new = draw(st.sampled_from(NAMES))
            elif change == "misspell" and isinstance(name, str):
                new = name[:-1]
            if change == "move":
                put(other, name, copy.deepcopy(value))
            elif change != "delete":
                put(container, new, value)
        if not places(config)[0][1]:
            config["data"] = draw(VALUES)
    return config


def overlays() -> list[Callable[[Any], dict[str, Any]]]:
    """Return for everything that has a name in configs what makes a config in which it has a value."""
    made: list[Callable[[Any], dict[str, Any]]] = []
    for section in ("", *SECTIONS):
        names = [] if section == "data" else section_signature(section).names
        made += [partial(_in_section, section, name) for name in names]
    for name in DATA.names():
        made += [partial(_in_class, ("data",), name, each) for each in DATA.find(name, ()).names]
    for section, found in (("optimizer", OPTIMIZERS), ("lr_scheduler", SCHEDULERS)):
        for name, item in found.items():
            made += [partial(_in_class, ("model", section), name, each) for each in class_signature(item).names]
    for family in FAMILIES:
        for name in family.names() if family.name in ("callback", "logger", "profiler", "strategy") else ():
            place = ("trainer", "callbacks" if family.name == "callback" else family.name)
            made += [partial(_in_class, place, name, each) for each in family.find(name, ()).names]
    for name in LAYERS.names():
        made += [partial(_in_layer, name, each) for each in signature_of(LAYERS.get(name), INJECTED).names]
    return made


def _in_section(section: str, name: str, value: Any) -> dict[str, Any]:
    return {section: {name: value}} if section else {name: value}


def _in_class(place: tuple[str, ...], class_path: str, name: str, value: Any) -> dict[str, Any]:
    given: Any = {"class_path": class_path, "init_args": {name: value}}
    given = [given] if place[-1] == "callbacks" else given
    return {place[0]: {place[1]: given}} if len(place) > 1 else {place[0]: given}


def _in_layer(layer: str, name: str, value: Any) -> dict[str, Any]:
    return {"model": {"layers": [{layer: {name: value}}]}}


def known_values() -> st.SearchStrategy[Any]:
    """Give configs in which something that has a name has a value of any type."""
    likely = st.booleans() | st.integers(0, 9) | st.floats(0, 1) | st.sampled_from(BOMBS + NAMES + PATHS)
    made = st.builds(lambda make, value: make(value), st.sampled_from(overlays()), likely | VALUES)
    return st.builds(merge, st.sampled_from(SHIPPED), made)


#: What means something in YAML, or to those who read lines.
SIGNS = ["", "\t", " ", "  ", "\n", ":", "-", "{", "}", "[", "]", "'", '"', "&a", "*a", "!", "%", "@", "<<: ", "---\n"]
SIGNS += ["!!python/name:os.system ", "!!python/object/apply:os.system ['touch run_by_yaml'] ", "\0", "\x85", "\u2028"]
SIGNS += ["\ufeff", "!!binary aGk= ", "!!set {a} ", "? ", "| ", "> ", "# ", "...\n", "\r", "0x", "1_000", "\\"]
#: Texts that are no config at all, and grow when they are read.
GROWING = [
    "a: &a [x, x]\n" + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24)),
    "[" * 5000,
    "a: " * 3000,
    "{a: " * 2000 + "}" * 2000,
    "model: &m {layers: *m}\n",
    "<<: [" + "{a: 1}, " * 3000 + "]",
    "- " * 20_000,
    "a: '" + "x" * 1_000_000 + "'",
    "? " * 3000,
    "\n".join(f"key{n}: {n}" for n in range(20_000)),
]


@st.composite
def texts(draw: Any) -> str:
    """Give a shipped config as text, with lines cut, swapped or twice, and signs put in."""
    text = draw(st.sampled_from(TEXTS))
    for _ in range(draw(st.integers(1, 4))):
        lines = text.split("\n")
        one, other = draw(st.integers(0, len(lines) - 1)), draw(st.integers(0, len(lines) - 1))
        match draw(st.sampled_from(["cut", "twice", "swap", "end", "sign", "sign", "indent"])):
            case "cut":
                del lines[one]
            case "twice":
                lines.insert(other, lines[one])
            case "swap":
                lines[one], lines[other] = lines[other], lines[one]
            case "indent":
                lines[one] = draw(st.sampled_from([" ", "\t", "    "])) + lines[one]
            case "end":
                lines = lines[:one]
            case _:
                place = draw(st.integers(0, len(lines[one])))
                new = draw(st.sampled_from(SIGNS) | st.text(max_size=4))
                length = draw(st.sampled_from([0, 1, 1, 5, 80]))
                lines[one] = lines[one][:place] + new + lines[one][place + length :]
        text = "\n".join(lines)
    return text


def _dump(config: Any) -> bytes:
    return yaml.dump(config, Dumper=Dumper, allow_unicode=True).encode("utf-8", "surrogatepass")


def _encode(text: str, encoding: str) -> bytes:
    return text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")


def config_files() -> st.SearchStrategy[bytes]:
    """Give what a config file may hold."""
    encodings = st.sampled_from(["utf-8"] * 8 + ["utf-16", "latin-1", "utf-8-sig", "utf-32"])
    any_text = st.sampled_from(GROWING) | st.text(max_size=60)
    return st.one_of(
        trees().map(_dump),
        known_values().map(_dump),
        known_values().map(_dump),
        st.builds(_encode, texts(), encodings),
        st.builds(_encode, any_text, encodings) | st.binary(max_size=60),
    )


# Tables

COLUMNS: dict[str, Callable[[int], str]] = {
    "area": lambda row: f"{50 + 7 * row % 40}",
    "price": lambda row: f"{1.5 * row - 3:.2f}",
    "city": lambda row: ("Rome", "Oslo", "Lima")[row % 3],
    "built": lambda row: f"20{10 + row % 9}-0{1 + row % 9}-1{row % 9}",
    "sold": lambda row: ("yes", "no")[row * 7 % 5 % 2],
}
CELLS = ["", " ", "NA", "nan", "null", "?", "inf", "-inf", "1e400", "-1e308", "1e-320", "9" * 400, str(2**63), "0x1F"]
CELLS += ["1,5", "1.000,5", "1_000", "٣", "½", "1e5", "true", "False", "2024-02-30", "0000-00-00", "9999-12-31"]
CELLS += ["24-1-1", "2024-01-01T25:00", '"', '""', "'", "a\nb", "a\0b", "ü", "\ud83d\ude00", "=1+1", "-", "+", "."]
CELLS += ["x" * 1_000_000, "\ufeff", "\u200b", "\x1b[31m", "[1, 2]", "{}", "<b>", "-0", "00", "1 2", "\t"]


@dataclass(frozen=True)
class Table:
    """A file that is to be read as a table, and options of the source that reads it."""

    content: bytes
    options: dict[str, Any]
    problem: str | None


@st.composite
def tables(draw: Any) -> Table:
    """Give a table with one to four things changed, and options that may or may not fit it."""
    count = draw(st.sampled_from([24] * 12 + [60, 60, 0, 1, 2, 3, 7]))
    names = draw(st.permutations(sorted(COLUMNS)))[: draw(st.sampled_from([3, 4, 5, 2, 1]))]
    lines = [list(names), *([COLUMNS[name](row) for name in names] for row in range(count))]
    separator, quote, newline = ",", False, "\n"
    cell = st.sampled_from(CELLS) | st.text(max_size=6)
    for _ in range(draw(st.sampled_from([1, 1, 2, 3]))):
        row = draw(st.integers(0, len(lines) - 1)) if lines else 0
        kinds = ["cell"] * 5 + ["column"] * 3
        kinds += ["quote", "newline", "twice", "header", "ragged", "separator", "row"]
        match draw(st.sampled_from(kinds)):
            case "cell" if lines and lines[row]:
                lines[row][draw(st.integers(0, len(lines[row]) - 1))] = draw(cell)
            case "column" if lines and lines[0]:
                place, value = draw(st.integers(0, len(lines[0]) - 1)), draw(cell)
                for line in lines[1:]:
                    line[place : place + 1] = [value]
            case "ragged" if lines:
                lines[row] = draw(st.sampled_from([lines[row][:-1], [*lines[row], "1"], lines[row] * 2, []]))
            case "header" if lines:
                new = [
                    [],
                    names[:1] * len(names),
                    [""] * len(names),
                    ["1"] * len(names),
                    ["a b", *names[1:]],
                    lines[-1],
                ]
                lines[0] = list(draw(st.sampled_from(new)))
            case "separator":
                separator = draw(st.sampled_from([";", "\t", "|", " ", ", ", "\0"]))
            case "quote":
                quote = True
            case "newline":
                newline = draw(st.sampled_from(["\r\n", "\r", "\n\n", "\n\r"]))
            case "row" if lines:
                lines.insert(row, draw(st.sampled_from([[], [""], ["#"], ["total", *[""] * 4], list(names)])))
            case "twice":
                lines += [list(line) for line in lines[1:]]
    form = '"{}"' if quote else "{}"
    text = newline.join(separator.join(form.format(value) for value in line) for line in lines)
    encoding = draw(st.sampled_from(["utf-8"] * 20 + ["utf-8-sig", "utf-16", "latin-1", "cp1252"]))
    content = _encode(text + newline, encoding)
    for _ in range(draw(st.sampled_from([0] * 8 + [1, 2]))):
        place = draw(st.integers(0, len(content)))
        content = content[:place] + draw(st.binary(max_size=3)) + content[place + draw(st.integers(0, 3)) :]
    return Table(content, draw(_table_options(names)), draw(st.sampled_from([None] * 8 + [*PROBLEM_NAMES])))


PROBLEM_NAMES = ("binary", "multiclass", "multilabel", "regression", "bounded_regression")


def _table_options(names: list[str]) -> st.SearchStrategy[dict[str, Any]]:
    column = st.sampled_from([*names * 4, "no such column", ""])
    others = {
        "numeric": st.lists(column, max_size=2),
        "categorical": st.lists(column, max_size=2),
        "ignore": st.lists(column, max_size=2),
        "dates": st.dictionaries(column, st.sampled_from(["%Y-%m-%d", "%d", "%", "", "%Q"]), max_size=1),
        "id_column": column,
        "missing_numbers": st.sampled_from(["median", "mean", "error"]),
        "missing_categories": st.sampled_from(["category", "error"]),
        "embeddings": st.sampled_from(["auto", "all", "none", {"city": 4}, {"area": 2}]),
        "separator": st.sampled_from([";", "\t", "|", "\\t", " "]),
        "decimal": st.sampled_from([".", ","]),
        "encoding": st.sampled_from(
            ["utf-8", "latin-1", "utf-16", "cp1252", "no such", "ascii", "hex", "idna", "rot13"]
        ),
        "split": st.sampled_from([[1, 0, 0], [0.5, 0.5, 0], [0.0, 0.5, 0.5], {"time": "built"}, {"groups": "city"}])
        | st.builds(lambda name: {"column": name}, column)
        | st.just({"folds": 3, "fold": 0}),
        "normalize": st.sampled_from(["standard", "min_max", "none"]),
        "balanced": st.booleans(),
        "batch_size": st.sampled_from([1, 3, 32, 2**31 - 1]),
    }
    target = st.one_of(*[column] * 8, st.lists(column, max_size=2))
    chosen = st.one_of(*[st.just(frozenset[str]())] * 2, st.sets(st.sampled_from(sorted(others)), max_size=2))
    return chosen.flatmap(
        lambda some: st.fixed_dictionaries({"target": target, **{name: others[name] for name in some}})
    )
