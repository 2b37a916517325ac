"""The logger for TensorBoard: what a run logs, in the places where TensorBoard's pages show it best."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.utilities import rank_zero_only, rank_zero_warn

from lightlab.inspect.outcome import Outcome
from lightlab.inspect.pictures import to_png
from lightlab.inspect.tensorboard.graph import model_graph
from lightlab.inspect.tensorboard.hyperparameters import Plain, session
from lightlab.inspect.tensorboard.layout import TRAINING, chart_layout
from lightlab.inspect.tensorboard.projector import Array, write_projector
from lightlab.module import Model
from lightlab.terminal import say
from lightlab.training.options import TensorBoardOptions

if TYPE_CHECKING:
    from torch import Tensor
    from torch.utils.tensorboard import FileWriter, SummaryWriter

#: What is measured beside loss and metrics, and the option of `TensorBoardOptions` that says whether it is written.
MEASURED = {name: option for option, names in TRAINING.values() for name in names}
#: How long what is written may wait for the disk.
FLUSH_SECONDS = 10


class RunLogger(TensorBoardLogger):
    """Writes a run for TensorBoard.

    TensorBoard draws what has one tag in one chart, and a line for each folder that has it. So figures of the splits
    have one tag, such as ``metrics/loss``, in folders of their own, as Keras has them::

        version_0             training/learning_rate, …; histograms, graph, images, texts
        version_0/train       metrics/loss, metrics/accuracy, …: while weights change, dropout and augmentation on
        version_0/val         the same, of the validation split; embeddings
        version_0/best        hyperparameters
        version_0/best/val    the same figures once, at the best epoch, with the best weights
        version_0/best/test   of the test split, with the best weights

    The first process writes; in the others all of this does nothing.

    Args:
        root: what holds the runs of all configs.
        name: the config's.
        version: the run folder's name.
        options: which figures are written.

    Attributes:
        by_epoch: whether the splits' figures stand over epochs, the first being 1; if not, over steps.
    """

    def __init__(
        self,
        root: str | Path,
        name: str,
        version: str,
        options: TensorBoardOptions | None = None,
    ) -> None:
        super().__init__(root, name, version, default_hp_metric=False, flush_secs=FLUSH_SECONDS)
        self.options = options or TensorBoardOptions()
        self.by_epoch = True
        self._writers: dict[str, SummaryWriter] = {}
        self._sizes: dict[Path, int] = {}
        self._has_graph = self._is_broken = False

    def writer(self, folder: str = "") -> SummaryWriter:
        """Return what writes into a folder of the run: ``train``, ``val``, …; into the run folder itself for none."""
        # In other processes the experiment takes all calls, and does nothing.
        if not folder or rank_zero_only.rank:  # type: ignore[attr-defined]  # a mark on a function
            return cast("SummaryWriter", self.experiment)
        if folder not in self._writers:
            from torch.utils.tensorboard import SummaryWriter

            self._writers[folder] = SummaryWriter(str(Path(self.log_dir, folder)), flush_secs=FLUSH_SECONDS)
        return self._writers[folder]

    # Figures

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, Any], step: int | None = None) -> None:
        """Write figures where they belong.

        Those of the test split are left to `log_outcome`; what other callbacks log is written as it is.

        Args:
            metrics: ``train/<metric>``, ``val/<metric>``, names of `MEASURED`, any others; and ``epoch``, from 0 on.
            step: how many steps were taken.
        """
        if self._is_broken:
            return
        places: dict[str, dict[str, Any]] = {}
        others: dict[str, Any] = {}
        for name, value in metrics.items():
            split, _, metric = name.partition("/")
            measured = "penalty" if name == "train/penalty" else name
            if measured in MEASURED:
                if getattr(self.options, MEASURED[measured]):
                    places.setdefault("", {})[f"training/{measured}"] = value
            elif split in ("train", "val") and metric:
                if self.options.curves:
                    places.setdefault(split, {})[f"metrics/{metric}"] = value
            elif name != "epoch" and not name.startswith("test/"):
                others[name] = value
        with self._forgiving():
            for folder, values in places.items():
                place = step
                if folder:  # Lightning counts from 0 here
                    place = int(metrics["epoch"]) + 1 if self.by_epoch and "epoch" in metrics else (step or 0) + 1
                self._write_scalars(folder, values, place)
            if others:
                super().log_metrics(others, step)
            if "train" in places:  # once an epoch
                self._see_sizes()

    @contextmanager
    def _forgiving(self) -> Iterator[None]:
        """Go on with the training where nothing can be written: its curves are in ``history.csv``, too."""
        try:
            yield
        except OSError as cause:
            if not self._is_broken:
                say(f"warning: TensorBoard's files can't be written ({cause}): its curves end here.")
            self._is_broken = True

    def _see_sizes(self) -> None:
        """Say which files were deleted while they were written: they begin anew, and so do their curves."""
        if len(self._sizes) < len(self._open()):
            self._sizes |= dict.fromkeys(Path(self.log_dir).rglob("events.out.tfevents.*"), 0)
        for file, size in self._sizes.items():
            now = file.stat().st_size if file.exists() else -1
            if now < size:
                say(f"warning: {file} was deleted: TensorBoard has its curves from here on only. history.csv has all.")
            self._sizes[file] = max(now, 0)

    def _write_scalars(self, folder: str, values: Mapping[str, Any], step: int | None) -> None:
        """Write numbers, by tag, in one go."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        summary = Summary(value=[Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()])
        self._file(folder).add_summary(summary, step)

    def _file(self, folder: str) -> FileWriter:
        """Return what takes whole protocol buffers."""
        return cast("FileWriter", self.writer(folder)._get_file_writer())  # type: ignore[no-untyped-call]

    # What else there is to see

    @rank_zero_only
    def log_layout(self, metrics: Iterable[str]) -> None:
        """Write what the custom charts show; once.

        Args:
            metrics: their names without a split: ``loss``, ``accuracy``, ….
        """
        if layout := chart_layout(metrics, self.options):
            self.writer().add_custom_scalars(layout)

    @rank_zero_only
    def log_graph(self, model: Model, input_array: Tensor | None = None) -> None:  # type: ignore[override]
        """Write the model's graph, once, if the options ask for it. Lightning calls this when a run starts."""
        from tensorboard.compat.proto.event_pb2 import Event

        if not self.options.graph or self._has_graph:
            return
        self._has_graph = True
        try:
            graph = model_graph(model)
        except Exception as cause:  # what a layer refuses here may do well in training
            rank_zero_warn(f"The graph of this model can't be drawn: {cause}")
        else:
            self._file("").add_event(Event(graph_def=graph.SerializeToString()))

    @rank_zero_only
    def log_texts(self, texts: Mapping[str, str]) -> None:
        """Write texts in Markdown, by title; under one heading, as TensorBoard opens only the first two of a page."""
        from tensorboard.plugins.text.summary_v2 import text_pb

        for title, text in texts.items():
            self._file("").add_summary(text_pb(f"run/{title}", text), 0)

    @rank_zero_only
    def log_images(self, images: Mapping[str, Array], step: int, split: str = "") -> None:
        """Write images, each (height, width, 3) of bytes, by tag; into the folder of a split."""
        from tensorboard.compat.proto.summary_pb2 import Summary

        for tag, pixels in images.items():  # one by one: they are large
            height, width, colours = pixels.shape
            image = Summary.Image(height=height, width=width, colorspace=colours, encoded_image_string=to_png(pixels))
            self._file(split).add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)

    @rank_zero_only
    def log_embeddings(
        self,
        features: Array,
        columns: Mapping[str, Sequence[Any]],
        images: Sequence[Array] | None = None,
        split: str = "val",
    ) -> None:
        """Write vectors for the projector, into the folder of a split; see `write_projector`.

        Raises:
            RunError: a file can't be written.
        """
        self._file(split)  # the projector looks only where there are event files
        write_projector(Path(self.log_dir, split), features, columns, images)

    @rank_zero_only
    def log_outcome(self, outcome: Outcome, hyperparameters: Mapping[str, Plain]) -> None:
        """Write the figures of the best weights and the hyperparameters they came of, as the options ask for.

        An open TensorBoard looks for new embeddings when there are new folders, as this makes them: so it comes last.

        Args:
            outcome: of the run.
            hyperparameters: see `flatten_config`.
        """
        if not (self.options.curves or self.options.hyperparameters):
            return
        place = self.place_of(outcome)
        for split, figures in (("val", outcome.validation), ("test", outcome.test)):
            tags = {f"metrics/{name.partition('/')[2]}": value for name, value in figures.items()}
            if tags:
                self._write_scalars(f"best/{split}", tags, place)
        if self.options.hyperparameters:
            name = f"{self.name}/{self.version}"
            self._file("best").add_summary(session(hyperparameters, name, outcome.seconds))
        for writer in self._open():
            writer.flush()

    def place_of(self, outcome: Outcome) -> int:
        """Return where the best weights stand among the splits' figures: an epoch, or a step."""
        return outcome.best_epoch if self.by_epoch else outcome.best_step

    # What Lightning calls

    @rank_zero_only
    def save(self) -> None:
        """Do nothing: events reach the disk by themselves, and the run folder has the config."""

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Close the files; what is written later goes into new ones."""
        for writer in self._open():
            with self._forgiving():
                writer.close()

    def _open(self) -> list[SummaryWriter]:
        return [writer for writer in (self._experiment, *self._writers.values()) if writer is not None]

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_writers": {}}
