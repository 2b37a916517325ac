"""Steps are compiled in a training's own process without a trace of it in what is trained."""

import random
from contextlib import suppress
from dataclasses import replace

import pytest
import torch

from lightlab.compiled.in_process import compile_here
from lightlab.errors import ConfigError

pytestmark = pytest.mark.xdist_group("compiled")  # one process compiles


def draw():
    """Return numbers of the generators that building a model draws from."""
    return torch.rand(2).tolist(), random.random()


def test_draws_no_random_numbers(asked):
    """The training draws what it would have drawn, also where compiling has failed."""
    state = torch.get_rng_state(), random.getstate()
    expected = draw()
    for request in (asked[0], replace(asked[0], model={"layers": [{"dense": 3}, "absent_layer"]})):
        torch.set_rng_state(state[0])
        random.setstate(state[1])
        with suppress(ConfigError):
            compile_here(request)
        assert draw() == expected


def test_unknown_mode(asked):
    """A mode that torch.compile does not have is its error."""
    with pytest.raises(RuntimeError, match="Unrecognized mode=fastest"):
        compile_here(replace(asked[0], mode="fastest"))
