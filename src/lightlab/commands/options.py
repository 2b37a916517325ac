"""The options of the verbs that need no config of their own: read by argparse, faults said as everywhere else."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from lightlab.errors import LightlabError

HELP = frozenset({"-h", "--help"})


class OptionParser(argparse.ArgumentParser):
    """Reads what follows a verb.

    Args:
        verb: init or data.
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
