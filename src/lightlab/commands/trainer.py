"""The Trainer's verbs: what training, evaluation and prediction share."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities import rank_zero_only

from lightlab import terminal
from lightlab.commands.reader import ConfigReader
from lightlab.config.classes import ClassSpec
from lightlab.config.defaults import with_defaults
from lightlab.errors import ConfigError, Key, RunError
from lightlab.interruption import Interrupted, heed, release
from lightlab.training.checkpoint_io import SafeCheckpointIO
from lightlab.training.interruption import SignalConnector
from lightlab.training.memory import is_out_of_memory
from lightlab.training.out_of_memory import say_out_of_memory
from lightlab.training.ranks import Ranks
from lightlab.training.run_paths import find_run_checkpoint

say = rank_zero_only(terminal.say)


class TrainerVerb(ConfigReader):
    """LightningCLI with lightlab's model, data and Trainer; carries out the call on construction, as its base does.

    Args:
        call: read and checked.

    Attributes:
        root: the folder of all runs.
        checkpoint_path: whose weights are evaluated, or what training goes on from; ``None`` where it begins.
        ranks: the processes that do this together.

    Raises:
        LightlabError: something given is wrong.
    """

    #: The checkpoint that is taken of the latest run where none is named; ``None`` for none.
    default_checkpoint: ClassVar[str | None] = "best"
    #: What the Trainer's method takes beside data and checkpoint.
    trainer_arguments: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            self.run_alone(subcommand)
        except Exception as error:
            raise self.ranks.settle(error) from error.__cause__
        finally:
            self.ranks.finish()

    def run_alone(self, subcommand: str) -> None:
        """Run the Trainer, as if this were the only process."""
        try:
            heed()
            LightningCLI._run_subcommand(self, subcommand)
        except (MisconfigurationException, ModuleNotFoundError) as cause:
            raise ConfigError.at(("trainer",), f"Lightning's Trainer can't do so: {cause}") from cause
        except RunError:
            with suppress(Interrupted):  # what has failed is to be said, whoever tells us to end
                release()
                self.say_why()
            raise
        except (MemoryError, OSError, RuntimeError) as cause:
            if not is_out_of_memory(cause):
                raise
            raise RunError(say_out_of_memory(self.trainer, cause)) from cause

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the Trainer; data and model are ready before it."""
        given = with_defaults(self.call.config)["trainer"]
        options = {name: _make(value, ("trainer", name)) for name, value in given.items()}
        self.root = Path(options["default_root_dir"])
        self.checkpoint_path = self._find_checkpoint()
        callbacks = self.prepare(options, _as_list(options.get("callbacks")))
        if options.get("logger") in (None, True):
            options["logger"] = False  # a training's comes with its run folder
        plugins = [*_as_list(options.get("plugins")), SafeCheckpointIO()]
        try:
            trainer = Trainer(**{**options, "callbacks": callbacks, "plugins": plugins})
        except (MisconfigurationException, ModuleNotFoundError, ValueError, TypeError, RuntimeError) as cause:
            raise ConfigError.at(("trainer",), f"Lightning's Trainer can't be made so: {cause}") from cause
        trainer._signal_connector = SignalConnector(trainer)
        self.ranks = Ranks(trainer, self.call.config.get("rank_timeout"))
        return trainer

    def _find_checkpoint(self) -> str | None:
        if self.call.stored is not None:
            return self.call.checkpoint
        name = self.call.checkpoint or self.default_checkpoint  # best or last
        return name and str(find_run_checkpoint(self.call.run, self.root, self.call.name, f"{name}.ckpt"))

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        beside = {"ckpt_path": self.checkpoint_path, **self.trainer_arguments}
        return {**super()._prepare_subcommand_kwargs(subcommand), **beside}

    # What each verb has of its own

    def prepare(self, options: dict[str, Any], callbacks: list[Any]) -> list[Any]:
        """Make ready what the verb needs, and see to it that there is a place for what it writes.

        Args:
            options: of the Trainer; may be changed.
            callbacks: those of the config.

        Returns:
            all callbacks.

        Raises:
            LightlabError: something given is wrong.
        """
        raise NotImplementedError

    def say_why(self) -> None:
        """Say what may show why the Trainer has broken off."""


def _make(value: Any, key: Key) -> Any:
    """Return one of the Trainer's options in which an object stands for each class.

    Raises:
        ConfigError: a constructor refuses its arguments.
    """
    if isinstance(value, list):
        return [_make(part, (*key, index)) for index, part in enumerate(value)]
    if not isinstance(value, ClassSpec):
        return value
    module, _, name = value["class_path"].rpartition(".")
    arguments = {each: _make(part, (*key, "init_args", each)) for each, part in value["init_args"].items()}
    try:
        return getattr(import_module(module), name)(**arguments)
    except ConfigError:
        raise
    except Exception as cause:
        raise ConfigError.at(key, f"{name} can't be made so: {cause}") from cause


def _as_list(value: Any) -> list[Any]:
    """Return what is one, several or none as a list."""
    return value if isinstance(value, list) else [value] if value else []
