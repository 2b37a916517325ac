"""Passwords and keys, as configs and addresses have them: they stand in nothing that is kept or said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: What stands in place of one.
HIDDEN = "***"
#: Keys whose values are secrets, and those that end so after an underscore.
_SECRET = re.compile(r"(.*_)?(access_?key|api_?key|credentials?|passwd|password|secret|token)", re.IGNORECASE)
#: What stands before the host of an address.
_LOGIN = re.compile(r"(?<=://)[^/\s]+(?=@)")


def without_logins(text: str) -> str:
    """Return a text in which addresses have neither names nor passwords.

    >>> without_logins("https://me:pass@host.example/x and s3://bucket/a@b")
    'https://***@host.example/x and s3://bucket/a@b'
    """
    return _LOGIN.sub(HIDDEN, text)


def without_secrets(value: Any) -> Any:
    """Return a config, or a part of one, without the values of keys that name secrets, and without logins.

    >>> without_secrets({"logger": [{"API_KEY": 1234, "uri": "http://me:p@ss@host"}], "client_secret": None})
    {'logger': [{'API_KEY': '***', 'uri': 'http://***@host'}], 'client_secret': None}
    """
    if isinstance(value, Mapping):
        hidden = {name for name, part in value.items() if part is not None and _SECRET.fullmatch(str(name))}
        return {name: HIDDEN if name in hidden else without_secrets(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_secrets(part) for part in value]
    return without_logins(value) if isinstance(value, str) else value
