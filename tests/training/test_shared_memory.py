"""Gradients are averaged in memory that real processes share: to the same bits in each, those that torch gives."""

import subprocess
import sys
import textwrap

import pytest
from lightning import Trainer

from lightlab.training.shared_memory import share_memory

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="memory is shared by way of Linux's table of processes")

START = """\
import os, sys
from contextlib import suppress
from datetime import timedelta
import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel
from lightlab.training.shared_memory import PIECE, Offer, SharedMemory

rank, world = int(sys.argv[1]), int(sys.argv[2])
torch.manual_seed(rank)
distributed.init_process_group(
    "gloo", init_method=f"file://{sys.argv[3]}", rank=rank, world_size=world, timeout=timedelta(seconds=60)
)


def files():
    # Pipes and memory only: gloo opens and closes others meanwhile.
    links = []
    for number in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return sorted(link for link in links if link.startswith(("pipe:", "/memfd:lightlab")))


"""


def run(tmp_path, body, processes=2):
    """Run a piece of Python in some processes that have met, and return what they print, by rank."""
    script, store = tmp_path / "process.py", tmp_path / "store"
    script.write_text(START + textwrap.dedent(body))
    started = [
        subprocess.Popen(
            [sys.executable, script, str(rank), str(processes), store],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for rank in range(processes)
    ]  # fmt: skip
    try:
        ended = [process.communicate(timeout=120) for process in started]
    finally:
        for process in started:
            process.kill()
    for process, (_, errors) in zip(started, ended, strict=True):
        assert process.returncode == 0, errors
    return [printed.strip() for printed, _ in ended]


@pytest.mark.parametrize("processes", [2, 3])
def test_the_same_mean_everywhere(tmp_path, processes):
    """Of several types, of none, one and many numbers, in one piece and in several, over and over."""
    printed = run(
        tmp_path,
        """
        memory = SharedMemory.join(60)
        for turn in range(20):
            for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.complex64):
                for length in (0, 1, 1000, PIECE // 4, PIECE // 4 + 1, PIECE):
                    values = torch.randn(length if turn < 2 else min(length, 1000), dtype=dtype)
                    of_all = [torch.empty_like(values) for _ in range(world)]
                    distributed.all_gather(of_all, values)
                    memory.average(values)
                    mean = of_all[0] / world
                    for other in of_all[1:]:
                        mean += other / world
                    assert torch.equal(values, mean), (dtype, length)
        print("as expected")
        """,
        processes,
    )
    assert printed == ["as expected"] * processes


def test_a_training_is_the_same_to_the_bit_as_by_gloo(tmp_path):
    """In DDP's buckets, with accumulated gradients, two processes end with the weights that gloo gives."""
    printed = run(
        tmp_path,
        """
        def train(memory):
            torch.manual_seed(0)
            layers = [nn.Linear(20, 900), nn.ReLU(), nn.Linear(900, 900), nn.ReLU(), nn.Linear(900, 3)]
            model = DistributedDataParallel(nn.Sequential(*layers), bucket_cap_mb=1, gradient_as_bucket_view=True)
            if memory is not None:
                model.register_comm_hook(memory, lambda memory, bucket: memory.average_bucket(bucket))
            optimizer = torch.optim.Adam(model.parameters())
            torch.manual_seed(rank)
            for _ in range(5):
                optimizer.zero_grad()
                with model.no_sync():
                    model(torch.randn(8, 20)).square().mean().backward()
                model(torch.randn(8, 20)).square().mean().backward()
                optimizer.step()
            return torch.cat([each.detach().flatten() for each in model.parameters()])

        sent, shared = train(None), train(SharedMemory.join(60))
        assert torch.equal(sent, shared)
        print(float(shared.double().sum()))
        """,
    )
    assert printed[0] == printed[1]


def test_sparse_gradients(tmp_path):
    """Those of an embedding go the way of gloo, which knows them."""
    printed = run(
        tmp_path,
        """
        def train(memory):
            torch.manual_seed(0)
            layers = [nn.Embedding(50, 4, sparse=True), nn.Flatten(), nn.Linear(12, 2)]
            model = DistributedDataParallel(nn.Sequential(*layers))
            if memory is not None:
                model.register_comm_hook(memory, lambda memory, bucket: memory.average_bucket(bucket))
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            torch.manual_seed(rank)
            for _ in range(3):
                optimizer.zero_grad()
                model(torch.randint(50, (8, 3))).square().mean().backward()
                optimizer.step()
            return torch.cat([each.detach().flatten() for each in model.parameters()])

        sent, shared = train(None), train(SharedMemory.join(60))
        assert torch.allclose(sent, shared, atol=1e-7)
        print(float(shared.double().sum()))
        """,
    )
    assert printed[0] == printed[1]


def test_all_or_none(tmp_path):
    """Where one process can't share memory, none does, and no file is left open."""
    printed = run(
        tmp_path,
        """
        def no_files(name):
            raise OSError("there are no such files")

        before, memfd, make, path = files(), os.memfd_create, Offer.make, Offer._path
        for change, undo in (
            (lambda: setattr(os, "memfd_create", no_files), lambda: setattr(os, "memfd_create", memfd)),
            (lambda: delattr(os, "memfd_create"), lambda: setattr(os, "memfd_create", memfd)),
            (  # another process of that number
                lambda: setattr(Offer, "make", lambda files: make(files)._replace(token=b"another")),
                lambda: setattr(Offer, "make", make),
            ),
            (  # ... which has a file there that is no such memory
                lambda: setattr(Offer, "_path", lambda self, file: sys.argv[0]),
                lambda: setattr(Offer, "_path", path),
            ),
            (  # in a container of its own
                lambda: setattr(Offer, "_path", lambda self, file: f"/proc/self/no/{file}"),
                lambda: setattr(Offer, "_path", path),
            ),
        ):
            if rank == 1:
                change()
            assert SharedMemory.join(60) is None
            if rank == 1:
                undo()
            assert files() == before
        print("none")
        """,
    )
    assert printed == ["none", "none"]


def test_one_that_is_late_or_gone(tmp_path):
    """It is waited for as long as was asked for, and named; files and memory are given back."""
    printed = run(
        tmp_path,
        """
        def say_why(memory):
            try:
                memory.average(torch.ones(3))
            except RuntimeError as error:
                print(error)

        before = files()
        late, gone = SharedMemory.join(0.2), SharedMemory.join(60)
        assert len(files()) > len(before) and "memfd:lightlab" in open("/proc/self/maps").read()
        if rank == 0:
            say_why(late)
        gone.average(torch.ones(3))
        if rank == 1:
            gone.close()
        distributed.barrier()
        if rank == 0:
            say_why(gone)
        for memory in (late, gone, gone):
            memory.close()
        assert files() == before and "memfd:lightlab" not in open("/proc/self/maps").read()
        """,
    )
    assert printed == [
        "Timed out after 0.2 s of waiting for the gradients of rank 1.\nrank 1 has gone while gradients were averaged.",
        "",
    ]


def test_one_that_goes_while_it_is_waited_for(tmp_path):
    """The others learn of it at once, also where they still hear of one another."""
    printed = run(
        tmp_path,
        """
        staying = distributed.new_group([0, 1])
        memory = SharedMemory.join(60)
        if rank < 2:
            try:
                memory.average(torch.ones(3))
            except RuntimeError as error:
                print(error, flush=True)
            distributed.barrier(staying)  # or the one that learns of it first would be missed, too
        os._exit(0)
        """,
        processes=3,
    )
    assert printed == ["rank 2 has gone while gradients were averaged."] * 2 + [""]


def test_a_process_alone():
    """It shares with nobody."""
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    assert share_memory(Trainer(accelerator="cpu", devices=1, **options)) is None
