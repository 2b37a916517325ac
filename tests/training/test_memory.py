"""What says that no memory is left, how much there is, and a limit that makes too much of it an error."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from lightlab.training.memory import free_host_memory, is_out_of_memory

linux = pytest.mark.skipif(sys.platform != "linux", reason="Other systems have no such limits.")


def test_what_torch_says_of_its_allocators():
    """What is raised by torch for more memory than there is, is told from other errors, whatever their words."""
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert is_out_of_memory(RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"))
    assert is_out_of_memory(OSError(12, "Cannot allocate memory"))
    assert not is_out_of_memory(RuntimeError("shape '[3]' is invalid for input of size 4"))
    assert not is_out_of_memory(KeyError("out of memory"))


#: Says the most that was taken before and after a tensor of 512 MiB, and what a process says that it starts.
TAKE = """
import subprocess, sys
import torch
from lightlab.training.memory import peak_host_memory
print(peak_host_memory(), flush=True)
if len(sys.argv) == 1:
    torch.ones(2**29, dtype=torch.uint8)
    print(peak_host_memory(), flush=True)
    subprocess.run([sys.executable, __file__, "started"], check=True)
"""


@linux
def test_most_that_a_process_took(tmp_path):
    """It stays when memory is given back, and is not what the process took that started this one."""
    script = tmp_path / "take.py"
    script.write_text(TAKE)
    finished = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    before, grown, started = (int(line) for line in finished.stdout.split())
    assert 2**25 < before < grown - 2**28
    assert 2**25 < started < grown - 2**28


@linux
def test_no_more_is_free_than_there_is():
    """What is free is more than nothing, and less than the whole machine has."""
    total = int(Path("/proc/meminfo").read_text().split()[1]) * 1024
    assert 0 < free_host_memory() < total


@linux
def test_a_limit_makes_an_error_of_too_much():
    """Within the limit memory can be had; beyond it an error is raised, and afterwards all can be had again."""
    code = """
import torch
from lightlab.training.memory import free_host_memory, is_out_of_memory, limited_to
torch.ones(1)
with limited_to(200 * 2**20):
    assert 0 < free_host_memory() <= 200 * 2**20
    torch.ones(10 * 2**20)
    try:
        torch.ones(100 * 2**20)
    except RuntimeError as error:
        assert is_out_of_memory(error)
    else:
        raise AssertionError("there was no limit")
torch.ones(100 * 2**20)
with limited_to(None):
    torch.ones(100 * 2**20)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr


@linux
def test_other_threads_go_on_within_a_limit():
    """A thread that ran before has room for small things where nothing is left, as those that watch processes need."""
    code = """
import threading
from lightlab.training.memory import keep_memory, limited_to
begin, made = threading.Event(), []
def work():
    begin.wait()
    made.extend(bytes(200) for _ in range(100_000))
thread = threading.Thread(target=work)
thread.start()
keep_memory()
with limited_to(0):
    begin.set()
    thread.join()
assert len(made) == 100_000, len(made)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr


@linux
def test_which_pieces_are_kept():
    """What a step gives back stays with the process for the next one; what is very large does not."""
    code = """
import platform
from pathlib import Path
import torch
from lightlab.training.memory import keep_memory

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 2**20

def left_of(mib):
    before = resident()
    torch.ones(mib * 2**18)
    return resident() - before

keep_memory()
torch.ones(1)
assert left_of(300) < 30
if platform.libc_ver()[0] == "glibc":
    assert left_of(20) > 15
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stderr
