"""What a loader gives to the model."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Mixed(NamedTuple):
    """How rows were mixed with others of their batch.

    A row's loss is ``weight · loss(output, its target) + (1 − weight) · loss(output, its partner's target)``.

    Attributes:
        partner: (rows,), int64; the place in the batch of the row that was mixed in.
        weight: (rows,), floats in [0, 1]; the share of the row's own target.
    """

    partner: Tensor
    weight: Tensor


class Batch(NamedTuple):
    """One process's part of the rows of one step.

    A loader of one's own may give pairs of inputs and targets instead.

    Attributes:
        inputs: (rows, …).
        targets: (rows, …), as the problem's head takes them; ``None`` where they are not known.
        places: (rows,), where the rows stand in their split.
        total: rows of the step over all processes.
        mixed: how the rows of ``inputs`` were mixed; ``None`` where they were not. The targets are as they were.
    """

    inputs: Tensor
    targets: Tensor | None = None
    places: Tensor | None = None
    total: int | None = None
    mixed: Mixed | None = None
