"""A pass over rows without training sees all of them."""

from __future__ import annotations

from typing import Any

from lightlab.errors import RunError


def check_whole_pass(trainer: Any) -> None:
    """See to it that a validation, test or prediction has come to the end of its data.

    Lightning takes a StopIteration for the end, whoever raises it: figures would be those of some rows only.

    Args:
        trainer: at the end of the pass.

    Raises:
        RunError: it was ended before.
    """
    loop = trainer._active_loop
    if loop._data_fetcher.done:
        return
    batches = loop.batch_progress.current.ready
    raise RunError(
        f"A pass over rows ends with them. A callback, or another hook, raised StopIteration in batch {batches}, which "
        f"would end it before, with the figures of some rows only."
    )
