"""fit, validate, test and predict: the Trainer's verbs, by LightningCLI."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from jsonargparse import Namespace, set_parsing_settings
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from lightlab.checkpoint import SafeCheckpointIO, digests, read_checkpoint
from lightlab.commands.call import Call
from lightlab.commands.quiet import silence
from lightlab.config.defaults import config_text, with_defaults
from lightlab.data import Data
from lightlab.errors import ConfigError, DataError, LightlabError, RunError
from lightlab.inspect.outcome import Outcome, align, metric_lines
from lightlab.module import Model
from lightlab.signatures import read_signature
from lightlab.training.options import CheckpointOptions, EarlyStoppingOptions, resolve_monitor
from lightlab.training.predictions import WRITERS, PredictionWriter
from lightlab.training.progress import Progress
from lightlab.training.resume import Resume, check_resumable
from lightlab.training.run_folder import RunFolder
from lightlab.training.run_paths import BEST, find_run_checkpoint


def run(call: Call) -> None:
    """Carry out one of the Trainer's verbs.

    Raises:
        LightlabError: something given is wrong.
    """
    LightlabCLI(call)


class LightlabCLI(LightningCLI):
    """LightningCLI with lightlab's model and data; runs the call on construction, as its base does."""

    def __init__(self, call: Call) -> None:
        self.call = call
        silence()
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
        # Of what a config names only this is imported, and all of it was looked up in lists of what there is.
        set_parsing_settings(import_path_denylist=["*"], import_path_allowlist=list(_class_paths(self.call.config)))
        config = self._parser(self.call.verb).get_defaults()
        filled = with_defaults(self.call.config)
        config["seed_everything"] = filled["seed_everything"]
        config["data"] = _as_namespace(filled["data"])
        config["model"].update(_namespace(filled["model"]))
        config["trainer"].update(_namespace({name: _as_namespace(value) for name, value in filled["trainer"].items()}))
        self.config = _namespace({"subcommand": self.call.verb, self.call.verb: config})

    def _parse_ckpt_path(self) -> None:
        """Do nothing: Lightning would let the checkpoint beat the command line here."""

    # Instantiation

    def instantiate_classes(self) -> None:
        """Make data, model and Trainer.

        Raises:
            LightlabError: what a constructor of ours says, which jsonargparse wraps in an error about types.
        """
        try:
            super().instantiate_classes()
        except ValueError as error:
            cause: BaseException | None = error
            while cause is not None and not isinstance(cause, LightlabError):
                cause = cause.__cause__
            raise cause or error from error

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the Trainer, its callbacks chosen for the verb; data and model are ready before it."""
        options = {**self._get(self.config_init, "trainer").as_dict(), **kwargs}
        self.root = Path(options["default_root_dir"])
        self.run_folder: RunFolder | None = None
        self.best: ModelCheckpoint | None = None
        given = options.get("callbacks") or []
        callbacks = list(given) if isinstance(given, list | tuple) else [given]
        self.checkpoint_path = self._find_checkpoint()
        if self.call.verb == "fit":
            callbacks += self._prepare_fit(options)
        else:
            self._prepare_evaluation()
            if not Console().is_terminal:
                options["enable_progress_bar"] = False
        if self.call.verb == "predict":
            callbacks.append(PredictionWriter(self._output()))
        if options.get("logger") is True:
            options["logger"] = None
        if options.get("logger") is None:
            options["logger"] = False  # in fit, the run folder brings its own
        plugins = options.get("plugins") or []
        options["plugins"] = [*(plugins if isinstance(plugins, list) else [plugins]), SafeCheckpointIO()]
        try:
            return Trainer(**{**options, "callbacks": callbacks})
        except (MisconfigurationException, ValueError, TypeError, RuntimeError) as cause:
            raise ConfigError.at(("trainer",), f"Lightning's Trainer can't be made so: {cause}") from cause

    def _find_checkpoint(self) -> str | None:
        if self.call.stored is not None:
            return self.call.checkpoint
        if self.call.checkpoint:  # best or last
            return str(find_run_checkpoint(self.call.run, self.root, self.call.name, f"{self.call.checkpoint}.ckpt"))
        if self.call.verb == "fit":
            return None
        return str(find_run_checkpoint(self.call.run, self.root, self.call.name))

    def _prepare_evaluation(self) -> None:
        """Load the weights, and see to it that there are rows for them."""
        checkpoint = self.call.stored or read_checkpoint(self.checkpoint_path or "")
        self.model.on_load_checkpoint(checkpoint)
        _say(f"weights: {self.checkpoint_path}")
        self.datamodule.setup(self.call.verb)
        self.datamodule.connect(self.model.problem, self.model.data_spec)
        split = {"validate": "val", "test": "test"}.get(self.call.verb)
        if split and split not in self.datamodule.counts:
            raise DataError(
                f"lightlab {self.call.verb} needs a {split} split. The data has: {', '.join(self.datamodule.counts)}."
            )

    def _prepare_fit(self, options: dict[str, Any]) -> list[Any]:
        """Load data and build the model, so that whatever is wrong with them shows before there is a run folder."""
        self.datamodule.setup("fit")
        spec = self.datamodule.connect(self.model.problem)
        self.model.build(spec)
        self.datamodule.check_targets(self.model.head.valid, self.model.head.rule)
        validated = "val" in self.datamodule.counts and options.get("limit_val_batches") != 0
        logged = {f"train/{name}": mode for name, mode in self.model.metric_modes().items()}
        if validated:
            logged |= {name.replace("train/", "val/"): mode for name, mode in logged.items()}
        scheduler = self.model.scheduler_spec
        if scheduler and scheduler.name == "ReduceLROnPlateau":
            watched_rate = scheduler.monitor or self.model.problem_row.monitor
            resolve_monitor(watched_rate, None, logged, "model.lr_scheduler")
        early_stopping = self.call.config.get("early_stopping")
        checkpoint = CheckpointOptions(**self.call.config.get("checkpoint", {}))
        watched = self.model.problem_row.monitor
        callbacks: list[Any] = []
        if early_stopping is not None:
            callbacks.append(EarlyStoppingOptions(**early_stopping).build(logged, watched))
        kept = watched if validated else watched.replace("val/", "train/")
        if options.get("enable_checkpointing") is not False and not options.get("fast_dev_run"):
            self.best, last = checkpoint.build(logged, kept)
            callbacks += [self.best, last]
        if options.get("enable_progress_bar") is not False:
            callbacks.append(Progress(kept))
        tensorboard = options.get("logger") in (None, True)
        if tensorboard and not options.get("fast_dev_run"):
            callbacks.append(LearningRateMonitor(logging_interval="epoch"))
        self.run_folder = RunFolder(self.root, self.call.name, self._config_text(), tensorboard)
        if self.checkpoint_path:
            stored = self.call.stored or read_checkpoint(self.checkpoint_path)
            check_resumable(stored, self.model, options.get("max_epochs"))
            callbacks.insert(0, Resume(self.model.optimizer_spec.arguments))
        return [self.run_folder, *callbacks]

    def _config_text(self) -> str:
        """Return the config that repeats the run: with the seed that was drawn, if one was."""
        return config_text({**self.call.config, "seed_everything": self._get(self.config, "seed_everything")})

    def _output(self) -> Path:
        given = self.call.config.get("output")
        run = Path(self.checkpoint_path or "").parent.parent
        path = Path(given) if given else (run if self.call.run or not self.call.stored else Path()) / "predictions.csv"
        if path.suffix not in WRITERS:
            raise ConfigError.at(("output",), f"Predictions are written as {' or '.join(WRITERS)}. Received: {path}.")
        return path

    def _prepare_subcommand_kwargs(self, subcommand: str) -> dict[str, Any]:
        kwargs = {**super()._prepare_subcommand_kwargs(subcommand), "ckpt_path": self.checkpoint_path}
        if subcommand == "predict":
            return {**kwargs, "return_predictions": False}
        return kwargs if subcommand == "fit" else {**kwargs, "verbose": False}

    # Running

    def before_fit(self) -> None:
        """Say what is about to be trained."""
        spec = self.model.data_spec
        rows = ", ".join(
            f"{'any number of' if count is None else count} {split}" for split, count in self.datamodule.counts.items()
        )
        count = sum(parameter.numel() for parameter in self.model.parameters())
        devices = f"{self.trainer.world_size} × " if self.trainer.world_size > 1 else ""
        device = f"{devices}{type(self.trainer.accelerator).__name__.removesuffix('Accelerator')}"
        shape = ", ".join(map(str, spec.input.shape))
        _say(f"{self.call.name}: {spec.problem}, rows {rows}, inputs ({shape}), {count:,} parameters, on {device}")
        self.started = time.monotonic()

    def after_fit(self) -> None:
        """Restore the best weights, evaluate them on the test split, and say what the run came to."""
        seconds = time.monotonic() - self.started
        epochs = self.trainer.current_epoch
        run = self.run_folder.path if self.run_folder else None
        if self.run_folder and run and self.trainer.global_step == 0:
            self.run_folder.remove(self.trainer)
            raise RunError(
                "Training takes at least one step. It took none: see trainer.max_epochs and limit_train_batches."
            )
        best = self._best_weights() if run else None
        if run is None or best is None:
            return
        stored = read_checkpoint(best)
        self.model.load_state_dict(stored["state_dict"])
        test: dict[str, float] = {}
        if "test" in self.datamodule.counts:
            test = dict(*self.trainer.test(self.model, datamodule=self.datamodule, verbose=False))
        if not self.trainer.is_global_zero:
            return
        validation = {name: value for name, value in stored["metrics"].items() if name.startswith("val/")}
        outcome = Outcome(
            validation, test, min(stored["epoch"] + 1, epochs), epochs, round(seconds, 3), str(best), **digests(best)
        )
        outcome.write(run / "metrics.json")
        self._log_hyperparameters({**validation, **test})
        print(outcome.table(run))

    def _best_weights(self) -> Path | None:
        """Return the file with the best weights, or with the last where no validation told which are best."""
        if self.best is None or self.best.dirpath is None:
            _say("No weights were kept (trainer.enable_checkpointing is false): there is nothing to evaluate.")
            return None
        if self.best.best_model_path:
            return Path(self.best.best_model_path)
        stand_in = Path(self.best.dirpath) / BEST
        self.trainer.save_checkpoint(stand_in)
        _say(f"{self.best.monitor} was never logged: the last weights stand in for the best.")
        return stand_in

    def _log_hyperparameters(self, metrics: dict[str, float]) -> None:
        if isinstance(self.trainer.logger, TensorBoardLogger):
            hyperparameters = {**self.model.hparams, "batch_size": self.datamodule.batch_size}
            finals = {f"hparam/{name}": value for name, value in metrics.items()}
            self.trainer.logger.log_hyperparams(hyperparameters, finals)
            self.trainer.logger.finalize("success")

    def after_validate(self) -> None:
        """Say what came out."""
        self._say_metrics("validation")

    def after_test(self) -> None:
        """Say what came out."""
        self._say_metrics("test")

    def _say_metrics(self, split: str) -> None:
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        _say(align(metric_lines({split: metrics})))

    def after_predict(self) -> None:
        """Say where the predictions are."""
        _say(f"predictions: {self._output()}")


class ConfigReader(LightlabCLI):
    """Reads a call as fit does, and makes its data and model, but neither Trainer nor run."""

    def instantiate_trainer(self, **kwargs: Any) -> None:  # type: ignore[override]  # there is none
        """Do nothing."""

    def _run_subcommand(self, subcommand: str) -> None:
        """Do nothing."""


def _class_paths(value: Any) -> Iterator[str]:
    """Return the path of every class that a config names."""
    if isinstance(value, Mapping):
        if isinstance(value.get("class_path"), str):
            yield value["class_path"]
        value = list(value.values())
    for part in value if isinstance(value, list) else ():
        yield from _class_paths(part)


def _as_namespace(value: Any) -> Any:
    """Return a value in which classes are namespaces, as jsonargparse has them."""
    if isinstance(value, list):
        return [_as_namespace(part) for part in value]
    if not isinstance(value, Mapping) or "class_path" not in value:
        return value
    signature = read_signature(value["class_path"])
    known: dict[str, Any] = {}
    others: dict[str, Any] = {}
    for name, part in value.get("init_args", {}).items():
        (known if signature is None or signature.get(name) else others)[name] = _as_namespace(part)
    return _namespace({"class_path": value["class_path"], "init_args": _namespace(known), "dict_kwargs": others})


def _namespace(values: dict[str, Any]) -> Namespace:
    return Namespace(values)  # type: ignore[no-untyped-call]  # jsonargparse publishes no types for it


def _say(text: str) -> None:
    rank_zero_only(print)(text, flush=True)
