"""A call's data and model, made by LightningCLI."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from typing import Any

from jsonargparse import Namespace, set_parsing_settings
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI

from lightlab.commands.call import Call
from lightlab.commands.quiet import silence
from lightlab.config.classes import default_mode
from lightlab.config.defaults import with_defaults
from lightlab.data import Data
from lightlab.errors import ConfigError, Fault, Key, LightlabError, collect
from lightlab.module import Model
from lightlab.signatures import read_signature
from lightlab.training.options import CheckpointOptions, EarlyStoppingOptions, Mode, resolve_monitor


class ConfigReader(LightningCLI):
    """LightningCLI with lightlab's model and data, on construction; without a Trainer.

    Args:
        call: read and checked.

    Attributes:
        datamodule: the data, not read yet.
        model: not built yet.
    """

    datamodule: Data
    model: Model

    def __init__(self, call: Call) -> None:
        self.call = call
        silence()
        gc.freeze()  # what was imported stays, and is never looked through again
        gc.enable()  # from here on there is work, and not just imports
        super().__init__(
            Model,
            Data,
            save_config_callback=None,
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    # Parsing

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]  # which verb is known by now
        """Return the verb, and which of the Trainer's arguments are not for configs."""
        ours = {"weights_only", "verbose", "return_predictions"}
        return {self.call.verb: LightningCLI.subcommands()[self.call.verb] | ours}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Take over the config, which is read and checked already."""
        # A value stays what it is: nothing is made of text that reads like a number or a class.
        set_parsing_settings(instantiate_subclass_spec_in_any=False)
        # Nothing else is imported because a config names it; and this was looked up in lists of what there is.
        set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=[self.call.config["data"]["class_path"]])
        config = self._parser(self.call.verb).get_defaults()
        filled = with_defaults(self.call.config)
        config["seed_everything"] = filled["seed_everything"]
        config["data"] = _class_namespace(filled["data"]["class_path"], filled["data"]["init_args"])
        config["model"].update(_namespace(filled["model"]))
        self.config = _namespace({"subcommand": self.call.verb, self.call.verb: config})

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would let the checkpoint beat the command line here."""

    # Instantiation

    def instantiate_classes(self) -> None:
        """Make data and model.

        Raises:
            LightlabError: what a constructor of ours says, which jsonargparse wraps in an error about types.
        """
        try:
            super().instantiate_classes()
        except ValueError as error:
            cause: BaseException = error
            while not isinstance(cause, LightlabError) and cause.__cause__ is not None:
                cause = cause.__cause__
            if isinstance(cause, LightlabError):
                raise cause from error
            name = self.call.config["data"]["class_path"].rsplit(".", 1)[-1]
            raise ConfigError.at(("data",), f"{name} can't be made so: {str(cause).splitlines()[-1]}") from error

    def instantiate_trainer(self, **kwargs: Any) -> Any:
        """Do nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Do nothing."""

    # What can only be told with the data

    def connect(self) -> None:
        """Read the data, build the model for it, and hold the targets against what its head can learn.

        Raises:
            LightlabError: they don't fit.
        """
        self.datamodule.setup("fit")
        self.model.build(self.datamodule.connect(self.model.problem))
        self.datamodule.check_targets(self.model.head.valid, self.model.head.rule)
        self.model.check_rows(self.datamodule.fewest_rows)
        self.model.check_optimizers()

    @property
    def is_validated(self) -> bool:
        """Whether the data, which is read, has a validation split that the Trainer uses."""
        limit = self.call.config.get("trainer", {}).get("limit_val_batches")
        return "val" in self.datamodule.counts and limit != 0

    @property
    def logged(self) -> dict[str, Mode]:
        """The metrics that training logs, and whether less or more of each is better."""
        modes = self.model.metric_modes()
        splits = ["train", "val"] if self.is_validated else ["train"]
        return {f"{split}/{name}": mode for split in splits for name, mode in modes.items()}

    @property
    def kept(self) -> str:
        """The metric that says which weights are best, unless the config does."""
        watched = self.model.problem_row.monitor
        return watched if self.is_validated else watched.replace("val/", "train/")

    def check_trainer(self) -> None:
        """See to it that what is watched will be logged, and that an epoch is long enough to be validated.

        Raises:
            ConfigError: with every fault.
        """
        faults: list[Fault] = []
        config, default = self.call.config, self.model.problem_row.monitor
        watching: list[tuple[Key, str | None, Mode | None]] = []
        if config.get("early_stopping") is not None:
            options = EarlyStoppingOptions(**config["early_stopping"])
            watching.append((("early_stopping",), options.monitor or default, options.mode))
        checkpoint = CheckpointOptions(**config.get("checkpoint", {}))
        watching.append((("checkpoint",), checkpoint.monitor or self.kept, checkpoint.mode))
        scheduler = self.model.scheduler_spec
        if scheduler and scheduler.name == "ReduceLROnPlateau":
            watching.append((("model", "lr_scheduler"), scheduler.monitor or default, None))
        callbacks = config.get("trainer", {}).get("callbacks") or []
        for index, callback in enumerate(callbacks if isinstance(callbacks, list) else [callbacks]):
            key: Key = ("trainer", "callbacks", index, "init_args")
            arguments = callback["init_args"]
            mode = arguments.get("mode", default_mode(callback["class_path"]))
            watching.append((key, arguments.get("monitor"), mode))
        for key, monitor, mode in watching:
            if monitor is not None:
                with collect(faults):
                    resolve_monitor(monitor, mode, self.logged, key)
        with collect(faults):
            self._check_interval()
        faults += self._check_lengths()
        if faults:
            raise ConfigError(faults)

    def _check_lengths(self) -> Iterator[Fault]:
        """Return what leaves a training without a step, or a validation that is asked for without a batch."""
        trainer = self.call.config.get("trainer", {})
        for name in ("max_epochs", "max_steps", "limit_train_batches"):
            if trainer.get(name) == 0:
                yield Fault(("trainer", name), f"A training takes at least one step. Received: {name} {trainer[name]}.")
        every, epochs = trainer.get("check_val_every_n_epoch"), trainer.get("max_epochs")
        if self.is_validated and every and epochs and every > epochs > 0:
            rule = f"Weights are validated at least once in {epochs} epochs, or not at all: limit_val_batches 0"
            yield Fault(("trainer", "check_val_every_n_epoch"), f"{rule}. Received: {every}.")
        for split in ("train", "val", "test"):
            name = f"limit_{split}_batches"
            share, rows = trainer.get(name), self.datamodule.counts.get(split)
            if not isinstance(share, float) or not 0 < share < 1 or not rows:
                continue
            batches = -(-rows // self.datamodule.batch_size)
            if split == "train":
                batches = len(self.datamodule.train_dataloader())
            if int(share * batches) == 0:
                rule = f"A share of the {batches} batches of {split} is at least one of them"
                yield Fault(("trainer", name), f"{rule}: {1 / batches:.3g} or more. Received: {share}.")

    def _check_interval(self) -> None:
        trainer = self.call.config.get("trainer", {})
        interval, limit = trainer.get("val_check_interval"), trainer.get("limit_train_batches")
        within_epoch = trainer.get("check_val_every_n_epoch", 1) is not None
        scheduler, watched = self.model.scheduler_spec, ""
        if scheduler and scheduler.name == "ReduceLROnPlateau":
            watched = scheduler.monitor or self.model.problem_row.monitor
        if isinstance(interval, str | Mapping) and watched.startswith("val/"):
            raise ConfigError.at(
                ("trainer", "val_check_interval"),
                f"ReduceLROnPlateau looks at {watched} after each epoch, and by the clock there may be no validation "
                f"until then. Received: {interval}. Set a number of batches, or lr_scheduler.monitor: train/loss.",
            )
        if None in self.datamodule.counts.values() or not isinstance(interval, int):
            return
        batches = len(self.datamodule.train_dataloader())
        batches = min(batches, limit) if isinstance(limit, int) else batches
        if interval <= batches:
            return
        rule = ""
        if within_epoch:
            rule = "and validates at least once, unless check_val_every_n_epoch is null"
        elif watched.startswith("val/"):
            rule = f"after which ReduceLROnPlateau looks at {watched}: it validates at least once"
        if rule:
            text = f"An epoch has {batches} batches, {rule}. Received: {interval}."
            raise ConfigError.at(("trainer", "val_check_interval"), text)


def _class_namespace(path: str, arguments: Mapping[str, Any]) -> Namespace:
    """Return a class with its arguments: those of its signature, and those that it passes on."""
    signature = read_signature(path)
    known = {name: value for name, value in arguments.items() if signature is None or signature.get(name)}
    others = {name: value for name, value in arguments.items() if name not in known}
    return _namespace({"class_path": path, "init_args": _namespace(known), "dict_kwargs": others})


def _namespace(values: dict[str, Any]) -> Namespace:
    return Namespace(values)  # type: ignore[no-untyped-call]  # jsonargparse publishes no types for it
