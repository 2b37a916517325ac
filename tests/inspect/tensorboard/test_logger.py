"""What the logger writes, as TensorBoard's own reader finds it, and where."""

import copy
import math
import pickle
import shutil
import threading
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch.utilities import rank_zero_only
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader
from tensorboard.compat.proto.graph_pb2 import GraphDef
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import api_pb2, metadata
from torch import nn

from lightlab import Model
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.inspect.outcome import Outcome
from lightlab.inspect.tensorboard.logger import RunLogger
from lightlab.training.options import TensorBoardOptions

RUN = Path("runs/wine/version_0")
OUTCOME = Outcome(
    validation={"val/loss": 0.25, "val/accuracy": 0.75}, test={"test/loss": 0.5, "test/accuracy": 0.625},
    best_epoch=2, best_step=10, epochs=3, seconds=4.0, checkpoint="best.ckpt", sha256="0", md5="0",
)  # fmt: skip


@pytest.fixture
def logger():
    """A logger as `fit` makes it."""
    return make()


def make(**options):
    """Return a logger with options other than the usual."""
    return RunLogger(Path("runs"), "wine", "version_0", TensorBoardOptions(**options))


def read(folder=""):
    """Return what TensorBoard finds in a folder of the run."""
    return EventAccumulator(str(RUN / folder), size_guidance={"tensors": 0, "scalars": 0}).Reload()


def scalars(folder=""):
    """Return steps and numbers of a folder, by tag."""
    events = read(folder)
    return {tag: [(each.step, each.value) for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def log_epochs(logger):
    """Log three epochs of ten steps, as Lightning does."""
    for epoch in range(3):
        step = 10 * epoch + 9
        logger.log_metrics({"val/loss": 1 / (epoch + 1), "val/accuracy": 0.5, "epoch": epoch}, step)
        logger.log_metrics({"train/loss": 2 / (epoch + 1), "train/penalty": 0.125, "epoch": epoch}, step)
    logger.finalize("success")


# Figures


def test_splits_share_tags_over_epochs(logger):
    """Each split has a folder; in it, a figure stands over epochs, of which the first is 1."""
    log_epochs(logger)
    assert scalars("train") == {"metrics/loss": [(1, 2.0), (2, 1.0), (3, pytest.approx(2 / 3))]}
    assert scalars("val") == {
        "metrics/loss": [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))],
        "metrics/accuracy": [(1, 0.5), (2, 0.5), (3, 0.5)],
    }


def test_validations_within_epochs_stand_over_steps(logger):
    """As not each of them is at the end of one."""
    logger.by_epoch = False
    log_epochs(logger)
    assert [step for step, _ in scalars("val")["metrics/loss"]] == [10, 20, 30]


def test_what_is_measured_beside_them(logger):
    """It stands over steps, in the run folder itself."""
    log_epochs(logger)
    logger.log_metrics({"learning_rate": 0.5, "gradient_norm": 2.0}, 5)
    logger.log_metrics({"memory_mib": 100.0, "epoch_seconds": 1.5}, 10)
    logger.finalize("success")
    assert scalars() == {
        "training/penalty": [(9, 0.125), (19, 0.125), (29, 0.125)],
        "training/learning_rate": [(5, 0.5)],
        "training/gradient_norm": [(5, 2.0)],
        "training/memory_mib": [(10, 100.0)],
        "training/epoch_seconds": [(10, 1.5)],
    }


def test_figures_of_other_callbacks(logger):
    """They are written as they are; the epoch is no figure, and those of the test split come with the outcome."""
    logger.log_metrics({"lr-AdamW": 0.5, "my/figure": torch.tensor(2.0), "epoch": 0, "test/loss": 1.0}, 7)
    logger.finalize("success")
    assert scalars() == {"lr-AdamW": [(7, 0.5)], "my/figure": [(7, 2.0)]}
    assert not (RUN / "test").exists()


def test_figures_that_are_no_numbers(logger):
    """TensorBoard shows them as such."""
    logger.log_metrics({"train/loss": math.nan, "epoch": 0}, 1)
    logger.finalize("success")
    ((_, value),) = scalars("train")["metrics/loss"]
    assert math.isnan(value)


@pytest.mark.parametrize(
    ("options", "left_out"),
    [
        ({"curves": False}, {"train", "val"}),
        ({"penalty": False}, {"training/penalty"}),
        ({"learning_rate": False}, {"training/learning_rate"}),
        ({"gradient_norm": False}, {"training/gradient_norm", "training/gradient_norm_max"}),
        ({"throughput": False}, {"training/samples_per_second", "training/epoch_seconds"}),
        ({"memory": False}, {"training/memory_mib"}),
    ],
)
def test_options(options, left_out):
    """Each option switches off what it names, and nothing else."""
    logger = make(**options)
    log_epochs(logger)
    names = ("gradient_norm", "gradient_norm_max", "samples_per_second", "epoch_seconds", "memory_mib", "learning_rate")
    logger.log_metrics(dict.fromkeys(names, 1.0), 1)
    logger.finalize("success")
    everything = {"train", "val", "training/penalty", *(f"training/{name}" for name in names)}
    found = {*scalars(), *(folder for folder in ("train", "val") if (RUN / folder).exists())}
    assert found == everything - left_out


# The outcome


def test_outcome(logger):
    """Figures of the best weights stand at the best epoch, under the tags of the curves."""
    log_epochs(logger)
    logger.log_outcome(OUTCOME, {})
    assert scalars("best/val") == {"metrics/loss": [(2, 0.25)], "metrics/accuracy": [(2, 0.75)]}
    assert scalars("best/test") == {"metrics/loss": [(2, 0.5)], "metrics/accuracy": [(2, 0.625)]}


def test_outcome_over_steps(logger):
    """They stand at the step of the validation that they are of."""
    logger.by_epoch = False
    for step, loss in ((5, 0.75), (10, 0.25), (15, 0.5)):
        logger.log_metrics({"val/loss": loss, "epoch": 0}, step)
    logger.log_outcome(OUTCOME, {})
    assert scalars("best/test")["metrics/loss"] == [(10, 0.5)]


def test_hyperparameters(logger):
    """They are a record of their own, of the types they have; no figure is made up for them."""
    logger.log_outcome(OUTCOME, {"optimizer": "AdamW", "optimizer.lr": 0.5, "max_epochs": 3, "data.balanced": True})
    events = read("best")
    assert events.Tags()["scalars"] == []
    content = {tag: each.plugin_data.content for tag, each in events.summary_metadata.items()}
    start = metadata.parse_session_start_info_plugin_data(content[metadata.SESSION_START_INFO_TAG])
    assert start.group_name == "wine/version_0"
    assert start.hparams["optimizer"].string_value == "AdamW"
    assert start.hparams["optimizer.lr"].number_value == 0.5
    assert start.hparams["data.balanced"].bool_value
    end = metadata.parse_session_end_info_plugin_data(content[metadata.SESSION_END_INFO_TAG])
    assert end.status == api_pb2.STATUS_SUCCESS
    assert end.end_time_secs - start.start_time_secs == pytest.approx(4.0)


def test_no_hyperparameters():
    """There is no record where the options ask for none."""
    make(hyperparameters=False).log_outcome(OUTCOME, {"optimizer": "AdamW"})
    assert {path.name for path in (RUN / "best").iterdir()} == {"val", "test"}


def test_no_outcome():
    """The final figures are shown in curves, and with hyperparameters: where neither is, they are not written."""
    make(curves=False, hyperparameters=False).log_outcome(OUTCOME, {"optimizer": "AdamW"})
    assert not RUN.exists()
    make(curves=False).log_outcome(OUTCOME, {"optimizer": "AdamW"})
    assert scalars("best/test")["metrics/loss"] == [(2, 0.5)]


def test_no_test_split(logger):
    """There is no folder for it."""
    logger.log_outcome(Outcome(OUTCOME.validation, {}, 1, 10, 1, 1.0, "", "", ""), {})
    assert not (RUN / "best" / "test").exists()


# What else there is to see


def test_layout(logger):
    """A chart has the tag of a metric, in whatever folder, and no other that looks like it."""
    logger.log_layout(["loss", "rmse/price (k€)"])
    logger.finalize("success")
    (event,) = read().Tensors("custom_scalars__config__")
    layout = layout_pb2.Layout.FromString(event.tensor_proto.string_val[0])
    metrics, training = layout.category
    assert [chart.title for chart in metrics.chart] == ["loss", "rmse/price (k€)"]
    assert metrics.chart[1].multiline.tag == [r"^metrics/rmse/price\ \(k€\)$"]
    assert list(training.chart[1].multiline.tag) == ["^training/gradient_norm$", "^training/gradient_norm_max$"]


def test_no_layout_of_nothing():
    """Where nothing is written that charts could show, there is no layout."""
    names = ("curves", "learning_rate", "gradient_norm", "penalty", "throughput", "memory")
    logger = make(**dict.fromkeys(names, False))
    logger.log_layout(["loss"])
    logger.finalize("success")
    assert not RUN.exists()


def model(*layers):
    """Return a model that is built."""
    made = Model(list(layers))
    made.build(DataSpec("regression", InputSpec((4,), (0.0,), (1.0,)), TargetSpec(("y",), mean=(0.0,), std=(1.0,))))
    return made


def test_graph_is_written_once(logger):
    """Lightning asks for it whenever a verb begins."""
    for _ in range(2):
        logger.log_graph(model({"dense": 2}))
    logger.finalize("success")
    (file,) = RUN.iterdir()
    (graph,) = [event.graph_def for event in EventFileLoader(str(file)).Load() if event.HasField("graph_def")]
    assert "0_dense/addmm" in [node.name for node in GraphDef.FromString(graph).node]


def test_no_graph():
    """There is none where the options ask for none."""
    logger = make(graph=False)
    logger.log_graph(model({"dense": 2}))
    assert not RUN.exists()


class _Picky(nn.Module):
    """Takes batches of an even number of rows."""

    def forward(self, inputs):
        if len(inputs) % 2:
            raise ValueError("odd")
        return inputs


def test_a_graph_that_can_t_be_drawn_stops_no_training(logger):
    """What a layer says against it is a warning."""
    picky = model("tanh")
    picky.network = nn.Sequential(_Picky())
    with pytest.warns(UserWarning, match="The graph of this model can't be drawn: odd"):
        logger.log_graph(picky)


def test_texts_and_images(logger):
    """Texts stand together; an image keeps its size, its colours and its step."""
    logger.log_texts({"config": "~~~yaml\nä: 1\n~~~"})
    pixels = np.zeros((2, 3, 3), np.uint8)
    pixels[0, 0] = (255, 128, 0)
    logger.log_images({"inputs/first": pixels}, 4, "train")
    logger.finalize("success")
    (text,) = read().Tensors("run/config")
    assert text.tensor_proto.string_val[0].decode() == "~~~yaml\nä: 1\n~~~"
    (image,) = read("train").Images("inputs/first")
    assert (image.step, image.width, image.height) == (4, 3, 2)


def test_embeddings(logger):
    """They lie beside event files, without which the projector would not look."""
    logger.log_embeddings(np.ones((3, 2)), {"true": ["a", "b", "c"]})
    assert {path.name.partition(".")[0] for path in (RUN / "val").iterdir()} == {
        "events", "features", "labels", "projector_config",
    }  # fmt: skip


# Life


def test_nothing_but_events(logger):
    """No second config is left in the run folder, and what is written after the end goes into new files."""
    log_epochs(logger)
    logger.log_hyperparams({"optimizer": "AdamW"})
    logger.finalize("success")
    logger.log_outcome(OUTCOME, {})
    logger.log_metrics({"val/loss": 0.125, "epoch": 3}, 39)
    logger.finalize("success")
    assert all(path.name.startswith("events.out.tfevents") for path in RUN.rglob("*") if path.is_file())
    files = sorted((RUN / "val").iterdir())
    assert len(files) == 2
    assert scalars("val")["metrics/loss"][-1] == (4, 0.125)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda logger: pickle.loads(pickle.dumps(logger))])
def test_copies(logger, copied):
    """It goes to other processes with its options, and without open files."""
    logger.by_epoch = False
    log_epochs(logger)
    other = copied(logger)
    assert (other.log_dir, other.options, other.by_epoch) == (logger.log_dir, logger.options, False)
    other.log_metrics({"train/loss": 0.0, "epoch": 3}, 39)
    other.finalize("success")
    assert scalars("train")["metrics/loss"][-1] == (40, 0.0)


def test_other_processes_write_nothing(logger, monkeypatch):
    """Only the first does; in the others, what writers are asked for is passed over."""
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    log_epochs(logger)
    logger.log_layout(["loss"])
    logger.log_texts({"config": "text"})
    logger.log_graph(model({"dense": 2}))
    logger.log_embeddings(np.ones((3, 2)), {"true": [1, 2, 3]})
    logger.log_images({"image": np.zeros((1, 1, 3), np.uint8)}, 0)
    logger.log_outcome(OUTCOME, {})
    logger.writer("train").add_scalar("loss", 1.0)
    logger.finalize("success")
    assert not RUN.exists()


def test_files_that_are_deleted(logger, capsys):
    """What has vanished is said, once; what comes after it is written."""
    for epoch in range(4):
        if epoch == 2:
            next((RUN / "train").glob("events.*")).unlink()
        logger.log_metrics({"train/loss": 0.5, "epoch": epoch}, 10 * epoch)
        logger.writer("train").flush()
    logger.finalize("success")
    said = capsys.readouterr().out
    assert said.count("was deleted: TensorBoard has its curves from here on only. history.csv has all.") == 1
    assert [step for step, _ in scalars("train")["metrics/loss"]] == [3, 4]


def test_a_folder_that_is_deleted(logger, capsys, monkeypatch):
    """Training goes on: it is said once that curves end, and closing fails no more than writing."""
    monkeypatch.setattr(threading, "excepthook", lambda found: None)  # as `silence` does
    logger.log_metrics({"train/loss": 0.5, "epoch": 0}, 10)
    shutil.rmtree("runs")
    for epoch in (1, 2):
        logger.log_metrics({"train/loss": 0.5, "epoch": epoch}, 10 * epoch)
        with suppress(OSError):
            logger.writer("train").flush()
    logger.finalize("failed")
    assert capsys.readouterr().out.count("warning: TensorBoard's files can't be written (") == 1
    assert not RUN.exists()
