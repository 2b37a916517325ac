"""What stays in single precision where a network computes in half: 16 bits hold two or three digits of a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

import torch
from torch import Tensor, nn

#: Types whose numbers take 16 bits.
HALF = (torch.float16, torch.bfloat16)


class SinglePrecisionBuffers(nn.Module):
    """A module whose own buffers, which hold what was learned from data, never get less than single precision.

    Its parameters and the modules in it are converted as any.

    Attributes:
        dtype: of floats, what the module was converted to.
    """

    dtype: torch.dtype

    def __init__(self) -> None:
        super().__init__()
        self.dtype = torch.get_default_dtype()

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Do what `to`, `half` and the like all come to."""
        exact = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]  # torch has no types for it
        self.dtype = fn(torch.empty(0, dtype=self.dtype)).dtype
        for name, converted in self._buffers.items():
            before = exact[name]
            if before is not None and converted is not None and converted.dtype in HALF:
                self._buffers[name] = before.to(converted.device, torch.float32)
        return self


def at_least_single(numbers: Tensor) -> Tensor:
    """Return numbers of half precision in single, and others as they are."""
    return numbers.float() if numbers.dtype in HALF else numbers
