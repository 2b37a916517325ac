"""What lightlab says: names come from files, and files may come from anyone, so that no text steers a terminal."""

from __future__ import annotations

import re
import sys

from lightlab.credentials import without_logins

#: What steers a terminal, turns the direction of writing, or is half a character: all control characters but ends of
#: lines and tabs.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object) -> str:
    r"""Return a text in which what would steer a terminal is shown, as JSON and YAML write it, and does nothing.

    Passwords in addresses are left out.

    >>> print(printable("price\x1b]0;yours\x07"))
    price\u001b]0;yours\u0007
    """
    return _STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", without_logins(str(text)))


def say(*parts: object, sep: str = " ", end: str = "\n", is_error: bool = False) -> None:
    """Print parts of a text as `print` does, at once, and `printable`.

    Args:
        parts: of the text.
        sep: between them.
        end: behind them.
        is_error: whether it goes to standard error.
    """
    print(*map(printable, parts), sep=sep, end=end, file=sys.stderr if is_error else None, flush=True)
