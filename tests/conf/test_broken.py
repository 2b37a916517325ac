"""Broken configs, each as a person could have written it: everything that is wrong is said at once, and where.

Each file of `broken` says what is expected, in comments in the lines that are wrong::

    - dense: {unit: 8}  #! model.layers[0].dense.unit: Did you mean units? || model.layers[0].dense: needs 'units'

A comment has the key, and what the message holds (parts of it stand between ``|``); ``||`` stands between two faults
of one line, and ``*`` for a fault of the file, which has no key. What comes from elsewhere begins with its place:
``@9``, ``@base.yaml:4``, ``@command-line``, or ``@-`` for anywhere; with a ``?`` before it a fault need not be
reported, since it goes away with another. Parts of a key that the config leaves out may be left out: they stand in
parentheses. A line ``# call: …`` is the call, where it is not
``VERB --config this.yaml``. The files lie beside those of `bases`, which are configs and tables to stand on.
"""

import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from lightlab.cli import main
from lightlab.config.check import check_config
from lightlab.config.sources import Sources

HERE = Path(__file__).parent
BROKEN = sorted((HERE / "broken").glob("*.yaml"))
BEGINNING = "lightlab: error: "
#: What only those know who know how lightlab is made.
JARGON = re.compile(
    r"Traceback|not foreseen|pydantic|jsonargparse|yaml\.|input should|TypedDict|ValidationError|Namespace|NoneType"
    r"|finite_number|object at 0x|<class|typing\.|Annotated|json-or-python|<unicode string>"
)


@dataclass(frozen=True)
class Expected:
    """A fault that has to be reported.

    Attributes:
        place: the file and line, or the command line; empty for anywhere.
        key: where in the config; empty for a fault of the file.
        fragments: what the message holds.
        optional: whether it need not be.
    """

    place: str
    key: str
    fragments: tuple[str, ...]
    optional: bool

    def is_said_by(self, line: str) -> bool:
        """Return whether a line of standard error reports it."""
        key = re.sub(r"\\\((.*?)\\\)", r"(?:\1)?", re.escape(self.key))
        start = "".join(f"{part}: " for part in (re.escape(self.place), key) if part)
        found = re.match(BEGINNING + start, line)
        return found is not None and all(fragment in line[found.end() :] for fragment in self.fragments)


def read_expected(file):
    """Return what the comments of a file expect, and its call."""
    text = file.read_bytes().decode("utf-16" if file.stem == "bytes_utf_16" else "utf-8-sig", "replace")
    expected, call = [], "VERB --config this.yaml"
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("# call: "):
            call = line.removeprefix("# call: ")
        for part in line.partition("#! ")[2].split(" || ") if "#! " in line else ():
            found = re.fullmatch(r"(\??)(?:@(\S+) )?(\S+): (.+)", part)
            assert found, f"{file.name}:{number}: {part}"
            optional, place, key, message = found.groups()
            if place is None or place.isdecimal():
                place = f"{file.name}:{place or number}"
            place = {"-": "", "command-line": "command line"}.get(place, place)
            expected.append(Expected(place, key.removeprefix("*"), tuple(message.split(" | ")), bool(optional)))
    return expected, [part.replace("this.yaml", file.name) for part in shlex.split(call)]


@pytest.fixture
def bases():
    """The files that broken configs stand on, in the folder of the test."""
    shutil.copytree(HERE / "bases", ".", dirs_exist_ok=True)


@pytest.mark.parametrize("verb", ["check", "fit"])
@pytest.mark.parametrize("file", BROKEN, ids=lambda file: file.stem)
def test_broken_config(file, verb, bases, capsys):
    """Exactly the expected faults are reported, in one go, in the terms of the config; no run is begun."""
    shutil.copy(file, ".")
    expected, call = read_expected(file)
    assert expected
    code = main([part.replace("VERB", verb) for part in call])
    said = capsys.readouterr().err
    unexpected = said.splitlines()
    missing = []
    for fault in expected:
        line = next((line for line in unexpected if fault.is_said_by(line)), None)
        if line is not None:
            unexpected.remove(line)
        elif not fault.optional:
            missing.append(fault)
    assert (missing, unexpected) == ([], []), said
    assert not JARGON.search(said), said
    assert code == 2
    assert not Path("runs").exists()


@pytest.mark.parametrize("overlay", [[], ["--trainer.max_epochs", "2"]])
def test_the_base_is_right(overlay, bases):
    """What broken configs stand on has no fault itself."""
    assert check_config(Sources(["iris.yaml"], overlay))["data"]["init_args"]["name"] == "iris"


def test_the_faults_are_many():
    """There are 60 files and more, and several faults in many of them."""
    counts = [len(read_expected(file)[0]) for file in BROKEN]
    assert len(counts) >= 60
    assert sum(count > 1 for count in counts) >= 30


@pytest.mark.parametrize("content", [b"", b"\n\n", b"\xef\xbb\xbf", b"---\n", b"null\n"])
def test_a_file_with_nothing_in_it(content, capsys):
    """It is said to be empty."""
    Path("empty.yaml").write_bytes(content)
    assert main(["fit", "--config", "empty.yaml"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"{BEGINNING}empty.yaml: A config is made of 'key: value' lines. This one is empty.")
