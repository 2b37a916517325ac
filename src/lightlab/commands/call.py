"""What a call of the command line says: config files and options, read and checked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightlab.config.check import check_config
from lightlab.config.sources import Sources
from lightlab.errors import ConfigError, DataError, Fault, LightlabError
from lightlab.training.run_names import UNNAMED, config_name
from lightlab.training.run_paths import BEST, LAST, VERSION_PREFIX

CONFIG_OPTIONS = ("--config", "-c")


@dataclass(frozen=True)
class Call:
    """A call of one verb.

    Attributes:
        verb: fit, validate, test or predict.
        files: the config files, in order.
        sources: where each value of the config comes from.
        config: what files and options say together, checked.
        checkpoint: what ``ckpt_path`` is: a file, ``best`` or ``last``.
        stored: what the file that ``ckpt_path`` names holds.
    """

    verb: str
    files: Sequence[str]
    sources: Sources
    config: Mapping[str, Any]
    checkpoint: str | None
    stored: dict[str, Any] | None

    @property
    def run(self) -> Path | None:
        """The run folder that the config, or else the checkpoint, lies in."""
        places = [Path(file).resolve().parent for file in self.files if Path(file).name == "config.yaml"]
        if self.stored:
            places.append(Path(self.checkpoint or "").resolve().parent.parent)
        return next((place for place in places if place.name.startswith(VERSION_PREFIX)), None)

    @property
    def name(self) -> str:
        """What the runs of this config are called."""
        if self.run:
            return self.run.parent.name
        return config_name(self.files[0]) if self.files else UNNAMED


@contextmanager
def reading(verb: str, arguments: Sequence[str]) -> Iterator[Call]:
    """Read and check what a call says, and say of each fault raised inside where it comes from.

    Args:
        verb: fit, validate, test or predict.
        arguments: what follows it.

    Raises:
        LightlabError: something given is wrong.
    """
    files, options = split_configs(arguments)
    sources = Sources(files, options)
    path = sources.values.get("ckpt_path")
    checkpoint = path if isinstance(path, str) else None
    stored = None
    if checkpoint and f"{checkpoint}.ckpt" not in (BEST, LAST):
        from lightlab.checkpoints import read_checkpoint

        stored = read_checkpoint(checkpoint)
    if stored:  # the checkpoint's own model counts where config and options say nothing
        sources.add_below({"model": stored["hyper_parameters"]}, str(checkpoint))
    try:
        yield Call(verb, files, sources, check_config(sources), checkpoint, stored)
    except ConfigError as error:
        raise sources.located(error) from error
    except DataError as error:
        faults = list(_faults(error, sources))
        if not all(fault.key for fault in faults):
            raise
        raise sources.located(ConfigError(faults)) from error


def _faults(error: DataError, sources: Sources) -> Iterator[Fault]:
    """Return what an error says, with the key of the config that each part goes back to, if there is one."""
    for message, about in error.messages:
        key = about if isinstance(about, tuple) else sources.find(("data", "init_args"), about)
        yield Fault(key or (), message)


def split_configs(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the config files that arguments name, and the other arguments.

    Raises:
        LightlabError: ``--config`` without a file.
    """
    files, options = [], []
    given = iter(arguments)
    for argument in given:
        name, equals, value = argument.partition("=")
        if name not in CONFIG_OPTIONS:
            options.append(argument)
            continue
        file = value if equals else next(given, None)
        if not file:
            raise LightlabError(f"{name} takes a config file. Received nothing.")
        files.append(file)
    return files, options
