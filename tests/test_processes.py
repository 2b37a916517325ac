"""Processes that train together: each has a share of the cores."""

import os
import sys
import threading

import pytest
import torch

from lightlab.processes import count_cores, kept_to, share_of_cores

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which cores a process has")


@pytest.fixture
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("processes", [1, 2, 3, 7])
def test_shares(processes):
    """All cores are shared out, each once; nobody gets any where there are too few."""
    cores = sorted(os.sched_getaffinity(0))
    shares = [sorted(share_of_cores(place, processes)) for place in range(processes)]
    if len(cores) >= processes:
        assert [core for share in shares for core in share] == cores
        assert all(shares)
    else:
        assert not any(shares)


@pytest.mark.usefixtures("_one_thread")
def test_more_threads_than_a_share_has_cores(monkeypatch):
    """Who asks for more threads has them on all cores; and so do all, where that is so of one."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 1, 2})
    assert [share_of_cores(place, 2) for place in range(2)] == [{0}, {1, 2}]
    torch.set_num_threads(2)
    assert [share_of_cores(place, 2) for place in range(2)] == [set(), set()]
    assert share_of_cores(0, 1) == {0, 1, 2}


def test_all_threads_keep_to_cores_until_the_end():
    """Those that run already, and those that begin later; afterwards each has all cores again."""
    before = os.sched_getaffinity(0)
    first = {min(before)}
    end, seen = threading.Event(), {}

    def look(name):
        seen[name] = os.sched_getaffinity(0)

    def wait_and_look(looked, go):
        go.wait()
        look("early")
        looked.set()
        end.wait()
        look("afterwards")

    go, looked = threading.Event(), threading.Event()
    early = threading.Thread(target=wait_and_look, args=(looked, go))
    early.start()
    with kept_to(first):
        go.set()
        looked.wait()
        late = threading.Thread(target=look, args=("late",))
        late.start()
        late.join()
        look("own")
    end.set()
    early.join()
    assert seen == {"early": first, "late": first, "own": first, "afterwards": before}
    assert os.sched_getaffinity(0) == before


def test_what_there_is_is_counted_before_it_is_shared():
    """A process that keeps to a core still knows how many there are for all."""
    before = os.sched_getaffinity(0)
    with kept_to({min(before)}):
        assert count_cores() == len(before)
    assert count_cores() == len(before) == len(os.sched_getaffinity(0))


def test_no_share(monkeypatch):
    """Who has no share of the cores stays as it is."""
    monkeypatch.delattr(os, "sched_setaffinity")
    with kept_to(set()):
        assert count_cores() == len(os.sched_getaffinity(0))
