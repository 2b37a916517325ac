"""What TensorBoard shows of a run: what is written when training begins, after epochs, and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from lightning.pytorch import LightningModule, Trainer
from torch import Tensor

from lightlab.data.base import Data
from lightlab.inspect.contact_sheet import Sheet, Tile
from lightlab.inspect.evaluation import Evaluation, Mistake, SplitRecord
from lightlab.inspect.evaluation.curves import MOST_CURVES
from lightlab.inspect.evaluation.describe import tell_answers
from lightlab.inspect.evaluation.left_out import say_left_out
from lightlab.inspect.evaluation.look import Answers
from lightlab.inspect.outcome import Outcome
from lightlab.inspect.pictures import are_images, from_text, pixel_range, to_pixels
from lightlab.inspect.run import Run
from lightlab.inspect.tensorboard.histograms import (
    Activations,
    Counted,
    are_due,
    count,
    gradient_tensors,
    weight_tensors,
    write_histograms,
)
from lightlab.inspect.tensorboard.hyperparameters import flatten_config
from lightlab.inspect.tensorboard.logger import RunLogger
from lightlab.inspect.tensorboard.texts import config_text, environment_text, mistakes_text, summary_text
from lightlab.module import Model
from lightlab.training.options import TensorBoardOptions

#: What is shown where an option says no number: images, mistakes, and rows for the projector.
IMAGES, MISTAKES, EMBEDDINGS = 16, 16, 500
#: Images in a line.
COLUMNS = 8
#: The splits whose evaluation is drawn: the first that there is. Test rows are for the final figures.
DRAWN = ("val", "test")


def amount(option: int | bool, usual: int) -> int:
    """Return how many an option asks for.

    >>> amount(True, 16), amount(False, 16), amount(3, 16)
    (16, 0, 3)
    """
    return usual if option is True else int(option)


class Board:
    """Writes what is seen of a training for TensorBoard; it is told by the history when there is something to see.

    Args:
        data: that is trained on.
        options: what is written.
        config: the config of the run, defaults included.
        text: the same as YAML.
    """

    def __init__(self, data: Data, options: TensorBoardOptions, config: Mapping[str, Any], text: str) -> None:
        self.data = data
        self.options = options
        self.config = config
        self.text = text
        self._activations = Activations()
        self._gradients: dict[str, Counted] = {}
        self._due = False

    # While it trains

    def begin(self, trainer: Trainer, model: LightningModule) -> None:
        """Write what is known by now: texts, the layout of charts, the weights."""
        logger, network = _logger(trainer), _model(model)
        logger.by_epoch = validates_by_epoch(trainer)
        if self.options.curves:
            logger.log_layout(list(network.metric_modes()))
        if self.options.text and trainer.is_global_zero:
            environment = Run(logger.log_dir).environment
            texts = {"summary": summary_text(network), "environment": environment_text(environment)}
            logger.log_texts({"config": config_text(self.text), **texts})
        if self.options.histograms and self.options.weights:
            self._write(trainer, "network_weights", count(weight_tensors(network)), trainer.current_epoch)
        if self.options.images:
            self._show_first_batch(trainer, network)

    def begin_epoch(self, trainer: Trainer, model: LightningModule, epoch: int, from_start: bool) -> None:
        """Look at the first batch, if histograms are due after this epoch and that one is still to come."""
        self._due = are_due(self.options.histograms, epoch)
        if self._due and self.options.activations and from_start:
            self._activations.watch(_model(model))

    def see_gradients(self, trainer: Trainer, model: LightningModule) -> None:
        """Count gradients, if they are due."""
        if self._due and self.options.gradients:
            self._gradients = count(gradient_tensors(_model(model)))

    def end_epoch(self, trainer: Trainer, model: LightningModule, epoch: int) -> None:
        """Write histograms, if they are due."""
        if not self._due:
            return
        self._activations.stop()
        if self.options.weights:
            self._write(trainer, "network_weights", count(weight_tensors(_model(model))), epoch)
        self._write(trainer, "network_gradients", self._gradients, epoch)
        # Each process has seen other rows.
        self._write(trainer, "network_activations", count(self._activations.seen, over_processes=True), epoch)
        self._gradients, self._activations.seen = {}, {}

    def _write(self, trainer: Trainer, group: str, counted: Mapping[str, Counted], epoch: int) -> None:
        logger = _logger(trainer)
        if counted and trainer.is_global_zero:
            write_histograms(logger.writer(), group, counted, epoch if logger.by_epoch else trainer.global_step)

    def _show_first_batch(self, trainer: Trainer, model: Model) -> None:
        """Draw images of the next batch that the model gets: augmented, as it sees them."""
        spec = model.data_spec
        if spec is None or not are_images(spec.input) or not trainer.is_global_zero:
            return

        def look(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> None:
            handle.remove()
            images = inputs[0][: amount(self.options.images, IMAGES)].float().cpu()
            tiles = [Tile(pixels) for pixels in to_pixels(images, *pixel_range(images, spec.input))]
            _logger(trainer).log_images({"samples/first_batch": draw_tiles(tiles)}, trainer.global_step)

        handle = model.preprocess.register_forward_pre_hook(look)

    # When it has

    def show(
        self, logger: RunLogger, model: Model, outcome: Outcome, evaluation: Evaluation, answers: Mapping[str, Answers]
    ) -> None:
        """Write what the best weights make of the data.

        Args:
            logger: of the run.
            model: with the best weights.
            outcome: the final figures.
            evaluation: what is kept of them.
            answers: that it comes of.
        """
        split = next((split for split in DRAWN if split in evaluation.splits), None)
        if split is not None:
            record = evaluation.splits[split]
            step = logger.place_of(outcome)
            logger.log_images(self._charts(record), step)
            if said := say_left_out(evaluation, record, MOST_CURVES):
                logger.log_texts({"charts_left_out": said})
            self._show_mistakes(logger, record.mistakes, step)
            if len(answers[split].features):
                self._show_embeddings(logger, model, split, answers[split])
        # The last, since it makes folders: only then does a TensorBoard that is open look for new vectors.
        logger.log_outcome(outcome, flatten_config(self.config) if self.options.hyperparameters else {})

    def _charts(self, record: SplitRecord) -> dict[str, Any]:
        """Return the charts that are asked for and that the problem has, by tag."""
        from lightlab.inspect import figures

        charts: dict[str, Any] = {}
        if self.options.confusion_matrix:
            for confusion in record.confusions:
                charts[f"confusion_matrix{_below(confusion.title)}"] = figures.draw_confusion(confusion)
        if self.options.roc and record.roc:
            charts["roc"] = figures.draw_roc(record.roc)
        if self.options.precision_recall and record.precision_recall:
            charts["precision_recall"] = figures.draw_precision_recall(record.precision_recall)
        if self.options.calibration and record.calibration:
            charts["calibration"] = figures.draw_calibration(record.calibration)
        for residuals in record.residuals:
            name = _below(residuals.target if len(record.residuals) > 1 else "")
            if self.options.predictions:
                charts[f"predicted_against_true{name}"] = figures.draw_predictions(residuals)
            if self.options.residuals:
                charts[f"residuals{name}"] = figures.draw_residuals(residuals)
        return {f"predictions/{tag}": figures.to_pixels(figure) for tag, figure in charts.items()}

    def _show_mistakes(self, logger: RunLogger, mistakes: tuple[Mistake, ...], step: int) -> None:
        shown = mistakes[: amount(self.options.mistakes, MISTAKES)]
        tiles = [
            Tile(from_text(mistake.image), f"{mistake.true} → {mistake.predicted}")
            for mistake in shown
            if mistake.image is not None
        ]
        if tiles:
            logger.log_images({"predictions/worst_mistakes": draw_tiles(tiles, "true → predicted")}, step)
        elif shown:
            logger.log_texts({"worst_mistakes": mistakes_text(shown)})

    def _show_embeddings(self, logger: RunLogger, model: Model, split: str, answers: Answers) -> None:
        spec = model.data_spec
        assert spec is not None  # it is trained
        images: list[Any] | None = None
        if are_images(spec.input):
            inputs = answers.first_inputs.float()
            images = list(to_pixels(inputs, *pixel_range(inputs, spec.input)))
        if not bool(torch.isfinite(answers.features).all()):  # there is no place for such rows
            return
        columns = tell_answers(model.head, spec, self.data, split, answers)
        logger.log_embeddings(answers.features.numpy(), columns, images, split)


def validates_by_epoch(trainer: Trainer) -> bool:
    """Return whether each validation is at the end of an epoch, so that figures can stand over epochs."""
    if trainer.check_val_every_n_epoch is None:
        return False
    batches: float | None = trainer.val_check_batch  # none where the time says when
    return batches is not None and batches >= trainer.num_training_batches


def draw_tiles(tiles: list[Tile], heading: str = "") -> Any:
    """Return images side by side, (height, width, 3), bytes."""
    import numpy as np

    lines = [tiles[start : start + COLUMNS] for start in range(0, len(tiles), COLUMNS)]
    return np.asarray(Sheet([""] * len(lines), {heading: lines}).draw())


def _below(name: str) -> str:
    return f"/{name}" if name else ""


def _logger(trainer: Trainer) -> RunLogger:
    return next(logger for logger in trainer.loggers if isinstance(logger, RunLogger))


def _model(model: LightningModule) -> Model:
    assert isinstance(model, Model)  # lightlab trains no other
    return model
