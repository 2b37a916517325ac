"""Batches hold every row once, whatever the number of processes."""

from itertools import islice

import pytest
import torch

from lightlab.data.loader import BatchLoader, BatchPlan, RowOrder, default_workers
from lightlab.data.rows import Stored
from lightlab.errors import CheckpointError, DataError


class Numbers(Stored):
    """Rows that are stored: each is its own number."""

    def read(self, stored):
        """Return the numbers."""
        return torch.from_numpy(stored)[:, None]


def loaders(rows, batch_size, world_size, seed=None, keep_short=True, stored=False, **options):
    """Return the loaders of all processes over rows that are their own numbers."""
    numbers = torch.arange(rows)
    inputs = Numbers(numbers.numpy(), (1,)) if stored else numbers[:, None]
    return [
        BatchLoader(
            inputs, numbers, BatchPlan(RowOrder(rows, seed), batch_size, rank, world_size, keep_short), **options
        )
        for rank in range(world_size)
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
    """In training no step is left with a few rows, unless that is all there is."""
    batches = list(loaders(rows, 16, world_size, keep_short=False)[0])
    assert [batch.total for batch in batches] == sizes


@pytest.mark.parametrize("workers", [0, 2])
def test_stored_rows_are_read_in_the_same_order(workers):
    """Worker processes change nothing of which rows a batch holds, in any epoch."""
    in_memory, stored = loaders(50, 8, 1, seed=3)[0], loaders(50, 8, 1, seed=3, stored=True, workers=workers)[0]
    for epoch in (0, 1):
        # Lightning makes the iterator of the first epoch before it sets the epoch.
        batches = iter(stored)
        in_memory.sampler.set_epoch(epoch)
        stored.sampler.set_epoch(epoch)
        for wanted, batch in zip(in_memory, batches, strict=True):
            assert torch.equal(wanted.inputs, batch.inputs)
            assert torch.equal(wanted.places, batch.places)


@pytest.mark.parametrize("stored", [False, True])
def test_going_on_in_the_middle_of_an_epoch(stored):
    """A loader that is told how many batches were given goes on with the rest; the epoch after is whole."""
    whole = [batch.places.tolist() for batch in loaders(50, 8, 1, seed=3)[0]]
    first, second = loaders(50, 8, 1, seed=3, stored=stored) + loaders(50, 8, 1, seed=3, stored=stored)
    batches = iter(first)
    given = [next(batches).places.tolist() for _ in range(3)]
    second.load_state_dict(first.state_dict())
    assert given + [batch.places.tolist() for batch in second] == whole
    assert [batch.places.tolist() for batch in second] == whole


@pytest.mark.parametrize(("batch_size", "seed"), [(16, 3), (8, 4)])
def test_going_on_with_other_batches(batch_size, seed):
    """In the middle of an epoch other batches, or another order, would lose rows and give others twice."""
    first, second = loaders(50, 8, 1, seed=3)[0], loaders(50, batch_size, 1, seed=seed)[0]
    next(iter(first))
    second.load_state_dict(first.state_dict())
    with pytest.raises(CheckpointError, match="the batches that it had: (batch_size 8|seed 3). Received: "):
        next(iter(second))


@pytest.mark.parametrize("world_size", [1, 3])
def test_batches_that_are_made_at_once(world_size, monkeypatch):
    """How many batches are gathered together changes nothing of them, also where training goes on among them."""

    def given(start, batches):
        monkeypatch.setattr("lightlab.data.loader.MOST_BLOCK_BATCHES", batches)
        parts = loaders(101, 8, world_size, seed=3, keep_short=False)
        for loader in parts:
            loader.load_state_dict({**loader.state_dict(), "batches": start})
        return [[(batch.inputs.flatten().tolist(), batch.total) for batch in loader] for loader in parts]

    for start in range(12):
        assert given(start, 1) == given(start, 5) == [part[start:] for part in given(0, 1)]


def test_a_batch_lies_in_memory_as_before_the_run_was_cut():
    """Sums of numbers may differ in the last bit by how they lie, and a resumed training is to be the same."""
    first, second = loaders(640, 7, 1, seed=3) + loaders(640, 7, 1, seed=3)
    second.load_state_dict({**second.state_dict(), "batches": 40})
    for wanted, batch in zip(islice(first, 40, None), second, strict=True):
        assert wanted.inputs.storage_offset() % 64 == batch.inputs.storage_offset() % 64


def test_rows_on_a_device_are_batched_there():
    """Inputs, targets and places are of that device, and images stay of a byte a number."""
    meta = torch.device("meta")
    inputs, targets = torch.empty(50, 3, dtype=torch.uint8, device=meta), torch.empty(50, device=meta)
    loader = BatchLoader(inputs, targets, BatchPlan(RowOrder(50, 1), 8), device=meta)
    batches = list(loader)
    assert [batch.total for batch in batches] == [8] * 6 + [2]
    for batch in batches:
        assert {part.device for part in batch[:3]} == {meta}
        assert batch.inputs.dtype == torch.uint8
        assert batch.inputs.shape == (batch.total, 3)
    assert loader.placement == "data on device"


@pytest.mark.parametrize(
    ("stored", "options", "placement"),
    [
        (False, {}, "data in memory"),
        (False, {"device": torch.device("cuda")}, "data in memory, pinned"),
        (True, {"workers": 1}, "data on disk, 1 worker"),
        (True, {"workers": 2}, "data on disk, 2 workers"),
    ],
)
def test_placement(stored, options, placement):
    """A loader says where the rows are."""
    assert loaders(10, 4, 1, stored=stored, **options)[0].placement == placement


def test_fewer_rows_than_processes():
    """In training every process has two rows of each step, or one if there are no more; else it is refused."""
    for rows, batch_size in ((7, 16), (100, 7)):
        with pytest.raises(DataError, match="Each process has a row of every step"):
            loaders(rows, batch_size, 8, keep_short=False)
    parts = [list(loader) for loader in loaders(37, 16, 8, seed=0, keep_short=False)]
    assert min(len(batch.inputs) for part in parts for batch in part) == 2


def test_after_the_last_batch_comes_a_new_epoch():
    """A state that was saved at the end of an epoch begins the next, also where the epoch was cut short."""
    for batches in (7, 3):
        first, second = loaders(50, 8, 1, seed=3) + loaders(50, 8, 1, seed=3)
        assert len(list(islice(first, batches))) == batches
        second.load_state_dict(first.state_dict())
        second.sampler.set_epoch(1)
        assert len(list(second)) == 7


def test_balanced_order():
    """Rows are drawn so that each class comes equally often; the order is a function of seed and epoch still."""
    classes = torch.tensor([0] * 9_000 + [1] * 900 + [2] * 100)
    order = RowOrder(10_000, 1, classes)
    first = order()
    assert len(first) == 10_000
    shares = classes[first].bincount() / 10_000
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.03)
    assert torch.equal(first, order())
    order.set_epoch(1)
    assert not torch.equal(first, order())


def test_workers():
    """There is at least one, and not more than the machine has cores for its processes."""
    assert default_workers(10_000) == 1
    assert default_workers(1) >= default_workers(2) >= 1


@pytest.mark.parametrize(
    ("rows", "batch_size", "world_size", "fewest"),
    [(60, 1, 1, 1), (61, 20, 1, 20), (75, 20, 1, 15), (1, 8, 1, 1), (60, 2, 2, 1), (60, 4, 2, 2), (3, 8, 2, 1)],
)
def test_fewest_rows(rows, batch_size, world_size, fewest):
    """A plan of a training knows how many rows a process has at least."""
    plans = [BatchPlan(RowOrder(rows, 0), batch_size, rank, world_size, False) for rank in range(world_size)]
    assert {plan.fewest_rows for plan in plans} == {fewest}
    assert min(len(places) for plan in plans for places, _ in plan) == fewest
