"""What a call of the command line says, before its config is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightlab.training.run_folder import VERSION_PREFIX

CONFIG_OPTIONS = ("--config", "-c")
#: The run of a call that names no config.
UNNAMED = "unnamed"


@dataclass(frozen=True)
class Call:
    """A call of one verb.

    Attributes:
        verb: fit, validate, test or predict.
        arguments: what follows it.
        values: what the config files say together.
    """

    verb: str
    arguments: list[str]
    values: Mapping[str, Any]

    def given(self, *options: str) -> list[str]:
        """Return the values given to an option, ``--option VALUE`` or ``--option=VALUE``."""
        pairs = zip(self.arguments, [*self.arguments[1:], ""], strict=False)
        return [
            after if argument in options else argument.split("=", 1)[1]
            for argument, after in pairs
            if argument in options or argument.split("=", 1)[0] in options
        ]

    @property
    def options(self) -> list[str]:
        """The arguments without the config files."""
        values = iter(self.arguments)
        rest = []
        for argument in values:
            if argument in CONFIG_OPTIONS:
                next(values, None)
            elif argument.split("=", 1)[0] not in CONFIG_OPTIONS:
                rest.append(argument)
        return rest

    @property
    def configs(self) -> list[str]:
        """The config files, in order."""
        return self.given(*CONFIG_OPTIONS)

    @property
    def checkpoint(self) -> str | None:
        """What ``ckpt_path`` is: a file, ``best`` or ``last``."""
        return next(reversed(self.given("--ckpt_path")), self.values.get("ckpt_path"))

    @property
    def run(self) -> Path | None:
        """The run folder that the config, or else the checkpoint, lies in."""
        places = [Path(config).resolve().parent for config in self.configs if Path(config).name == "config.yaml"]
        if self.checkpoint and Path(self.checkpoint).is_file():
            places.append(Path(self.checkpoint).resolve().parent.parent)
        return next((place for place in places if place.name.startswith(VERSION_PREFIX)), None)

    @property
    def name(self) -> str:
        """What the runs of this config are called."""
        if self.run:
            return self.run.parent.name
        return Path(self.configs[0]).stem if self.configs else UNNAMED
