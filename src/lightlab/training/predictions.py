"""Predictions from all processes, in the order of the rows, as one file, in memory that does not grow with them."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
import pyarrow as pa
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed

from lightlab.errors import ConfigError, RunError
from lightlab.processes import are_together
from lightlab.training.whole_pass import check_whole_pass

#: Numbers and texts that are written at once.
VALUES_AT_ONCE = 2**18


class PredictionWriter(Callback):
    """Writes what ``predict_step`` returns.

    Batches are put aside on disk as they come, since processes, and readers of a stream, take rows from several places
    at once. When all are there they are written in the order of the rows. Memory holds no more than a few of them.

    Args:
        path: ``.csv`` or ``.parquet``.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._spool: Spool | None = None

    def on_predict_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """See to it that the file can be written before anything is predicted.

        Raises:
            RunError: it can't.
        """
        if trainer.is_global_zero:
            with _explained(self.path):
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._spool = Spool(self.path.parent)

    def on_predict_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Bring the processes' predictions of a batch together, and put them aside in the main one.

        Raises:
            RunError: there is no room for them.
        """
        own = pa.RecordBatch.from_pydict(outputs) if outputs["places"] else None
        with _explained(self.path):
            for part in _gather(own):
                if self._spool and part is not None:
                    self._spool.add(part)

    def on_predict_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them in the main process, in the order of the rows.

        Raises:
            RunError: some rows have none, or the file can't be written; what stood there before still does.
        """
        check_whole_pass(trainer)
        if self._spool is None:
            return
        datamodule: Any = trainer.datamodule  # type: ignore[attr-defined]  # Lightning sets it untyped
        name, names = datamodule.read_names(datamodule.predict_split)
        write_tables(_named(self._spool.read(), name, names), self.path)
        self._close()

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Leave nothing behind."""
        self._close()

    def _close(self) -> None:
        if self._spool is not None:
            self._spool.close()
            self._spool = None


class Spool:
    """Predictions put aside on disk as they come, and taken up again in the order of their rows.

    The file has no name, so that nothing of it is left whatever happens.

    Args:
        folder: where there is room for it.
    """

    def __init__(self, folder: Path) -> None:
        self._file = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115  # it is closed by `close`
        self._writer: Any = None
        self._firsts: list[int] = []

    def add(self, part: pa.RecordBatch) -> None:
        """Put rows aside that stand together, in order; ``places`` says where."""
        if self._writer is None:
            self._writer = pa.ipc.new_file(self._file, part.schema)
        self._writer.write_batch(part)
        self._firsts.append(part["places"][0].as_py())

    def read(self) -> Iterator[pd.DataFrame]:
        """Give all rows in order, in tables of about so many values as are written at once."""
        self._writer.close()
        reader = pa.ipc.open_file(self._file)
        waiting: list[pa.RecordBatch] = []
        values = 0
        for number in np.argsort(self._firsts):
            waiting.append(reader.get_batch(int(number)))
            values += waiting[-1].num_rows * waiting[-1].num_columns
            if values >= VALUES_AT_ONCE:
                yield pa.Table.from_batches(waiting).to_pandas()
                waiting, values = [], 0
        if waiting:
            yield pa.Table.from_batches(waiting).to_pandas()

    def close(self) -> None:
        """Give the room on disk back."""
        self._file.close()


def _gather(own: pa.RecordBatch | None) -> list[pa.RecordBatch | None]:
    """Return the main process's and all others' in the main process, and nothing in the others."""
    if not are_together():
        return [own]
    parts = [None] * distributed.get_world_size() if distributed.get_rank() == 0 else None
    distributed.gather_object(own, parts)
    return parts or []


def _named(tables: Iterable[pd.DataFrame], name: str, names: Iterator[Any]) -> Iterator[pd.DataFrame]:
    """Put what rows are called in place of where they stand.

    Args:
        tables: with ``places``, which rise.
        name: of what rows are called.
        names: of all rows, in parts.
    """
    begin, held = 0, np.empty(0)
    for table in tables:
        places = table.pop("places").to_numpy()
        while begin + len(held) <= places[-1]:
            over = min(int(places[0]) - begin, len(held))
            begin, rest, part = begin + over, held[over:], next(names)
            held = np.concatenate([rest, part]) if len(rest) else part
        table.insert(0, "id" if name in table else name, held[places - begin])
        yield table


def _write_csv(tables: Iterable[pd.DataFrame], stream: IO[bytes]) -> None:
    for number, table in enumerate(tables):
        stream.write(table.to_csv(index=False, header=number == 0).encode())


def _write_parquet(tables: Iterable[pd.DataFrame], stream: IO[bytes]) -> None:
    from pyarrow.parquet import ParquetWriter  # only here: it takes time

    parts = iter(tables)
    first = pa.Table.from_pandas(next(parts), preserve_index=False)
    with ParquetWriter(stream, first.schema) as writer:
        writer.write_table(first)
        for table in parts:
            writer.write_table(pa.Table.from_pandas(table, first.schema, preserve_index=False))


WRITERS: dict[str, Callable[[Iterable[pd.DataFrame], IO[bytes]], None]] = {
    ".csv": _write_csv,
    ".parquet": _write_parquet,
}


def write_tables(tables: Iterable[pd.DataFrame], path: Path) -> None:
    """Write tables as one, as CSV or Parquet, by the ending, so that the file under its name is whole at every moment.

    Raises:
        RunError: it can't be written; what stood there before still does.
    """
    with _explained(path):
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                WRITERS[path.suffix](tables, stream)
                stream.flush()
                os.fsync(descriptor)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise


def check_overwrites_no_source(path: Path, sources: Mapping[str, str]) -> None:
    """Refuse a place for predictions where data, config or weights stand, by whatever name: a link is its file.

    Args:
        path: of the predictions.
        sources: paths of files, folders and patterns, and what each is called in the message.

    Raises:
        ConfigError: the file that stands there is one of them, or one in them.
    """
    for source, what in sources.items():
        with suppress(OSError, ValueError):  # a text that can't be a path
            if path.exists() and _is_of(path, Path(source)):
                where = what if Path(source).is_file() else f"a file of {what}"
                text = (
                    f"Predictions are not written over data, config or checkpoint. Received: {path}, which is {where}"
                )
                raise ConfigError.at(("output",), f"{text} ({source}). Choose another file.")


def _is_of(path: Path, source: Path) -> bool:
    """Return whether an existing file is another, lies in a folder, or fits a pattern."""
    if source.is_dir():
        return path.resolve().is_relative_to(source.resolve())
    if source.exists():
        return path.samefile(source)
    pattern = str(source.relative_to(source.anchor)) if set("*?[") & set(str(source)) else ""
    return bool(pattern) and any(path.samefile(each) for each in Path(source.anchor or ".").glob(pattern))


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, pa.ArrowException) as cause:
        raise RunError(f"Predictions can't be written to {path}: {cause}.") from cause


def _umask() -> int:
    """Return the mask that new files are made with; mkstemp's own are for the owner only."""
    mask = os.umask(0)
    os.umask(mask)
    return mask
