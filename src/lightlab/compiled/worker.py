"""The process that compiles a step, beside the training: ``python -m lightlab.compiled.worker FOLDER TRAINING``.

TRAINING is the number of the training's process, which may have ended before anything here runs.
"""

from __future__ import annotations

import gc
import os
import shutil
import signal
import sys
import threading
import time
from pathlib import Path

from lightlab.deferred import defer_imports
from lightlab.process_end import run_to_the_end

#: The training has the processor; this takes what is left of it.
NICENESS = 19


def main(folder: Path) -> int:
    """Compile what a folder's request asks for; where that fails, say why in its file `FAILURE`."""
    gc.disable()  # until all is imported, as in `lightlab.cli`
    import logging  # above, it would have the end of the process be Python's own: see `run_to_the_end`

    logging.disable(logging.WARNING)
    # What compiles for GPUs, and takes 70 MiB: torch does without, as its builds for CPUs have to.
    sys.modules.setdefault("triton", None)  # type: ignore[arg-type]  # Python's sign of what can't be imported
    defer_imports()
    from lightlab.compiled.request import FAILURE, Request, first_line

    try:
        request = Request.read(folder)
        if request.plugins and sys.modules["triton"] is None:  # which may have kernels of their own
            del sys.modules["triton"]
        from lightlab.compiled.ahead_of_time import compile_step

        gc.freeze()
        gc.enable()
        compile_step(request, folder)
    except Exception as cause:
        part = folder / f"part-{FAILURE}"
        part.write_text(first_line(cause), encoding="utf-8")
        os.replace(part, folder / FAILURE)
        return 1
    return 0


def end_with(parent: int, folder: Path) -> None:
    """Wait for a process to end, as one that is killed does; then end this one, its compilers and what they wrote."""
    while os.getppid() == parent:
        time.sleep(1)
    shutil.rmtree(folder, ignore_errors=True)
    if os.getpid() == os.getpgrp():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    if hasattr(os, "nice"):
        os.nice(NICENESS)
        threading.Thread(target=end_with, args=(int(sys.argv[2]), Path(sys.argv[1])), daemon=True).start()
    run_to_the_end(lambda: main(Path(sys.argv[1])))
