"""The LightningModule: one step for training, validation, test and prediction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from itertools import zip_longest
from typing import Any, Literal, cast

import torch
from lightning.pytorch import Callback, LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, nn

from lightlab import __version__
from lightlab.batch import Batch
from lightlab.build import affordable, build_layers, check_last_layer, check_learns_from_one
from lightlab.checkpoints import read_checkpoint
from lightlab.checkpoints.rebuild import check_room, check_shapes, without_memory
from lightlab.data_spec import DataSpec
from lightlab.errors import CheckpointError, ConfigError, DataError, RunError, ShapeError
from lightlab.heads.base import Head
from lightlab.layer_faults import names_layer
from lightlab.layers.base import penalty, regularized
from lightlab.metrics import EpochMetrics
from lightlab.model_spec import KEY, parse_head, parse_model
from lightlab.optim import Interval
from lightlab.preprocess import Preprocess, PreprocessText, make_preprocess
from lightlab.problems import Problem
from lightlab.processes import of_all_processes
from lightlab.random_state import random_state, set_random_state
from lightlab.registry import HEADS, PROBLEMS
from lightlab.training.account import find_broken
from lightlab.training.batch_size import settle_batch_size
from lightlab.training.checkpoint_io import use_safe_checkpoints
from lightlab.training.culprit import are_finite
from lightlab.training.finite import FiniteNumbers
from lightlab.training.half_precision import keep_data_exact
from lightlab.training.memory import is_out_of_memory
from lightlab.training.whole_pass import check_whole_pass
from lightlab.unfinished_epoch import UnfinishedEpoch

#: As long as a training may be, where only that counts that there is a length.
ANY_LENGTH = 1000


class Model(LightningModule):
    """A network for one problem: preprocessing, layers and a head.

    It is built when the data is known: by the Trainer, from its datamodule; from a checkpoint, which holds all that
    is needed; or by `build`.

    Args:
        layers: each ``name``, ``{name: value}`` or ``{name: {parameter: value}}``; the head comes after them.
        problem: a row of `lightlab.problems`; inferred from the target where it is left out.
        head: arguments of the problem's head, such as ``label_smoothing`` or ``loss``.
        optimizer: of torch.optim: a name, or ``{class_path: …, init_args: {…}}``.
        lr_scheduler: of torch.optim.lr_scheduler: a name, or ``{class_path: …, init_args: {…}}``, with ``interval``
            (``step`` or ``epoch``) and ``warmup`` (how many of these the rate rises at first) beside them.

    Raises:
        ConfigError: with every fault of the arguments.

    Example:
        >>> from lightlab import BundledData
        >>> from lightning import Trainer
        >>> data = BundledData("iris", batch_size=16)
        >>> model = Model([{"dense": {"units": 16, "activation": "relu"}}], optimizer={"class_path": "AdamW"})
        >>> quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
        >>> trainer = Trainer(max_epochs=2, accelerator="cpu", enable_model_summary=False, **quiet)
        >>> trainer.fit(model, data)
        problem: multiclass, inferred from target (3 different texts). Set model.problem to choose another.
        >>> model.data_spec.target.classes
        ('setosa', 'versicolor', 'virginica')
        >>> sorted(model.predict(torch.tensor([[5.1, 3.5, 1.4, 0.2]])))
        ['prediction', 'probability_setosa', 'probability_versicolor', 'probability_virginica']
    """

    preprocess: Preprocess | PreprocessText
    network: nn.Module
    head: Head
    train_metrics: EpochMetrics
    val_metrics: EpochMetrics
    test_metrics: EpochMetrics

    def __init__(
        self,
        layers: list[Any],
        problem: str | None = None,
        head: dict[str, Any] | None = None,
        optimizer: str | dict[str, Any] = "AdamW",
        lr_scheduler: str | dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.save_hyperparameters(logger=False)
        self.problem = problem
        self.head_options = head
        self.data_spec: DataSpec | None = None
        self._resumed: list[dict[str, Any]] = []
        self.finite_numbers: FiniteNumbers | None = None  # which a training sets
        spec = parse_model(layers, problem, head, optimizer, lr_scheduler)
        self.layer_specs, self.optimizer_spec, self.scheduler_spec = spec.layers, spec.optimizer, spec.scheduler

    @property
    def problem_row(self) -> Problem:
        """The row of the problem's type."""
        return PROBLEMS.get(self._built().problem)

    def metric_modes(self) -> dict[str, Literal["min", "max"]]:
        """Return the figures that are logged for a split, and whether less or more of each is better."""
        self._built()
        return self.train_metrics.modes()

    def _built(self) -> DataSpec:
        if self.data_spec is None:
            raise DataError(
                "A model is built once its data is known: by a lightlab datamodule, from a checkpoint, or, for loaders "
                "of one's own, by model.build(DataSpec(...))."
            )
        return self.data_spec

    # Building

    def configure_callbacks(self) -> list[Callback]:
        """Return what stops a training whose numbers are not finite, where the Trainer has no such callback."""
        callbacks: list[Callback] = self.trainer.callbacks  # type: ignore[attr-defined]  # Lightning sets it untyped
        return [] if any(isinstance(each, FiniteNumbers) for each in callbacks) else [FiniteNumbers()]

    def setup(self, stage: str) -> None:
        """Build the network from what the datamodule says of the data, or hold the data against the network."""
        use_safe_checkpoints(self.trainer)
        keep_data_exact(self.trainer)
        datamodule: Any = getattr(self.trainer, "datamodule", None)
        if hasattr(datamodule, "connect"):
            spec = datamodule.connect(self.problem, self.data_spec)
            if self.data_spec is None:
                self.build(spec)
            if stage in ("fit", "validate", "test"):
                datamodule.check_targets(self.head.valid, self.head.rule)
            if stage == "fit":
                settle_batch_size(self.trainer)
                self.check_rows(datamodule.fewest_rows)
        else:
            self._built()

    def build(self, spec: DataSpec) -> None:
        """Build preprocessing, layers and head.

        Args:
            spec: what is known of the data.

        Raises:
            ConfigError: a layer or the head can't be built so.
            ShapeError: a layer does not fit what arrives at it.
        """
        with affordable():
            self._build(spec)

    def _build(self, spec: DataSpec, codes_on: str = "cpu") -> None:
        self.data_spec = spec
        options = parse_head(spec.problem, self.head_options)
        preprocess = make_preprocess(spec.input)
        vocabulary_size = len(spec.input.vocabulary) or None
        network, shape = build_layers(self.layer_specs, preprocess.output_shape, vocabulary_size, codes_on)
        if len(shape) != 1:
            raise ShapeError.at(
                (*KEY, "layers"),
                f"The head needs rank 2 (batch, features). Received: (batch, {', '.join(map(str, shape))}) from the "
                f"last layer. Add flatten or global_avg_pool.",
            )
        try:
            self.head = HEADS.get(spec.problem)(shape[0], target=spec.target, **options)
        except ValueError as cause:
            raise ConfigError.at((*KEY, "head"), str(cause)) from cause
        check_last_layer(self.layer_specs, self.head.linear.out_features, self.problem_row)
        self.preprocess, self.network = preprocess, network
        self.regularized = regularized(network)
        self.memory_format = choose_memory_format(network)
        network.to(memory_format=self.memory_format)
        self.train_metrics, self.val_metrics, self.test_metrics = (
            EpochMetrics(self.head, spec.target.columns) for _ in range(3)
        )
        self.penalties: list[Tensor] = []
        self._epoch = UnfinishedEpoch(self)
        buffers = [(name, each) for name, each in self.named_buffers() if not each.is_meta]
        self.infinite_buffers = frozenset(name for name, each in buffers if not are_finite([each]))
        # Several processes bring what layers change into line at each step; the rest is the same in all, and stays.
        self._ddp_params_and_buffers_to_ignore = [
            name for name, _ in self.named_buffers() if not name.startswith("network.")
        ]

    def check_rows(self, fewest: int) -> None:
        """Refuse a training in which a process has so few rows of a step that a layer can't learn from them.

        Args:
            fewest: rows that a process has at least.

        Raises:
            ConfigError: with the layer.
        """
        # With trainer.sync_batchnorm they learn from the rows of all processes.
        gathers = self._trainer is not None and getattr(self.trainer.strategy, "_layer_sync", None) is not None
        if fewest == 1 and not gathers:
            vocabulary_size = len(self._built().input.vocabulary) or None
            network = cast("nn.Sequential", self.network)
            check_learns_from_one(self.layer_specs, network, self.preprocess.output_shape, vocabulary_size)

    # Steps

    @names_layer
    def forward(self, inputs: Tensor) -> Tensor:
        """Return the logits, (batch, outputs), of raw inputs, (batch, …)."""
        features = self.preprocess(inputs)
        if features.ndim == 4:
            features = features.contiguous(memory_format=self.memory_format)
        return cast("Tensor", self.head(self.network(features)))

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a step, penalties included: the mean over the rows of all processes."""
        batch = Batch(*batch)
        logits, losses, extra = self.evaluate(batch)
        # Lightning averages over the processes, whose shares of the rows may differ by one.
        share = 1 / len(losses) if batch.total is None else self.trainer.world_size / batch.total
        loss = losses.sum() * share
        if extra is not None:
            loss = loss + extra
        given = logits, losses, cast("Tensor", batch.targets), extra
        if self.finite_numbers is None:
            self._keep(*given)
        elif self.finite_numbers.see_loss(loss, losses, batch, batch_idx):
            self.finite_numbers.count(*given)
        return loss

    # It asks nothing of the loop around it: it logs nothing, and always returns a loss.
    training_step.is_bare = True  # type: ignore[attr-defined]

    def recipe(self) -> dict[str, Any] | None:
        """Return what builds the same network in another process; ``None`` where a subclass may compute otherwise."""
        if type(self) is not Model:
            return None
        return {"model": dict(self.hparams), "data_spec": self._built().to_dict()}

    @names_layer
    def evaluate(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return what a step of the training is made of, with nothing else done: no state but the layers' own changes.

        Returns:
            the logits, (rows, outputs); the loss of each row, (rows,); the penalties' sum, ``None`` where no layer has
            one.
        """
        logits = self(batch.inputs)
        losses = self.head.loss(logits, cast("Tensor", batch.targets))
        if batch.mixed is not None and batch.targets is not None:
            partner, weight = batch.mixed
            losses = weight * losses + (1 - weight) * self.head.loss(logits, batch.targets[partner])
        return logits, losses, penalty(self.regularized)

    def keep(self, logits: Tensor, losses: Tensor, targets: Tensor, extra: Tensor | None) -> None:
        """Keep what steps of the training gave that were taken in one go, until the epoch's figures are made of it.

        Args:
            logits: (rows, outputs).
            losses: of each row, (rows,).
            targets: as the head takes them.
            extra: the penalties' sum, of each step.

        Raises:
            NotFiniteError: a loss is not finite.
        """
        if self.finite_numbers is not None:
            self.finite_numbers.see_losses(losses)
        self._keep(logits, losses, targets, extra)

    def _keep(self, logits: Tensor, losses: Tensor, targets: Tensor, extra: Tensor | None) -> None:
        self.train_metrics.update(losses, logits, targets)
        if extra is not None:
            self.penalties.append(extra.detach().reshape(-1))

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Keep loss and metrics of a batch of the validation split."""
        self._evaluate(batch, self.val_metrics)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Keep loss and metrics of a batch of the test split."""
        self._evaluate(batch, self.test_metrics)

    @names_layer
    def _evaluate(self, batch: Any, metrics: EpochMetrics) -> None:
        inputs, targets = batch[:2]
        if not len(inputs):  # with fewer rows than processes, some have none
            return
        with torch.inference_mode():
            logits = self.forward_in_parts(inputs)
            losses = self.head.loss(logits, targets)
        metrics.update(losses, logits, targets)

    def forward_in_parts(self, inputs: Tensor) -> Tensor:
        """Return the logits of raw inputs, as `forward` does; in parts where the device has no room for all of them."""
        try:
            return cast("Tensor", self(inputs))
        except (MemoryError, RuntimeError) as error:
            if len(inputs) == 1 or not is_out_of_memory(error):
                raise
        return torch.cat([self.forward_in_parts(half) for half in inputs.tensor_split(2)])

    def predict_step(self, batch: Any, batch_idx: int) -> dict[str, list[Any]]:
        """Return the decoded predictions of a batch, and where its rows stand in their split.

        Raises:
            RunError: a row's are not finite numbers.
        """
        batch = Batch(*batch) if isinstance(batch, tuple | list) else Batch(batch)
        places = [] if batch.places is None else batch.places.tolist()
        if not len(batch.inputs):
            return {"places": places}
        logits = self.forward_in_parts(batch.inputs).float()
        finite = torch.isfinite(logits).all(dim=1)
        if not bool(finite.all()):
            place = int((~finite).int().argmax())
            row = places[place] if places else place
            raise RunError(
                f"A prediction is made of finite numbers. Row {row} gives none: look for extreme values in it."
            )
        return {"places": places, **self.head.decode(logits)}

    @torch.inference_mode()
    def predict(self, inputs: Tensor) -> dict[str, list[Any]]:
        """Return the decoded predictions of raw inputs, (batch, …), a column each."""
        was_training = self.training
        self.eval()
        try:
            return self.head.decode(self(inputs.to(self.device)).float())
        finally:
            self.train(was_training)

    # Logging

    def on_train_epoch_end(self) -> None:
        """Log loss, metrics and penalty of the epoch."""
        self._log("train", self._epoch.end())
        if self.finite_numbers is not None and self.finite_numbers.skips:
            self.log("train/skipped", float(self.finite_numbers.skipped))

    def on_validation_epoch_start(self) -> None:
        """Start anew, since a sanity check may have left something."""
        self.val_metrics.reset()
        if self.trainer.state.fn == TrainerFn.FITTING and not self.trainer.sanity_checking:
            self._epoch.see_validation()

    def on_validation_epoch_end(self) -> None:
        """Log loss and metrics of the validation split."""
        check_whole_pass(self.trainer)
        self._log("val", self.val_metrics.compute())

    def on_test_epoch_end(self) -> None:
        """Log loss and metrics of the test split."""
        check_whole_pass(self.trainer)
        self._log("test", self.test_metrics.compute())

    def _log(self, stage: str, figures: Mapping[str, Tensor]) -> None:
        # EpochMetrics has already summed over the processes.
        self.log_dict({f"{stage}/{name}": value for name, value in figures.items()})
        if self.finite_numbers is not None:
            self.finite_numbers.check_figures(stage, figures)

    # Optimizers

    def configure_optimizers(self) -> Any:
        """Return optimizer and schedulers as Lightning takes them."""
        # Lightning clips no gradients of mixed precision for fused kernels, which undo their scaling themselves.
        trainer: Any = self._trainer
        clips_mixed = trainer and trainer.gradient_clip_val and str(trainer.precision).endswith("-mixed")
        optimizer = self.optimizer_spec.build(self.parameters(), fuse=not clips_mixed)
        if self.scheduler_spec is None:
            return optimizer
        watched = self.scheduler_spec.monitor or self.problem_row.monitor
        mode = self.metric_modes().get(watched.split("/", 1)[-1], self.problem_row.mode)
        every = (trainer and trainer.check_val_every_n_epoch) or 1
        return [optimizer], self.scheduler_spec.build(optimizer, self._training_length, watched, mode, every)

    def check_optimizers(self) -> None:
        """Make optimizer and schedule, for a training of any length, and forget them.

        Raises:
            ConfigError: torch refuses their arguments.
        """
        optimizer = self.optimizer_spec.build(self.parameters())
        if self.scheduler_spec is not None:
            self.scheduler_spec.build(optimizer, lambda interval: ANY_LENGTH, self.problem_row.monitor, "min")

    def _training_length(self, interval: Interval) -> int:
        steps = self.trainer.estimated_stepping_batches
        epochs = self.trainer.max_epochs
        if steps == float("inf") or (interval == "epoch" and (epochs is None or epochs < 1)):
            raise ConfigError.at(
                (*KEY, "lr_scheduler"),
                "A schedule over the whole training needs its length: set trainer.max_epochs, or the schedule's own "
                "length in init_args.",
            )
        return int(steps) if interval == "step" else cast("int", epochs)

    # Checkpoints

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Model:
        """Return the trained model of a checkpoint, in evaluation mode on the CPU; nothing else is needed.

        Raises:
            CheckpointError: it can't be read, or is no checkpoint of lightlab's.
        """
        checkpoint = read_checkpoint(path)
        given = checkpoint["hyper_parameters"]
        known = ("layers", "problem", "head", "optimizer", "lr_scheduler")
        if unknown := [str(name) for name in given if name not in known]:
            raise CheckpointError(f"A model is made of {', '.join(known)}. {path} has {', '.join(unknown)}, too.")
        if "layers" not in given:
            raise CheckpointError(f"A model is made of layers. {path} has none.")
        model = cls(**given)
        model.on_load_checkpoint(checkpoint)
        model.load_state_dict(checkpoint["state_dict"])
        return model.eval()

    @classmethod
    def load_from_checkpoint(cls, checkpoint_path: Any, *others: Any, **options: Any) -> Model:
        """Do what `load` does, under Lightning's name: the file is all that counts, and nothing in it runs.

        Raises:
            TypeError: something else is given beside the file.
            CheckpointError: it can't be read, or is no checkpoint of lightlab's.
        """
        if others or options:
            raise TypeError("A lightlab checkpoint is whole: load_from_checkpoint takes its path alone.")
        return cls.load(checkpoint_path)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add what is known of the data, and the metrics at this point.

        Raises:
            RunError: a weight is not finite; in all processes.
        """
        broken = find_broken(self, checkpoint["state_dict"])
        # All processes go the same way, whichever of them has the number: they wait for each other on both.
        if not self.trainer.strategy.reduce_boolean_decision(not broken, all=True):
            if self.finite_numbers is not None:
                self.finite_numbers.verify()
            where = broken[0] if broken else "the model of another process"
            raise RunError(f"A checkpoint holds finite numbers. None is written, since {where} has others.")
        checkpoint["lightlab_version"] = __version__
        checkpoint["data_spec"] = self._built().to_dict()
        checkpoint["max_epochs"] = self.trainer.max_epochs
        checkpoint["metrics"] = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        own = {"random": random_state(self.device), "epoch": self._epoch.state()}
        checkpoint["processes"] = of_all_processes(own)

    def check_weights(self, checkpoint: Mapping[str, Any]) -> None:
        """See to it that a checkpoint's weights are those of its own data and this model, which is not built for it.

        Raises:
            CheckpointError: they are not, or the network would take far more memory than they do.
            ConfigError: there is no such network.
        """
        weights = checkpoint["state_dict"]
        with without_memory(weights):
            self._build(DataSpec.from_dict(checkpoint["data_spec"]), codes_on="meta")
        self.data_spec = None
        check_shapes(self, weights)
        check_room(self, weights)

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Build the network that the checkpoint's weights belong to.

        Raises:
            CheckpointError: it is no checkpoint of lightlab's, or of a network with other layers.
        """
        if "data_spec" not in checkpoint:
            raise CheckpointError(
                "A lightlab checkpoint holds a data_spec. This one has none: lightlab did not write it."
            )
        if self.data_spec is None:
            self.check_weights(checkpoint)
            self._build(DataSpec.from_dict(checkpoint["data_spec"]), codes_on="meta")
        problem = self._built().problem
        if self.problem not in (None, problem):
            raise CheckpointError(f"A checkpoint is for one problem, here {problem}. Received: problem {self.problem}.")
        self._check_same_data(DataSpec.from_dict(checkpoint["data_spec"]))
        check_shapes(self, checkpoint["state_dict"])
        if self._trainer is not None and self._trainer.state.fn == TrainerFn.FITTING:
            self._resumed = checkpoint.get("processes", [])
            # Lightning converts the model after it has read the weights, whose double precision would be lost.
            self.trainer.precision_plugin.convert_module(self)

    def on_train_start(self) -> None:
        """Go on from a checkpoint to the bit: with its random numbers, and what it has of its epoch.

        It is the last that is called before the first batch; whatever draws random numbers before it leaves no trace.

        Raises:
            CheckpointError: it holds something else there.
        """
        # With as many processes as before, each has its own.
        states, self._resumed = self._resumed, []
        own = states[self.trainer.global_rank :: self.trainer.world_size]
        try:
            for state in own:
                self._epoch.go_on(state["epoch"])
            for state in own[:1]:
                set_random_state(state["random"], self.device)
        except Exception as cause:  # whatever plain data that is none of ours leads to
            raise CheckpointError(
                f"What the checkpoint has of its training can't be taken up ({type(cause).__name__}: {cause})."
            ) from cause
        if self.finite_numbers is not None:
            self.finite_numbers.begin()

    def _check_same_data(self, stored: DataSpec) -> None:
        """Refuse weights that were trained on other columns or classes, and take over what they were trained with.

        Raises:
            CheckpointError: the data is not what the checkpoint was trained on.
        """
        own = self._built()
        for what, here, there in (
            ("columns", own.input.columns, stored.input.columns),
            ("categories", own.input.categories, stored.input.categories),
            ("words", *_first_unlike(own.input.vocabulary, stored.input.vocabulary)),
            ("targets", own.target.columns, stored.target.columns),
            ("classes", own.target.classes, stored.target.classes),
        ):
            if here != there:
                raise CheckpointError(
                    f"A checkpoint goes with the data that it was trained on. Its {what} are {there}, here: {here}."
                )
        self.data_spec = stored


def choose_memory_format(network: nn.Module) -> torch.memory_format:
    """Return how images lie in memory: colours of a pixel side by side where there are convolutions.

    They are quicker so on CPUs and on GPUs; see torch's own guide to channels_last.
    """
    convolves = any(isinstance(layer, nn.Conv2d) for layer in network.modules())
    return torch.channels_last if convolves else torch.contiguous_format


def _first_unlike(here: tuple[str, ...], there: tuple[str, ...]) -> tuple[dict[int, str | None], ...]:
    """Return, of two vocabularies, the first code with another word in each."""
    pairs = enumerate(zip_longest(here, there))
    return next((({code: one}, {code: other}) for code, (one, other) in pairs if one != other), ({}, {}))
