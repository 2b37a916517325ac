"""Loss and metrics over an epoch: kept on the device as they come, computed once, exact over all processes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

import torch
from lightning.fabric.utilities import move_data_to_device
from lightning_utilities.core.apply_func import apply_to_collection
from torch import Tensor, distributed, nn
from torchmetrics import Metric

from lightlab.heads.base import Head
from lightlab.processes import are_together, of_all_processes

#: After so many logits, what was kept is passed on to the metrics: memory stays bounded, and their cost is shared by
#: many steps.
FLUSH_LOGITS = 2**20


@dataclass
class _Waiting:
    """What steps gave that no metric was given yet; no part of the module, whose attributes cost more to set.

    Attributes:
        steps: of each the losses, the logits and the targets.
        rows: of all of them.
        logits: of all of them, numbers.
    """

    steps: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)
    rows: int = 0
    logits: int = 0


class EpochMetrics(nn.Module):
    """The loss and the metrics of a head over one epoch of one split.

    Args:
        head: says which metrics, and computes what they take.
        columns: the names of the target columns, for metrics that give a value for each.
    """

    place: Tensor

    def __init__(self, head: Head, columns: Sequence[str]) -> None:
        super().__init__()
        self.metrics = nn.ModuleDict(cast("dict[str, nn.Module]", head.metrics()))
        for metric in self._each().values():
            metric.distributed_available_fn = _never  # processes are brought together by `_gather`
        self.columns = tuple(columns)
        self._measured = head.measured
        self._of_classes = bool(head.target.classes)
        self._of_numbers = not (head.target.classes or head.target.counts)
        self.register_buffer("place", torch.empty(0), persistent=False)  # knows the device, rows or none
        self.reset()

    def reset(self) -> None:
        """Forget all that was kept."""
        for metric in self._each().values():
            metric.reset()
        self.rows = 0
        self._losses: list[Tensor] = []
        self._finite: list[Tensor] = []
        self._waiting = _Waiting()

    def update(self, losses: Tensor, logits: Tensor, targets: Tensor) -> None:
        """Keep what a step gave; nothing is computed, and the device is not waited for.

        Args:
            losses: of each row, (batch,).
            logits: (batch, outputs).
            targets: as the head takes them.
        """
        waiting = self._waiting
        waiting.steps.append((losses.detach(), logits.detach(), targets))
        waiting.rows += len(logits)
        waiting.logits += logits.numel()
        if waiting.logits >= FLUSH_LOGITS:
            self._flush()

    def compute(self) -> dict[str, Tensor]:
        """Return the mean loss and all metrics over all processes, and start anew.

        Every process must call it. Metrics of logits that are not finite, and of no rows, are NaN, whatever they
        would seem to be.
        """
        self._flush()
        self._gather()
        values = {name: self._compute_one(metric) for name, metric in self._each().items()}
        loss = float(torch.stack(self._losses).cpu().double().sum()) if self._losses else 0.0
        strange = bool(self._finite) and not bool(torch.stack(self._finite).all())
        sums = torch.tensor([loss, self.rows, strange], dtype=torch.float64)
        if are_together():
            sums = sums.to(self.place.device)
            distributed.all_reduce(sums)
        results = {"loss": (sums[0] / sums[1]).float()}
        known = sums[1] > 0 and sums[2] == 0
        for name, value in values.items():
            names = self._names(name)
            results |= zip(names, (value if known else value * torch.nan).expand(len(names)), strict=True)
        self.reset()
        return results

    def state(self) -> dict[str, Any]:
        """Return a copy of all that was kept, on the CPU, as it was kept: sums would be rounded in another way.

        It is empty where nothing was.
        """
        if not (self.rows or self._waiting.rows):
            return {}
        kept = {
            "rows": self.rows,
            "losses": self._losses,
            "finite": self._finite,
            "waiting": [torch.cat(each) for each in zip(*self._waiting.steps, strict=True)],
            "metrics": {name: metric.metric_state for name, metric in self._each().items()},
        }
        return cast("dict[str, Any]", apply_to_collection(kept, Tensor, lambda each: each.to("cpu", copy=True)))

    def add(self, state: Mapping[str, Any]) -> None:
        """Keep what `state` has found, too."""
        state = move_data_to_device(state, self.place.device)
        self.rows += state["rows"]
        self._losses += state["losses"]
        self._finite += state["finite"]
        for name, metric in self._each().items():
            metric.merge_state(state["metrics"][name])
        if state["waiting"]:
            self.update(*state["waiting"])

    def losses_are_finite(self) -> bool:
        """Return whether all losses that were kept are finite; the device is waited for."""
        # Nothing is summed for it: how losses are rounded does not depend on who looks at them.
        waiting = [losses for losses, _, _ in self._waiting.steps]
        sums = [torch.stack(self._losses)] if self._losses else []
        return all(bool(torch.isfinite(each).all()) for each in (*sums, *([torch.cat(waiting)] if waiting else [])))

    def modes(self) -> dict[str, Literal["min", "max"]]:
        """Return the name of each figure, and whether less or more of it is better."""
        modes: dict[str, Literal["min", "max"]] = {"loss": "min"}
        for name, metric in self._each().items():
            modes |= dict.fromkeys(self._names(name), "max" if metric.higher_is_better else "min")
        return modes

    def why_undefined(self, name: str) -> str:
        """Return why a figure can be NaN where all outputs and losses are finite."""
        found = (each for key, each in self._each().items() if name in self._names(key))
        return str(getattr(next(found, None), "undefined", "outputs are not finite, or there are no rows"))

    def _names(self, name: str) -> list[str]:
        """Return what a metric's values are called; one whose name ends in ``/`` has a value for each column."""
        return [f"{name}{column}" for column in self.columns] if name.endswith("/") else [name]

    def _each(self) -> dict[str, Metric]:
        return cast("dict[str, Metric]", dict(self.metrics.items()))

    def _flush(self) -> None:
        if not self._waiting.steps:
            return
        losses, logits, targets = (torch.cat(each) for each in zip(*self._waiting.steps, strict=True))
        self.rows += self._waiting.rows
        self._waiting = _Waiting()
        self._losses.append(losses.sum())
        with torch.no_grad():
            scores, targets = self._measured(logits.float(), targets)
        if self._of_numbers and scores.device.type != "mps":  # which has no such numbers
            scores, targets = scores.double(), targets.double()  # so that sums don't depend on who adds up what
        if self._of_classes and targets.ndim == 2:  # a column a class, as one-hot targets are
            targets = targets.argmax(1)
        self._finite.append(torch.isfinite(logits).all())
        for metric in self._each().values():
            if self._of_numbers:
                metric.set_dtype(scores.dtype)
            metric.update(scores, targets)

    def _gather(self) -> None:
        """Give every process the states of all.

        torchmetrics' own way takes the types of states from a process's rows, and breaks where it has none.
        """
        if not are_together():
            return
        own = {name: metric.metric_state for name, metric in self._each().items()} if self.rows else {}
        states = of_all_processes(move_data_to_device(own, torch.device("cpu")))
        for name, metric in self._each().items():
            metric.reset()
            for state in states:
                if state:
                    metric.merge_state(move_data_to_device(state[name], metric.device))

    def _compute_one(self, metric: Metric) -> Tensor:
        with warnings.catch_warnings():
            # torchmetrics warns of states that were merged and not updated, and of one class, which has no ROC curve.
            warnings.simplefilter("ignore")
            try:
                return cast("Tensor", metric.compute()).float()
            except ValueError:  # too few rows, as for R² of one
                return torch.tensor(torch.nan, device=metric.device)


def _never() -> bool:
    return False
