"""R1, R2 and R11: what is done to checkpoints while they are written, and afterwards."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fault_injection.base import Finding, Laboratory, fault

#: Size of a small disk, in bytes: two checkpoints of a training fit, and no third.
SMALL = 18 << 20
#: Where files larger than this can't be written, if no small disk can be had.
LIMIT = 2 << 20
#: lightlab's exit code where something other than itself is at fault.
WRONG_INPUT = 2


@fault("R1", "SIGKILL during save, TMPDIR on another filesystem", "no file that does not load; no leftover temporary")
def killed(lab: Laboratory) -> Finding:
    """Kill a process that saves; lightlab's files and Lightning's."""
    times, stock_times = lab.times(100, 12), lab.times(25, 6)
    with _another_filesystem(lab.folder) as temporary:
        calls = ("kill", "lightlab", times), ("kill", "stock", stock_times)
        ours, stock = _run(lab, *calls, TMPDIR=temporary)
    return Finding(
        ours["loads"] == times and ours["left"] == 0 and ours["struck"] > 0,
        f"{ours['loads']} of {times} files load ({ours['struck']} kills in the midst of writing), "
        f"{ours['left']} leftovers",
        f"{stock_times - stock['loads']} of {stock_times} lost; {stock['bytes'] >> 20} MiB left",
    )


@fault("R2", "disk full while overwriting", "old file unchanged; exit not 0; path named; training's best so far usable")
def full(lab: Laboratory) -> Finding:
    """Save to a disk that is full, and train until it is."""
    staging = lab.folder / "staging"  # of Lightning's files, on a disk with room
    staging.mkdir()
    calls: list[tuple[Any, ...]] = [("fill", which, 0 if _small_disks() else LIMIT) for which in ("lightlab", "stock")]
    if _small_disks():
        ours, stock, trained = _run(lab, *calls, ("fit",), small=True, TMPDIR=staging)
    else:
        (ours, stock), trained = _run(lab, *calls, TMPDIR=staging), None
    holds = ours["refused"] and ours["named"] and ours["same"] and ours["loads"] and ours["best"] and not ours["left"]
    said = "old file the same to the byte" if ours["same"] else "old file changed"
    if trained is None:
        said += " (no small disk can be had here: files were limited in size, and fit was left out)"
    else:
        holds = holds and trained["code"] == WRONG_INPUT and trained["best"] and not trained["left"]
        named = re.search(r"The checkpoint \S+ can't be written: .*No space left", trained["said"]) is not None
        best = "loads" if trained["best"] else "is lost"
        said += f"; fit: exit {trained['code']}, path {'' if named else 'not '}named, best.ckpt {best}"
        holds = holds and named
    lost = "old kept" if stock["same"] else "old lost"
    return Finding(holds, said, f"{lost}; {'an error' if stock['refused'] else 'no error'}")


@fault("R11", "300 bit flips, 50 truncations of a checkpoint", "none loads with altered weights")
def altered(lab: Laboratory) -> Finding:
    """Read checkpoints that are not what was written."""
    flips, cuts = lab.times(300, 100), lab.times(50, 20)
    ours, stock = _run(lab, ("flip", "lightlab", flips, cuts), ("flip", "stock", flips, cuts))
    return Finding(
        ours["altered"] == 0 and ours["refused"] == flips + cuts,
        f"{ours['refused']} of {flips + cuts} refused, {ours['altered']} load altered",
        f"{stock['refused']} of {flips + cuts} refused, {stock['altered']} load altered",
    )


def _run(lab: Laboratory, *calls: tuple[Any, ...], small: bool = False, **environment: Any) -> list[dict[str, Any]]:
    """Call functions of `saving` in a process of their own; on a small disk, which goes when it ends, if it is to be.

    Raises:
        RuntimeError: it fails.
    """
    command = [sys.executable, "-m", "fault_injection.saving", json.dumps(calls)]
    if small:
        mounting = f'mount -t tmpfs -o size={SMALL} tmpfs "$0" && cd "$0" && exec "$@"'
        disk = lab.folder / "disk"
        disk.mkdir()
        command = ["unshare", "-rm", "sh", "-c", mounting, str(disk), *command]
    finished = lab.run(*command, **{name: str(value) for name, value in environment.items()})
    if finished.code != 0:
        raise RuntimeError(finished.said[-500:])
    found: list[dict[str, Any]] = json.loads(finished.said.splitlines()[-1])
    return found


@contextmanager
def _another_filesystem(folder: Path) -> Iterator[Path]:
    """Give an empty folder on another filesystem, where there is one."""
    memory = Path("/dev/shm")  # noqa: S108 - the folder below it is one of our own
    elsewhere = memory.is_dir() and os.stat(memory).st_dev != os.stat(folder).st_dev
    other = tempfile.mkdtemp(dir=memory if elsewhere else None)
    try:
        yield Path(other)
    finally:
        shutil.rmtree(other, ignore_errors=True)


def _small_disks() -> bool:
    """Return whether a process may have a small disk of its own, which goes when it ends."""
    if shutil.which("unshare") is None:
        return False
    with tempfile.TemporaryDirectory() as folder:
        call = ["unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder]
        return subprocess.run(call, capture_output=True, check=False).returncode == 0
