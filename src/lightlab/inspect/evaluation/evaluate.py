"""What a run is looked at by, before training, at its end, and with the best weights."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from lightlab.data.base import Data
from lightlab.inspect.dead_units import watch_dead_units
from lightlab.inspect.evaluation.describe import describe_mistakes, describe_split
from lightlab.inspect.evaluation.layers import Norms, describe_layers, weight_histograms
from lightlab.inspect.evaluation.look import Answers, look
from lightlab.inspect.evaluation.record import Evaluation, Reference, SampleLoss, SplitRecord
from lightlab.inspect.evaluation.reference import find_reference
from lightlab.inspect.limits import SUSPECT
from lightlab.inspect.procedure.chance import best_constant, best_logits
from lightlab.module import Model

#: Rows of a split that are looked at; of more, so many tell as much.
MOST_ROWS = 50_000
#: Rows whose losses are held against each other; and those that the least possible loss is found by.
SAMPLE_ROWS, FLOOR_ROWS = 512, 100


class Evaluator:
    """Looks at a training; in one process, whatever the number of those that train.

    Args:
        model: as it is before training.
        data: connected to it.
        left_out: splits that are not looked at.
        worst: how many mistakes are kept.
        kept: of how many rows of the validation split the features are kept, for those who draw them.
    """

    def __init__(self, model: Model, data: Data, left_out: Collection[str], worst: int, kept: int) -> None:
        self.model = model
        self.data = data
        self.worst = worst
        self.kept = kept
        self.before = weight_histograms(model)
        self.splits = [split for split in ("train", "val", "test") if split in data.counts and split not in left_out]
        self.compared = self.splits[: 2 if "val" in self.splits else 1]
        self._last: dict[str, Tensor] = {}
        self._dead: dict[str, float] = {}
        #: The answers to the rows of val and test, from `evaluate` on.
        self.answers: dict[str, Answers] = {}

    def see_last(self) -> None:
        """Look at the weights that training ended with, before the best take their place."""
        for split in self.compared:
            with watch_dead_units(self.model) as dead:
                answers = look(self.model, self.data, split, SAMPLE_ROWS)
            if answers:
                self._last[split], self._dead = answers.losses, dead

    def evaluate(self, monitor: str, mode: str, first: Norms, last: Norms) -> Evaluation:
        """Look at the best weights, which the model has by now.

        Args:
            monitor: the metric that says which are best.
            mode: whether less or more of it is better.
            first: what was seen of gradients in the first epoch.
            last: in the last.
        """
        model, data = self.model, self.data
        spec = model.data_spec
        assert spec is not None  # it is trained
        splits: dict[str, SplitRecord] = {}
        for split in self.splits[1:]:
            worst, kept = (self.worst, self.kept) if split == "val" else (0, 0)
            if answers := look(model, data, split, MOST_ROWS, worst, kept):
                mistakes = describe_mistakes(model.head, spec, data, split, answers)
                splits[split] = describe_split(model.head, spec, answers, mistakes)
                self.answers[split] = answers
        train = look(model, data, "train", SAMPLE_ROWS)
        samples = self._compare({"train": train, "val": self.answers.get("val")})
        reference = self._ask_reference(samples)
        layers = describe_layers(model, self.before, first, last, self._dead)
        return Evaluation(
            problem=spec.problem,
            classes=spec.target.classes,
            targets=spec.target.columns,
            monitor=monitor,
            mode=mode,
            splits=splits,
            samples=samples,
            layers=layers,
            findings=tuple(data.findings),
            reference=reference,
        )

    def _compare(self, seen: Mapping[str, Answers | None]) -> dict[str, SampleLoss]:
        """Return what is to be had of a sample of each split, and what the model has of it.

        Args:
            seen: answers to the rows of each; the train split's come first.
        """
        head = self.model.head
        samples: dict[str, SampleLoss] = {}
        constant: Tensor | None = None
        for split, answers in seen.items():
            if answers is None:
                continue
            targets = answers.targets[:SAMPLE_ROWS].to(self.model.device)
            losses = answers.losses[:SAMPLE_ROWS].double()
            if constant is None:  # the train split's holds for all
                constant, _ = best_constant(head, targets)
            with torch.no_grad():
                fixed = head.loss(constant.expand(len(targets), -1), targets).mean().item()
            few = targets[:FLOOR_ROWS]
            samples[split] = SampleLoss(
                rows=len(losses),
                best=losses.mean().item(),
                last=self._last[split].double().mean().item() if split in self._last else None,
                error=losses.std().item() / math.sqrt(len(losses)) if len(losses) > 1 else None,
                constant=fixed,
                floor=min(fixed, best_logits(head, constant.repeat(len(few), 1), few)),
            )
        return samples

    def _ask_reference(self, samples: Mapping[str, SampleLoss]) -> Reference | None:
        """Ask another kind of learner, where the model has learned little of what there may be."""
        train = samples.get("train")
        if train is None or None in (train.best, train.constant, train.floor):
            return None
        room = train.constant - train.floor  # type: ignore[operator]  # none of them is None
        if room <= 0 or (train.best - train.floor) / room < SUSPECT:  # type: ignore[operator]  # likewise
            return None
        return find_reference(self.model, self.data, self.compared[-1])
