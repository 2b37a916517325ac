"""What the sources that read files share: which file is for which split, and the target's columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import pandas as pd

from lightlab.data.base import Data
from lightlab.errors import ConfigError, DataError, did_you_mean, sentences


class FileData(Data):
    """The base of sources that read files, or folders.

    Args:
        path: what is split.
        train_path: in place of ``path``, one for each split.
        val_path: likewise.
        test_path: likewise; beside ``path``, what to test on instead of a share of ``path``.
        predict_path: what to predict, with or without the target.
        options: those of `lightlab.data.base.Data`.

    Raises:
        ConfigError: paths that contradict each other, or none.
    """

    def __init__(
        self,
        path: str | None = None,
        train_path: str | None = None,
        val_path: str | None = None,
        test_path: str | None = None,
        predict_path: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        if path and (train_path or val_path):
            key = ("data", "train_path" if train_path else "val_path")
            raise ConfigError.at(key, "path is split by itself; train_path and val_path stand in its place.")
        paths = {"all": path, "train": train_path, "val": val_path, "test": test_path, "predict": predict_path}
        self.paths = {split: given for split, given in paths.items() if given}
        if not self.paths:
            name = type(self).__name__
            raise ConfigError.at(("data", "path"), f"{name} needs the path of what it reads. Received none.")
        if path and test_path:
            self.split = self.split.without_test()

    def wanted(self, stage: str) -> dict[str, str]:
        """Return the path of each split that a stage uses: to predict, ``predict_path`` alone where there is one."""
        if stage == "predict" and "predict" in self.paths:
            return {"predict": self.paths["predict"]}
        return {split: path for split, path in self.paths.items() if split != "predict"}


def target_names(target: str | list[str] | None) -> list[str]:
    """Return the columns to predict.

    Raises:
        ConfigError: one is named twice.
    """
    names = [target] if isinstance(target, str) else list(target or [])
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise ConfigError.at(("data", "target"), f"A target is named once. Received {twice[0]!r} more than once.")
    return names


def check_columns(table: pd.DataFrame, source: str, names: Iterable[str]) -> None:
    """Refuse a table without a column that was named.

    Raises:
        DataError: with the nearest that it has.
    """
    missing = [name for name in names if name not in table]
    if missing:
        there = f"There are: {', '.join(table.columns)}."
        lines = [
            sentences(f"{source} has no column {name!r}.", did_you_mean(name, table.columns) or there)
            for name in missing
        ]
        raise DataError(lines, about=missing)
