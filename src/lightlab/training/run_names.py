"""What runs are called, and that they lie below their root: names come from files, and files may come from anyone."""

from __future__ import annotations

import os
import re
from pathlib import Path

from lightlab.errors import RunError

#: What no name has: separators of paths, what Windows does not have in names, and what TensorBoard's writer replaces by
#: variables of the environment.
SPECIAL = frozenset('/\\:*?"<>|$')
#: What some of Lightning's writers replace by the home folder or variables of the environment, or take for an address.
REPLACED = re.compile(r"^~|\$|:/")
#: Names of devices on Windows, whatever their ending.
DEVICES = frozenset({"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))})
#: The run of a call whose config is in no file of a name.
UNNAMED = "unnamed"
#: Paths of what a process has open, rather than of files.
DESCRIPTOR = re.compile(r"/dev/(fd/|stdin$)|/proc/[^/]+/fd/")
#: File systems take 255, and what is written into the folder is called by names of its own.
MOST_BYTES = 200


def config_name(file: str) -> str:
    """Return what the runs of a config file are called: like the file, or `UNNAMED` where nobody named it.

    A pipe has none, as in ``--config <(…)``, whose path ends in the number of a descriptor; nor has standard input.
    """
    path = Path(file)
    return UNNAMED if DESCRIPTOR.match(file) or not path.is_file() else path.stem


def runs_folder(root: Path, name: str) -> Path:
    """Return the folder of a config's runs, which lies below the root and nowhere else.

    Args:
        root: what holds the runs of all configs.
        name: the config's.

    Raises:
        RunError: the name is none that a folder can have everywhere, or a link leads out of the root; or the root is no
            plain path.
    """
    if REPLACED.search(str(root)):
        rule = "trainer.default_root_dir is a path on this machine as it stands: ~ and $NAME are not filled in."
        raise RunError(f"{rule} Received: {str(root)!a}.")
    if not _is_plain(name):
        raise RunError(
            f"A run is called like its config file: at most {MOST_BYTES} bytes that can be printed, none of "
            f"{' '.join(sorted(SPECIAL))} among them; none of . - ~ at the beginning; no name of a device. "
            f"Received: {name[:MOST_BYTES]!a}. Give the file another name."
        )
    return confined(root / name, root)


def confined(path: Path, root: Path) -> Path:
    """Return a path as it is, if it lies below a root when all links are followed.

    Raises:
        RunError: it does not.
    """
    try:
        if path.resolve().is_relative_to(root.resolve()):
            return path
        cause = "a link leads out of it"
    except (OSError, RuntimeError, ValueError) as error:  # links in a circle, or a null byte
        cause = str(error)
    raise RunError(f"What lightlab writes for a run lies below {str(root)!a}. {str(path)!a} does not: {cause}.")


def _is_plain(name: str) -> bool:
    shown = name.isprintable() and not SPECIAL & {*name} and len(os.fsencode(name)) <= MOST_BYTES
    whole = name.strip(". ") == name and name[:1] not in ("", "-", "~")
    return shown and whole and name.lower().split(".")[0] not in DEVICES
