"""Every row has its one reader, whatever the sizes of segments, batches and buffers, and the number of processes."""

import numpy as np
import pytest

from lightlab.data.streams.plan import Span, StreamPlan
from lightlab.errors import DataError

CASES = 60


def cases():
    """Return plans of random sizes: for each case its sizes, and the plans of all ranks."""
    generator = np.random.default_rng(0)
    for case in range(CASES):
        sizes = generator.integers(0, 30, generator.integers(1, 12))
        sizes[0] += 5
        world_size, batch_size, buffer = (int(generator.integers(1, most)) for most in (6, 40, 100))
        for seed in (None, case):
            plans = [StreamPlan(sizes, batch_size, seed, rank, world_size, buffer) for rank in range(world_size)]
            yield sizes, batch_size, plans


def rows(plan, batches):
    """Return the places of a rank's rows in some batches, in the order they are read."""
    spans = plan.spans(*plan.edges(batches.start, batches.stop))
    return [int(plan.starts[span.segment]) + row for span in spans for row in range(span.first, span.last)]


def test_every_row_once():
    """All ranks together have each row once in an epoch, in as many batches as each other; evaluation in order."""
    for sizes, _, plans in cases():
        seen = []
        for plan in plans:
            plan.set_epoch(3)
            seen += [row for batch in range(len(plan)) for row in rows(plan, range(batch, batch + 1))]
        everything = list(range(sizes.sum()))
        assert (seen if plans[0].seed is None else sorted(seen)) == everything
        assert len({len(plan) for plan in plans}) == 1


def test_batches_are_even():
    """Batches differ by a row a rank at most, none is larger than asked for where each rank can have its row."""
    for sizes, batch_size, plans in cases():
        shares = [[np.diff(plan.edges(batch, batch + 1))[0] for batch in range(len(plan))] for plan in plans]
        totals = np.sum(shares, axis=0)
        assert totals.tolist() == [plans[0].total(batch) for batch in range(len(plans[0]))]
        assert totals.sum() == sizes.sum()
        assert all(max(share) - min(share) <= 1 for share in shares)
        assert np.ptp([sum(share) for share in shares]) <= 1
        if plans[0].seed is None:
            assert max(map(max, shares)) <= -(-batch_size // len(plans))
        else:
            assert min(map(min, shares)) >= 1
            assert max(map(max, shares)) <= max(3, -(-batch_size // len(plans)))


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_workers_share_blocks(workers):
    """Workers have each batch once, in runs of whole blocks."""
    for _, _, plans in cases():
        plan = plans[-1]
        own = [plan.batches_of(worker, workers) for worker in range(workers)]
        assert [batch for batches in own for batch in batches] == list(range(len(plan)))
        assert all(batches.start % plan.block == 0 for batches in own if batches)


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_turns(workers):
    """After any number of batches it is known whose is next, and what each worker has left."""
    for _, _, plans in cases():
        plan = plans[0]
        waiting = [list(plan.batches_of(worker, workers)) for worker in range(workers)]
        order = []
        while any(waiting):
            order += [(worker, batches.pop(0)) for worker, batches in enumerate(waiting) if batches]
        for given in range(len(order) + 1):
            turn = plan.turn(workers, given)
            left = {
                (worker, batch)
                for worker in range(workers)
                for batch in range(turn.starts[worker], plan.batches_of(worker, workers).stop)
            }
            assert left == set(order[given:])
            if given < len(order):
                assert (turn.worker, turn.starts[turn.worker]) == order[given]


def test_order_is_of_seed_and_epoch():
    """The same seed and epoch give the same order, another of either gives another."""

    def order(seed, epoch):
        plan = StreamPlan([7] * 20, 10, seed)
        plan.set_epoch(epoch)
        return rows(plan, range(len(plan))), plan.shuffle(0, 50).tolist()

    assert order(1, 2) == order(1, 2)
    for other in (order(1, 3), order(2, 2)):
        assert all(one != two for one, two in zip(order(1, 2), other, strict=True))


def test_one_segment_is_cut_anew_in_each_epoch():
    """Even rows of a single segment fall to other ranks and blocks from epoch to epoch."""
    firsts = set()
    for epoch in range(5):
        plan = StreamPlan([100], 10, seed=0, rank=0, world_size=2)
        plan.set_epoch(epoch)
        firsts.add(tuple(rows(plan, range(len(plan)))))
    assert len(firsts) == 5


def test_a_buffer_bounds_a_block():
    """A block's rows are no more than the buffer takes, or one batch."""
    for buffer in (1, 10, 25, 1000):
        plan = StreamPlan([100], 10, seed=0, buffer=buffer)
        assert plan.block * 10 <= max(buffer, 10)
    assert sorted(plan.shuffle(0, 30)) == list(range(30))


def test_segments_before_a_span_are_not_in_it():
    """What was read is not read again: a tail of an epoch names only the segments it needs."""
    assert StreamPlan([5, 5, 5], 5).spans(7, 15) == [Span(1, 2, 5), Span(2, 0, 5)]
    assert StreamPlan([5, 0, 5], 5).spans(5, 5) == []


def test_fewer_rows_than_ranks():
    """In evaluation a rank may have none; in training that is an error."""
    plans = [StreamPlan([1], 8, None, rank, 3) for rank in range(3)]
    assert [len(plan) for plan in plans] == [1, 1, 1]
    assert sum(len(rows(plan, range(1))) for plan in plans) == plans[0].total(0) == 1
    with pytest.raises(DataError, match="a row for every process. Received: 1 rows for 3 processes"):
        StreamPlan([1], 8, 0, 0, 3)


@pytest.mark.parametrize(("rows", "batch_size", "ranks"), [(3, 2, 1), (61, 2, 1), (61, 4, 2), (9, 4, 2), (60, 1, 1)])
def test_no_rank_trains_on_one_row(rows, batch_size, ranks):
    """In training each rank has two rows of every batch, where a batch has two for each, and each row comes once."""
    plans = [StreamPlan([rows], batch_size, 0, rank, ranks) for rank in range(ranks)]
    sizes = [plan.edges(batch, batch + 1) for plan in plans for batch in range(len(plan))]
    assert sum(end - begin for begin, end in sizes) == rows
    least = 2 if batch_size >= 2 * ranks else 1
    assert min(end - begin for begin, end in sizes) == plans[0].fewest_rows >= least
