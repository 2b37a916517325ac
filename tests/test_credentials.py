"""Passwords, keys and logins stand in nothing that is kept or said."""

import pytest

from lightlab.credentials import HIDDEN, without_logins, without_secrets


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "passwd",
        "token",
        "secret",
        "api_key",
        "apikey",
        "API_KEY",
        "access_key",
        "credential",
        "credentials",
    ],
)
@pytest.mark.parametrize("before", ["", "my_", "aws_secret_"])
def test_keys_that_name_secrets(name, before):
    """Whatever stands under such a key is hidden, of any type."""
    for value in ("x", 1234, ["x"], {"a": "x"}):
        assert without_secrets({before + name: value}) == {before + name: HIDDEN}


@pytest.mark.parametrize("name", ["tokens", "max_tokens", "keypoints", "passwords", "monkey", "tokenizer", "key", 3])
def test_keys_that_name_none(name):
    """Other keys keep their values: texts have tokens, too."""
    assert without_secrets({name: "words"}) == {name: "words"}


def test_secrets_anywhere():
    """They are found at any depth; what is not given is shown as such, and the config that is given stays as it is."""
    config = {"logger": [{"init_args": {"api_key": "k", "name": "n"}}], "token": None, "number": 1.5}
    assert without_secrets(config) == {
        "logger": [{"init_args": {"api_key": HIDDEN, "name": "n"}}],
        "token": None,
        "number": 1.5,
    }
    assert config["logger"][0]["init_args"]["api_key"] == "k"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("s3://key:secret@bucket/a", "s3://***@bucket/a"),
        ("postgres://u:p@ss@host:5432/db", "postgres://***@host:5432/db"),
        ("https://token@host and http://a:b@other", "https://***@host and http://***@other"),
        ("https://host/a@b", "https://host/a@b"),
        ("me@host.example", "me@host.example"),
        ("", ""),
    ],
)
def test_logins(text, shown):
    """What stands before the host of an address is hidden, and nothing else, in configs as well."""
    assert without_logins(text) == shown
    assert without_secrets({"urls": [text]}) == {"urls": [shown]}
