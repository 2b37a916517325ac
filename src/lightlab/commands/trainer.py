"""fit, validate, test and predict: the Trainer's verbs, by LightningCLI."""

from __future__ import annotations

import tempfile
import time
from argparse import ArgumentError
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
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
from lightlab.commands.explain import explain_argument_error, find_faults
from lightlab.commands.quiet import silence
from lightlab.config import Dumper, Sources, merge, spell_out, take_classes
from lightlab.data import Data
from lightlab.errors import ConfigError, DataError, LightlabError, RunError
from lightlab.inspect.outcome import Outcome, align, metric_lines
from lightlab.module import Model
from lightlab.training.options import CheckpointOptions, EarlyStoppingOptions, resolve_monitor
from lightlab.training.predictions import WRITERS, PredictionWriter
from lightlab.training.progress import Progress
from lightlab.training.resume import Resume, check_resumable
from lightlab.training.run_folder import BEST, LAST, RunFolder, find_run_checkpoint


def run(verb: str, arguments: list[str]) -> None:
    """Carry out one of the Trainer's verbs.

    Raises:
        LightlabError: something given is wrong; faults of a config say where they stand.
    """
    with reading(verb, arguments) as (call, sources):
        LightlabCLI(call, sources)


@contextmanager
def reading(verb: str, arguments: list[str]) -> Iterator[tuple[Call, Sources]]:
    """Read the config files of a call, and say of each fault raised inside where in them it stands.

    Raises:
        LightlabError: something given is wrong.
    """
    silence()
    # An optimizer in a config is data that lightlab reads itself: nothing is made of it while parsing.
    set_parsing_settings(instantiate_subclass_spec_in_any=False)
    sources = Sources(Call(verb, arguments, {}).configs, arguments)
    try:
        yield Call(verb, arguments, sources.values), sources
    except ConfigError as error:
        raise sources.located(error) from error


class LightlabCLI(LightningCLI):
    """LightningCLI with lightlab's model and data; runs the call on construction, as its base does."""

    def __init__(self, call: Call, sources: Sources) -> None:
        self.call = call
        self.sources = sources
        path = call.checkpoint
        self.checkpoint = read_checkpoint(path) if path and path not in (Path(BEST).stem, Path(LAST).stem) else None
        each = {"exit_on_error": False, "allow_abbrev": False}
        super().__init__(
            Model,
            Data,
            save_config_callback=None,
            trainer_defaults={"default_root_dir": "runs", "enable_model_summary": False},
            parser_kwargs={**each, **{verb: dict(each) for verb in self.subcommands()}},
            subclass_mode_data=True,
            auto_configure_optimizers=False,
            load_from_checkpoint_support=False,
        )

    # Parsing

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """Return the verbs, and which of the Trainer's arguments are not for the command line."""
        ours = {"weights_only", "verbose", "return_predictions"}
        return {verb: skipped | ours for verb, skipped in LightningCLI.subcommands().items()}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add what stands at the top level of a config, beside seed_everything, data, model and trainer."""
        parser.add_argument(
            "--early_stopping", type=EarlyStoppingOptions | None, default=None, help="when to stop; null for not at all"
        )
        parser.add_argument(
            "--checkpoint", type=CheckpointOptions, default=CheckpointOptions(), help="which weights to keep"
        )
        parser.add_argument(
            "--output",
            type=str | None,
            default=None,
            help="the file that predict writes, .csv or .parquet; by default predictions.csv in the run folder",
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Parse config files and command line.

        Raises:
            ConfigError: what was given is no config.
        """
        verb = self._parser(self.call.verb)
        if unknown := find_faults(verb, self.sources.values):
            raise ConfigError(unknown)
        # The checkpoint's own model comes below the configs, and these below the command line.
        stored = spell_out({"model": self.checkpoint["hyper_parameters"]}) if self.checkpoint else {}
        classes, options = take_classes(self.call.options)
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
            yaml.dump(merge(merge(stored, self.sources.values), classes), file, Dumper=Dumper, sort_keys=False)
            file.flush()
            try:
                self.config = parser.parse_args([self.call.verb, "--config", file.name, *options])
            except ArgumentError as error:
                raise explain_argument_error(error, verb) from error

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
        except (MisconfigurationException, ValueError, TypeError) as cause:
            raise ConfigError.at(("trainer",), f"Lightning's Trainer can't be made so: {cause}") from cause

    def _find_checkpoint(self) -> str | None:
        if self.checkpoint is not None:
            return self.call.checkpoint
        if self.call.checkpoint:  # best or last
            return str(find_run_checkpoint(self.call.run, self.root, self.call.name, f"{self.call.checkpoint}.ckpt"))
        if self.call.verb == "fit":
            return None
        return str(find_run_checkpoint(self.call.run, self.root, self.call.name))

    def _prepare_evaluation(self) -> None:
        """Load the weights, and see to it that there are rows for them."""
        checkpoint = self.checkpoint or read_checkpoint(self.checkpoint_path or "")
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
        early_stopping = self._get(self.config_init, "early_stopping")
        checkpoint = self._get(self.config_init, "checkpoint")
        watched = self.model.problem_row.monitor
        callbacks: list[Any] = []
        if early_stopping is not None:
            callbacks.append(early_stopping.build(logged, watched))
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
            stored = self.checkpoint or read_checkpoint(self.checkpoint_path)
            check_resumable(stored, self.model, options.get("max_epochs"))
            callbacks.insert(0, Resume(self.model.optimizer_spec.arguments))
        return [self.run_folder, *callbacks]

    def _config_text(self) -> str:
        """Return the config that repeats the run."""
        config = self.config[self.call.verb].clone()
        config["ckpt_path"] = None  # a run that was resumed is repeated from its start
        del config["config"]
        # Not the parser's own dump, which reads text again and makes a number of a column called 1e3.
        return str(yaml.dump(_without_unset(config), Dumper=Dumper, sort_keys=False, allow_unicode=True))

    def _output(self) -> Path:
        given = self._get(self.config, "output")
        run = Path(self.checkpoint_path or "").parent.parent
        path = Path(given) if given else (run if self.call.run or not self.checkpoint else Path()) / "predictions.csv"
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


def _without_unset(value: Any) -> Any:
    """Return a parsed config as dictionaries, without the keys that have no value."""
    if not isinstance(value, Namespace):
        return value
    return {name: _without_unset(part) for name, part in vars(value).items() if part is not None}


def _say(text: str) -> None:
    rank_zero_only(print)(text, flush=True)
