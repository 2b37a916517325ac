"""Configs and tables changed at random: a few hundred of what scripts/faults does thousands of times for R16."""

import json
from pathlib import Path

import pytest

from fault_injection import mutations


@pytest.mark.parametrize(("kind", "count"), [("configs", 200), ("tables", 60)])
def test_changed_at_random(kind, count):
    """Each is answered by lightlab's own errors, soon, and leaves nothing; some are right after all, and trained."""
    tally = mutations.try_many(kind, count, number=100)
    assert tally.harms == []
    assert tally.good == tally.tried == count
    assert tally.accepted > count / 50
    assert tally.trained


def test_harm_is_seen(monkeypatch):
    """What is no error of lightlab's own, or leaves something, is counted, and said with the call that did it."""

    def fail(arguments):
        Path("left").touch()
        raise ZeroDivisionError("not foreseen")

    monkeypatch.setattr("lightlab.cli._run", lambda arguments, plugins: fail(arguments))
    with mutations.in_empty_folder():
        tally = mutations.Tally()
        mutations.try_config(tally, json.dumps({"data": "BundledData"}).encode())
        (harm,) = tally.harms
    assert harm.startswith("fit --config config.yaml --print_config: exit code 1; left: left: lightlab: error: ZeroDiv")
    assert tally.accepted == 0
