"""``lightlab check``: what is wrong with a config, and whether its model can learn from its data."""

from __future__ import annotations

import json
from contextlib import redirect_stdout
from dataclasses import asdict
from io import StringIO
from typing import Any

from lightlab.commands.options import OptionParser
from lightlab.errors import ConfigError, LightlabError, format_key
from lightlab.terminal import say

#: The exit code where a step of the procedure has failed.
FAILED = 3

PARSER = OptionParser(
    "check",
    usage="lightlab check CONFIG [--config FILE …] [--KEY VALUE …] [--keep-going] [--format text|json]",
    description="""Find everything that is wrong with a config. If nothing is, try its model out on its data, step by
step, on the CPU, and write nothing: shapes, random data, the loss at the start, one batch learned by heart, gradients,
and some steps of training against simple baselines. Then some advice.

  CONFIG         a config; the config.yaml of a run does, too
  --config FILE  one more, whose values beat those before it
  --KEY VALUE    any key of a config, such as --model.optimizer.lr 0.01; 'lightlab fit --help' prints them

exit code: 0 where nothing failed, 2 where the config or its data is wrong, 3 where a step failed""",
)
PARSER.add_argument("--keep-going", action="store_true", help="go on after a step that failed")
PARSER.add_argument("--format", choices=("text", "json"), default="text", help="text to read, or JSON for tools")


def run(arguments: list[str]) -> int:
    """Check a config, and print what is found.

    Returns:
        the exit code.

    Raises:
        LightlabError: something given is wrong; as JSON, that is printed.
    """
    options, rest = PARSER.parse_with_config(arguments)
    if options.format == "text":
        return _check(rest, options.keep_going, as_json=False)
    try:
        return _check(rest, options.keep_going, as_json=True)
    except ConfigError as error:
        faults = [asdict(fault) | {"key": format_key(fault.key)} for fault in error.faults]
        _print_json({"passed": False, "faults": faults})
    except LightlabError as error:
        _print_json({"passed": False, "faults": [{"key": "", "message": str(error), "place": ""}]})
    return 2


def _check(arguments: list[str], keep_going: bool, as_json: bool) -> int:
    from lightlab.commands.call import reading

    with reading("fit", arguments) as call:
        from lightlab.commands.reader import ConfigReader
        from lightlab.inspect.procedure import run_procedure

        reader = ConfigReader(call)
        with redirect_stdout(StringIO()):  # what a source says while it reads is part of the procedure's first step
            reader.connect()
        reader.check_trainer()
        trainer = call.config.get("trainer", {})
        procedure = run_procedure(
            reader.model,
            reader.datamodule,
            keep_going=keep_going,
            say=_ignore if as_json else say,
            locate=call.sources.located,
            gradient_clip_val=trainer.get("gradient_clip_val"),
            gradient_clip_algorithm=trainer.get("gradient_clip_algorithm") or "norm",
        )
    if as_json:
        _print_json(procedure.to_dict())
    return 0 if procedure.passed else FAILED


def _ignore(text: str) -> None:
    """Print nothing."""


def _print_json(values: dict[str, Any]) -> None:
    say(json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False))
