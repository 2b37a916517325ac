"""YAML as configs use it: what a text means, in which line a value stands, and what is refused."""

import random
from enum import Enum
from pathlib import Path

import pytest
import yaml

from lightlab.config.documents import Dumper, Loader, read_document, read_value
from lightlab.errors import ConfigError


def read(text):
    """Return the document that a text makes as a file; what is wrong with its keys is raised as well."""
    Path("config.yaml").write_bytes(text if isinstance(text, bytes) else text.encode())
    document = read_document("config.yaml")
    if document.faults:
        raise ConfigError(document.faults)
    return document


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("010", 10),
        ("0x1f", 31),
        ("0o17", 15),
        ("+1", 1),
        ("-0", 0),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("-.inf", float("-inf")),
        ("true", True),
        ("False", False),
        ("~", None),
        ("Null", None),
        ("", None),
        ("'1'", "1"),
        *[
            (text, text)
            for text in [
                "12:30",
                "1_000",
                "2024-01-31",
                "trueish",
                "truE",
                "yes",
                "NO",
                "on",
                "1.5abc",
                "0x",
                "0xg",
                "0b1",
                "1e",
                "1٣",
                "=",
                "nul",
                "1..2",
            ]
        ],
    ],
)
def test_what_a_text_means(text, value):
    """Numbers, true, false and null are those of YAML 1.2; what only begins like one is text."""
    read_back = read(f"key: {text}\n").values["key"]
    assert (type(read_back), read_back) == (type(value), value)


@pytest.mark.parametrize(
    "text", ["a: 1\r\nb: [é, 2]\r\n", "\ufeffa: 1\nb: [é, 2]\n", "---\na: 1\nb: [é,\n 2]\n...\n", "a: 1\rb: [é, 2]"]
)
def test_line_ends_and_marks_do_no_harm(text):
    """Windows' line ends, a byte order mark, and the marks of a document's start and end."""
    assert read(text).values == {"a": 1, "b": ["é", 2]}


def test_lines():
    """Every key and every entry of a list has the line in which it stands; inside of an alias, that of the anchor."""
    document = read(
        "model:\n  layers:\n    - &layer\n      dense: {units: 3,\n        l2: 1}\n    - relu\n    - *layer\n7: x\n"
    )
    layers = ("model", "layers")
    assert document.lines == {
        ("model",): 1,
        layers: 2,
        (*layers, 0): 3,
        (*layers, 0, "dense"): 4,
        (*layers, 0, "dense", "units"): 4,
        (*layers, 0, "dense", "l2"): 5,
        (*layers, 1): 6,
        (*layers, 2): 3,
        (*layers, 2, "dense"): 4,
        (*layers, 2, "dense", "units"): 4,
        (*layers, 2, "dense", "l2"): 5,
        (7,): 8,
    }


def test_merge_keys():
    """What ``<<`` brings has the line where it stands; what is written beside it wins, before and after."""
    document = read("a: &a {x: 1, y: 1}\nb: &b\n  y: 2\n  z: 2\nc:\n  x: 3\n  <<: [*a, *b]\n  w: 3\n")
    assert document.values["c"] == {"x": 3, "y": 1, "z": 2, "w": 3}
    assert {key[1]: line for key, line in document.lines.items() if key[0] == "c" and len(key) == 2} == {
        "x": 6,
        "y": 1,
        "z": 4,
        "w": 8,
    }


@pytest.mark.parametrize(
    ("text", "errors"),
    [
        ("a: 1\nb: {c: 2, c: 3}\n", ["config.yaml:2: b.c: A key stands once. It is in line 2, too."]),
        ("a:\n  - x\na: 2\n", ["config.yaml:3: a: A key stands once. It is in line 1, too."]),
        ("a: &a {x: 1, x: 2}\nb: *a\nc: {<<: *a}\n", ["config.yaml:1: a.x: A key stands once. It is in line 1, too."]),
        ("a: &a {x: 1}\nb: {<<: *a, <<: *a}\n", ["config.yaml:2: b.<<: A key stands once. It is in line 2, too."]),
        (
            "a: [1, {b: {c: 1, c: 1}}]\n1.5: x\n",
            [
                "config.yaml:1: a[1].b.c: A key stands once. It is in line 1, too.",
                "config.yaml:2: A key is text or a whole number. Received: 1.5: x.",
            ],
        ),
        ("true: x\n", ["config.yaml:1: A key is text or a whole number. Received: true: x."]),
        ("[a]: x\n", ["config.yaml:1: A key is text or a whole number. Received: [a]: x."]),
        ("? ", ["config.yaml:1: A key is text or a whole number. Received: nothing."]),
        ("? " + "9" * 1001, ["config.yaml:1: A key is text or a whole number. *"]),
        (
            "a: 1\nb: " + "9" * 5000,
            ["config.yaml:2: A config holds plain data only: a number has at most 1000 digits."],
        ),
        ("a: 0x" + "f" * 5000, ["config.yaml:1: A config holds plain data only: a number has at most 1000 digits."]),
        ("a:\n  <<: 3\n", ["config.yaml:2: A config holds plain data only: expected a mapping or list of mappings *"]),
        ("a:\n\tb: 1\n", ["config.yaml:2: This is no YAML: * Indent with spaces, not tabs."]),
        ("a: [1,\n  2\nb: 2\n", ["config.yaml:1: This is no YAML: while parsing a flow sequence: *"]),
        ('a: "1\nb: 2\n', ["config.yaml:1: This is no YAML: while scanning a quoted scalar: *"]),
        ("a: 1\n b: 2\n", ["config.yaml:2: This is no YAML: *"]),
        ("a: *b\n", ["config.yaml:1: This is no YAML: *"]),
        ("a: 1\n---\nb: 2\n", ["config.yaml:2: This is no YAML: *"]),
        ("a: 1\nb: \x00\n", ["config.yaml:2: This is no YAML: the character '\\x00' has no place in a text."]),
        ("- a\n", ["config.yaml:1: A config is made of 'key: value' lines. Received: a list."]),
        ("\nhello\n", ["config.yaml:2: A config is made of 'key: value' lines. Received: 'hello'."]),
        ("# nothing\n", ["config.yaml: A config is made of 'key: value' lines. This one is empty."]),
        ("null\n", ["config.yaml: A config is made of 'key: value' lines. This one is empty."]),
        (b"a: 1\nb: \xff\n", ["config.yaml:2: A config is text in UTF-8, as YAML. *"]),
        ("a: !!int 3\nb: !x y\n", ["config.yaml:1: * Received: !!int.", "config.yaml:2: * Received: !x."]),
        ("a: !!python/object/apply:os.system [x]\n", ["config.yaml:1: * Received: !!python/object/apply:os.system."]),
        ("a:\n  b: &a [*a]\n", ["config.yaml:2: An alias stands outside of what it names."]),
        ("a: " + "[" * 65 + "]" * 65, ["config.yaml:1: A config is nested at most 64 deep."]),
        ("a: " + "[" * 100_000, ["config.yaml:1: A config is nested at most 64 deep."]),
        (
            "\n".join("  " * depth + "k:" for depth in range(70)),
            ["config.yaml:65: A config is nested at most 64 deep."],
        ),
        (
            "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 100)),
            ["config.yaml:65: A config is nested at most 64 deep."],
        ),
        (
            "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40)),
            ["config.yaml:16: A config has at most 100,000 values, aliases written out. This has 131,071."],
        ),
        (
            "a0: &a0 {x: 1}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 40)),
            ["config.yaml:16: A config has at most 100,000 values, aliases written out. *"],
        ),
    ],
    ids=lambda value: value[:20] if isinstance(value, str) else "",
)
def test_what_is_refused(text, errors):
    """What is wrong with a file is said, all of it, with the line; and before it takes memory or time."""
    with pytest.raises(ConfigError) as caught:
        read(text)
    for error, expected in zip(str(caught.value).splitlines(), errors, strict=True):
        start, _, end = expected.partition("*")
        assert error.startswith(start)
        assert error.endswith(end)


def test_deep_and_long_enough():
    """A list 63 deep, and a line of a million characters, are read."""
    text = "x" * 1_000_000
    assert read(f"a: {'[' * 63}{']' * 63}\nb: {text}").values["b"] == text


def test_no_file():
    """A file that is not there is answered with those that are nearly called so; a folder is none."""
    Path("digits.yaml").write_text("a: 1")
    with pytest.raises(ConfigError, match=r"Received: digit\.yaml \(no such file\)\. Did you mean digits\.yaml\?"):
        read_document("digit.yaml")
    with pytest.raises(ConfigError, match=r"Received: \. \(a folder\)"):
        read_document(".")
    with pytest.raises(ConfigError, match=r"can be read\. Received: x+\.yaml \(File name too long\)"):
        read_document("x" * 1000 + ".yaml")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-1", -1),
        ("1e-3", 0.001),
        ("true", True),
        ("null", None),
        ("", None),
        ("'007'", "007"),
        ('"\\t"', "\t"),
        ("[1, a, 'b: c']", [1, "a", "b: c"]),
        (" {a: [1], 2: x} ", {"a": [1], 2: "x"}),
        *[
            (text, text)
            for text in ("*", ",", "#", "@", "|", ">", "-", "?", ":", "[", "{", "%", "`", "!", " ", "\t", "---")
        ],
        *[
            (text, text)
            for text in ("a: b", "- a", "a #1", "1 #2", "'a' b", "'", "*.csv", "C:\\data", "a\nb", " a ", "!x")
        ],
        *[(text, text) for text in ("\udcff", "\x00", "=", "<<", "yes", "9" * 2000)],
    ],
)
def test_what_an_option_means(text, value):
    """Numbers, true, false, null, and what stands in quotation marks or brackets; all else is text, as it stands."""
    assert repr(read_value(text, ("key",))) == repr(value)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[0, 1", "command line: key: This is no YAML: while parsing a flow sequence"),
        ("{a: {b: 1, b: 2}}", "command line: key.a.b: A key stands once."),
        ("[!!python/name:os.system x]", "command line: key: A config holds plain data"),
        ("!!python/tuple [1]", "command line: key: A config holds plain data"),
        ("[" * 100_000, "command line: key: A config is nested at most 64 deep."),
        ("[\x00]", "command line: key: This is no YAML: the character"),
    ],
)
def test_options_that_are_refused(text, error):
    """Lists and mappings that are none are refused as in files; the key is that of the option."""
    with pytest.raises(ConfigError) as caught:
        read_value(text, ("key",))
    assert str(caught.value).startswith(error)


@pytest.mark.parametrize(
    "value",
    [
        *["1e3", "01", "08", "0o17", "0x1f", "yes", "NO", "1_000", "2024-01-31", "12:30", "null", "~", "1.5", ".5"],
        *["=", "<<", "é", "#", "'", "|"],
        *("", "a: b", "- a", " a ", "a\nb\n", "\t", "\x85a", "\u2028", "\ufeff"),
        *(True, 1.0e-3, 1e300, 7, None, [], {}, {"1": 1, 2: [3, {"=": "<<"}]}),
    ],
)
def test_what_is_written_is_read_back(value):
    """Plain data comes back as it was, by lightlab's reader and by PyYAML's own; text stays text."""
    text = yaml.dump({"value": value}, Dumper=Dumper, allow_unicode=True)
    assert yaml.load(text, Loader=Loader) == {"value": value}
    assert yaml.safe_load(text) == {"value": value}


class Colour(Enum):
    """A choice."""

    RED = 1


def test_writing_what_is_not_plain():
    """Choices are written by name, tuples as lists, paths as text; what stands twice is written twice."""
    pair = (1, 2)
    value = {"path": Path("a/b"), "choice": Colour.RED, "pair": pair, "again": pair}
    text = yaml.dump(value, Dumper=Dumper)
    assert "&" not in text
    assert yaml.safe_load(text) == {"path": "a/b", "choice": "RED", "pair": [1, 2], "again": [1, 2]}


@pytest.mark.parametrize("seed", range(200))
def test_whatever_a_file_says(seed):
    """Of any text there is a config that prints and reads to the same, or a ConfigError, and nothing else."""
    draw = random.Random(seed)
    text = list("seed_everything: 1\nmodel: &m\n  layers:\n    - dense: {units: 3, l2: 1.0e-4}\n    - relu\n  a: *m\n")
    signs = [*"\t\n :-[]{}&*!|>'\"%@`#,?=<~.é0\x00\ufeff\x85\u2028", "<<: ", "&a ", "*a", "---\n", "\r\n", "!!int "]
    for _ in range(draw.randint(1, 6)):
        place = draw.randrange(len(text))
        text[place : place + draw.choice([0, 0, 1, 5])] = draw.choice(signs)
    try:
        values = read("".join(text)).values
    except ConfigError:
        return
    assert repr(
        yaml.load(yaml.dump(values, Dumper=Dumper, sort_keys=False, allow_unicode=True), Loader=Loader)
    ) == repr(values)
