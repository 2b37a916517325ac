"""Where runs lie: ``<root>/<name>/version_N``, with ``checkpoints/best.ckpt`` and ``last.ckpt``."""

from __future__ import annotations

import itertools
import shutil
from pathlib import Path

from lightlab.errors import RunError
from lightlab.files import check_folder, remove_leftovers
from lightlab.training.run_names import confined, runs_folder

VERSION_PREFIX = "version_"
BEST, LAST = "best.ckpt", "last.ckpt"
#: What a run folder holds beside its checkpoints and TensorBoard's event files.
CONFIG, ENVIRONMENT, DATA = "config.yaml", "environment.json", "data.json"
METRICS, HISTORY, EVALUATION = "metrics.json", "history.csv", "evaluation.json"
#: How often a folder is made anew that another run, which has failed, removes at the same time.
ATTEMPTS = 10
#: What each row of a history begins with.
FIRST_COLUMNS = ("epoch", "step", "seconds")


def versions(folder: Path) -> list[int]:
    """Return the numbers of the runs in a folder, in order."""
    found = folder.glob(f"{VERSION_PREFIX}*") if folder.is_dir() else ()
    return sorted(number for run in found if (number := version_number(run)) >= 0)


def remove_unfinished(folder: Path) -> None:
    """Remove what killed trainings left half-written in the runs of a folder."""
    for number in versions(folder):
        run = folder / f"{VERSION_PREFIX}{number}"
        for place in (run, run / "checkpoints"):
            remove_leftovers(place)


def version_number(run: Path) -> int:
    """Return the number of a run folder; −1 for other names."""
    number = run.name.removeprefix(VERSION_PREFIX)
    return int(number) if run.name.startswith(VERSION_PREFIX) and number.isdecimal() else -1


def check_run_folder(root: Path, name: str) -> None:
    """See to it that a run folder can be made, before anything else is done; leave nothing there.

    Raises:
        RunError: it can't: the place can't be written to, or the disk is full, or it would lie outside of the root.
    """
    folder = runs_folder(root, name)
    try:
        check_folder(folder)
    except (OSError, ValueError) as cause:
        raise _not_writable(folder, cause) from cause


def check_space(run: Path, size: int) -> None:
    """See to it that there is room for what a run will surely keep.

    Args:
        run: the run folder.
        size: in bytes.

    Raises:
        RunError: the disk has less.
    """
    free = shutil.disk_usage(run).free
    if free < size:
        raise RunError(f"The checkpoints of this model take at least {size:,} bytes. The disk of {run} has {free:,}.")


def claim_run(root: Path, name: str, after: int = -1) -> Path:
    """Make the next run folder; of two processes that try at once, each gets its own.

    Args:
        root: what holds the runs of all configs.
        name: the config's.
        after: its number is larger than this.

    Raises:
        RunError: the folder can't be made or written to, or would lie outside of the root.
    """
    folder = runs_folder(root, name)
    try:
        numbers = itertools.count(max([after, *versions(folder)]) + 1)
        return next(run for number in numbers if _make_folder(run := folder / f"{VERSION_PREFIX}{number}"))
    except (OSError, ValueError) as cause:
        raise _not_writable(folder, cause) from cause


def _make_folder(run: Path) -> bool:
    """Make a folder, and those above it; return whether it was not there."""
    for attempt in range(ATTEMPTS):
        run.parent.mkdir(parents=True, exist_ok=True)
        try:
            run.mkdir()
        except FileExistsError:
            return False
        except FileNotFoundError:  # another run has failed, and removed the folder above
            if attempt == ATTEMPTS - 1:
                raise
        else:
            return True
    return False


def _not_writable(folder: Path, cause: Exception) -> RunError:
    reason = getattr(cause, "strerror", None) or cause
    return RunError(f"A run needs a folder that it can write to. {folder} can't be: {reason}.")


def find_run_checkpoint(run: Path | None, root: Path, name: str, file: str = BEST) -> Path:
    """Return a checkpoint of a run, or of the latest run of a config.

    Args:
        run: the run folder, where it is known.
        root: what holds the runs of all configs.
        name: the config's.
        file: ``best.ckpt`` or ``last.ckpt``.

    Raises:
        RunError: there is none.
    """
    folder = root if run else runs_folder(root, name)
    runs = [run] if run else [folder / f"{VERSION_PREFIX}{number}" for number in reversed(versions(folder))]
    latest = run or (confined(runs[0], root) if runs else None)
    if latest and (checkpoint := _kept_in(latest, file)).is_file():
        return checkpoint
    if whole := next((each for each in runs[1:] if _kept_in(each, file).is_file()), None):
        raise RunError(
            f"Of several runs of {name} the latest is meant, and no earlier one takes its place unasked. {latest} has "
            f"no checkpoints/{file}: it ended before it kept one, or has not come so far yet. The latest that has one "
            f"is {whole.name}: to use that, give --ckpt_path {_kept_in(whole, file)}."
        )
    raise RunError(
        f"A trained model is needed, and lightlab never uses random weights in its place. Found no checkpoints/{file} "
        f"of a run under {latest or folder}. Run 'lightlab fit' with this config first, or give --ckpt_path."
    )


def _kept_in(run: Path, file: str) -> Path:
    return run / "checkpoints" / file
