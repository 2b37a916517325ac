"""A trained model's answers to the rows of a split."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from lightlab.batch import Batch
from lightlab.data.base import Data
from lightlab.module import Model


@dataclass(frozen=True)
class Answers:
    """What a model makes of some rows, on the CPU.

    Attributes:
        places: where the rows stand in their split, (rows,).
        targets: as the head takes them, (rows, …).
        logits: (rows, outputs).
        losses: (rows,).
        worst: places in these of the rows with the largest losses, the largest first.
        worst_inputs: their inputs, (worst, …), as the loaders give them.
        features: what the head got of the first rows, (kept, features).
        first_inputs: their inputs, (kept, …).
    """

    places: Tensor
    targets: Tensor
    logits: Tensor
    losses: Tensor
    worst: Tensor
    worst_inputs: Tensor
    features: Tensor
    first_inputs: Tensor

    def __len__(self) -> int:
        return len(self.losses)


@torch.no_grad()
def look(model: Model, data: Data, split: str, most_rows: int, worst: int = 0, kept: int = 0) -> Answers | None:
    """Return a model's answers to the rows of a split, or to some of them, drawn by the data's seed.

    The model answers in evaluation mode, on the device where it is; nothing is augmented. Only this process looks.

    Args:
        model: built.
        data: connected to it.
        split: one that the data has.
        most_rows: how many rows are looked at, at the most.
        worst: of how many rows with large losses the inputs are kept.
        kept: of how many of the first rows inputs and features are kept.

    Returns:
        the answers; ``None`` where the split has no rows with targets.
    """
    parts: list[tuple[Tensor, ...]] = []
    firsts: list[tuple[Tensor, Tensor]] = []
    gathered = _Worst(worst)
    rows = held = 0
    device = data.place().device if data.trainer else model.device
    with data.alone(), _evaluating(model, device):
        for given in data.shuffled_dataloader(split):
            batch = Batch(*given)
            if batch.targets is None:
                return None
            size = min(len(batch.inputs), most_rows - rows)
            inputs, targets = batch.inputs[:size].to(model.device), batch.targets[:size].to(model.device)
            features = model.network(model.preprocess(inputs))
            logits = model.head(features)
            losses = model.head.loss(logits, targets)
            places = torch.arange(rows, rows + size) if batch.places is None else batch.places[:size]
            parts.append(tuple(part.cpu() for part in (places, targets, logits.float(), losses.float())))
            gathered.add(parts[-1][3], rows, batch.inputs)
            if held < kept:
                firsts.append((features[: kept - held].float().cpu(), batch.inputs[:size][: kept - held].cpu()))
                held += len(firsts[-1][0])
            rows += size
            if rows >= most_rows:
                break
    if not rows:
        return None
    where, targets, logits, losses = (torch.cat(column) for column in zip(*parts, strict=True))
    features, inputs = (torch.cat(part) for part in zip(*firsts, strict=True)) if firsts else (torch.empty(0),) * 2
    return Answers(where, targets, logits, losses, gathered.places, gathered.inputs, features, inputs)


class _Worst:
    """The rows with the largest losses so far, and their inputs."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.losses = torch.empty(0)
        self.places = torch.empty(0, dtype=torch.long)
        self.inputs = torch.empty(0)

    def add(self, losses: Tensor, first: int, inputs: Tensor) -> None:
        """Look at more rows, of which the first has a place in all."""
        if not self.most:
            return
        known = torch.nan_to_num(losses, nan=torch.inf)  # what is no number is worst
        found = known.topk(min(self.most, len(known))).indices
        both = torch.cat([self.losses, known[found]])
        order = both.argsort(descending=True, stable=True)[: self.most]
        chosen = inputs[found.to(inputs.device)].cpu()
        self.inputs = torch.cat([self.inputs, chosen])[order] if len(self.losses) else chosen[order]
        self.places = torch.cat([self.places, found + first])[order]
        self.losses = both[order]


@contextmanager
def _evaluating(model: Model, device: torch.device) -> Iterator[None]:
    """Switch off dropout and the like, and compute where training does: after it, Lightning puts models on the CPU."""
    was_training, before = model.training, model.device
    model.eval()
    model.to(device)
    try:
        yield
    finally:
        model.train(was_training)
        model.to(before)
