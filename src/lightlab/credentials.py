"""Passwords and keys, as configs and addresses have them: they stand in nothing that is kept or said."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: What stands in place of one.
HIDDEN = "***"
#: Keys whose values are secrets.
SECRETS = frozenset({"access_token", "api_key", "apikey", "auth_token", "password", "secret", "token"})
#: What stands before the host of an address.
_LOGIN = re.compile(r"(?<=://)[^/\s@]+(?=@)")


def without_logins(text: str) -> str:
    """Return a text in which addresses have neither names nor passwords.

    >>> without_logins("https://me:pass@host.example/x and s3://bucket/a@b")
    'https://***@host.example/x and s3://bucket/a@b'
    """
    return _LOGIN.sub(HIDDEN, text)


def without_secrets(value: Any) -> Any:
    """Return a config, or a part of one, without the values of keys that name secrets, and without logins.

    >>> without_secrets({"logger": [{"api_key": "1234", "uri": "http://me:1@host"}], "token": None})
    {'logger': [{'api_key': '***', 'uri': 'http://***@host'}], 'token': None}
    """
    if isinstance(value, Mapping):
        hidden = {name: HIDDEN for name, part in value.items() if name in SECRETS and isinstance(part, str)}
        return {name: hidden.get(name) or without_secrets(part) for name, part in value.items()}
    if isinstance(value, list):
        return [without_secrets(part) for part in value]
    return without_logins(value) if isinstance(value, str) else value
