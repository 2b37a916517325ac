"""Processes that train together: what one of them alone does, and what is said of one that is lost.

What becomes of real ones stands in test_distributed.
"""

import signal
import threading

import pytest
from lightning import Trainer

from lightlab.errors import RunError
from lightlab.training.ranks import Ranks, _what_ended


def test_a_process_alone():
    """It has nobody to look after, to wait for, or to tell of its failure."""
    threads = threading.active_count()
    ranks = Ranks(Trainer(accelerator="cpu", devices=1, logger=False, enable_checkpointing=False), timeout=1.0)
    assert threading.active_count() == threads
    error = RunError("The disk is full.")
    assert ranks.settle(error) is error
    ranks.finish()


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (128 + signal.SIGTERM, "rank 1 was told to end by SIGTERM, and all others end with it."),
        (3, "rank 1 has ended with exit code 3, and all others with it."),
        (
            -signal.SIGKILL,
            "rank 1 was ended by SIGKILL, as the system does where memory is short; all others end with it.",
        ),
        (-signal.SIGSEGV, "rank 1 was ended by SIGSEGV; all others end with it."),
    ],
)
def test_what_is_said_of_one_that_is_lost(code, said):
    """The signal by name, or the exit code, and what often sends it."""
    assert _what_ended(1, code) == said
