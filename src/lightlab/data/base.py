"""What every source shares: splits, encoding, checks and loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Annotated, Any, Literal, NoReturn

import numpy as np
import pandas as pd
import torch
from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_only
from pydantic import Field
from torch import Tensor

from lightlab import terminal
from lightlab.batch import Batch
from lightlab.data.arrays.learn import check_array, learn_array
from lightlab.data.augment import Augment, parse_augment
from lightlab.data.finding import DataFinding
from lightlab.data.findings import find_imbalance, find_leaks, find_shared_rows
from lightlab.data.loader import BatchLoader, BatchPlan, RowOrder, default_workers
from lightlab.data.placing import MANY, Encoded, Placement, choose_batch_size, choose_eval_batch_size, hold
from lightlab.data.rows import Fingerprints, Rows, Stored, digest
from lightlab.data.splits import parse_split, split_rows
from lightlab.data.tables.columns import check_not_misread
from lightlab.data.tables.features import TableOptions, encode_table, learn_table
from lightlab.data.targets import (
    check_are_numbers,
    check_encoded,
    class_names,
    encode_target,
    infer_problem,
    learn_target,
    typed_targets,
)
from lightlab.data_spec import DataSpec, InputSpec, Normalize
from lightlab.errors import CheckpointError, ConfigError, DataError, RegistryError, TargetError
from lightlab.layers.parameters import PositiveInt
from lightlab.problems import Problem
from lightlab.registry import PROBLEMS
from lightlab.specs import check_parameters

say = rank_zero_only(terminal.say)
#: What NumPy's generators take, and one more is asked for.
Seed = Annotated[int, Field(ge=0, le=2**32 - 2)]


def find_problem(name: str) -> Problem:
    """Return the row of a problem type.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        return PROBLEMS.get(name)
    except RegistryError as error:
        raise ConfigError.at(("model", "problem"), str(error)) from error


class Data(LightningDataModule):
    """The base of all sources. A subclass says where rows come from (`load`), and has a docstring for its options.

    Rows are split first; all that is learned from data is then learned from the train split only. What looks like a
    mistake (rows in two splits, a column that tells the target, one class with many times the rows of another) is
    said, and nothing is changed for it.

    Args:
        batch_size: rows of one training step, over all processes: the same config gives the same steps on one
            device and on eight. ``auto`` for as many as suit the rows of the train split (a power of two from 16 to
            512, for about thirty steps an epoch), or half as many, and so on, where the memory has no room for them;
            what was found is kept with the run.
        eval_batch_size: rows of one step of evaluation and prediction, likewise; ``auto`` for as many as are fast,
            never fewer than ``batch_size``. It changes no figure. Where the Trainer limits the batches of evaluation,
            ``auto`` is ``batch_size``, so that they mean the same rows.
        split: shares of train, validation and test; or what `lightlab.data.splits.Split` has: ``{shares: …,
            groups: COLUMN}``, ``{time: COLUMN}``, ``{column: COLUMN}``, ``{folds: 5, fold: 0}``, ``{stratify: false}``.
        seed: of the splits, and of the order of the rows in each epoch.
        normalize: how numbers are normalised: ``standard`` (mean 0, variance 1), ``min_max`` (0 to 1), or ``none``.
        balanced: whether training draws rows with replacement so that every class comes equally often.
        augment: what is done to training batches, at random for each sample: a list in the style of layers.
        num_workers: processes that read what does not lie in memory; by default as many as the machine has for it.

    Raises:
        ConfigError: an option has a value that it can't have.
    """

    def __init__(
        self,
        batch_size: PositiveInt | Literal["auto"] = 32,
        eval_batch_size: PositiveInt | Literal["auto"] = "auto",
        split: list[float] | dict[str, Any] = (0.7, 0.15, 0.15),  # type: ignore[assignment]  # not to be changed
        seed: Seed = 0,
        normalize: Normalize = "standard",
        balanced: bool = False,
        augment: list[Any] | None = None,
        num_workers: Annotated[int, Field(ge=0)] | None = None,
    ) -> None:
        super().__init__()
        given = {"batch_size": batch_size, "seed": seed, "normalize": normalize, "balanced": balanced}
        others = {"eval_batch_size": eval_batch_size, "num_workers": num_workers}
        check_parameters(Data, given | others, ("data",), name=type(self).__name__)
        #: Whether the rows of a training step are still to be found.
        self.finds_batch_size = self._is_auto = batch_size == "auto"
        self._batch_size = 0 if batch_size == "auto" else batch_size
        self.eval_batch_size = eval_batch_size
        self.split = parse_split(split)
        self.seed = seed
        self.normalize: Normalize = normalize
        self.balanced = balanced
        self.augment_config = augment or []
        parse_augment(self.augment_config, ("data", "augment"))
        self.num_workers = num_workers
        self.spec: DataSpec | None = None
        self.rows: dict[str, Rows] = {}
        #: What was found in the data that may spoil a training.
        self.findings: list[DataFinding] = []
        self._stage = "fit"
        self._learned = False
        self._encoded: dict[str, Encoded] = {}
        self._resident: dict[str, Encoded] | None = None
        self._unshared = False
        self._digests: dict[str, dict[str, Any]] = {}
        self._augment: Augment | None = None

    # What a source says

    def load(self, stage: str) -> dict[str, Rows]:
        """Return the rows: under ``all`` what is to be split, or under ``train``, ``val``, ``test`` what is already.

        Rows under ``predict`` are predicted instead of the test split; they need no targets.

        Args:
            stage: fit, validate, test or predict; a source need not load what the stage does not use.
        """
        raise NotImplementedError

    def learn_input(self, rows: Rows) -> InputSpec:
        """Return what the train split's inputs are like.

        Raises:
            DataError: they can't be used.
        """
        if isinstance(rows.inputs, pd.DataFrame):
            return learn_table(rows, self.normalize, TableOptions())[0]
        return learn_array(rows, self.normalize)

    def encode_input(self, rows: Rows, spec: InputSpec) -> Tensor | Stored:
        """Return a split's inputs as the model takes them, (rows, *spec.shape).

        Raises:
            DataError: they are not what the model was trained on.
        """
        return encode_table(rows, spec) if isinstance(rows.inputs, pd.DataFrame) else check_array(rows, spec)

    def adapt(self, spec: InputSpec) -> None:
        """Take over from a trained model what rows are read by, before they are loaded."""

    # From rows to what a model learns from

    def setup(self, stage: str) -> None:
        """Note what rows are for; they are loaded when a model connects, which may know how to read them."""
        if (stage == "predict") != (self._stage == "predict"):
            self._encoded, self._resident = {}, None
        self._stage = stage

    def connect(self, problem: str | None, spec: DataSpec | None = None) -> DataSpec:
        """Split and encode the rows for a problem, and return what a model has to know of them.

        Args:
            problem: the problem type; ``None`` to infer it from the target.
            spec: what a trained model knows; rows are then encoded by it, and nothing is learned anew.

        Raises:
            DataError: rows that can't be split or encoded.
            TargetError: a target that does not fit the problem.
        """
        # What another model knew is no answer to what these rows teach.
        same = spec == self.spec if spec else self._learned
        if self._encoded and self.spec is not None and same and problem in (None, self.spec.problem):
            return self.spec
        self._encoded, self._resident = {}, None
        self._learned = spec is None
        if spec:
            self.adapt(spec.input)
        loaded = self.load(self._stage)
        problem = spec.problem if spec else problem or self._infer(loaded)
        self.rows = self._split(loaded, problem)
        del loaded  # all rows twice would be too many
        spec = spec or self._learn(problem)
        self.rows = {split: typed_targets(rows, spec.target.classes) for split, rows in self.rows.items()}
        row = PROBLEMS.get(spec.problem)
        encoded = {}
        for split, rows in self.rows.items():
            known = split != "predict" and rows.targets is not None
            targets = encode_target(rows, spec.target, row.target, row, split) if known else None
            encoded[split] = self.encode_input(rows, spec.input), targets
        self._augment = self.make_augment(spec.input)
        prints = {split: rows.fingerprints() for split, rows in self.rows.items()}
        self._digests = {
            split: {"rows": len(rows), "sha256": digest(prints[split], rows.target_fingerprints())}
            for split, rows in self.rows.items()
            if split != "predict"
        }
        if self._learned:
            self._find(spec, prints)
        self._encoded, self.spec = encoded, spec
        return spec

    def _infer(self, loaded: dict[str, Rows]) -> str:
        """Return the problem that the target looks like, and say it."""
        given = loaded.get("all") or loaded.get("train")
        rows = given and typed_targets(given)
        if rows is None or rows.targets is None:
            raise TargetError("Training needs rows with a target: set data.target. There are none.", ("data",))
        for name in rows.targets:
            check_not_misread(rows, rows.targets, str(name))
        if rows.targets.shape[1] > 1:
            check_are_numbers(rows)
        problem, reason = infer_problem(rows.targets)
        say(
            f"problem: {problem}, inferred from {', '.join(map(str, rows.targets.columns))} ({reason}). "
            f"Set model.problem to choose another."
        )
        return problem

    def _split(self, loaded: dict[str, Rows], problem: str) -> dict[str, Rows]:
        if "all" not in loaded:
            return dict(loaded)
        rows = loaded["all"]
        strata = None
        of_classes = problem in PROBLEMS and PROBLEMS.get(problem).target == "class"
        if of_classes and rows.targets is not None and rows.targets.shape[1] == 1:
            column = rows.targets.iloc[:, 0]
            strata = None if column.isna().any() else class_names(column).to_numpy()
        places = split_rows(rows, self.split, self.seed, strata)
        splits = {split: rows.take(part) for split, part in places.items()}
        return splits | {split: part for split, part in loaded.items() if split != "all"}

    def _learn(self, problem: str) -> DataSpec:
        if "train" not in self.rows:
            raise DataError("There are no rows to train on: the data has nothing but rows to predict.")
        train = typed_targets(self.rows["train"])
        if train.targets is None:
            raise TargetError(f"Training needs the target. {train.source} is without it: set data.target.", ("data",))
        row = find_problem(problem)
        if self.balanced and row.target != "class":
            raise ConfigError.at(
                ("data", "balanced"), f"balanced draws classes equally often. Problem {problem} has none."
            )
        target = learn_target(train, row)
        return DataSpec(problem, self.learn_input(train), target)

    def _find(self, spec: DataSpec, prints: dict[str, Fingerprints]) -> None:
        """Look for what may spoil the training, and say it."""
        self.findings = [
            *find_shared_rows(self.rows, prints),
            *(find_leaks(self.rows["train"]) if spec.input.kind == "table" else []),
            *([] if self.balanced else find_imbalance(spec.target.classes, spec.target.counts)),
        ]
        self.say_findings()

    def say_findings(self) -> None:
        """Say what may spoil the training."""
        for finding in self.findings:
            say(f"warning: {finding}")

    def make_augment(self, spec: InputSpec) -> Augment | None:
        """Return what augments training batches of such inputs, if anything does.

        Raises:
            ConfigError: an augmentation that does not fit them.
        """
        return Augment(self.augment_config, spec, ("data", "augment")) if self.augment_config else None

    @property
    def counts(self) -> dict[str, int | None]:
        """How many rows each split has; ``None`` where that shows only when they are read."""
        return {split: len(rows) for split, rows in self.rows.items()}

    @property
    def batch_size(self) -> int:
        """Rows of one training step, over all processes; for ``auto``, until they are found, what suits the rows."""
        suits = choose_batch_size(self.counts.get("train") or MANY)
        return self._batch_size or max(suits, 2 * self.place().world_size)

    @batch_size.setter
    def batch_size(self, rows: int) -> None:
        self._batch_size, self.finds_batch_size = rows, False

    def take_batch_size(self, state: Mapping[str, Any]) -> None:
        """Go on with the rows of a step that a run had before, where the config leaves them open.

        Args:
            state: what a checkpoint has of this run's data.
        """
        if self._is_auto and "batch_size" in state:
            self.batch_size = state["batch_size"]

    @property
    def fewest_rows(self) -> int:
        """Rows that a process has at least in a step of the training."""
        return self._train_plan().fewest_rows

    def sample(self) -> Batch:
        """Return some rows of the train split, as they are before training, to try a step on."""
        with self.alone():
            return Batch(*next(iter(self.shuffled_dataloader("train"))))

    def name_rows(self, split: str, places: np.ndarray[Any, Any]) -> tuple[str, np.ndarray[Any, Any]]:
        """Return what the rows at these places of a split are called, and what such names are."""
        rows = self.rows[split]
        return rows.id_name, rows.ids[places]

    def read_names(self, split: str) -> tuple[str, Iterator[np.ndarray[Any, Any]]]:
        """Return what the rows of a split are called, all of them in order, in parts, and what such names are."""
        rows = self.rows[split]
        return rows.id_name, iter([rows.ids])

    def check_targets(self, valid: Callable[[Tensor], Tensor], rule: str) -> None:
        """Hold the targets of all splits against what a head can learn.

        Args:
            valid: returns which targets can be learned.
            rule: what ``valid`` asks, in words.

        Raises:
            TargetError: a target that can't be.
        """
        for split, (_, targets) in self._encoded.items():
            if targets is not None:
                check_encoded(self.rows[split], targets, valid, rule, split)

    # What is kept with a run

    def digests(self) -> dict[str, dict[str, Any]]:
        """Return for each split how many rows it has, and the SHA-256 of their inputs and targets, in order."""
        return self._digests

    @classmethod
    def load_from_checkpoint(cls, *given: Any, **options: Any) -> NoReturn:
        """Refuse: Lightning would run what a file says, and there is nothing of a source in a checkpoint.

        Raises:
            TypeError: always.
        """
        raise TypeError(f"A checkpoint holds a model and no data. Make the data anew, by {cls.__name__}(…).")

    def state_dict(self) -> dict[str, Any]:
        """Return what goes into a checkpoint: which rows it was trained on, and how many in each step."""
        return {"splits": self.digests(), "batch_size": self.batch_size}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Hold the rows against those that a checkpoint was trained on.

        Raises:
            CheckpointError: training is to go on with others.
        """
        self.take_batch_size(state)
        before, now = state["splits"].get("train"), self.digests().get("train")
        if now is None or before is None or now == before:
            return
        text = f"{before['rows']} rows then, {now['rows']} now, and not the same"
        if self.trainer and self.trainer.training:
            raise CheckpointError(f"A resumed run goes on with its rows. The train split has changed: {text}.")
        say(
            f"warning: the train split is not the one that the model was trained on ({text}): rows of the other splits "
            f"may be among those it has learned from."
        )

    # Loaders

    def train_dataloader(self) -> BatchLoader:
        """Return the loader of the train split, in an order that each epoch has of its own."""
        return self._loader("train", self._train_plan())

    def val_dataloader(self) -> BatchLoader | list[Any]:
        """Return the loader of the validation split; an empty list where there is none."""
        return self._loader("val", self._plan("val")) if "val" in self._encoded else []

    def test_dataloader(self) -> BatchLoader | list[Any]:
        """Return the loader of the test split; an empty list where there is none."""
        return self._loader("test", self._plan("test")) if "test" in self._encoded else []

    def predict_dataloader(self) -> BatchLoader:
        """Return the loader of the rows to predict."""
        return self._loader(self.predict_split, self._plan(self.predict_split))

    def shuffled_dataloader(self, split: str) -> Any:
        """Return a loader of a split's rows, each once, in an order in which the first stand for all."""
        return self._loader(split, self._plan(split, self.seed))

    def choose_eval_batch_size(self) -> int:
        """Return the rows of a step of evaluation, over all processes."""
        if self.eval_batch_size != "auto":
            return self.eval_batch_size
        assert self.spec is not None
        if self.trainer is not None:
            stages = ("val", "test", "predict")
            limits = [getattr(self.trainer, f"limit_{stage}_batches") for stage in stages]
            if any(isinstance(limit, int) or limit < 1 for limit in limits):
                return self.batch_size
        return choose_eval_batch_size(self.batch_size, self.spec.input, self.place())

    @property
    def predict_split(self) -> str:
        """The split whose rows are predicted: rows that the source has for it, else the test split.

        Raises:
            DataError: there is neither.
        """
        for split in ("predict", "test"):
            if split in self.counts:
                return split
        raise DataError("There are no rows to predict: the data has neither rows for it nor a test split.")

    def _loader(self, split: str, plan: BatchPlan) -> BatchLoader:
        place = self.place()
        workers = default_workers(place.on_node) if self.num_workers is None else self.num_workers
        return BatchLoader(*self._held(split, place.target), plan, workers, place.target)

    def _train_plan(self) -> BatchPlan:
        (inputs, targets), place = self._encoded["train"], self.place()
        order = RowOrder(len(inputs), self.seed, targets if self.balanced else None)
        return BatchPlan(order, self.batch_size, place.rank, place.world_size, keep_short=False)

    def _plan(self, split: str, seed: int | None = None) -> BatchPlan:
        """Return which rows make the batches of an evaluation; with a seed in an order of its own."""
        order, place = RowOrder(len(self._encoded[split][0]), seed), self.place()
        return BatchPlan(order, self.choose_eval_batch_size(), place.rank, place.world_size)

    def _held(self, split: str, device: torch.device) -> Encoded:
        """Return a split on a device, if that is a GPU and has room for it."""
        if device.type == "cuda" and self._resident is None:
            self._resident = hold(self._encoded, device, free=torch.cuda.mem_get_info(device)[0])
        return (self._resident or {}).get(split, self._encoded[split])

    def place(self) -> Placement:
        """Return where this process stands among those that train, and where it computes."""
        trainer = self.trainer
        if trainer is None:
            return Placement()
        device = trainer.strategy.root_device
        if self._unshared:
            return Placement(device=device)
        on_node = max(1, trainer.world_size // trainer.num_nodes)
        return Placement(trainer.global_rank, trainer.world_size, on_node, device)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have loaders give all rows to this process."""
        self._unshared = True
        try:
            yield
        finally:
            self._unshared = False

    def placement(self) -> str:
        """Return where the train split lies, in a few words, and in a fit: ``data in memory``, ``data on device``."""
        return str(self.train_dataloader().placement)

    def on_after_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """Augment batches of the training, where they are: on the device."""
        if self._augment is None or self.trainer is None or not self.trainer.training:
            return batch
        return self._augment(Batch(*batch))
