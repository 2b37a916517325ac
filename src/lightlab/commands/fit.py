"""fit: trains a model, and evaluates its best weights."""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint

from lightlab.checkpoints import digests, read_checkpoint
from lightlab.commands.trainer import TrainerVerb, say
from lightlab.config.classes import ClassSpec
from lightlab.config.defaults import config_text, with_defaults
from lightlab.credentials import without_secrets
from lightlab.errors import RunError
from lightlab.files import remove_leftovers
from lightlab.inspect.inspection import Inspection
from lightlab.inspect.outcome import Outcome
from lightlab.inspect.tensorboard.logger import RunLogger
from lightlab.interruption import NOTHING_KEPT, Interrupted, release
from lightlab.registry import plugin_options
from lightlab.training.batch_size import FindBatchSize
from lightlab.training.execution import Execution, set_device_defaults
from lightlab.training.finite import FiniteNumbers
from lightlab.training.interruption import Interruption
from lightlab.training.options import CheckpointOptions, EarlyStoppingOptions, TensorBoardOptions
from lightlab.training.out_of_memory import OutOfMemory
from lightlab.training.progress import Progress
from lightlab.training.resume import Resume, check_resumable, epochs_over
from lightlab.training.run_folder import RunFolder
from lightlab.training.run_paths import BEST, CONFIG, METRICS, check_run_folder

#: What an outcome says of the file with the best weights.
FILE = ("checkpoint", "sha256", "md5")


class Fit(TrainerVerb):
    """Trains, evaluates the best weights on the test split, and says what came of it.

    Attributes:
        run_folder: where all of it is kept.
        best: what keeps the best weights; ``None`` where none are kept.
        last: what keeps the last ones.
        inspection: what looks on; ``None`` where nothing is kept.
    """

    default_checkpoint = None
    run_folder: RunFolder
    best: ModelCheckpoint | None = None
    last: ModelCheckpoint | None = None
    inspection: Inspection | None = None

    def run_alone(self, subcommand: str) -> None:
        """Train, as if this were the only process."""
        try:
            super().run_alone(subcommand)
        except Interrupted as interrupted:
            interrupted.kept = interrupted.kept or NOTHING_KEPT
            raise

    # Before training

    def prepare(self, options: dict[str, Any], callbacks: list[Any]) -> list[Any]:
        """Load data and build the model, so that whatever is wrong with them shows before there is a run folder.

        Raises:
            LightlabError: something is, or there is no place for the run folder.
        """
        leaves_traces = not options.get("fast_dev_run")
        if leaves_traces:
            check_run_folder(self.root, self.call.name)
        resumed = self._read_resumed()
        self.datamodule.take_batch_size((resumed or {}).get(type(self.datamodule).__qualname__, {}))
        self.connect()
        self.check_trainer()
        set_device_defaults(options)
        config = with_defaults(self.call.config)
        shown = self._tensorboard(options)
        make_logger = None if shown is None else partial(RunLogger, options=shown)
        self.run_folder = RunFolder(self.root, self.call.name, self._config_text(), make_logger)
        if leaves_traces:
            self.inspection = Inspection(self.model, self.datamodule, self.run_folder, without_secrets(config), shown)
        if resumed:
            limits = options.get("max_epochs"), options.get("max_steps")
            check_resumable(resumed, self.model, *limits, callbacks, self.datamodule)
            done = f"whole epochs {epochs_over(resumed)}, steps {resumed['global_step']}"
            say(f"goes on from: {self.checkpoint_path} ({done})")
        return self._callbacks(config, options, callbacks)

    def _callbacks(self, config: Mapping[str, Any], options: Mapping[str, Any], given: list[Any]) -> list[Any]:
        """Return all callbacks.

        Args:
            config: defaults included.
            options: of the Trainer.
            given: the config's own.
        """
        if options.get("enable_checkpointing") is not False and not options.get("fast_dev_run"):
            checkpoint = CheckpointOptions(**self.call.config.get("checkpoint", {}))
            self.best, self.last = checkpoint.build(self.logged, self.kept)
        # The run folder has the batch size in its config, and brings the logger; the last weights are kept with what
        # all others have come to.
        callbacks = [
            FindBatchSize(self._keep_batch_size) if self.datamodule.finds_batch_size else None,
            self.run_folder,
            Resume(self.model.optimizer_spec.arguments),
            self._early_stopping(),
            self.best,
            Interruption(self.last),
            Progress(self.kept) if options.get("enable_progress_bar") is not False else None,
            Execution(config["steps_per_execution"], config["compile"]),
            FiniteNumbers(config["non_finite"]),
            OutOfMemory(),
            self.inspection.history if self.inspection else None,
            *given,
            self.last,
        ]
        return [each for each in callbacks if each is not None]

    def _early_stopping(self) -> EarlyStopping | None:
        given = self.call.config.get("early_stopping")
        if given is None:
            return None
        return EarlyStoppingOptions(**given).build(self.logged, self.model.problem_row.monitor)

    def _keep_batch_size(self) -> None:
        """Write the batch size that was found into the config that repeats the run."""
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
        say(f"{self.call.name}: {spec.problem}, rows {rows}, inputs ({shape}), {count:,} parameters, on {device}")
        self.started = time.monotonic()

    # After training

    def after_fit(self) -> None:
        """Restore the best weights, evaluate them on the test split, and say what the run came to."""
        seconds = time.monotonic() - self.started
        try:
            release()
            self._conclude(seconds)
        except Interrupted as interrupted:
            if self.run_folder.path:
                interrupted.kept = f"training is complete, and {self.run_folder.path} has its weights"
                interrupted.command = ("test", "--config", str(self.run_folder.path / CONFIG))
            raise

    def _conclude(self, seconds: float) -> None:
        """Evaluate the best weights; keep and say what the run came to.

        Args:
            seconds: that training took.
        """
        run, epochs, steps = self.run_folder.path, self.trainer.current_epoch, self.trainer.global_step
        if run is None:  # nothing is kept of a trial
            return
        if steps == 0:
            self.run_folder.remove(self.trainer)
            raise RunError(f"Training takes at least one step. It took none: see {self._limits()}.")
        weights = self._best_weights()
        self._forget_training()
        if weights is None:
            figures = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
            test: dict[str, float] = {}
            best_epoch, best_step = epochs, steps
        else:
            stored = read_checkpoint(weights)
            stored.pop("optimizer_states", None)
            figures, test = stored["metrics"], self._test(stored)
            best_epoch, best_step = min(stored["epoch"] + 1, epochs), stored["global_step"]
        if not self.trainer.is_global_zero:
            return
        validation = {name: value for name, value in figures.items() if name.startswith("val/")}
        file = {"checkpoint": str(weights), **digests(weights)} if weights else dict.fromkeys(FILE)
        outcome = Outcome(validation, test, best_epoch, best_step, epochs, round(seconds, 3), **file)
        outcome.write(run / METRICS)
        say(outcome.table(run, plugin_options()))
        if weights and self.inspection and self.best:
            self.inspection.see_best(self.trainer, outcome, str(self.best.monitor), self.best.mode)
        self.say_why(outcome.width)

    def _forget_training(self) -> None:
        """Give back what only training needs, which may be twice what the weights take."""
        for optimizer in self.trainer.optimizers:
            optimizer.state.clear()

    def _test(self, stored: Mapping[str, Any]) -> dict[str, float]:
        """Give the model stored weights; return their metrics on the test split, if there is one."""
        if self.inspection:
            self.inspection.see_last(self.trainer)
        self.model.load_state_dict(stored["state_dict"])
        if "test" not in self.datamodule.counts:
            return {}
        return dict(*self.trainer.test(self.model, datamodule=self.datamodule, verbose=False))

    def _best_weights(self) -> Path | None:
        """Return the file with the best weights, or with the last where no validation told which are best."""
        if self.best is None or self.best.dirpath is None:
            rule = "No weights were kept (trainer.enable_checkpointing is false)"
            say(f"{rule}: the metrics are those of the last epoch.")
            return None
        if self.best.best_model_path:
            return Path(self.best.best_model_path)
        stand_in = Path(self.best.dirpath) / BEST
        self.trainer.save_checkpoint(stand_in)
        say(f"{self.best.monitor} was never logged: the last weights stand in for the best.")
        return stand_in

    def say_why(self, width: int = 0) -> None:
        """Say what the curves tell of the training, where it has a run folder.

        Args:
            width: of the names in the table above, in characters.
        """
        if self.inspection and self.run_folder.path and self.run_folder.path.is_dir() and self.trainer.is_global_zero:
            say(f"{'doctor':<{width}}  {self.inspection.verdict()}")

    def _limits(self) -> str:
        """Return what may leave a training without a step."""
        time_limit = self.call.config.get("trainer", {}).get("max_time")
        others = "trainer.max_epochs and limit_train_batches"
        return others if time_limit is None else f"trainer.max_time ({time_limit}), or {others}"
