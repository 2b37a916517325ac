"""What the sources share whose rows do not fit in memory: splits by arithmetic, learning in one pass, and loaders."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
from torch import Tensor

from lightlab.data.base import find_problem
from lightlab.data.files import FileData
from lightlab.data.findings import find_imbalance
from lightlab.data.loader import default_workers
from lightlab.data.rows import Rows
from lightlab.data.streams.learn import TargetLearner
from lightlab.data.streams.loader import Encoder, Stream, StreamLoader
from lightlab.data.streams.plan import StreamPlan
from lightlab.data.streams.source import Part, Source, split_source
from lightlab.data.targets import check_encoded
from lightlab.data_spec import DataSpec, InputSpec
from lightlab.errors import ConfigError, DataError, TargetError


class StreamData(FileData):
    """The base of sources whose rows do not fit in memory.

    Rows are read in order, segment by segment: in training, segments come in an order that each epoch has of its
    own, and rows are shuffled within a bounded buffer. What a source learns, it learns from one pass over the train
    split. Every rank reads for itself.

    Each of the paths is a file, a folder, or a pattern such as ``data/*.parquet``. The rows of ``path`` are split by a
    hash of seed and row number (``split: [0.7, 0.15, 0.15]``), of the value of a column (``{groups: COLUMN}``), or
    as a column says (``{column: COLUMN}``); so shares are met up to chance. What needs all rows at once (``stratify``,
    ``time``, ``folds``, ``balanced``) can't be had.

    Args:
        path: whose rows are split.
        shuffle_buffer: rows among which a process shuffles: it bounds the memory of each worker.
        options: those of `lightlab.data.files.FileData`: paths for each split, or to predict, and all its own.

    Raises:
        ConfigError: an option that a stream can't have.
    """

    def __init__(self, path: str | None = None, shuffle_buffer: int = 65_536, **options: Any) -> None:
        if shuffle_buffer < 1:
            raise ConfigError.at(
                ("data", "shuffle_buffer"), f"shuffle_buffer is 1 or more. Received: {shuffle_buffer}."
            )
        _check_split(options.get("split"))
        super().__init__(path, **options)
        if self.balanced:
            raise ConfigError.at(
                ("data", "balanced"),
                "A stream gives rows in the order they are read, and can't draw them by class. Use "
                "model.head.class_weight: balanced.",
            )
        self.shuffle_buffer = shuffle_buffer
        self.parts: dict[str, Part] = {}
        self._sources: dict[str, Source] | None = None
        self._checked: set[str] = set()

    # What a source says

    def open(self, path: str, split: str, spec: InputSpec | None) -> Source:
        """Return the rows of a path; of a trained model's ``spec``, where there is one.

        Raises:
            DataError: they can't be read.
        """
        raise NotImplementedError

    def learn_stream(self, part: Part) -> InputSpec:
        """Return what the train split's inputs are like; what looks like a mistake is added to ``findings``.

        Raises:
            DataError: they can't be used.
        """
        raise NotImplementedError

    def make_encoder(self, spec: InputSpec) -> Callable[[Rows], Tensor]:
        """Return what encodes inputs; it goes to worker processes."""
        raise NotImplementedError

    def choose_workers(self, processes: int) -> int:
        """Return how many workers read for each of so many training processes, where nothing else is said."""
        return default_workers(processes)

    def read_ids(self, part: Part) -> tuple[str, Iterator[np.ndarray[Any, Any]]]:
        """Return what a split's rows are called, in parts, and what such names are."""
        return "id", part.read_numbers()

    # From rows to what a model learns from

    def setup(self, stage: str) -> None:
        """Note what rows are for; they are opened when a model connects."""
        if (stage == "predict") != (self._stage == "predict"):
            self._sources = None
        self._stage = stage

    def connect(self, problem: str | None, spec: DataSpec | None = None) -> DataSpec:
        """Open and split the rows for a problem, and return what a model has to know of them.

        Args:
            problem: the problem type; ``None`` to infer it from the target.
            spec: what a trained model knows; rows are then encoded by it, and nothing is learned anew.

        Raises:
            DataError: rows that can't be split or encoded.
            TargetError: a target that does not fit the problem.
        """
        same = spec == self.spec if spec else self._learned
        if self._sources is not None and self.spec is not None and same and problem in (None, self.spec.problem):
            return self.spec
        if spec:
            self.adapt(spec.input)
        self._learned = spec is None
        self._checked = set()
        self._sources = {
            split: self.open(path, split, spec.input if spec else None)
            for split, path in self.wanted(self._stage).items()
        }
        self.parts = self._split_sources(self._sources)
        self.spec = spec or self._learn_stream(problem)
        for source in self._sources.values():
            source.narrow(self.spec.input)
        self._augment = self.make_augment(self.spec.input)
        return self.spec

    def _split_sources(self, sources: Mapping[str, Source]) -> dict[str, Part]:
        parts = split_source(sources["all"], self.split, self.seed) if "all" in sources else {}
        return parts | {split: Part(source) for split, source in sources.items() if split != "all"}

    def _learn_stream(self, problem: str | None) -> DataSpec:
        if "train" not in self.parts:
            raise DataError("There are no rows to train on: the data has nothing but rows to predict.")
        part = self.parts["train"]
        learner = TargetLearner()
        for rows in part.read_columns():
            if rows.targets is None:
                raise TargetError(
                    f"Training needs the target. {part.source.path} is without it: set data.target.", ("data",)
                )
            learner.update(rows)
        if problem is None:
            problem = self._infer({"train": learner.distinct()})
        target = learner.learn(find_problem(problem))
        self.findings = find_imbalance(target.classes, target.counts)
        spec = DataSpec(problem, self.learn_stream(part), target)
        self.say_findings()
        return spec

    @property
    def counts(self) -> dict[str, int | None]:
        """How many rows each split has."""
        return {split: len(part) for split, part in self.parts.items()}

    def name_rows(self, split: str, places: np.ndarray[Any, Any]) -> tuple[str, np.ndarray[Any, Any]]:
        """Return what the rows at these places of a split are called, and what such names are."""
        name, parts = self.read_ids(self.parts[split])
        return name, np.concatenate(list(parts))[places]

    def read_names(self, split: str) -> tuple[str, Iterator[np.ndarray[Any, Any]]]:
        """Return what the rows of a split are called, all of them in order, in parts, and what such names are."""
        return self.read_ids(self.parts[split])

    def check_targets(self, valid: Callable[[Tensor], Tensor], rule: str) -> None:
        """Read the targets of all splits, once, and hold them against what a head can learn.

        Args:
            valid: returns which targets can be learned.
            rule: what ``valid`` asks, in words.

        Raises:
            TargetError: a target that can't be.
        """
        if rule in self._checked:
            return
        for split, part in self.parts.items():
            encoder = self._encoder(split)
            if encoder.target is None:
                continue
            for rows in part.read_columns():
                check_encoded(rows, encoder.encode_targets(rows), valid, rule, split)
        self._checked.add(rule)

    def _encoder(self, split: str) -> Encoder:
        assert self.spec is not None
        has_targets = split != "predict" and self.parts[split].source.has_targets
        if not has_targets and split != "predict" and self._stage != "predict":
            raise TargetError(
                f"Training and evaluation need the target. {self.parts[split].source.path} is without it: set "
                f"data.target."
            )
        target = self.spec.target if has_targets else None
        return Encoder(self.make_encoder(self.spec.input), target, self.spec.problem, split)

    # What is kept with a run

    def digests(self) -> dict[str, dict[str, Any]]:
        """Return for each split how many rows it has, and a SHA-256 of what tells it from others without reading it.

        That is the names and sizes of the files, the rows of their segments and, for a split of ``path``, how it was
        split. A file of the same name and size with other values goes unseen.
        """
        found = {}
        for split, part in self.parts.items():
            if split == "predict":
                continue
            how = [asdict(self.split), self.seed, split] if split not in self.paths else []
            text = json.dumps([part.source.identity(), part.source.sizes.tolist(), how])
            found[split] = {"rows": len(part), "sha256": hashlib.sha256(text.encode()).hexdigest()}
        return found

    # Loaders

    def train_dataloader(self) -> Any:
        """Return the loader of the train split, in an order that each epoch has of its own."""
        return self._stream_loader("train", self._plan_training())

    def val_dataloader(self) -> Any:
        """Return the loader of the validation split; an empty list where there is none."""
        return self._stream_loader("val", self._plan_evaluation("val")) if "val" in self.parts else []

    def test_dataloader(self) -> Any:
        """Return the loader of the test split; an empty list where there is none."""
        return self._stream_loader("test", self._plan_evaluation("test")) if "test" in self.parts else []

    def predict_dataloader(self) -> Any:
        """Return the loader of the rows to predict."""
        return self._stream_loader(self.predict_split, self._plan_evaluation(self.predict_split))

    def shuffled_dataloader(self, split: str) -> Any:
        """Return a loader of a split's rows, each once, in an order in which the first stand for many."""
        return self._stream_loader(split, self._plan_evaluation(split, self.seed))

    @property
    def fewest_rows(self) -> int:
        """Rows that a process has at least in a step of the training."""
        return self._plan_training().fewest_rows

    def _plan_training(self) -> StreamPlan:
        return self._make_plan("train", self.batch_size, self.seed)

    def _plan_evaluation(self, split: str, seed: int | None = None) -> StreamPlan:
        return self._make_plan(split, self.choose_eval_batch_size(), seed)

    def _make_plan(self, split: str, batch_size: int, seed: int | None) -> StreamPlan:
        place = self.place()
        sizes = self.parts[split].sizes
        return StreamPlan(sizes, batch_size, seed, place.rank, place.world_size, self.shuffle_buffer)

    def _stream_loader(self, split: str, plan: StreamPlan) -> StreamLoader:
        place = self.place()
        workers = self.choose_workers(place.on_node) if self.num_workers is None else self.num_workers
        return StreamLoader(Stream(self.parts[split], plan, self._encoder(split)), workers, place.target)


def _check_split(given: Any) -> None:
    """Refuse ways to split that need all rows at once."""
    reasons = {
        "stratify": "Classes are shared out by chance, which comes close where rows are many.",
        "time": "Sort rows into files, and name these in train_path, val_path and test_path.",
        "folds": "Write a column that says of each row train, val or test, and name it: {column: COLUMN}.",
    }
    for name, way in reasons.items():
        if isinstance(given, Mapping) and given.get(name):
            raise ConfigError.at(
                ("data", "split", name), f"A stream can't be split by {name}, which needs all rows at once. {way}"
            )
