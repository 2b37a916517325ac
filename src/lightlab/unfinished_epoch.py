"""An epoch of a training that is not over: what its steps gave, which checkpoints keep and a resumed training needs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


class UnfinishedEpoch:
    """Makes the figures of an epoch; until then it gives checkpoints what they are made of.

    Args:
        model: a `lightlab.module.Model`.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._figures: dict[str, Tensor] = {}
        self._broken_off: dict[str, Any] = {}

    def see_validation(self) -> None:
        """Make the figures before the validation that follows the last batch: checkpoints keep them, and no logits."""
        if self.model.trainer.is_last_batch:
            self._figures = self._figures or self._make()

    def end(self) -> dict[str, Tensor]:
        """Return the figures of the epoch by name, and start anew."""
        whole = self.model.trainer.fit_loop.epoch_loop._num_ready_batches_reached()
        self._broken_off = {} if whole else self.state()  # a training with more steps or time goes on within it
        figures, self._figures = self._figures or self._make(), {}
        return figures

    def _make(self) -> dict[str, Tensor]:
        penalties, figures = self.model.penalties, self.model.train_metrics.compute()
        if penalties:
            figures["penalty"] = torch.cat(penalties).mean()
            penalties.clear()
        return dict(figures)

    def state(self) -> dict[str, Any]:
        """Return what this process has of the epoch so far, on the CPU; nothing where an epoch is over."""
        model = self.model
        if self._broken_off:
            return self._broken_off
        found: dict[str, Any] = {}
        if self._figures:
            found["figures"] = {name: float(value) for name, value in self._figures.items()}
        elif metrics := model.train_metrics.state():
            found["metrics"] = metrics
            found["penalties"] = [torch.cat(each).cpu() for each in [model.penalties] if each]
        if model.trainer.fit_loop._should_accumulate():  # gradients wait for those of other batches
            gradients = {name: each.grad for name, each in model.named_parameters() if each.grad is not None}
            found["gradients"] = {name: each.to("cpu", copy=True) for name, each in gradients.items()}
            if model.finite_numbers is not None:
                found["step"] = model.finite_numbers.step.state()
        return found

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` has found."""
        model = self.model
        self._broken_off = {}
        self._figures |= {name: scalar(value) for name, value in state.get("figures", {}).items()}
        if "metrics" in state:
            model.train_metrics.add(state["metrics"])
            model.penalties.extend(each.to(model.device) for each in state["penalties"])
        for name, gradient in state.get("gradients", {}).items():
            parameter = model.get_parameter(name)
            parameter.grad = gradient.to(parameter.device)
        if "step" in state and model.finite_numbers is not None:
            model.finite_numbers.step.go_on(state["step"])


def scalar(value: float) -> Tensor:
    """Return a tensor of one number, in double precision only where it takes that."""
    found = torch.tensor(value, dtype=torch.float32)
    return found if float(found) == value or value != value else torch.tensor(value, dtype=torch.float64)
