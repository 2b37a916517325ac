"""What a loader gives to the model."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Batch(NamedTuple):
    """One process's part of the rows of one step.

    A loader of one's own may give pairs of inputs and targets instead.

    Attributes:
        inputs: (rows, …).
        targets: (rows, …), as the problem's head takes them; ``None`` where they are not known.
        places: (rows,), where the rows stand in their split.
        total: rows of the step over all processes.
    """

    inputs: Tensor
    targets: Tensor | None = None
    places: Tensor | None = None
    total: int | None = None
