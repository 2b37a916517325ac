"""Where a config file may have something written: below the folder that one works in.

A config may come from anyone. Whoever calls lightlab names any other place on the command line, such as the root of the
runs, below which it may then lie, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from lightlab.config.classes import ClassSpec
from lightlab.config.documents import COMMAND_LINE
from lightlab.errors import Fault, Key, format_key
from lightlab.training.run_names import REPLACED

#: Arguments of the Trainer's classes that name a folder, or a file, that is written.
FOLDERS = frozenset({"dir", "dirpath", "exclude_batches_path", "nvme_path", "root_dir", "save_dir"})
#: Those that name what is written in such a folder, or a folder in it.
NAMES = frozenset(
    {"checkpoint_name", "filename", "filename_suffix", "name", "prefix", "run_name", "sub_dir", "version"}
)


def find_strays(config: Mapping[str, Any], locate: Callable[[Key], str]) -> Iterator[Fault]:
    """Return a fault for each place, named in a file, where a config may have nothing written.

    Args:
        config: as `check_config` returns it.
        locate: returns where a key was given.
    """
    options = config.get("trainer")
    trainer = options if isinstance(options, Mapping) else {}
    roots, named = ["."], trainer.get("default_root_dir")
    if named and locate(("trainer", "default_root_dir")) == COMMAND_LINE:  # a file could name any, and be right
        roots.append(str(named))
    for key, path, is_folder in _written(config, trainer):
        if locate(key) == COMMAND_LINE or not isinstance(path, str):
            continue
        if not (is_folder and _is_below(path, *roots)) and (is_folder or not _stays(path)):
            rule = "A config file has things written below the folder that you work in, or below the runs' root if the "
            rule += "command line names that."
            yield Fault(key, f"{rule} Received: {path!a}. On the command line --{format_key(key)} takes any.")


def _written(config: Mapping[str, Any], trainer: Mapping[str, Any]) -> Iterator[tuple[Key, Any, bool]]:
    """Return each path that says where something is written: its key, and whether it is whole or a part of one."""
    yield ("output",), config.get("output"), True
    data = config.get("data")
    arguments = data.get("init_args") if isinstance(data, Mapping) else None
    if isinstance(arguments, Mapping) and arguments.get("download"):
        yield ("data", "init_args", "root"), arguments.get("root"), True
    for name, value in trainer.items():
        yield from _written_by(value, ("trainer", name))


def _written_by(value: Any, key: Key) -> Iterator[tuple[Key, Any, bool]]:
    if isinstance(value, list):
        for index, part in enumerate(value):
            yield from _written_by(part, (*key, index))
    if isinstance(value, ClassSpec):
        for name, part in value["init_args"].items():
            place = (*key, "init_args", name)
            if name in FOLDERS | NAMES:
                yield place, part, name in FOLDERS
            yield from _written_by(part, place)


def _is_below(path: str, *roots: str) -> bool:
    """Return whether a path lies below one of these when all links are followed."""
    try:
        whole = Path(path).resolve()
        return not REPLACED.search(path) and any(whole.is_relative_to(Path(root).resolve()) for root in roots)
    except (OSError, RuntimeError, ValueError):  # links in a circle, or a null byte
        return False


def _stays(name: str) -> bool:
    """Return whether what is called so lies in the folder that it is put in."""
    parts = re.split(r"[/\\]", name)
    leads_out = ".." in parts or not (parts[0] or name == "") or re.match(r"[A-Za-z]:", name)
    return name.isprintable() and not leads_out and not REPLACED.search(name)
