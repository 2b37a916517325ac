"""Parts that are there for one test."""

import pytest

from lightlab.registry import ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, PROBLEMS


@pytest.fixture(autouse=True)
def own_registries(monkeypatch):
    """What a test registers is forgotten after it."""
    for registry in (ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, PROBLEMS):
        registry.names()
        monkeypatch.setattr(registry, "_entries", dict(registry._entries))


@pytest.fixture
def broken():
    """Return a function that gives what is said first of each rule that a case breaks, or that stumbles over it."""

    def find(case):
        said = {}
        for check in case.checks():
            try:
                check()
            except Exception as error:
                said.setdefault(check.id.split("-")[1], str(error))
        return said

    return find
