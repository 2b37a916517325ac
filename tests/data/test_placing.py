"""Where splits lie, how batches get to a device, and how large those of evaluation are."""

import numpy as np
import pytest
import torch

from lightlab.batch import Batch
from lightlab.data.placing import CPU, Placement, choose_eval_batch_size, hold, send_ahead
from lightlab.data.rows import Stored
from lightlab.data_spec import InputSpec

#: A device without memory: what is sent there has shape and type alone.
META = torch.device("meta")


def spec(*shape, kind="array"):
    """Return what inputs of a shape are like."""
    return InputSpec(shape=shape, offset=(0.0,), scale=(1.0,), kind=kind)


def splits():
    """Return a train split of 400 bytes, a validation split of 200, one to test of 100, and one that is stored."""
    sizes = {"train": 80, "val": 40, "test": 20}
    images = {name: (torch.zeros(rows, 4, dtype=torch.uint8), torch.ones(rows).byte()) for name, rows in sizes.items()}
    return images | {"predict": (Stored(np.arange(3), (4,)), None)}


@pytest.mark.parametrize(
    ("free", "held"),
    [(2800, {"train", "val", "test"}), (2799, {"train", "val"}), (2000, {"train", "test"}), (1599, {"val", "test"}),
     (399, set())],
)  # fmt: skip
def test_splits_that_fit_are_held(free, held):
    """Together they take a quarter of what is free, the train split first; images keep their type."""
    found = hold(splits(), META, free)
    assert set(found) == held
    for inputs, targets in found.values():
        assert inputs.device == targets.device == META
        assert inputs.dtype == targets.dtype == torch.uint8


def test_what_has_no_targets_is_held():
    """Rows to predict have none."""
    inputs, targets = hold({"predict": (torch.zeros(2, 4), None)}, META, 1000)["predict"]
    assert inputs.device == META
    assert targets is None


@pytest.mark.parametrize(
    ("batch_size", "inputs", "place", "chosen"),
    [
        (256, spec(20, kind="table"), Placement(), 4096),
        (300, spec(20, kind="table"), Placement(), 2400),
        (21, spec(13, kind="table"), Placement(world_size=2), 5376),
        (10_000, spec(20, kind="table"), Placement(), 10_000),
        (32, spec(10_000), Placement(), 64),
        (64, spec(1, 8, 8, kind="image"), Placement(), 256),
        (128, spec(1, 28, 28, kind="image"), Placement(), 128),
        (128, spec(1, 28, 28, kind="image"), Placement(device=torch.device("cuda")), 2048),
        (32, spec(3, 224, 224, kind="image"), Placement(device=torch.device("cuda")), 32),
        (32, spec(200, kind="text"), Placement(), 64),
    ],
)
def test_rows_of_a_step_of_evaluation(batch_size, inputs, place, chosen):
    """A power of two times the batch size, bounded by rows and by what layers make of them; never less than it."""
    assert choose_eval_batch_size(batch_size, inputs, place) == chosen


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_batches_are_sent_one_ahead(count):
    """All arrive, in order, each when the next has been made; what a batch lacks, it lacks there."""
    made = []

    def batches():
        for number in range(count):
            made.append(number)
            yield Batch(torch.full((2,), number), None, torch.arange(2), 4)

    for number, batch in enumerate(send_ahead(batches(), CPU)):
        assert made[-1] == min(number + 1, count - 1)
        assert batch.inputs.tolist() == [number, number]
        assert (batch.targets, batch.places.tolist(), batch.total) == (None, [0, 1], 4)
    assert len(made) == count


def test_batches_go_to_gpus_alone():
    """On any other device than NVIDIA's and AMD's GPUs, the Trainer moves them."""
    targets = {kind: Placement(device=torch.device(kind)).target for kind in ("cpu", "cuda", "mps")}
    assert targets == {"cpu": CPU, "cuda": torch.device("cuda"), "mps": CPU}
