"""Generators of random numbers go on from where they were."""

import random
from contextlib import suppress

import numpy as np
import torch

from lightlab.checkpoints import write_checkpoint
from lightlab.random_state import random_state, random_state_kept, set_random_state

CPU = torch.device("cpu")


def draw():
    """Return a few numbers of each generator."""
    return torch.rand(2).tolist(), np.random.normal(size=3).tolist(), random.gauss(0, 1), random.random()


def test_what_is_drawn_is_drawn_again(tmp_path):
    """After a state is set, all generators give what they gave; also what they hold back of normal numbers."""
    draw()
    state = random_state(CPU)
    first = draw()
    assert draw() != first
    set_random_state(state, CPU)
    assert draw() == first


def test_errors_draw_nothing():
    """What is drawn before an error, by any generator, is drawn again after it."""
    state = random_state(CPU)
    first = draw()
    set_random_state(state, CPU)
    with suppress(KeyError), random_state_kept(CPU):
        raise KeyError(draw())
    assert draw() == first


def test_it_is_plain_data(tmp_path):
    """It can be read again by whoever reads weights alone."""
    write_checkpoint({"state": random_state(CPU)}, tmp_path / "s.ckpt")
    state = torch.load(tmp_path / "s.ckpt", weights_only=True)["state"]
    first = draw()
    set_random_state(state, CPU)
    assert draw() == first
