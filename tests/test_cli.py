"""The outermost: verbs, options, exit codes, and how errors are shown."""

import gc
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

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


WINE = """\
data: {class_path: BundledData, init_args: {name: wine}}
model: {problem: multiclass, layers: []}
compile: false
trainer: {max_epochs: 2, accelerator: cpu}
"""


@pytest.mark.parametrize(
    ("reader", "code", "said"),
    [
        ("gone", 0, ["lightlab: standard output has no reader any more; fit goes on without it."]),
        (
            "full",
            2,
            [
                "lightlab: standard output can't be written to: No space left on device; fit goes on without it.",
                "lightlab: error: fit is done, and what it has said is lost: standard output can't be written to: "
                "No space left on device.",
            ],
        ),
    ],
)
def test_work_that_nobody_reads_of(reader, code, said, monkeypatch, capfd):
    """It is done to its end."""
    Path("wine.yaml").write_text(WINE)
    if reader == "gone":
        end, number = os.pipe()
        os.close(end)
    else:
        number = os.open("/dev/full", os.O_WRONLY)
    with open(number, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(["fit", "--config", "wine.yaml"]) == code
    assert capfd.readouterr().err.splitlines() == said
    assert Path("runs/wine/version_0/metrics.json").is_file()


def test_answers_that_nobody_reads(monkeypatch, capfd):
    """Who reads has read enough."""
    Path("wine.yaml").write_text(WINE)
    for call in ([], ["list"], ["fit", "--help"], ["fit", "--config", "wine.yaml", "--print_config"]):
        end, number = os.pipe()
        os.close(end)
        with suppress(BrokenPipeError), open(number, "w") as stream:
            monkeypatch.setattr(sys, "stdout", stream)
            assert main(call) == 0
            sys.stdout.close()
    assert capfd.readouterr().err == ""
    assert not Path("runs").exists()


@pytest.mark.parametrize("call", [["--version"], ["list"], ["fit", "--help"]], ids=" ".join)
def test_answers_that_cant_be_written(call, monkeypatch, capfd):
    """A full disk is said, and is no success."""
    with suppress(OSError), open("/dev/full", "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        assert main(call) == 2
    said = "lightlab: error: standard output can't be written to: No space left on device.\n"
    assert capfd.readouterr().err == said


def test_streams_that_are_closed():
    """A process without standard streams does what it is told, and no file of its own gets their numbers."""
    Path("streams.py").write_text(
        "import os\nopen('log.txt', 'w').write(str([os.fstat(n).st_rdev for n in (0, 1, 2)]))"
    )
    call = [sys.executable, "-c", "from lightlab import cli; cli.entry_point()", "list", "--plugin", "streams"]
    ended = subprocess.run(["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *call], check=False)
    assert ended.returncode == 0
    assert Path("log.txt").read_text() == str([os.stat(os.devnull).st_rdev] * 3)


ENDS = """\
import os
import sys
from lightning.pytorch import Callback

if os.environ["ENDS"] == "import":
    sys.exit(0)


class Ends(Callback):
    def on_train_epoch_end(self, trainer, module):
        if os.environ["ENDS"] == "pipe":
            raise BrokenPipeError("one of mine")
        raise SystemExit
"""


@pytest.mark.parametrize(
    ("where", "code", "said"),
    [
        ("import", 2, "fit was ended before it was done, by SystemExit(0) in {path}:6."),
        ("training", 2, "fit was ended before it was done, by SystemExit() in {path}:13."),
        ("pipe", 1, "BrokenPipeError: one of mine ({path}:12)"),
    ],
)
def test_work_that_is_ended_from_within(where, code, said, monkeypatch, capsys):
    """What is not done is no success, whatever a plugin makes of it."""
    Path("wine.yaml").write_text(WINE)
    path = Path("ends.py").absolute()
    path.write_text(ENDS)
    monkeypatch.setenv("ENDS", where)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "ends", raising=False)
    assert main(["fit", "--config", "wine.yaml", "--plugin", "ends", "--trainer.callbacks", "ends.Ends"]) == code
    assert f"lightlab: error: {said.format(path=path)}\n" in capsys.readouterr().err


def test_the_collector(capsys):
    """What was imported is not looked through while there is work, and the collector is as it was in the end."""
    Path("collector.py").write_text(
        "import gc\nfrom lightning.pytorch import Callback\n"
        "class Collector(Callback):\n"
        "    def on_train_start(self, trainer, model):\n"
        "        print('collects', gc.isenabled(), gc.get_freeze_count() > 100_000)\n"
    )
    Path("c.yaml").write_text(
        "data: {class_path: BundledData, init_args: {name: iris}}\nmodel: {problem: multiclass, layers: []}\n"
    )
    before = gc.isenabled(), gc.get_freeze_count()
    callbacks = ["--trainer.callbacks", "[Collector]", "--trainer.fast_dev_run", "true"]
    assert main(["--plugin", "collector", "fit", "--config", "c.yaml", *callbacks]) == 0
    assert "collects True True" in capsys.readouterr().out
    assert (gc.isenabled(), gc.get_freeze_count()) == before


@pytest.mark.parametrize(
    "call",
    [
        ["init", "PATH"],
        ["report", "PATH"],
        ["compare", "PATH", "--chart", "none"],
        ["export", "PATH"],
        ["fit", "--config", "PATH"],
        ["summary", "--data", "ImageFolderData", "--data.path", "PATH", "--model.layers", "[]"],
        ["summary", "--data", "ParquetStream", "--data.path", "PATH", "--data.target", "y", "--model.layers", "[]"],
    ],
)
def test_a_path_that_no_file_can_have(call, capsys):
    """It is wrong input, and named; nothing is left."""
    path = "x" * 300
    assert main([path if part == "PATH" else part for part in call]) == 2
    error = capsys.readouterr().err
    assert path in error
    assert "too long" in error
    assert not list(Path().iterdir())


def test_characters_that_the_terminal_does_not_have():
    """What can't be printed is escaped, and the call goes on."""
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = [sys.executable, "-c", "from lightlab.cli import entry_point; entry_point()", "--help"]
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    assert "[--config FILE \\u2026]" in result.stdout


def test_out_of_memory_anywhere(monkeypatch, capsys):
    """What takes more memory than there is, wherever it does, is wrong input: how much it was, and what to do."""
    monkeypatch.setattr("lightlab.cli.load_plugins", lambda: torch.empty(2**50))
    assert main(["list"]) == 2
    error = capsys.readouterr().err
    assert "fits into memory. Received: " in error
    assert "4503599627370496 bytes" in error
    assert "not foreseen" not in error
