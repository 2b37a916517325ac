"""Samples that Python makes one after the other: generator functions and IterableDatasets, endless ones too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import count, islice
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from torch import Tensor

from lightlab.data.arrays.learn import check_array
from lightlab.data.base import Data, say
from lightlab.data.findings import find_imbalance
from lightlab.data.rows import Rows
from lightlab.data.splits import Split
from lightlab.data.streams.loader import Encoder
from lightlab.data.streams.samples import SampleLoader, Samples, SampleStream, Share
from lightlab.data.targets import check_encoded, known_targets, typed_target
from lightlab.data_spec import DataSpec, InputSpec
from lightlab.errors import ConfigError, DataError, did_you_mean, sentences
from lightlab.layers.parameters import PositiveInt
from lightlab.registry import plugin_modules
from lightlab.specs import check_parameters


class IterableData(Data):
    """Samples from Python: generator functions, IterableDatasets, or whatever can be iterated over again and again.

    A sample is a pair ``(input, target)``: an array of numbers of a fixed shape (numpy, torch or lists), and a class
    (its name or number), a number, or several of these, one for each of ``target_names``. A sample to predict is the
    input alone; a target in a tuple beside it is not looked at.

    Every process makes all samples and takes its share of each step, so nothing is lost or doubled; they must be the
    same in each process and each time, so draw them with a seed of your own. A function that has a parameter ``epoch``
    or ``split`` is given it. In a config a function is named ``module:function``, and lightlab is called with
    ``--plugin module``: a config alone brings no code to run.

    What is learned of shape, statistics and classes is learned from the first samples of ``train``. Where
    ``trainer.limit_train_batches`` is a number of batches, an epoch goes on where the one before stopped.

    Args:
        train: what gives the samples of the train split.
        val: likewise of the validation split.
        test: likewise of the test split.
        predict: likewise those to predict.
        arguments: functions are called with.
        target_names: what the target is called, or the targets.
        endless: whether ``train`` never ends; the Trainer then needs a limit.
        statistics_rows: so many samples of ``train`` show what samples are like.
        shuffle_buffer: samples of ``train`` among which is shuffled, and which are held in memory; 1 for no shuffling.
        num_workers: 1 to make samples in a process of their own, ahead of time; 0 not to.
        options: those of `lightlab.data.base.Data`; rows are not split.

    Raises:
        ConfigError: an option that samples can't have, or nothing that gives any.

    Example:
        >>> def make(split):
        ...     generator = np.random.default_rng(["train", "val"].index(split))
        ...     for _ in range(100):
        ...         values = generator.normal(size=3)
        ...         yield values, "up" if values.sum() > 0 else "down"
        >>> data = IterableData(make, make)
        >>> data.connect("binary").target.classes
        learned from the first 100 samples of make
        ('down', 'up')
        >>> next(iter(data.train_dataloader())).inputs.shape
        torch.Size([32, 3])
    """

    def __init__(
        self,
        train: Any = None,
        val: Any = None,
        test: Any = None,
        predict: Any = None,
        arguments: dict[str, Any] | None = None,
        target_names: str | list[str] = "target",
        endless: bool = False,
        statistics_rows: PositiveInt = 10_000,
        shuffle_buffer: PositiveInt = 1024,
        num_workers: Annotated[int, Field(ge=0, le=1)] = 0,
        **options: Any,
    ) -> None:
        super().__init__(num_workers=num_workers, **options)
        numbers = {"statistics_rows": statistics_rows, "shuffle_buffer": shuffle_buffer, "num_workers": num_workers}
        check_parameters(IterableData, numbers, ("data",), name="IterableData")
        if self.split != Split() or self.balanced:
            name = "balanced" if self.balanced else "split"
            raise ConfigError.at(
                ("data", name), "Samples are taken as they come: give train, val and test each what makes them."
            )
        columns = (target_names,) if isinstance(target_names, str) else tuple(target_names)
        given = {"train": train, "val": val, "test": test, "predict": predict}
        self.samples = {
            split: Samples(*_find_maker(maker, split), split, arguments or {}, split != "predict", columns)
            for split, maker in given.items()
            if maker is not None
        }
        if not self.samples:
            raise ConfigError.at(("data", "train"), "IterableData needs what gives samples. Received nothing.")
        self.endless = endless
        self.statistics_rows = statistics_rows
        self.shuffle_buffer = shuffle_buffer
        self._check: Callable[[Rows, Tensor], None] = _accept

    def setup(self, stage: str) -> None:
        """Note what samples are for."""
        self._stage = stage

    def connect(self, problem: str | None, spec: DataSpec | None = None) -> DataSpec:
        """Look at the first samples for a problem, and return what a model has to know of them.

        Args:
            problem: the problem type; ``None`` to infer it from the target.
            spec: what a trained model knows; samples are then encoded by it, and nothing is learned anew.

        Raises:
            DataError: samples that can't be used.
            TargetError: a target that does not fit the problem.
        """
        if spec is None and self.spec is not None and self._learned and problem in (None, self.spec.problem):
            return self.spec
        self._learned = spec is None
        self.spec = spec or self._learn_first(problem)
        self._augment = self.make_augment(self.spec.input)
        return self.spec

    def _learn_first(self, problem: str | None) -> DataSpec:
        if "train" not in self.samples:
            raise DataError("There are no samples to train on: set data.train.")
        rows = self._first_rows()
        typed = Rows(rows.inputs, known_targets(rows).apply(typed_target), rows.ids, rows.source, locate=rows.locate)
        say(f"learned from the first {len(rows)} samples of {rows.source}")
        self.rows = {"train": typed}
        try:
            spec = self._learn(problem or self._infer(self.rows))
        finally:
            self.rows = {}
        self.findings = find_imbalance(spec.target.classes, spec.target.counts)
        self.say_findings()
        return spec

    def _first_rows(self) -> Rows:
        samples = self.samples["train"]
        first = list(islice(enumerate(samples.start(0)), self.statistics_rows))
        if not first:
            raise DataError(f"A stream has samples. {samples.name} gave none.")
        return samples.rows(first)

    @property
    def counts(self) -> dict[str, int | None]:
        """The splits; how many samples they have shows when they are made."""
        wanted = {"predict"} if self._stage == "predict" and "predict" in self.samples else {"train", "val", "test"}
        return {split: None for split in self.samples if split in wanted}

    def name_rows(self, split: str, places: np.ndarray[Any, Any]) -> tuple[str, np.ndarray[Any, Any]]:
        """Return the numbers of samples, from 0 on."""
        return "id", places

    def read_names(self, split: str) -> tuple[str, Iterator[np.ndarray[Any, Any]]]:
        """Return the numbers of samples, from 0 on, without end, in parts."""
        return "id", (np.arange(begin, begin + 4096) for begin in count(step=4096))

    def check_targets(self, valid: Callable[[Tensor], Tensor], rule: str) -> None:
        """Hold the targets of the first samples against what a head can learn, and others when they are made.

        Args:
            valid: returns which targets can be learned.
            rule: what ``valid`` asks, in words.

        Raises:
            TargetError: a target that can't be.
        """
        self._check = partial(_check, valid=valid, rule=rule)
        if self._learned:
            rows = self._first_rows()
            self._check(rows, self._encoder("train").encode_targets(rows))

    def digests(self) -> dict[str, dict[str, Any]]:
        """Return nothing: what a program makes can't be told from other samples without making it."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """Return that nothing is known of which samples these are, and how many a step has."""
        return {"splits": {}, "batch_size": self.batch_size}

    # Loaders

    def train_dataloader(self) -> Any:
        """Return the loader of the train split.

        Raises:
            ConfigError: the samples are endless, and so is the training.
        """
        trainer = self.trainer
        limited = trainer is not None and isinstance(trainer.limit_train_batches, int)
        if self.endless and trainer and not limited and trainer.max_steps == -1:
            raise ConfigError.at(
                ("trainer", "limit_train_batches"),
                "Samples without end make an epoch without end. Set trainer.limit_train_batches to the batches of an "
                "epoch, or trainer.max_steps.",
            )
        return self._sample_loader("train", self.seed, limited)

    def val_dataloader(self) -> Any:
        """Return the loader of the validation split; an empty list where there is none."""
        return self._sample_loader("val") if "val" in self.samples else []

    def test_dataloader(self) -> Any:
        """Return the loader of the test split; an empty list where there is none."""
        return self._sample_loader("test") if "test" in self.samples else []

    def predict_dataloader(self) -> Any:
        """Return the loader of the samples to predict."""
        return self._sample_loader(self.predict_split)

    def shuffled_dataloader(self, split: str) -> Any:
        """Return a loader of a split's samples, as they come: nothing else is known of them."""
        return self._sample_loader(split)

    @property
    def fewest_rows(self) -> int:
        """Rows that a process has at least in a step of the training, unless the samples are fewer."""
        return self.batch_size // self.place().world_size

    def _encoder(self, split: str) -> Encoder:
        assert self.spec is not None
        target = self.spec.target if split != "predict" else None
        return Encoder(partial(_check_inputs, spec=self.spec.input), target, self.spec.problem, split)

    def _sample_loader(self, split: str, seed: int | None = None, chained: bool = False) -> SampleLoader:
        place = self.place()
        begun = partial(_batches_begun, self.trainer) if self.trainer and seed is not None else None
        batch_size = self.choose_eval_batch_size() if seed is None else self.batch_size
        share = Share(batch_size, place.rank, place.world_size, seed, self.shuffle_buffer)
        stream = SampleStream(self.samples[split], share, self._encoder(split), self._check, chained)
        return SampleLoader(stream, self.num_workers or 0, place.target, begun)


def _find_maker(given: Any, split: str) -> tuple[Any, str]:
    """Return what makes samples, and what it is called.

    Raises:
        ConfigError: it is nothing that can be iterated over again and again, or no function of a plugin.
    """
    if isinstance(given, str):
        return _find_function(given, split), given
    name = getattr(given, "__name__", type(given).__name__)
    if isinstance(given, Iterator):
        raise ConfigError.at(
            ("data", split),
            f"Samples are made anew for statistics and each pass. Received: {name}, which gives them once: give the "
            f"function that makes it.",
        )
    if not callable(given) and not isinstance(given, Iterable):
        raise ConfigError.at(
            ("data", split), f"Samples come from a function or from what can be iterated over. Received: {name}."
        )
    return given, name


def _find_function(path: str, split: str) -> Any:
    """Return a function of a plugin's module, named as ``module:function``.

    Raises:
        ConfigError: there is none.
    """
    module, _, name = path.partition(":")
    key = ("data", split)
    if not module or not name:
        raise ConfigError.at(key, f"A function is named as module:function. Received: {path!r}.")
    modules = plugin_modules()
    if module not in modules:
        rule = f"A config reaches the functions of plugins only: call lightlab with --plugin {module}, if you trust it."
        raise ConfigError.at(key, f"{rule} Received: {path!r}.")
    found = getattr(modules[module], name, None)
    if not callable(found) or getattr(found, "__module__", None) not in modules:  # not what it imports from others
        near = did_you_mean(name, vars(modules[module]))
        raise ConfigError.at(key, sentences(f"The module {module} has no function {name!r}.", near))
    return found


def _check_inputs(rows: Rows, spec: InputSpec) -> Tensor:
    inputs = check_array(rows, spec)
    assert isinstance(inputs, Tensor)
    return inputs


def _check(rows: Rows, targets: Tensor, valid: Callable[[Tensor], Tensor], rule: str) -> None:
    check_encoded(rows, targets, valid, rule, rows.source)


def _accept(rows: Rows, targets: Tensor) -> None:
    """Take any target: no head has said what it can learn."""


def _batches_begun(trainer: Any) -> int:
    return int(trainer.fit_loop.epoch_loop.batch_progress.current.ready)
