"""fit, validate, test and predict: the Trainer's verbs, by LightningCLI."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from importlib import import_module
from os.path import isfile  # which any text may be asked of
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.utilities import rank_zero_only
from rich.console import Console

from lightlab.checkpoints import digests, read_checkpoint
from lightlab.commands.call import Call
from lightlab.commands.reader import ConfigReader
from lightlab.config.classes import ClassSpec
from lightlab.config.defaults import config_text, with_defaults
from lightlab.credentials import without_secrets
from lightlab.errors import ConfigError, DataError, Key, RunError
from lightlab.files import check_output, remove_leftovers
from lightlab.inspect.inspection import Inspection
from lightlab.inspect.outcome import Outcome, align, metric_lines
from lightlab.inspect.tensorboard.logger import RunLogger
from lightlab.interruption import NOTHING_KEPT, Interrupted, heed, release
from lightlab.registry import plugin_options
from lightlab.terminal import say
from lightlab.training.batch_size import FindBatchSize
from lightlab.training.checkpoint_io import SafeCheckpointIO
from lightlab.training.execution import Execution, set_device_defaults
from lightlab.training.finite import FiniteNumbers
from lightlab.training.interruption import Interruption, SignalConnector
from lightlab.training.memory import is_out_of_memory
from lightlab.training.options import CheckpointOptions, EarlyStoppingOptions, TensorBoardOptions
from lightlab.training.out_of_memory import OutOfMemory, say_out_of_memory
from lightlab.training.predictions import WRITERS, PredictionWriter, check_overwrites_no_source
from lightlab.training.progress import Progress
from lightlab.training.ranks import Ranks
from lightlab.training.resume import Resume, check_resumable, epochs_over
from lightlab.training.run_folder import RunFolder
from lightlab.training.run_names import confined
from lightlab.training.run_paths import BEST, CONFIG, METRICS, check_run_folder, find_run_checkpoint


def run(call: Call) -> None:
    """Carry out one of the Trainer's verbs.

    Raises:
        LightlabError: something given is wrong.
    """
    LightlabCLI(call)


class LightlabCLI(ConfigReader):
    """LightningCLI with lightlab's model, data and Trainer; runs the call on construction, as its base does."""

    def _run_subcommand(self, subcommand: str) -> None:
        try:
            self._run_alone(subcommand)
        except Exception as error:
            raise self.ranks.settle(error) from error.__cause__
        finally:
            self.ranks.finish()

    def _run_alone(self, subcommand: str) -> None:
        """Run the Trainer, as if this were the only process."""
        try:
            heed()
            LightningCLI._run_subcommand(self, subcommand)
        except (MisconfigurationException, ModuleNotFoundError) as cause:
            raise ConfigError.at(("trainer",), f"Lightning's Trainer can't do so: {cause}") from cause
        except Interrupted as interrupted:
            if self.call.verb == "fit" and not interrupted.kept:
                interrupted.kept = NOTHING_KEPT
            raise
        except RunError:
            with suppress(Interrupted):  # what has failed is to be said, whoever tells us to end
                release()
            if self.run_folder and self.run_folder.path and self.run_folder.path.is_dir():
                self._say_diagnosis()  # what broke off may show why
            raise
        except (MemoryError, OSError, RuntimeError) as cause:
            if not is_out_of_memory(cause):
                raise
            raise RunError(say_out_of_memory(self.trainer, cause)) from cause

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Return the Trainer, its callbacks chosen for the verb; data and model are ready before it."""
        given = with_defaults(self.call.config)["trainer"]
        options = {name: _make(value, ("trainer", name)) for name, value in given.items()}
        self.root = Path(options["default_root_dir"])
        self.run_folder: RunFolder | None = None
        self.best: ModelCheckpoint | None = None
        self.last: ModelCheckpoint | None = None
        self.inspection: Inspection | None = None
        callbacks = options.get("callbacks") or []
        callbacks = callbacks if isinstance(callbacks, list) else [callbacks]
        self.checkpoint_path = self._find_checkpoint()
        self._check_output(options)
        if self.call.verb == "fit":
            callbacks = [
                *self._prepare_fit(options, callbacks),
                *callbacks,
            ]  # the run folder first: it brings the logger
            callbacks.sort(key=lambda each: each is self.last)  # which keeps what all others have come to
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
            trainer = Trainer(**{**options, "callbacks": callbacks})
        except (MisconfigurationException, ModuleNotFoundError, ValueError, TypeError, RuntimeError) as cause:
            raise ConfigError.at(("trainer",), f"Lightning's Trainer can't be made so: {cause}") from cause
        trainer._signal_connector = SignalConnector(trainer)
        self.ranks = Ranks(trainer, self.call.config.get("rank_timeout"))
        return trainer

    def _find_checkpoint(self) -> str | None:
        if self.call.stored is not None:
            return self.call.checkpoint
        if self.call.checkpoint:  # best or last
            return str(find_run_checkpoint(self.call.run, self.root, self.call.name, f"{self.call.checkpoint}.ckpt"))
        if self.call.verb == "fit":
            return None
        return str(find_run_checkpoint(self.call.run, self.root, self.call.name))

    def _check_output(self, options: Mapping[str, Any]) -> None:
        """See to it that there is a place for what will come of it, before data is read for it."""
        if self.call.verb == "fit" and not options.get("fast_dev_run"):
            check_run_folder(self.root, self.call.name)
        if self.call.verb == "predict":
            check_output(self._output(), "predictions", makes_folders=True)
            check_overwrites_no_source(self._output(), dict(self._sources()))

    def _sources(self) -> Iterator[tuple[str, str]]:
        """Return the paths of all that a prediction is made from, and what each is."""
        yield from ((file, "the config") for file in self.call.files)
        yield str(self.checkpoint_path), "the checkpoint"
        for key, text in _texts(self.call.config["data"]["init_args"], ("data",)):
            is_place = "path" in str(key[-1]) or key[-1] == "root"  # any text may be a folder's name by chance
            # The run folder may lie in that of the data, and its own predictions are written anew.
            if isfile(text) or (is_place and self.call.config.get("output")):
                yield text, ".".join(map(str, key))

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

    def _prepare_fit(self, options: dict[str, Any], given: list[Any]) -> list[Any]:
        """Load data and build the model, so that whatever is wrong with them shows before there is a run folder."""
        stored = self._read_resumed()
        self.datamodule.take_batch_size((stored or {}).get(type(self.datamodule).__qualname__, {}))
        self.connect()
        self.check_trainer()
        early_stopping = self.call.config.get("early_stopping")
        checkpoint = CheckpointOptions(**self.call.config.get("checkpoint", {}))
        callbacks: list[Any] = []
        if early_stopping is not None:
            watched = self.model.problem_row.monitor
            callbacks.append(EarlyStoppingOptions(**early_stopping).build(self.logged, watched))
        if options.get("enable_checkpointing") is not False and not options.get("fast_dev_run"):
            self.best, self.last = checkpoint.build(self.logged, self.kept)
            callbacks += [self.best, self.last]
        callbacks.append(Interruption(self.last))
        if options.get("enable_progress_bar") is not False:
            callbacks.append(Progress(self.kept))
        config = with_defaults(self.call.config)
        set_device_defaults(options)
        callbacks.append(Execution(config["steps_per_execution"], config["compile"]))
        callbacks += [FiniteNumbers(config["non_finite"]), OutOfMemory()]
        shown = self._tensorboard(options)
        make_logger = None if shown is None else partial(RunLogger, options=shown)
        self.run_folder = RunFolder(self.root, self.call.name, self._config_text(), make_logger)
        if not options.get("fast_dev_run"):
            self.inspection = Inspection(self.model, self.datamodule, self.run_folder, without_secrets(config), shown)
            callbacks.append(self.inspection.history)
        if stored:
            limits = options.get("max_epochs"), options.get("max_steps")
            check_resumable(stored, self.model, *limits, given, self.datamodule)
            done = f"whole epochs {epochs_over(stored)}, steps {stored['global_step']}"
            _say(f"goes on from: {self.checkpoint_path} ({done})")
        callbacks.insert(0, Resume(self.model.optimizer_spec.arguments))
        callbacks.insert(0, self.run_folder)
        if self.datamodule.finds_batch_size:  # before the run folder, which has it in its config
            callbacks.insert(0, FindBatchSize(self._keep_batch_size))
        return callbacks

    def _keep_batch_size(self) -> None:
        """Write the batch size that was found into the config that repeats the run."""
        assert self.run_folder is not None  # it is there before anything is looked for
        self.run_folder.config = self._config_text()

    def _read_resumed(self) -> dict[str, Any] | None:
        """Return the checkpoint to go on from, if there is one: whole, and with the weights of the network it has."""
        if self.checkpoint_path is None:
            return None
        remove_leftovers(Path(self.checkpoint_path).parent)
        stored = self.call.stored or read_checkpoint(self.checkpoint_path)
        if self.model.hparams["layers"] == stored["hyper_parameters"].get("layers"):  # which may be no config's own
            self.model.check_weights(stored)
        return stored

    def _tensorboard(self, options: Mapping[str, Any]) -> TensorBoardOptions | None:
        """Return what TensorBoard shows; ``None`` where it is switched off, or the config has another logger."""
        given = self.call.config.get("tensorboard", {})
        if given is None or options.get("logger") not in (None, True) or options.get("fast_dev_run"):
            return None
        return TensorBoardOptions(**given)

    def _config_text(self) -> str:
        """Return the config that repeats the run: with the seed that was drawn, and the batch size that was found."""
        given = self.call.config["data"]
        found = {} if self.datamodule.finds_batch_size else {"batch_size": self.datamodule.batch_size}
        data = ClassSpec(class_path=given["class_path"], init_args={**given["init_args"], **found})
        seed = self._get(self.config, "seed_everything")
        return config_text({**self.call.config, "data": data, "seed_everything": seed})

    def _output(self) -> Path:
        given = self.call.config.get("output")
        run = Path(self.checkpoint_path or "").parent.parent if self.call.run or not self.call.stored else Path()
        path = Path(given) if given else confined(run / "predictions.csv", run)
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
        assert spec is not None  # the model is built by now
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
        try:
            release()
            self._evaluate_best()
        except Interrupted as interrupted:
            if self.run_folder and self.run_folder.path:
                interrupted.kept = f"training is complete, and {self.run_folder.path} has its weights"
                interrupted.command = ("test", "--config", str(self.run_folder.path / CONFIG))
            raise

    def _evaluate_best(self) -> None:
        seconds = time.monotonic() - self.started
        epochs = self.trainer.current_epoch
        run = self.run_folder.path if self.run_folder else None
        if self.run_folder and run and self.trainer.global_step == 0:
            self.run_folder.remove(self.trainer)
            raise RunError(f"Training takes at least one step. It took none: see {self._limits()}.")
        if run is None:
            self._say_diagnosis()
            return
        best = self._best_weights()
        if best is None:
            self._say_last(run, epochs, seconds)
            return
        if self.inspection:
            self.inspection.see_last(self.trainer)
        stored = read_checkpoint(best)
        self.model.load_state_dict(stored["state_dict"])
        test: dict[str, float] = {}
        if "test" in self.datamodule.counts:
            test = dict(*self.trainer.test(self.model, datamodule=self.datamodule, verbose=False))
        if not self.trainer.is_global_zero:
            return
        validation = {name: value for name, value in stored["metrics"].items() if name.startswith("val/")}
        outcome = Outcome(
            validation=validation,
            test=test,
            best_epoch=min(stored["epoch"] + 1, epochs),
            best_step=stored["global_step"],
            epochs=epochs,
            seconds=round(seconds, 3),
            checkpoint=str(best),
            **digests(best),
        )
        outcome.write(run / METRICS)
        say(outcome.table(run, plugin_options()))
        if self.inspection and self.best:
            self.inspection.see_best(self.trainer, outcome, str(self.best.monitor), self.best.mode)
        self._say_diagnosis()

    def _say_last(self, run: Path, epochs: int, seconds: float) -> None:
        """Keep the metrics of the last epoch, where no weights were kept that others could be had of, and say them."""
        if not self.trainer.is_global_zero:
            return
        figures = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        outcome = Outcome(
            validation={name: value for name, value in figures.items() if name.startswith("val/")},
            test={},
            best_epoch=epochs,
            best_step=self.trainer.global_step,
            epochs=epochs,
            seconds=round(seconds, 3),
            checkpoint=None,
            sha256=None,
            md5=None,
        )
        outcome.write(run / METRICS)
        say(outcome.table(run, plugin_options()))
        self._say_diagnosis()

    def _say_diagnosis(self) -> None:
        if self.inspection and self.trainer.is_global_zero:
            _say(f"{'doctor':<12}{self.inspection.verdict()}")  # below the table

    def _limits(self) -> str:
        """Return what may leave a training without a step."""
        time_limit = self.call.config.get("trainer", {}).get("max_time")
        others = "trainer.max_epochs and limit_train_batches"
        return others if time_limit is None else f"trainer.max_time ({time_limit}), or {others}"

    def _best_weights(self) -> Path | None:
        """Return the file with the best weights, or with the last where no validation told which are best."""
        if self.best is None or self.best.dirpath is None:
            _say(
                "No weights were kept (trainer.enable_checkpointing is false): the metrics are those of the last epoch."
            )
            return None
        if self.best.best_model_path:
            return Path(self.best.best_model_path)
        stand_in = Path(self.best.dirpath) / BEST
        self.trainer.save_checkpoint(stand_in)
        _say(f"{self.best.monitor} was never logged: the last weights stand in for the best.")
        return stand_in

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


def _texts(value: Any, key: Key) -> Iterator[tuple[Key, str]]:
    """Return each text in arguments, at any depth, with where it stands."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping | list):
        for name, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _texts(part, (*key, name))


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


def _say(text: str) -> None:
    rank_zero_only(say)(text)
