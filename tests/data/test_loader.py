"""Batches hold every row once, whatever the number of processes."""

import pytest
import torch

from lightlab.data.loader import TensorLoader


def loaders(rows, batch_size, world_size, seed=None, keep_short=True):
    """Return the loaders of all processes over rows that are their own numbers."""
    inputs = torch.arange(rows)[:, None]
    return [
        TensorLoader(inputs, inputs[:, 0], batch_size, seed, rank, world_size, keep_short) for rank in range(world_size)
    ]


@pytest.mark.parametrize("world_size", [1, 2, 3, 8])
@pytest.mark.parametrize("rows", [1, 2, 5, 9, 64, 101])
def test_every_row_once(rows, world_size):
    """All processes together see each row once, in as many batches as each other."""
    parts = [list(loader) for loader in loaders(rows, 8, world_size)]
    assert len({len(part) for part in parts}) == 1
    assert len(parts[0]) == len(loaders(rows, 8, world_size)[0])
    seen = [row for part in parts for batch in part for row in batch.targets.tolist()]
    assert sorted(seen) == list(range(rows))
    for step in zip(*parts, strict=True):
        assert {batch.total for batch in step} == {sum(len(batch.inputs) for batch in step)}
        assert all(torch.equal(batch.places, batch.targets) for batch in step)


@pytest.mark.parametrize("world_size", [1, 2])
def test_a_step_holds_the_same_rows_on_any_number_of_processes(world_size):
    """The rows of each training step depend on seed and epoch only."""
    alone = loaders(100, 16, 1, seed=5)[0]
    parts = loaders(100, 16, world_size, seed=5)
    for loader in (alone, *parts):
        loader.sampler.set_epoch(3)
    together = [torch.cat([batch.targets for batch in step]).tolist() for step in zip(*parts, strict=True)]
    assert together == [batch.targets.tolist() for batch in alone]


def test_order_is_a_function_of_seed_and_epoch():
    """Epochs and seeds differ, and each can be had again."""
    orders = {}
    for seed in (1, 2):
        for epoch in (0, 1):
            loader = loaders(50, 10, 1, seed)[0]
            loader.sampler.set_epoch(epoch)
            orders[seed, epoch] = [row for batch in loader for row in batch.targets.tolist()]
            assert orders[seed, epoch] == [row for batch in loader for row in batch.targets.tolist()]
    assert len({tuple(order) for order in orders.values()}) == 4


@pytest.mark.parametrize(
    ("rows", "world_size", "sizes"),
    [(33, 1, [16, 17]), (39, 1, [16, 23]), (40, 1, [16, 16, 8]), (39, 2, [16, 23]), (1, 1, [1])],
)
def test_short_last_batch_joins_the_one_before_it(rows, world_size, sizes):
    """In training no process is left with one row, unless that is all there is."""
    batches = list(loaders(rows, 16, world_size, keep_short=False)[0])
    assert [batch.total for batch in batches] == sizes
