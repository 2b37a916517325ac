"""Steps are compiled in a training's own process without a trace of it in what is trained."""

import random
from contextlib import nullcontext, suppress
from dataclasses import replace

import pytest
import torch

from lightlab.compiled.in_process import check_waits_for_nothing, compile_here
from lightlab.compiled.trace import trace
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


@pytest.mark.parametrize(
    ("optimizer", "waits"),
    [
        ("SGD", False),
        ({"class_path": "SGD", "init_args": {"momentum": 0.9, "nesterov": True}}, False),
        ("AdamW", False),
        ("Adagrad", True),
    ],
)
def test_steps_that_read_numbers(asked, optimizer, waits):
    """A GPU's steps can't be recorded where they read a tensor's number; those of the common optimizers read none."""
    request = replace(asked[0], model={**asked[0].model, "optimizer": optimizer})
    graph, *_ = trace(request)
    with pytest.raises(ValueError, match="waits for nothing") if waits else nullcontext():
        check_waits_for_nothing(graph)


def test_unknown_mode(asked):
    """A mode that torch.compile does not have is its error."""
    with pytest.raises(RuntimeError, match="Unrecognized mode=fastest"):
        compile_here(replace(asked[0], mode="fastest"))
