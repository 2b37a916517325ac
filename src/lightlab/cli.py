"""The command line: ``lightlab VERB …``. Light verbs are answered here; the rest goes to LightningCLI."""

from __future__ import annotations

import gc
import os
import shlex
import sys
import traceback
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from io import TextIOWrapper

from lightlab import __version__
from lightlab.commands.options import HELP, PRINT_CONFIG
from lightlab.commands.verbs import TRAINER_VERBS, VERBS
from lightlab.deferred import defer_imports
from lightlab.errors import LightlabError, RunError, did_you_mean, place_in_code, sentences
from lightlab.interruption import Interrupted, heed, heed_launcher, listening
from lightlab.process_end import run_to_the_end
from lightlab.registry import import_plugin, load_plugins, plugin_modules
from lightlab.terminal import lasting_output, say

USAGE = f"""usage: lightlab VERB --config FILE [--config FILE …] [--KEY VALUE …]
       lightlab init PATH [--target NAME] [-o FILE]

Neural networks for classification and regression, from one YAML file.

verbs:
{chr(10).join(f"  {verb:<12} {text}" for verb, text in VERBS.items())}

options:
  --config FILE    a config; what later ones and the command line say beats what earlier ones say
  --KEY VALUE      any key of a config, such as --trainer.max_epochs 10
  --plugin MODULE  import a module that registers layers, heads, activations or data sources
  --debug          show the traceback of an error
  --version        print the version
  --help           print this; 'lightlab VERB --help' prints what a verb takes, such as the keys of a config
"""

#: Exit codes: what was given is wrong; lightlab, a plugin, or what they stand on, is.
WRONG_INPUT, UNFORESEEN = 2, 1
#: What launchers tell a process that is one of several: which one it is.
RANKS = ("RANK", "LOCAL_RANK", "SLURM_PROCID")


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out a call, and return the exit code.

    Args:
        arguments: the command line's, without the program's name; by default those of this process.
    """
    rest = list(sys.argv[1:] if arguments is None else arguments)
    heed_launcher()
    with listening():
        try:
            return _answer(rest)
        except Interrupted as interrupted:
            _say_interrupted(interrupted, rest)
            return interrupted.code


def _answer(rest: list[str]) -> int:
    """Carry out a call, say what is wrong, and return the exit code."""
    debug = "--debug" in rest
    rest = [argument for argument in rest if argument != "--debug"]
    collects = gc.isenabled()
    gc.disable()  # what imports make stays; looking through it takes a third of the time of `import torch`
    try:
        plugins, rest = _take_plugins(rest)
        if not rest or rest[0] in ("-h", "--help"):
            say(USAGE, end="")
            return 0 if rest else WRONG_INPUT
        if rest[0] == "--version":
            say(f"lightlab {__version__}")
            return 0
        try:
            code = _work(rest, plugins) if _is_work(rest) else _run(rest, plugins)
        except Exception:  # imports make anything of what a signal raises in them
            heed()
            raise
        heed()
        return code
    except LightlabError as error:
        if debug:
            traceback.print_exc()
        for line in str(error).splitlines():
            say(f"lightlab: error: {line}", is_error=True)
        return WRONG_INPUT
    except Exception as error:
        if isinstance(error, BrokenPipeError) and not _is_work(rest):  # who reads has read enough, as `| head` does
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for what Python writes at its end
            return 0
        if debug:
            traceback.print_exc()
        if isinstance(error, OSError) and error.filename is not None:  # a path that can't be one, a disk that fails
            say(f"lightlab: error: {error.filename} can't be used: {error.strerror}.", is_error=True)
            return WRONG_INPUT
        text = str(error).strip() or "no message"
        if _is_out_of_memory(error):
            received = "" if isinstance(error, MemoryError) else f" Received: {text.splitlines()[0]}."
            rule = "What is read, built and computed fits into memory."
            near = "Take fewer rows, smaller layers or a smaller data.batch_size."
            say(f"lightlab: error: {sentences(rule + received, near)}", is_error=True)
            return WRONG_INPUT
        place = place_in_code(error, plugin_modules())
        say(f"lightlab: error: {type(error).__name__}: {text}{place and f' ({place})'}", is_error=True)
        whose = "it came by way of a plugin" if place else "this was not foreseen"
        say(f"lightlab: {whose}; --debug shows the traceback.", is_error=True)
        return UNFORESEEN
    finally:
        gc.unfreeze()  # for whoever goes on in this process, as a notebook does
        if collects:
            gc.enable()


def _is_out_of_memory(error: Exception) -> bool:
    from lightlab.training.memory import is_out_of_memory  # which imports torch

    return is_out_of_memory(error)


def _say_interrupted(interrupted: Interrupted, arguments: list[str]) -> None:
    """Say what was kept, and how to go on; one of several processes does."""
    if any(os.environ.get(name, "0") != "0" for name in RANKS):
        return
    plugins, _ = _take_plugins(arguments)
    named = [part for plugin in plugins for part in ("--plugin", plugin)]
    go_on = f" Go on with: lightlab {shlex.join([*interrupted.command, *named])}" if interrupted.command else ""
    with suppress(OSError):  # who told us to end may have gone
        say(f"lightlab: {interrupted}.{go_on}", is_error=True)


def _take_plugins(arguments: list[str]) -> tuple[list[str], list[str]]:
    """Return the modules that ``--plugin`` names, and the other arguments."""
    plugins, rest = [], []
    given = iter(arguments)
    for argument in given:
        if argument == "--plugin":
            module = next(given, None)
            if module is None:
                raise LightlabError("--plugin takes the name of a module. Received nothing.")
            plugins.append(module)
        elif argument.startswith("--plugin="):
            plugins.append(argument.removeprefix("--plugin="))
        else:
            rest.append(argument)
    return plugins, rest


def _is_work(arguments: list[str]) -> bool:
    """Return whether a call is for more than what it says: it trains, evaluates or predicts."""
    return bool(arguments) and arguments[0] in TRAINER_VERBS and not {*HELP, PRINT_CONFIG} & set(arguments)


def _work(arguments: list[str], plugins: list[str]) -> int:
    """Carry out a call to its end, whoever reads what it says.

    Raises:
        RunError: a plugin, or a library, has told the process to end, whose exit code may be that of a success.
    """
    verb = arguments[0]
    try:
        with lasting_output(verb):
            return _run(arguments, plugins)
    except SystemExit as ended:
        place = traceback.extract_tb(ended.__traceback__)[-1]
        raise RunError(
            f"{verb} was ended before it was done, by {ended!r} in {place.filename}:{place.lineno}."
        ) from ended


def _run(arguments: list[str], plugins: list[str]) -> int:
    verb = arguments[0]
    if verb not in VERBS:
        near = did_you_mean(verb, VERBS) or f"There are: {', '.join(VERBS)}."
        if verb.startswith("-"):
            found = next((argument for argument in arguments if argument in VERBS), None)
            near = f"Write 'lightlab {found} {verb} …'." if found else near
        raise LightlabError(sentences(f"The first word after lightlab is a verb. Received: {verb}.", near))
    module = import_module(f"lightlab.commands.{'training' if verb in TRAINER_VERBS else verb}")
    if HELP & set(arguments):
        say(module.PARSER.format_help() if hasattr(module, "PARSER") else module.help_text(verb), end="")
        return 0
    if plugins:
        sys.path.append("")  # modules of one's own lie where one works, and never hide those that are installed
    for plugin in plugins:
        import_plugin(plugin)
    load_plugins()
    heed()
    if verb in TRAINER_VERBS:
        module.run(verb, arguments[1:])
        return 0
    return module.run(arguments[1:]) or 0


def entry_point() -> None:
    """Run the command line and end the process."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed; the next file that is opened would get its number, and what it is told
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - open to the end of the process
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # which may have fewer characters than names and messages
            stream.reconfigure(errors="backslashreplace")
    defer_imports()
    run_to_the_end(main)
