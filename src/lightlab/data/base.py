"""What every source shares: splits, encoding, checks and loaders."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lightning.pytorch import LightningDataModule
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from lightlab.data.columns import check_not_misread
from lightlab.data.inputs import encode_input, learn_input
from lightlab.data.loader import TensorLoader
from lightlab.data.rows import Rows
from lightlab.data.splits import split_rows
from lightlab.data.targets import check_encoded, class_names, encode_target, infer_problem, learn_target
from lightlab.data_spec import DataSpec, Normalize
from lightlab.errors import ConfigError, DataError, RegistryError, TargetError
from lightlab.problems import Problem
from lightlab.registry import PROBLEMS


class Data(LightningDataModule):
    """The base of all sources. A subclass says where rows come from (`load`), and has a docstring for its options.

    Rows are split first; all that is learned from data is then learned from the train split only.

    Args:
        batch_size: rows of one training step, over all processes: the same config gives the same steps on one
            device and on eight.
        split: shares of train, validation and test.
        seed: of the splits, and of the order of the rows in each epoch.
        normalize: how numbers are normalised: ``standard`` (mean 0, variance 1), ``min_max`` (0 to 1), or ``none``.

    Raises:
        ConfigError: an option has a value that it can't have.
    """

    #: Columns of a table that hold categories although they are numbers.
    categorical: frozenset[str] = frozenset()

    def __init__(
        self,
        batch_size: int = 32,
        split: tuple[float, float, float] = (0.7, 0.15, 0.15),
        seed: int = 0,
        normalize: Normalize = "standard",
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise ConfigError.at(("data", "batch_size"), f"batch_size is at least 1. Received: {batch_size}.")
        if seed < 0:
            raise ConfigError.at(("data", "seed"), f"seed is 0 or more. Received: {seed}.")
        self.batch_size = batch_size
        self.split = split
        self.seed = seed
        self.normalize: Normalize = normalize
        self.spec: DataSpec | None = None
        self.rows: dict[str, Rows] = {}
        self._loaded: dict[str, Rows] | None = None
        self._stage = ""
        self._learned = False
        self._tensors: dict[str, tuple[Tensor, Tensor | None]] = {}

    def load(self, stage: str) -> dict[str, Rows]:
        """Return the rows: under ``all`` what is to be split, or under ``train``, ``val``, ``test`` what is already.

        Rows under ``predict`` are predicted instead of the test split; they need no targets.

        Args:
            stage: fit, validate, test or predict; a source need not load what the stage does not use.
        """
        raise NotImplementedError

    def setup(self, stage: str) -> None:
        """Load the rows, unless they are there already."""
        if self._loaded is None or (stage == "predict") != (self._stage == "predict"):
            self._loaded, self._stage = self.load(stage), stage
            self._tensors = {}

    def connect(self, problem: str | None, spec: DataSpec | None = None) -> DataSpec:
        """Split and encode the rows for a problem, and return what a model has to know of them.

        Args:
            problem: the problem type; ``None`` to infer it from the target.
            spec: what a trained model knows; rows are then encoded by it, and nothing is learned anew.

        Raises:
            DataError: rows that can't be split or encoded.
            TargetError: a target that does not fit the problem.
        """
        if self._loaded is None:
            self.setup("fit")
        # What another model knew is no answer to what these rows teach.
        same = spec == self.spec if spec else self._learned
        if self._tensors and self.spec is not None and same and problem in (None, self.spec.problem):
            return self.spec
        self._tensors = {}
        self._learned = spec is None
        problem = spec.problem if spec else problem or self._infer(self._loaded or {})
        self.rows = self._split(self._loaded or {}, problem)
        if spec is None:
            spec = self._learn(problem)
        row = PROBLEMS.get(spec.problem)
        for split, rows in self.rows.items():
            known = split != "predict" and rows.targets is not None
            targets = encode_target(rows, spec.target, row.target, row, split) if known else None
            self._tensors[split] = encode_input(rows, spec.input), targets
        self.spec = spec
        return spec

    def _infer(self, loaded: dict[str, Rows]) -> str:
        """Return the problem that the target looks like, and say it."""
        rows = loaded.get("all") or loaded.get("train")
        if rows is None or rows.targets is None:
            raise TargetError("Training needs rows with a target: set data.target. There are none.")
        for name in rows.targets:
            check_not_misread(rows, rows.targets, str(name))
        problem, reason = infer_problem(rows.targets)
        rank_zero_only(print)(
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
        places = split_rows(len(rows), self.split, self.seed, strata)
        splits = {split: rows.take(part) for split, part in places.items() if len(part)}
        return splits | {split: part for split, part in loaded.items() if split != "all"}

    def _learn(self, problem: str) -> DataSpec:
        if "train" not in self.rows:
            raise DataError("There are no rows to train on: the data has nothing but rows to predict.")
        train = self.rows["train"]
        if train.targets is None:
            raise TargetError(f"Training needs the target. {train.source} is without it: set data.target.")
        try:
            row: Problem = PROBLEMS.get(problem)
        except RegistryError as error:
            raise ConfigError.at(("model", "problem"), str(error)) from error
        target = learn_target(train, row)
        return DataSpec(problem, learn_input(train, self.normalize, self.categorical), target)

    def check_targets(self, valid: Callable[[Tensor], Tensor], rule: str) -> None:
        """Hold the targets of all splits against what a head can learn.

        Args:
            valid: returns which targets can be learned.
            rule: what ``valid`` asks, in words.

        Raises:
            TargetError: a target that can't be.
        """
        for split, (_, targets) in self._tensors.items():
            if targets is not None:
                check_encoded(self.rows[split], targets, valid, rule, split)

    def train_dataloader(self) -> TensorLoader:
        """Return the loader of the train split, in an order that each epoch has of its own."""
        return self._loader("train", self.seed, keep_short=False)

    def val_dataloader(self) -> TensorLoader | list[Any]:
        """Return the loader of the validation split; an empty list where there is none."""
        return self._loader("val") if "val" in self._tensors else []

    def test_dataloader(self) -> TensorLoader | list[Any]:
        """Return the loader of the test split; an empty list where there is none."""
        return self._loader("test") if "test" in self._tensors else []

    def predict_dataloader(self) -> TensorLoader:
        """Return the loader of the rows to predict."""
        return self._loader(self.predict_split)

    @property
    def predict_split(self) -> str:
        """The split whose rows are predicted: rows that the source has for it, else the test split.

        Raises:
            DataError: there is neither.
        """
        for split in ("predict", "test"):
            if split in self.rows:
                return split
        raise DataError("There are no rows to predict: the data has neither rows for it nor a test split.")

    def _loader(self, split: str, seed: int | None = None, keep_short: bool = True) -> TensorLoader:
        inputs, targets = self._tensors[split]
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        return TensorLoader(inputs, targets, self.batch_size, seed, rank, world_size, keep_short)
