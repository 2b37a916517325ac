"""Where runs lie: ``<root>/<name>/version_N``, with ``checkpoints/best.ckpt`` and ``last.ckpt``."""

from __future__ import annotations

from pathlib import Path

from lightlab.errors import RunError

VERSION_PREFIX = "version_"
BEST, LAST = "best.ckpt", "last.ckpt"
#: What a run folder holds beside its checkpoints and TensorBoard's event files.
CONFIG, ENVIRONMENT, DATA = "config.yaml", "environment.json", "data.json"
METRICS, HISTORY, EVALUATION = "metrics.json", "history.csv", "evaluation.json"
#: What each row of a history begins with.
FIRST_COLUMNS = ("epoch", "step", "seconds")


def versions(folder: Path) -> list[int]:
    """Return the numbers of the runs in a folder, in order."""
    found = folder.glob(f"{VERSION_PREFIX}*") if folder.is_dir() else ()
    return sorted(number for run in found if (number := version_number(run)) >= 0)


def version_number(run: Path) -> int:
    """Return the number of a run folder; −1 for other names."""
    number = run.name.removeprefix(VERSION_PREFIX)
    return int(number) if run.name.startswith(VERSION_PREFIX) and number.isdecimal() else -1


def claim_run(root: Path, name: str) -> Path:
    """Make the next run folder; of two processes that try at once, each gets its own.

    Raises:
        RunError: the folder can't be made or written to.
    """
    folder = root / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        number = (versions(folder) or [-1])[-1] + 1
        while True:
            run = folder / f"{VERSION_PREFIX}{number}"
            try:
                run.mkdir()
            except FileExistsError:
                number += 1
            else:
                return run
    except OSError as cause:
        raise RunError(f"A run needs a folder that it can write to. {folder} can't be: {cause}.") from cause


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
    numbers = versions(root / name)
    latest = run or (root / name / f"{VERSION_PREFIX}{numbers[-1]}" if numbers else None)
    if latest and (checkpoint := latest / "checkpoints" / file).is_file():
        return checkpoint
    raise RunError(
        f"A trained model is needed, and lightlab never uses random weights in its place. Found no checkpoints/{file} "
        f"of a run under {latest or root / name}. Run 'lightlab fit' with this config first, or give --ckpt_path."
    )
