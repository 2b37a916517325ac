"""What is measured while training runs: ``history.csv``, and figures for the loggers that Lightning has none of."""

from __future__ import annotations

import csv
import io
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import DDPStrategy, SingleDeviceStrategy
from torch import Tensor, nn

from lightlab.batch import Batch
from lightlab.errors import NotFiniteError, RunError
from lightlab.files import write_text
from lightlab.terminal import say
from lightlab.training.memory import peak_host_memory
from lightlab.training.run_folder import RunFolder
from lightlab.training.run_paths import FIRST_COLUMNS, HISTORY

#: Learning rate and gradient norm are looked at so often in each of the first epochs, and then once an epoch: enough
#: for a curve, and not felt.
SAMPLES, FIRST_EPOCHS = 3, 10
#: The file is written anew after so many seconds, or so many rows, and at the end.
WRITE_SECONDS, WRITE_ROWS = 5.0, 32
#: What is measured of the machine and the clock: it stands in the file alone, so that checkpoints of the same training
#: are the same to the byte.
MEASURED = ("seconds", "epoch_seconds", "samples_per_second", "memory_mib")

Row = dict[str, float]


class Observer(Protocol):
    """What looks at a training beside the history; it is told by it.

    Lightning calls every hook of every callback in each step, whether it does anything or not: one that speaks for two
    is felt half as much.
    """

    def begin(self, trainer: Trainer, model: LightningModule) -> None:
        """Training starts; its state is restored, where it goes on from a checkpoint."""

    def begin_epoch(self, trainer: Trainer, model: LightningModule, epoch: int, from_start: bool) -> None:
        """An epoch starts, or is gone on with behind its start; the first is 1."""

    def see_gradients(self, trainer: Trainer, model: LightningModule) -> None:
        """The first step of an epoch is about to be taken; gradients are whole, and not clipped yet."""

    def end_epoch(self, trainer: Trainer, model: LightningModule, epoch: int) -> None:
        """So many epochs are over; all figures of the last are logged."""


class History(Callback):
    """Keeps the figures of each epoch, in ``history.csv`` of the run folder.

    Columns are ``epoch`` (the first is 1), ``step`` (optimizer steps so far), ``seconds`` (of training so far), what
    the model logs of train and validation, ``learning_rate``, ``gradient_norm`` and ``gradient_norm_max`` (over some
    steps of the epoch, all processes together, before clipping), ``epoch_seconds``, ``samples_per_second`` (of all
    processes, validation aside) and ``memory_mib`` (the most that was taken, of all processes together). A validation
    within an epoch has a row of its own. Of an epoch that is gone on with in its middle, times are of the part since.

    Args:
        folder: of the run.
        observer: is told of epochs and gradients.

    Attributes:
        rows: by step.
        first_gradients: of each parameter, by name, the norm of its gradient, as the mean of what was seen in the first
            epoch, and the norm of the parameter itself.
        last_gradients: of the last epoch.
    """

    def __init__(self, folder: RunFolder, observer: Observer | None = None) -> None:
        self.folder = folder
        self.observer = observer
        self.rows: dict[int, Row] = {}
        self.first_gradients: dict[str, tuple[float, float]] = {}
        self.last_gradients: dict[str, tuple[float, float]] = {}
        self._trained: dict[str, nn.Parameter] = {}
        self._begun = self._warned = False
        self._is_whole = True
        self._sampled: list[tuple[int, float, Tensor | None]] = []
        self._rate = 0.0
        self._written = self._began = self._epoch_began = self._validation_began = 0.0
        self._unwritten = 0
        self._state: dict[str, Any] = {}

    # Checkpoints

    def state_dict(self) -> dict[str, Any]:
        """Return what the file may not have yet: the latest rows, and what was seen of the epoch so far; no times."""
        rows = list(self.rows.values())[-max(WRITE_ROWS, self._unwritten) - 1 :]  # the last may yet be added to
        state: dict[str, Any] = {
            "rows": [{name: value for name, value in row.items() if name not in MEASURED} for row in rows],
            "first_gradients": torch.tensor(list(self.first_gradients.values()), dtype=torch.float64),
        }
        if self._begun:
            steps, rates, norms = zip(*self._sampled, strict=True) if self._sampled else ((), (), ())
            state["epoch"] = {
                "number": self._number,
                "rate": self._rate,
                "sampled": [list(steps), list(rates), [norm.cpu() for norm in norms if norm is not None]],
            }
        return state if self.rows or self._begun else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from there when training starts."""
        self._state = state_dict

    def _go_on(self, trainer: Trainer, model: LightningModule) -> None:
        """Take over what a run that is gone on from has seen."""
        state, self._state = self._state, {}
        self.rows = rows_before(trainer, trainer.global_step - bool(state))
        for row in state.get("rows", []):
            self.rows.setdefault(int(row["step"]), {}).update(row)
        self._unwritten = len(self.rows)  # in the folder of this run
        self._epoch_began = time.monotonic()
        self._began = self._epoch_began - max((row.get("seconds", 0.0) for row in self.rows.values()), default=0.0)
        gradients = state.get("first_gradients", torch.empty(0)).tolist()
        if len(gradients) == len(self._trained):
            self.first_gradients = {
                name: (one, other) for name, (one, other) in zip(self._trained, gradients, strict=True)
            }
        if "epoch" in state:
            self._enter(trainer, model, state["epoch"])

    def _enter(self, trainer: Trainer, model: LightningModule, epoch: Mapping[str, Any]) -> None:
        """Go on in an epoch."""
        self._begin(trainer, model, epoch["number"], from_start=False)
        self._rate = epoch["rate"]
        steps, rates, norms = epoch["sampled"]
        norms = [norm.to(trainer.strategy.root_device) for norm in norms] or [None] * len(steps)
        self._sampled = list(zip(steps, rates, norms, strict=True))

    # Hooks

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take over what a run that is gone on from has seen."""
        whole = isinstance(trainer.strategy, SingleDeviceStrategy | DDPStrategy)  # others keep parameters in pieces
        trained = {name: each for name, each in pl_module.named_parameters() if each.requires_grad}
        self._trained = trained if whole else {}
        self._tell(trainer, "begin", pl_module)
        self._go_on(trainer, pl_module)

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the epoch before, whose figures are only all there now, and begin the next."""
        self._close(trainer, pl_module)
        self._epoch_began = time.monotonic()
        self._is_whole = True
        self._begin(trainer, pl_module, trainer.current_epoch + 1, from_start=True)

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Begin an epoch that is gone on with in its middle, where nothing is known of what was seen of it."""
        if not self._begun:
            self._is_whole = False
            self._begin(trainer, pl_module, trainer.current_epoch + 1, from_start=False)

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: torch.optim.Optimizer
    ) -> None:
        """Look at the gradients, now and then."""
        taken = trainer.fit_loop.epoch_loop.batch_idx // trainer.accumulate_grad_batches
        if self._steps_until_sample(trainer, taken) == 0:
            norms = gradient_norms(self._trained.values()) if self._trained else None
            self._sampled.append((trainer.global_step, optimizer.param_groups[0]["lr"], norms))
            if len(self._sampled) == 1 and self._trained:
                self._tell(trainer, "see_gradients", pl_module)
        self._rate = optimizer.param_groups[0]["lr"]

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the rows."""
        self.see_batches(trainer, [batch])

    def see_batches(self, trainer: Trainer, batches: Sequence[Any]) -> None:
        """Count the rows of all processes."""
        for batch in batches:
            total = batch.total if isinstance(batch, Batch) else None
            self._count += len(batch[0]) * trainer.world_size if total is None else total

    def batches_until_due(self, trainer: Trainer) -> int:
        """Return which of the batches to come is the next whose gradients are looked at."""
        if not self._begun:
            return 1
        each, taken = trainer.accumulate_grad_batches, trainer.fit_loop.epoch_loop.batch_progress.current.ready
        return (self._steps_until_sample(trainer, taken // each) + 1) * each - taken % each

    def _steps_until_sample(self, trainer: Trainer, taken: int) -> int:
        """Return how many steps of the epoch come before the next whose gradients are looked at.

        Args:
            trainer: it knows by now how many batches make a step, which a callback may have changed for this epoch.
            taken: how many steps of the epoch there were.
        """
        steps = trainer.num_training_batches / trainer.accumulate_grad_batches
        if not math.isfinite(steps):  # an epoch of unknown length is looked at from its start on
            often: int = trainer.log_every_n_steps  # type: ignore[attr-defined]  # Lightning sets it untyped
            return -taken % max(often, 1)
        stride = math.ceil(steps / (SAMPLES if self._number <= FIRST_EPOCHS else 1))
        return (math.ceil(steps) - 1 - taken) % stride  # the last step of an epoch is seen in any case

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the time."""
        self._validation_began = time.monotonic()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the figures of a validation."""
        if self._begun:  # and this is no sanity check
            self._validating += time.monotonic() - self._validation_began
            self._row(trainer).update(_figures(trainer, "val/"))
            self._write_if_due(trainer)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Close the last epoch."""
        self._close(trainer, pl_module)
        self._write(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Keep what there is: of an epoch that broke off its gradients, which may say why."""
        if trainer.global_step == 0 or self.folder.path is None:  # no run comes of it
            return
        if self._begun and self._sampled:
            with suppress(RuntimeError):  # the device may be what has failed
                self._row(trainer).update(self._sampled_figures(trainer))
        if self._begun and isinstance(exception, NotFiniteError):
            self._row(trainer).update(exception.figures)
        if self.rows:
            self._write(trainer)

    # An epoch

    def _begin(self, trainer: Trainer, model: LightningModule, number: int, from_start: bool) -> None:
        self._begun = True
        self._number = number
        self._count, self._validating = 0, 0.0
        self._sampled = []
        self._tell(trainer, "begin_epoch", model, number, from_start)

    def _close(self, trainer: Trainer, model: LightningModule) -> None:
        if not self._begun or not self._sampled:
            return
        seconds = time.monotonic() - self._epoch_began
        speed = {
            "epoch_seconds": round(seconds, 4),
            "samples_per_second": round(self._count / max(seconds - self._validating, 1e-9), 1),
            **_memory(trainer),
        }
        # Where training goes on in the middle of an epoch, the model's figures are of a part of it.
        whole = _figures(trainer, "train/") if self._is_whole else {}
        sampled = self._sampled_figures(trainer)
        self._row(trainer).update({**whole, **sampled, **speed})
        largest = {name: value for name, value in sampled.items() if name == "gradient_norm_max"}
        _log(trainer, {**largest, **speed}, trainer.global_step)
        self._tell(trainer, "end_epoch", model, self._number)
        self._begun = False
        self._write_if_due(trainer)

    def _row(self, trainer: Trainer) -> Row:
        step = trainer.global_step
        if step not in self.rows:
            self.rows[step] = {"epoch": self._number, "step": step}
            self._unwritten += 1
        self.rows[step].setdefault("seconds", round(time.monotonic() - self._began, 3))
        return self.rows[step]

    def _sampled_figures(self, trainer: Trainer) -> Row:
        """Return the learning rate at the end of an epoch, and the gradient's norm over it; loggers get all samples."""
        steps, rates, seen = zip(*self._sampled, strict=True)
        rows = [{"learning_rate": rate} for rate in rates]
        figures = {"learning_rate": self._rate}
        if norms := [each for each in seen if each is not None]:
            read = torch.stack(norms).double().cpu()  # the device is waited for once an epoch
            totals = read.square().sum(1).sqrt()
            rows = [{**row, "gradient_norm": total} for row, total in zip(rows, totals.tolist(), strict=True)]
            figures |= {"gradient_norm": totals.mean().item(), "gradient_norm_max": totals.max().item()}
            self._keep_gradients(read.mean(0))
        for step, row in zip(steps, rows, strict=True):
            _log(trainer, row, step)
        return figures

    def _keep_gradients(self, norms: Tensor) -> None:
        """Keep how large each parameter and its gradient were."""
        weights = torch.stack([_norm(parameter) for parameter in self._trained.values()]).cpu()
        self.last_gradients = dict(zip(self._trained, zip(norms.tolist(), weights.tolist(), strict=True), strict=True))
        self.first_gradients = self.first_gradients or self.last_gradients

    def _write_if_due(self, trainer: Trainer) -> None:
        if time.monotonic() - self._written > WRITE_SECONDS or self._unwritten >= WRITE_ROWS:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        """Write the file. Where it can't be, training goes on: the next try may do."""
        self._written = time.monotonic()
        if self.folder.path is None or not trainer.is_global_zero:
            return
        try:
            write_text(history_text(self.rows.values()), self.folder.path / HISTORY, "history")
            self._unwritten = 0
        except RunError as error:
            if not self._warned:
                say(f"warning: {error} Training goes on, and it is tried again.")
            self._warned = True

    def _tell(self, trainer: Trainer, what: str, *given: Any) -> None:
        """Tell the observer. If it fails, training goes on without it, since it is no part of what is learned.

        Of several processes that count together, one alone can't stop: the others would wait for it.
        """
        if self.observer is None:
            return
        try:
            getattr(self.observer, what)(trainer, *given)
        except Exception as error:
            if trainer.world_size > 1:
                raise
            self.observer = None
            say(f"warning: TensorBoard shows no more than curves from here on: {type(error).__name__}: {error}")


def gradient_norms(parameters: Iterable[nn.Parameter]) -> Tensor:
    """Return the norm of each parameter's gradient, (parameters,); 0 where it has none."""
    nothing = torch.zeros(())
    return torch.stack([nothing.to(each.device) if each.grad is None else _norm(each.grad) for each in parameters])


def _norm(tensor: Tensor) -> Tensor:
    values = tensor.detach().coalesce().values() if tensor.is_sparse else tensor.detach()
    wide = torch.promote_types(values.dtype, torch.float32)
    norm: Tensor = torch.linalg.vector_norm(values, dtype=wide)
    return norm.float()


def history_text(rows: Iterable[Row]) -> str:
    """Return rows as CSV, with the columns of all of them; a cell is empty where a row has no such figure.

    >>> print(history_text([{"epoch": 1, "step": 9, "seconds": 0.5}, {"epoch": 2, "step": 18, "val/loss": 0.25}]))
    epoch,step,seconds,val/loss
    1,9,0.5,
    2,18,,0.25
    """
    kept = list(rows)
    names = dict.fromkeys(name for row in kept for name in row if name not in FIRST_COLUMNS)
    splits = [name for prefix in ("train/", "val/") for name in names if name.startswith(prefix)]
    text = io.StringIO()
    writer = csv.DictWriter(
        text, [*FIRST_COLUMNS, *splits, *(name for name in names if name not in splits)], lineterminator="\n"
    )
    writer.writeheader()
    writer.writerows(kept)
    return text.getvalue()


def rows_before(trainer: Trainer, last: int) -> dict[int, Row]:
    """Return the rows, by step, of the run that is gone on from, up to a step; none where there is no such run."""
    file = Path(trainer.ckpt_path or "").parent.parent / HISTORY
    if trainer.ckpt_path is None or not file.is_file():
        return {}
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        table = csv.DictReader(line for line in lines if line.endswith("\n"))  # what broke off may have half a line
        if not set(FIRST_COLUMNS) <= set(table.fieldnames or FIRST_COLUMNS):
            raise ValueError("another file of this name")
        rows = [{name: _number(value) for name, value in row.items() if value} for row in table]
        return {int(row["step"]): row for row in rows if row["step"] <= last and row["epoch"]}
    except (OSError, ValueError, KeyError, AttributeError, TypeError, csv.Error):
        if trainer.is_global_zero:
            say(f"warning: {file} can't be read as the history of the run before: curves begin here.")
        return {}


def _number(text: str) -> float:
    return int(text) if text.isdecimal() else float(text)


def _figures(trainer: Trainer, prefix: str) -> Row:
    """Return what the model logs of a split."""
    return {name: float(value) for name, value in trainer.callback_metrics.items() if name.startswith(prefix)}


def _log(trainer: Trainer, figures: Mapping[str, float], step: int) -> None:
    for logger in trainer.loggers:
        logger.log_metrics(dict(figures), step)


def _memory(trainer: Trainer) -> Row:
    """Return the most memory that was taken so far, of all processes together: on GPUs, or else of the processes."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        taken = torch.cuda.max_memory_allocated(device) / 2**20
    elif (host := peak_host_memory()) is None:
        return {}
    else:
        taken = host / 2**20
    total = trainer.strategy.reduce(torch.tensor(taken, device=device), reduce_op="sum")
    return {"memory_mib": round(float(total), 1)}
