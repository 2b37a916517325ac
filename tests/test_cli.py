"""The outermost: verbs, options, exit codes, and how errors are shown."""

import subprocess
import sys
from pathlib import Path

import pytest

import lightlab
from lightlab.cli import USAGE, main


def test_help_and_version(capsys):
    """Help and version are printed; a call with nothing prints help, and fails."""
    assert main(["--help"]) == main(["-h"]) == 0
    assert main([]) == 2
    assert capsys.readouterr().out == USAGE * 3
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"lightlab {lightlab.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fitt"], "The first word after lightlab is a verb. Received: fitt. Did you mean fit?"),
        (["--config", "a.yaml", "fit"], "Received: --config. Write 'lightlab fit --config …'."),
        (["train"], "Received: train. There are: init, data, check,"),
        (["fit", "--plugin"], "--plugin takes the name of a module. Received nothing."),
        (["fit", "--plugin", "no_such"], "no_such: ModuleNotFoundError: No module named 'no_such'."),
    ],
)
def test_calls_that_are_wrong(arguments, message, capsys):
    """What is wrong is said on standard error, without a traceback, and the exit code is 2."""
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error


def test_debug_shows_the_traceback(capsys):
    """--debug shows where an error was raised."""
    assert main(["fit", "--config", "missing.yaml", "--debug"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_unforeseen_errors(capsys):
    """An error that is not ours is said in a line, with the way to its traceback, and exit code 1."""
    Path("broken_source.py").write_text(
        "from lightlab import Data\n"
        "class Broken(Data):\n    def load(self, stage):\n        raise ZeroDivisionError('oops')\n"
    )
    Path("c.yaml").write_text("data: {class_path: Broken}\nmodel: {layers: []}\n")
    assert main(["--plugin", "broken_source", "fit", "--config", "c.yaml"]) == 1
    error = capsys.readouterr().err
    assert "lightlab: error: ZeroDivisionError: oops" in error
    assert "--debug" in error
    assert "Traceback" not in error
    assert not Path("runs").exists()


def test_the_installed_program():
    """The console script and its exit code, as a process."""
    program = Path(sys.executable).with_name("lightlab")
    result = subprocess.run([program, "fit", "--config", "missing.yaml"], capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr == "lightlab: error: A config is a YAML file. Received: missing.yaml (no such file).\n"
