"""What is said of a number that is not finite: in which step, rows and layer it came up, why, and what helps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from torch import Tensor, nn

from lightlab.batch import Batch
from lightlab.errors import sentences
from lightlab.names import name_module
from lightlab.training.culprit import (
    Look,
    are_finite,
    fed,
    look,
    not_finite,
    rows_with_gradients,
    say_between,
)

#: Features so many standard deviations from the mean, and other numbers of such a size, are no ordinary ones.
EXTREME, LARGE = 1e3, 1e6
#: So many rows are named.
MOST_ROWS = 3


@dataclass(frozen=True)
class StepPosition:
    """Where in a training a step is; all counted from 1.

    Attributes:
        step: of the optimizer.
        batch: of the epoch.
        epoch: of the training.
    """

    step: int
    batch: int
    epoch: int

    def __str__(self) -> str:
        return f"step {self.step} (batch {self.batch} of epoch {self.epoch})"


def find_broken(model: nn.Module, tensors: Mapping[str, Tensor]) -> list[str]:
    """Return the names of a model's parameters and buffers that hold a number that is not finite, and did not at first.

    Args:
        model: says which buffers, such as masks, were so from the start.
        tensors: by name, as its ``state_dict`` has them.
    """
    known: frozenset[str] = getattr(model, "infinite_buffers", frozenset())
    return not_finite({name: each for name, each in tensors.items() if name not in known and isinstance(each, Tensor)})


def watched(trainer: Any) -> dict[str, str]:
    """Return the metrics that something goes by, and what that is."""
    schedules = [each for each in trainer.lr_scheduler_configs if each.reduce_on_plateau]
    found = {str(each.monitor): type(each.scheduler).__name__ for each in schedules}
    callbacks = [each for each in trainer.callbacks if getattr(each, "monitor", None)]
    return found | {each.monitor: type(each).__name__ for each in callbacks}


def some(names: Sequence[str]) -> str:
    """Return the first of some names, and how many more there are.

    >>> some(["head.linear.weight", "head.linear.bias"])
    'head.linear.weight and 1 more'
    """
    return names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more"


class Account:
    """Says what is known of steps and splits of a training.

    Args:
        trainer: whose training it is.
        model: that is trained; of one that is not lightlab's there is less to say.
    """

    def __init__(self, trainer: Any, model: Any) -> None:
        self.trainer = trainer
        self.model = model

    # Steps

    def of_loss(self, place: StepPosition, batch: Batch, loss: Tensor, losses: Tensor) -> str:
        """Return what is known of a loss that is not finite.

        Args:
            place: of the step.
            batch: that it was taken on.
            loss: a scalar, with its graph.
            losses: of each row, (rows,).
        """
        found = self._look(batch)
        bad = ~torch.isfinite(losses)
        rows = f", of {say_rows(bad, batch.places, 'train')}" if bool(bad.any()) else ", by the layers' penalties"
        return sentences(
            f"The training loss is a finite number. In {place} it is {loss.item()}{rows}.",
            self._layer(found) or say_between(self.model, *fed(self.model, loss)),
            self._reason(batch, found, bad),
        )

    def of_gradients(self, place: StepPosition, batch: Batch) -> tuple[str, bool]:
        """Return what is known of gradients that are not finite, where the loss is; and whether this batch has them.

        Of several processes, or accumulated batches, it may be that of another.
        """
        gradients = {name: each.grad for name, each in self.model.named_parameters() if each.grad is not None}
        bad = not_finite(gradients)
        rows = rows_with_gradients(self.model, batch, self.trainer.precision_plugin)
        known = bool(rows.any())
        said = f"It comes of {say_rows(rows, batch.places, 'train')}." if known else ""
        reason = self._reason(batch, self._look(batch), rows if known else torch.ones_like(rows))
        return sentences(self.of_parameters(place, bad), said, reason), known

    def of_parameters(self, place: StepPosition, bad: list[str]) -> str:
        """Return where on the way back gradients came up that are not finite.

        Args:
            place: of the step.
            bad: the parameters that have them.
        """
        fine = [name for name, each in self.model.named_parameters() if each.requires_grad and name not in bad]
        said = f"Gradients are finite numbers. In {place} the loss is finite, and the gradient of {some(bad)} is not."
        return sentences(said, say_between(self.model, bad, fine, backward=True))

    def of_weights(self, place: StepPosition, broken: list[str]) -> str:
        """Return what is known of a step that leads to weights that are not finite, by a loss and gradients that are.

        Args:
            place: of the step.
            broken: the parameters.
        """
        said = f"Weights are finite numbers. In {place} loss and gradients are, and the weights after it are not"
        return f"{said}: {some(broken)}. Try {self._slower()}."

    # Splits

    def of_split(self, stage: str, loss: float, epoch: int) -> str:
        """Return what is known of the loss of a split after an epoch: which rows have none that is finite."""
        said = f"The loss of a split is a finite number. After epoch {epoch} {stage}/loss is {loss}"
        loaders: Any = self.trainer.val_dataloaders if stage == "val" else None
        for given in loaders if hasattr(loaders, "sampler") else ():
            batch: Any = Batch(*self.trainer.strategy.batch_to_device(given))
            with torch.no_grad():
                losses = self.model.head.loss(self.model.forward_in_parts(batch.inputs), batch.targets)
            bad = ~torch.isfinite(losses)
            if bool(bad.any()):
                places = None if batch.places is None else batch.places[bad]
                chosen = Batch(batch.inputs[bad], batch.targets[bad], places)
                found = self._look(chosen)
                rows = say_rows(bad, batch.places, stage)
                return sentences(f"{said}, of {rows}.", self._layer(found), self._reason(chosen, found, bad[bad]))
        return f"{said}."

    def of_figure(self, name: str, value: float, who: str, epoch: int) -> str:
        """Return why a figure that something goes by is no number."""
        stage, metric = name.split("/", 1)
        why = getattr(self.model, f"{stage}_metrics").why_undefined(metric)
        return sentences(
            f"{who} goes by {name}, which has to be a number. After epoch {epoch} it is {value}: {why}.",
            f"Go by {stage}/loss, or see to it that {stage} has other rows.",
        )

    def best(self) -> str:
        """Return which weights are good, and where they are."""
        for each in self.trainer.checkpoint_callbacks:
            if isinstance(each, ModelCheckpoint) and each.monitor and Path(each.best_model_path).is_file():
                return f"The best weights so far are as they were: {each.best_model_path}."
        return "No weights of it are kept."

    # Parts of it

    def _look(self, batch: Batch) -> Look:
        return look(self.model, batch, self.trainer.precision_plugin)

    def _layer(self, found: Look) -> str:
        """Say where the first number came up that is not finite; nothing where all are."""
        if found.features is not None and not are_finite([found.features]):
            return "The input is none already, as the first layer is given it."
        if found.module:
            name = name_module(self.model, found.module)
            return f"The first layer to give such a number is {name}, whose input was finite."
        if found.losses is not None and not are_finite([found.losses]):
            return "All layers give finite numbers: it comes up in the loss of what model.head gives."
        return ""

    def _reason(self, batch: Batch, found: Look, bad: Tensor) -> str:
        """Say what most likely brought it about, and the nearest remedy.

        Args:
            batch: that the step was taken on.
            found: what it gives.
            bad: the rows that it is about, (rows,).
        """
        if said := self._extreme_feature(batch, found, bad) or self._extreme_target(batch, bad):
            return f"Likely reason: {said}. Correct it, or leave the row out."
        weights = max((float(each.detach().abs().max()) for each in self.model.parameters() if each.numel()), default=0)
        if str(self.trainer.precision).startswith("16"):
            return f"Numbers of 16 bits end at 65504: try trainer.precision: bf16-mixed, or {self._slower()}."
        if max(weights, found.largest) < LARGE:
            said = "weights and what layers give are of ordinary size, so that a layer or the loss computes what has"
            return f"Likely reason: {said} no finite result, such as a logarithm or a root of 0, or a slope there."
        clip = "" if self.trainer.gradient_clip_val else ", or trainer.gradient_clip_val: 1.0"
        sizes = f"weights are up to {weights:.2g}, and what layers give up to {found.largest:.2g}"
        return f"Likely reason: steps are too large ({sizes}). Try {self._slower()}{clip}."

    def _slower(self) -> str:
        rate = float(self.trainer.optimizers[0].param_groups[0]["lr"])
        return f"a smaller learning rate than {rate:g}, such as {rate / 10:g}"

    def _extreme_feature(self, batch: Batch, found: Look, bad: Tensor) -> str:
        """Say which column of which row is far from all others; nothing where none is."""
        if found.features is None or not bool(bad.any()):
            return ""
        rows = bad.nonzero()[:, 0]
        sizes = found.features[rows].detach().float().flatten(1).abs().nan_to_num(torch.inf, torch.inf)
        row, column = divmod(int(sizes.argmax()), sizes.shape[1])
        size = float(sizes[row, column])
        columns = self.model.data_spec.input.columns
        name = f"column {columns[column]}" if column < len(columns) else f"number {column}"
        bits = found.features.element_size() * 8
        far = f"{size:.3g} after normalising" if math.isfinite(size) else f"beyond what numbers of {bits} bits hold"
        return f"{name} of {_name(batch, rows[row])} is {far}" if size >= EXTREME else ""

    def _extreme_target(self, batch: Batch, bad: Tensor) -> str:
        """Say which target is far from all others; nothing where none is, or targets are no numbers."""
        spec = self.model.data_spec.target
        if not spec.std or batch.targets is None or not bool(bad.any()):
            return ""
        rows = bad.nonzero()[:, 0]
        targets = batch.targets[rows].cpu().float()
        away = (targets - torch.tensor(spec.mean)).abs() / torch.tensor(spec.std).clamp(min=1e-30)
        row, column = divmod(int(away.argmax()), away.shape[1])
        said = f"target {spec.columns[column]} of {_name(batch, rows[row])} is {float(targets[row, column]):.3g}"
        far = f"{said}, {float(away[row, column]):.2g} standard deviations from the mean"
        return far if float(away[row, column]) >= EXTREME else ""


def _name(batch: Batch, row: Tensor) -> str:
    return f"row {int(row) if batch.places is None else int(batch.places[row])}"


def say_rows(bad: Tensor, places: Tensor | None, split: str) -> str:
    """Say which rows of a batch are meant, by where they stand.

    Args:
        bad: whether it is a row, (rows,).
        places: where the rows stand in their split; ``None`` where that is not known.
        split: its name.

    >>> say_rows(torch.tensor([False, True, True]), torch.tensor([7, 5, 9]), "train")
    '2 of 3 rows: 5, 9 of train, counted from 0'
    """
    count = int(bad.sum())
    where = torch.arange(len(bad)) if places is None else places.cpu()
    chosen = where[bad.cpu()][:MOST_ROWS].tolist()
    rest = ", …" if count > len(chosen) else ""
    home = "the batch" if places is None else split
    return f"{count} of {len(bad)} rows: {', '.join(map(str, chosen))}{rest} of {home}, counted from 0"
