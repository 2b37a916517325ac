"""SIGTERM, SIGINT (Ctrl-C) and SIGHUP (its terminal has gone): what a process does when it is told to end.

Wherever it is, the first one raises `Interrupted`, so that whatever is open is closed and nothing is left half-written.
A training holds it back until a step is done and its state is whole: see `lightlab.training.interruption`. Another one
ends the process at once.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import FrameType

from lightlab.terminal import say

#: What tells a process to end; Windows has no SIGHUP.
SIGNALS = [getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGHUP") if hasattr(signal, name)]
#: What comes within so many seconds is one wish: a terminal tells all processes, and a launcher tells its own again.
ONE_WISH = 0.5
#: What shells add to the number of the signal that has ended a process, for its exit code.
SHELL_OFFSET = 128
#: What there is of the work before the first step.
NOTHING_KEPT = "no step was taken, and nothing is kept"
SHOW_CURSOR = "\x1b[?25h"
#: The environment's name for the process that has launched this one, for both to train together.
LAUNCHER = "LIGHTLAB_LAUNCHER"
#: How often a process looks after the one that has launched it, in seconds, and how long it lets others say more of it.
LOOK, SAY_MORE = 0.25, 1.0


class Interrupted(BaseException):
    """The process was told to end; no Exception, since nothing has failed.

    Args:
        number: of the signal.
        kept: what there is of the work, in words.
        command: what goes on from there: the words of the command line after ``lightlab``.
    """

    def __init__(self, number: int, kept: str = "", command: Sequence[str] = ()) -> None:
        super().__init__(number, kept, command)
        self.number = number
        self.kept = kept
        self.command = command

    @property
    def code(self) -> int:
        """The exit code: 129 for SIGHUP, 130 for SIGINT, 143 for SIGTERM."""
        return SHELL_OFFSET + self.number

    def __str__(self) -> str:
        return ": ".join(part for part in (f"interrupted by {signal.Signals(self.number).name}", self.kept) if part)


@dataclass
class _Listener:
    """What was heard.

    Attributes:
        pid: of the process that listens; those that it forks don't.
        number: of the first signal; 0 as long as there was none.
        at: when it came.
        holds: whether it is held back.
        last_acts: what is done when the process ends at once.
    """

    pid: int = 0
    number: int = 0
    at: float = 0.0
    holds: bool = False
    last_acts: list[Callable[[], object]] = field(default_factory=list)


@dataclass
class _Launcher:
    """Who has launched this process.

    Attributes:
        pid: 0 where it is none of lightlab's.
        may_go: whether this process no longer needs it.
    """

    pid: int = 0
    may_go: threading.Event = field(default_factory=threading.Event)


_listener = _Listener()
_launcher = _Launcher()


@contextmanager
def listening() -> Iterator[None]:
    """Have `SIGNALS` raise `Interrupted` inside; in the main thread, since no other is told of signals.

    A SIGHUP that is ignored stays so: with nohup, a process outlives its terminal.
    """
    global _listener
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer, _listener = _listener, _Listener(os.getpid())
    always = signal.SIGTERM, signal.SIGINT
    heard = [number for number in SIGNALS if number in always or signal.getsignal(number) != signal.SIG_IGN]
    before = {number: signal.signal(number, _hear) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        _listener = outer


def _hear(number: int, frame: FrameType | None) -> None:
    now = time.monotonic()
    if os.getpid() != _listener.pid:
        return
    if _listener.number == 0:
        _listener.number, _listener.at = number, now
        if not _listener.holds:
            raise Interrupted(number)
    elif now - _listener.at > ONE_WISH:
        end_at_once(SHELL_OFFSET + number)


def listen_alone() -> None:
    """Take SIGTERM back from others who have put a handler in the place of this module's."""
    if _listener.pid == os.getpid() and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, _hear)


def requested() -> int:
    """Return the number of the signal that told this process to end; 0 as long as there was none."""
    return _listener.number


def request(number: int) -> None:
    """Take over the signal that another process was told to end by."""
    _listener.number = _listener.number or number


def hold() -> None:
    """Hold signals back from here on: whoever works asks `requested` where it can stop."""
    _listener.holds = True


def release() -> None:
    """No longer hold signals back.

    Raises:
        Interrupted: one has come.
    """
    _listener.holds = False
    heed()


def heed() -> None:
    """End where this process was told to, whatever has become of what the signal raised: an import may swallow it.

    Raises:
        Interrupted: a signal has come.
    """
    if _listener.number:
        raise Interrupted(_listener.number)


def before_the_end(act: Callable[[], object]) -> None:
    """Have something done where the process ends at once, such as ending those that it has started."""
    _listener.last_acts.append(act)


def end_at_once(code: int) -> None:
    """End this process as it stands; what it writes is moved to its place when it is whole, or not at all."""
    for act in _listener.last_acts:
        act()
    with suppress(OSError, ValueError, RuntimeError):  # nobody reads any more, or a print is what was interrupted
        if sys.stdout.isatty():
            sys.stdout.write(SHOW_CURSOR)
        sys.stdout.flush()
        sys.stderr.flush()
    os._exit(code)


def heed_launcher() -> None:
    """Have this process end where the one that has launched it does, if one has: from its first moment on.

    That one may be gone already. What this process itself starts is no part of it, and isn't told.
    """
    pid = os.environ.pop(LAUNCHER, "")
    if pid.isdecimal():
        _launcher.pid = int(pid)
        threading.Thread(target=_look_after_launcher, name="lightlab-launcher", daemon=True).start()


def launcher() -> int:
    """Return the process that has launched this one; 0 where none of lightlab's has."""
    return _launcher.pid


def let_launcher_go() -> None:
    """No longer end where the process does that has launched this one."""
    _launcher.may_go.set()


def _look_after_launcher() -> None:
    while os.getppid() == _launcher.pid:
        if _launcher.may_go.wait(LOOK):
            return
    if _launcher.may_go.wait(SAY_MORE):
        return
    if (os.environ.get("LOCAL_RANK"), os.environ.get("NODE_RANK", "0")) == ("1", "0"):  # one says it for all
        with suppress(OSError):  # who reads may have gone, too
            message = "rank 0, which has launched rank 1, is gone: it was killed, or it crashed."
            say(f"lightlab: error: {message}", is_error=True)
    end_at_once(1)


def leave_to_parent(worker: int = 0) -> None:
    """Have a process that works for another be ended by that one alone, and not by what tells them both.

    Terminals, and many who end a job, tell all of its processes; the other ends this one when its own work is done.

    Args:
        worker: its number, which torch's loaders say.
    """
    for number in set(SIGNALS) - {signal.SIGTERM}:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):  # only it says who has sent a signal; macOS has none
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_heed_parent, daemon=True).start()


def _heed_parent() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(SHELL_OFFSET + signal.SIGTERM)
