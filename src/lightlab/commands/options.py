"""The options of the verbs that the Trainer does not carry out: read by argparse, faults said as everywhere else."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from lightlab.errors import LightlabError, surely_meant

HELP = frozenset({"-h", "--help"})
PRINT_CONFIG = "--print_config"


class OptionParser(argparse.ArgumentParser):
    """Reads what follows a verb.

    Args:
        verb: one that the Trainer does not carry out.
        options: those of argparse's own.
    """

    def __init__(self, verb: str, **options: Any) -> None:
        super().__init__(
            prog=f"lightlab {verb}",
            formatter_class=argparse.RawDescriptionHelpFormatter,
            add_help=False,
            allow_abbrev=False,
            **options,
        )

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises:
            LightlabError: always.
        """
        raise LightlabError(f"{self.prog}: {message}. '{self.prog} --help' says what it takes.")

    def parse_with_config(self, arguments: list[str]) -> tuple[argparse.Namespace, list[str]]:
        """Read ``CONFIG … [--config FILE …] [--KEY VALUE …]`` beside the verb's own options.

        Returns:
            the options; and the rest as the Trainer's verbs take it, each CONFIG as ``--config CONFIG``.
        """
        options, rest = self.parse_known_args(arguments)
        own = [name for action in self._actions for name in action.option_strings]
        for option in rest:
            if meant := surely_meant(option.split("=")[0], own):
                self.error(f"there is no {option}; {meant} is meant")
        configs = 0
        while configs < len(rest) and not rest[configs].startswith("-"):
            configs += 1
        return options, [*(part for config in rest[:configs] for part in ("--config", config)), *rest[configs:]]
