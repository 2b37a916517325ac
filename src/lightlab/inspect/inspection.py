"""What is looked at in a training of ``fit``, from before its first step until after its last."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from lightning.pytorch import Trainer

from lightlab.data.base import Data
from lightlab.inspect.evaluation.evaluate import Evaluator
from lightlab.inspect.outcome import Outcome
from lightlab.inspect.run import Run
from lightlab.inspect.tensorboard.board import EMBEDDINGS, MISTAKES, Board, amount
from lightlab.inspect.tensorboard.logger import RunLogger
from lightlab.module import Model
from lightlab.terminal import say
from lightlab.training.history import History
from lightlab.training.options import TensorBoardOptions
from lightlab.training.run_folder import RunFolder
from lightlab.training.run_paths import EVALUATION


class Inspection:
    """Looks at a training: curves while it runs, the weights it ends with, and what the best of them make of the data.

    Args:
        model: built, as it is before training.
        data: connected to it.
        folder: of the run.
        config: defaults included.
        options: what TensorBoard shows; ``None`` for nothing.

    Attributes:
        history: the callback that keeps the curves.
    """

    def __init__(
        self,
        model: Model,
        data: Data,
        folder: RunFolder,
        config: Mapping[str, Any],
        options: TensorBoardOptions | None,
    ) -> None:
        self.folder = folder
        self.board = Board(data, options, config, folder.config) if options else None
        kept = amount(options.embeddings, EMBEDDINGS) if options else 0
        worst = max(MISTAKES, amount(options.mistakes, MISTAKES) if options else 0)  # a report shows them in any case
        limits = {split: config["trainer"].get(f"limit_{split}_batches") for split in ("val", "test")}
        left_out = [split for split, limit in limits.items() if limit == 0]  # as the Trainer does
        self.evaluator = Evaluator(model, data, left_out, worst, kept)
        self.history = History(folder, self.board)

    def see_last(self, trainer: Trainer) -> None:
        """Look at the weights that training ended with, in the main process."""
        if trainer.is_global_zero:
            with _forgiving("look at the last weights"), _on_device(trainer, self.evaluator.model):
                self.evaluator.see_last()

    def see_best(self, trainer: Trainer, outcome: Outcome, monitor: str, mode: str) -> None:
        """Look at the best weights, which the model has by now, in the main process; and keep what is seen.

        Args:
            trainer: that trained.
            outcome: the final figures.
            monitor: the metric that says which weights are best.
            mode: whether less or more of it is better.
        """
        assert self.folder.path is not None  # there are no best weights without a run
        model, evaluator, history = self.evaluator.model, self.evaluator, self.history
        with _forgiving("evaluate the best weights"):
            with _on_device(trainer, model):
                evaluation = evaluator.evaluate(monitor, mode, history.first_gradients, history.last_gradients)
            evaluation.write(self.folder.path / EVALUATION)
            for logger in trainer.loggers:
                if self.board and isinstance(logger, RunLogger):
                    with _forgiving("show in TensorBoard what it has found"):
                        self.board.show(logger, model, outcome, evaluation, evaluator.answers)
                    logger.finalize("success")

    def verdict(self) -> str:
        """Return what the curves, and what was seen since, say of the training, in a line."""
        assert self.folder.path is not None  # there is something to say of a run
        with _forgiving("say how the training went"):
            return Run(self.folder.path).diagnosis.summary()
        return "no verdict"


@contextmanager
def _forgiving(what: str) -> Iterator[None]:
    """Say that something could not be looked at: a training that is done is not lost for it."""
    try:
        yield
    except Exception as error:
        say(f"warning: lightlab could not {what}: {type(error).__name__}: {error}")


@contextmanager
def _on_device(trainer: Trainer, model: Model) -> Iterator[None]:
    """Have a model where it was trained: Lightning takes it back when it is done."""
    before = model.device
    model.to(trainer.strategy.root_device)
    try:
        yield
    finally:
        model.to(before)
