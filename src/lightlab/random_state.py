"""Where the generators of random numbers stand, so that a training that goes on draws what it would have drawn."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch


def random_state(device: torch.device) -> dict[str, Any]:
    """Return the state of torch's, NumPy's and Python's own generators, and of a GPU's, as plain data and tensors.

    Of numbers by the hundred a checkpoint is written much faster as a tensor.

    Args:
        device: that computes.
    """
    numpy_state: Any = np.random.get_state(legacy=True)
    kind, words, *others = numpy_state
    version, own_words, gauss = random.getstate()
    state = {
        "torch": torch.get_rng_state(),
        "numpy": (kind, torch.from_numpy(words.astype(np.int64)), *others),
        "python": (version, torch.from_numpy(np.array(own_words)), gauss),
    }
    return state | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_random_state(state: Mapping[str, Any], device: torch.device) -> None:
    """Bring the generators where `random_state` found them.

    Args:
        state: of them.
        device: that computes; where it is another than then, its own generator is left as it is.

    Raises:
        Exception: of some kind, where the state is none.
    """
    torch.set_rng_state(state["torch"])
    kind, words, *others = state["numpy"]
    np.random.set_state((kind, words.numpy(), *others))
    version, own_words, gauss = state["python"]
    random.setstate((version, tuple(own_words.tolist()), gauss))
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"], device)


@contextmanager
def random_state_kept(device: torch.device) -> Iterator[None]:
    """Have the generators stand where they did before, whatever is drawn within, and also where that raises.

    Lightning's ``isolate_rng`` leaves them where an error found them.

    >>> with random_state_kept(torch.device("cpu")):
    ...     first = torch.rand(1)
    >>> bool(torch.rand(1) == first)
    True

    Args:
        device: that computes.
    """
    before = random_state(device)
    try:
        yield
    finally:
        set_random_state(before, device)
