"""Processes that train together: when one of them dies or falls silent, all end, and it is named."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Any

from lightning.fabric.utilities.distributed import _set_num_threads_if_needed
from lightning.pytorch import Trainer
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.strategies.launchers.subprocess_script import _SubprocessScriptLauncher
from torch import distributed

from lightlab.errors import LightlabError, RunError
from lightlab.interruption import (
    LAUNCHER,
    LOOK,
    SHELL_OFFSET,
    SIGNALS,
    before_the_end,
    end_at_once,
    launcher,
    let_launcher_go,
    requested,
)
from lightlab.processes import kept_to, share_of_cores
from lightlab.terminal import say

#: How often a process gives a sign of life, in seconds.
SIGN = 1.0
#: A process that gives no sign of life for so long, in seconds, has stopped. Work, or waiting for it, does not keep one
#: from giving signs: a thread of its own does.
SILENCE = 40.0
#: So long a process that has failed waits for what is known of the others, in seconds.
GRACE = 3.0
#: So long the first process waits for the others to end, in seconds: when all is done, and when it was told to end.
PATIENCE, HURRY = 30.0, 2.0
#: The last sign of a process.
DONE = "done"
#: Exit code where another process is to blame.
FAILED = 1


class Launcher(_SubprocessScriptLauncher):
    """Lightning's launcher of one process a device, which leaves it to `Ranks` to look after them.

    Where a process computes on the CPU, it has a share of the cores to itself.

    Args:
        stock: Lightning's own.
        is_on_cpu: whether that is what the processes compute on.
        started: called with the processes that were launched, by rank.
    """

    def __init__(
        self,
        stock: _SubprocessScriptLauncher,
        is_on_cpu: bool,
        started: Callable[[Mapping[int, subprocess.Popen[bytes]]], None],
    ) -> None:
        super().__init__(stock.cluster_environment, stock.num_processes, stock.num_nodes)
        self._is_on_cpu = is_on_cpu
        self._started = started

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Trainer | None = None, **kwargs: Any) -> Any:
        """Launch the other processes of this machine, unless they are there, and call a function."""
        environment = self.cluster_environment
        environment.validate_settings(num_devices=self.num_processes, num_nodes=self.num_nodes)
        is_first = not environment.creates_processes_externally
        if is_first:
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # all there is to say of a lost process, `Ranks` says
            first = environment.node_rank() * self.num_processes
            os.environ[LAUNCHER] = str(os.getpid())
            try:
                self._call_children_scripts()
            finally:
                del os.environ[LAUNCHER]  # what else this process starts is none of them
            self._started({first + local: process for local, process in enumerate(self.procs, 1)})
        _set_num_threads_if_needed(num_processes=self.num_processes)
        is_ours = is_first or bool(self.procs) or launcher() != 0  # others' processes are seen to by them
        shares = self._is_on_cpu and is_ours
        with kept_to(share_of_cores(environment.local_rank(), self.num_processes) if shares else ()):
            return function(*args, **kwargs)


class Ranks:
    """The processes that train together, as one of them sees them.

    The first looks after all others; each of these looks after the first, and `lightlab.interruption` after the process
    that has launched them. Signs of life go by way of torch's store, which is the first one's.

    Args:
        trainer: of this process.
        timeout: so long the others wait for one of them at most, in seconds; ``None`` for `SILENCE` where it has
            stopped, and Lightning's half an hour where it is at work.
    """

    def __init__(self, trainer: Trainer, timeout: float | None) -> None:
        self._trainer = trainer
        self._timeout = SILENCE if timeout is None else timeout
        self._children: dict[int, subprocess.Popen[bytes]] = {}
        self._is_launched = launcher() != 0
        self._ending = threading.Lock()
        self._over = threading.Event()
        self._heard: dict[int, tuple[bytes, float]] = {}
        self._store_answered = 0.0
        strategy: Any = trainer.strategy
        stock = strategy.launcher
        self._is_one_of_several = False
        if not isinstance(stock, _SubprocessScriptLauncher) or trainer.world_size == 1:
            return
        self._is_one_of_several = True
        strategy._launcher = Launcher(stock, isinstance(trainer.accelerator, CPUAccelerator), self._children.update)
        if timeout is not None:
            strategy.setup_environment = partial(_meet, strategy.setup_environment, timedelta(seconds=timeout))
        before_the_end(self.end_children)
        self._signs = threading.Thread(target=self._give_signs, name="lightlab-signs", daemon=True)
        self._signs.start()
        threading.Thread(target=self._look_after_processes, name="lightlab-ranks", daemon=True).start()

    @property
    def rank(self) -> int:
        """Which of them this process is."""
        return self._trainer.global_rank

    def finish(self) -> None:
        """Tell the others that this process is done, and wait for those that it has launched."""
        if not self._is_one_of_several:
            return
        until = time.monotonic() + (HURRY if requested() else PATIENCE)
        for child in self._children.values():
            with suppress(subprocess.TimeoutExpired):
                child.wait(max(0.0, until - time.monotonic()))
        self._over.set()
        let_launcher_go()
        self.end_children()
        self._signs.join(SIGN)
        if self.rank and distributed.is_initialized():
            with suppress(RuntimeError):  # the first process, which has the store, may be done, too
                _store().set(_sign(self.rank), DONE)

    def end_children(self) -> None:
        """End the processes that this one has launched, wherever they are."""
        for child in self._children.values():
            child.kill()

    def settle(self, error: Exception) -> Exception:
        """Return what this process, which has failed, is to say; end it silently where that is up to another.

        Args:
            error: why it has failed. One that is not lightlab's own may come of another process that is lost.
        """
        if not self._is_one_of_several:
            return error
        is_first, waited_for = self._claim(), list[int]()
        if not isinstance(error, LightlabError):
            time.sleep(GRACE)  # those that look after the processes may know better, and end this one
            waited_for = self._find_waited_for() if "timed out" in str(error).lower() else []
        if not is_first:
            time.sleep(GRACE)
            end_at_once(FAILED)
        self._over.set()
        self.end_children()
        if not waited_for:
            return error
        names = " and ".join(f"rank {rank}" for rank in waited_for)
        return RunError(f"All processes step together. {names} did not come along, and the others have waited: {error}")

    def _claim(self) -> bool:
        """Tell the others that this process has failed; return whether it is the first of them."""
        try:
            _store().set(_failed(self.rank), "")
            return bool(_store().add(_failed(), 1) == 1)
        except (RuntimeError, ValueError):  # there is no store yet, or it has gone with the first process
            return not self._is_launched

    def _find_waited_for(self) -> list[int]:
        """Return the processes that have not failed, where all that waited for them have."""
        with suppress(RuntimeError, ValueError):
            return [rank for rank in range(self._trainer.world_size) if not _store().check([_failed(rank)])]
        return []

    # Dead processes

    def _look_after_processes(self) -> None:
        """Look after those that were launched here, and after the first's answers."""
        while not self._over.wait(LOOK):
            for rank, child in list(self._children.items()):
                code = child.poll()
                if code not in (None, 0) and not (requested() and code > 0):
                    self._end(_what_ended(rank, code), code if code > 0 else FAILED)
            if self._store_answered and time.monotonic() - self._store_answered > self._timeout:
                self._end_with_first()

    def _end_with_first(self) -> None:
        """End where the first process doesn't answer; it can't end by itself."""
        if self._is_launched and self._trainer.local_rank == 1:
            with suppress(OSError):
                os.kill(launcher(), signal.SIGKILL)
        self._end(self._say_silent(0))

    # Silent processes

    def _give_signs(self) -> None:
        """Give signs of life, and look for those of the others, from when there is a store for them."""
        while not distributed.is_initialized():
            if self._over.wait(SIGN):
                return
        self._store_answered = time.monotonic() if self.rank else 0.0
        signs = 0
        with suppress(RuntimeError):  # the store has gone, which whoever looks after the processes will see
            store = _store().clone()  # which no other thread waits for
            while not self._over.wait(SIGN):
                signs += 1
                store.set(_sign(self.rank), str(signs))
                silent = [rank for rank in self._watched if self._is_silent(store, rank)]
                self._store_answered = time.monotonic() if self.rank else 0.0
                if silent:
                    self._end(self._say_silent(silent[0]))

    @property
    def _watched(self) -> range:
        return range(1, self._trainer.world_size) if self.rank == 0 else range(1)

    def _is_silent(self, store: Any, rank: int) -> bool:
        now, sign = time.monotonic(), store.get(_sign(rank)) if store.check([_sign(rank)]) else b""
        if sign == DONE.encode():
            return False
        if rank not in self._heard or self._heard[rank][0] != sign:
            self._heard[rank] = sign, now
        return now - self._heard[rank][1] > self._timeout

    def _say_silent(self, rank: int) -> str:
        return (
            f"rank {rank} has given no sign of life for {self._timeout:g} s: it was stopped, or its machine is gone. "
            "All others end."
        )

    def _end(self, message: str, code: int = FAILED) -> None:
        """Say why, in one process, and end this one, and those that it has launched."""
        with self._ending:
            if self._over.is_set():
                return
            self.end_children()  # first: who reads what is said may be slow, and those who wait hold it up
            if self.rank <= 1 or self._children:
                say(f"lightlab: error: {message}", is_error=True)
            end_at_once(code)


def _store() -> Any:
    """Return the store that the processes have met at."""
    return distributed.distributed_c10d._get_default_store()


def _meet(meet: Callable[[], None], timeout: timedelta) -> None:
    """Meet the other processes, and from then on wait for them so long at most; one may take long to start.

    A wait that has begun keeps the timeout that it has begun with, so that this one is set before there is any.
    """
    meet()
    module: Any = distributed.distributed_c10d  # torch 2.15 has another name for it
    (module.set_timeout if hasattr(module, "set_timeout") else module._set_pg_timeout)(timeout)


def _sign(rank: int) -> str:
    return f"lightlab/sign/{rank}"


def _failed(rank: int | None = None) -> str:
    return f"lightlab/failed/{'number' if rank is None else rank}"


def _what_ended(rank: int, code: int) -> str:
    told = [each.name for each in SIGNALS if code == SHELL_OFFSET + each]
    if told:
        return f"rank {rank} was told to end by {told[0]}, and all others end with it."
    if code > 0:
        return f"rank {rank} has ended with exit code {code}, and all others with it."
    name = signal.Signals(-code).name
    hint = ", as the system does where memory is short" if -code == signal.SIGKILL else ""
    return f"rank {rank} was ended by {name}{hint}; all others end with it."
