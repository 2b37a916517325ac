"""validate, test and predict: what a trained model comes to on rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from os.path import isfile  # which any text may be asked of
from pathlib import Path
from types import MappingProxyType
from typing import Any

from rich.console import Console

from lightlab.checkpoints import read_checkpoint
from lightlab.commands.trainer import TrainerVerb, say
from lightlab.errors import ConfigError, DataError, Key
from lightlab.files import check_output
from lightlab.inspect.outcome import align, metric_lines
from lightlab.training.predictions import WRITERS, PredictionWriter, check_overwrites_no_source
from lightlab.training.run_names import confined

#: Which rows a verb is about, where it is not all that there are.
SPLITS = {"validate": "val", "test": "test"}


class Evaluation(TrainerVerb):
    """validate and test: prints the metrics of a split."""

    trainer_arguments = MappingProxyType({"verbose": False})

    def prepare(self, options: dict[str, Any], callbacks: list[Any]) -> list[Any]:
        """Load the weights, and see to it that there are rows for them.

        Raises:
            LightlabError: there are none, or they don't fit.
        """
        checkpoint = self.call.stored or read_checkpoint(self.checkpoint_path or "")
        self.model.on_load_checkpoint(checkpoint)
        say(f"weights: {self.checkpoint_path}")
        self.datamodule.setup(self.call.verb)
        self.datamodule.connect(self.model.problem, self.model.data_spec)
        split = SPLITS.get(self.call.verb)
        if split and split not in self.datamodule.counts:
            raise DataError(
                f"lightlab {self.call.verb} needs a {split} split. The data has: {', '.join(self.datamodule.counts)}."
            )
        if not Console().is_terminal:
            options["enable_progress_bar"] = False
        return callbacks

    def after_validate(self) -> None:
        """Say what came out."""
        self._say_metrics("validation")

    def after_test(self) -> None:
        """Say what came out."""
        self._say_metrics("test")

    def _say_metrics(self, split: str) -> None:
        metrics = {name: float(value) for name, value in self.trainer.callback_metrics.items()}
        say(align(metric_lines({split: metrics})))


class Prediction(Evaluation):
    """predict: writes what the model makes of each row."""

    trainer_arguments = MappingProxyType({"return_predictions": False})

    def prepare(self, options: dict[str, Any], callbacks: list[Any]) -> list[Any]:
        """See to it that predictions have a place, before data is read for them.

        Raises:
            LightlabError: they have none; there are no weights, or they don't fit.
        """
        self.output = self._output()
        check_output(self.output, "predictions", makes_folders=True)
        check_overwrites_no_source(self.output, dict(self._sources()))
        return [*super().prepare(options, callbacks), PredictionWriter(self.output)]

    def after_predict(self) -> None:
        """Say where the predictions are."""
        say(f"predictions: {self.output}")

    def _output(self) -> Path:
        given = self.call.config.get("output")
        run = Path(self.checkpoint_path or "").parent.parent if self.call.run or not self.call.stored else Path()
        path = Path(given) if given else confined(run / "predictions.csv", run)
        if path.suffix not in WRITERS:
            raise ConfigError.at(("output",), f"Predictions are written as {' or '.join(WRITERS)}. Received: {path}.")
        return path

    def _sources(self) -> Iterator[tuple[str, str]]:
        """Return the paths of all that a prediction is made from, and what each is."""
        yield from ((file, "the config") for file in self.call.files)
        yield str(self.checkpoint_path), "the checkpoint"
        for key, text in _texts(self.call.config["data"]["init_args"], ("data",)):
            is_place = "path" in str(key[-1]) or key[-1] == "root"  # any text may be a folder's name by chance
            # The run folder may lie in that of the data, and its own predictions are written anew.
            if isfile(text) or (is_place and self.call.config.get("output")):
                yield text, ".".join(map(str, key))


def _texts(value: Any, key: Key) -> Iterator[tuple[Key, str]]:
    """Return each text in arguments, at any depth, with where it stands."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping | list):
        for name, part in value.items() if isinstance(value, Mapping) else enumerate(value):
            yield from _texts(part, (*key, name))
