"""What a run is, in words, as the Markdown that TensorBoard shows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lightlab.inspect.evaluation import Mistake
from lightlab.inspect.markdown import escape, fence, table
from lightlab.inspect.numbers import figure
from lightlab.inspect.summary import summarize
from lightlab.inspect.summary_text import as_markdown
from lightlab.module import Model


def config_text(config: str) -> str:
    """Return a config, YAML, as it is."""
    return fence(config, "yaml")


def summary_text(model: Model) -> str:
    """Return what a model is made of: a line for each layer of the config, and for what is inside it."""
    return as_markdown(summarize(model, depth=2))


def environment_text(environment: Mapping[str, Any]) -> str:
    """Return what ``environment.json`` holds, a line each.

    >>> print(environment_text({"python": "3.12", "packages": {"torch": "2.10", "pandas": None}, "gpus": []}))
    | environment | |
    | :-- | :-- |
    | python | 3.12 |
    | torch | 2.10 |
    """
    facts = {**environment, **environment.get("packages", {})}
    words = {name: ", ".join(map(str, fact)) if isinstance(fact, list) else fact for name, fact in facts.items()}
    left_out = (None, "")
    lines = [
        (name.replace("_", " "), fact) for name, fact in words.items() if name != "packages" and fact not in left_out
    ]
    return _table(["environment", ""], lines)


def mistakes_text(mistakes: Sequence[Mistake]) -> str:
    """Return mistakes, a line each, with what their rows hold."""
    columns = list(mistakes[0].values) if mistakes else []
    probabilities = any(mistake.probability is not None for mistake in mistakes)
    heading = ["row", "loss", "true", "predicted", *(["probability"] if probabilities else []), *columns]
    lines = []
    for mistake in mistakes:
        sure = [figure(mistake.probability)] if probabilities else []
        values = [mistake.values.get(column, "") for column in columns]
        lines.append([mistake.row, figure(mistake.loss), mistake.true, mistake.predicted, *sure, *values])
    return _table(heading, lines)


def _table(heading: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    first, *rows = ([escape(cell) for cell in line] for line in (heading, *lines))
    return table(first, rows, [False] * len(first))
