"""A step of a training that may yet be left out: what there is of it until then, which checkpoints keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True)
class Suspect:
    """A loss that is not finite.

    Attributes:
        loss: a scalar.
        text: what is known of it.
    """

    loss: float
    text: str


class UnfinishedStep:
    """What the batches of a step have given, until it is taken or left out.

    Args:
        model: a `lightlab.module.Model`.

    Attributes:
        suspect: the step's first loss that is not finite; ``None`` where there is none.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.suspect: Suspect | None = None
        self._held: list[tuple[Tensor | None, ...]] = []
        self._buffers: list[Tensor] = []

    def begin(self) -> None:
        """Keep what the step has to leave as it is if it is left out."""
        self._buffers = [each.detach().clone() for each in self.model.buffers()]

    @property
    def has_begun(self) -> bool:
        """Whether that was kept."""
        return bool(self._buffers)

    def hold(self, *given: Tensor | None) -> None:
        """Hold back what a batch gives for the figures.

        Args:
            given: what the model's ``_keep`` takes.
        """
        self._held.append(tuple(None if each is None else each.detach() for each in given))

    def take(self) -> None:
        """Have its batches count for the figures."""
        held, self._held = self._held, []
        for given in held:
            self.model._keep(*given)

    def leave_out(self) -> None:
        """Have nothing be left of it but gradients."""
        self._held.clear()
        self.suspect = None
        self.put_back()

    @torch.no_grad()
    def put_back(self) -> None:
        """Give buffers, such as running statistics, what they had before it."""
        for buffer, kept in zip(self.model.buffers(), self._buffers, strict=True):
            buffer.copy_(kept)

    # In checkpoints

    def state(self) -> dict[str, Any]:
        """Return what there is of it, on the CPU."""
        return {
            "suspect": None if self.suspect is None else asdict(self.suspect),
            "held": [[None if each is None else each.cpu() for each in given] for given in self._held],
            "buffers": [each.to("cpu", copy=True) for each in self._buffers],
        }

    def go_on(self, state: Mapping[str, Any]) -> None:
        """Take up what `state` has found; after that of another process, what it lacks."""
        device = self.model.device
        if self.suspect is None and state["suspect"] is not None:
            self.suspect = Suspect(**state["suspect"])
        for given in state["held"]:
            self.hold(*(None if each is None else each.to(device) for each in given))
        if state["buffers"] and not self._buffers:
            pairs = zip(self.model.buffers(), state["buffers"], strict=True)
            self._buffers = [torch.empty_like(buffer).copy_(kept) for buffer, kept in pairs]
