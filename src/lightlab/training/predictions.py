"""Predictions from all processes, in the order of the rows, as one file."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from lightlab.errors import RunError

WRITERS: dict[str, Any] = {".csv": pd.DataFrame.to_csv, ".parquet": pd.DataFrame.to_parquet}


class PredictionWriter(Callback):
    """Collects what ``predict_step`` returns, and writes it when all rows are predicted.

    Args:
        path: ``.csv`` or ``.parquet``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._columns: dict[str, list[Any]] = {}

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Keep a batch's predictions."""
        for name, values in outputs.items():
            self._columns.setdefault(name, []).extend(values)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Bring the processes' predictions together, and write them in the main one.

        Raises:
            RunError: the file can't be written; what stood there before still does.
        """
        parts: list[dict[str, list[Any]]] = [self._columns]
        if distributed.is_available() and distributed.is_initialized():
            parts = [{} for _ in range(distributed.get_world_size())]
            distributed.all_gather_object(parts, self._columns)
        if not trainer.is_global_zero:
            return
        table = pd.concat([pd.DataFrame(part) for part in parts if part.get("places")])
        table = table.sort_values("places", ignore_index=True)
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it untyped
        name, ids = datamodule.name_rows(datamodule.predict_split, table.pop("places").to_numpy())
        table.insert(0, "id" if name in table else name, ids)
        write_table(table, self.path)


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table as CSV or Parquet, by the ending, so that the file under its name is whole at every moment.

    Raises:
        RunError: it can't be written; what stood there before still does.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        os.close(descriptor)
        try:
            WRITERS[path.suffix](table, temporary, index=False)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as cause:
        raise RunError(f"Predictions can't be written to {path}: {cause}.") from cause


def _umask() -> int:
    """Return the mask that new files are made with; mkstemp's own are for the owner only."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
