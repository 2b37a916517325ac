"""What a run writes for TensorBoard, by default and by each option, as TensorBoard's own reader finds it."""

from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightlab.cli import main

DIGITS = """\
seed_everything: 1
data:
  class_path: BundledData
  init_args: {name: digits, batch_size: 128, augment: [{padded_crop: 1}]}
model:
  problem: multiclass
  layers: [{conv2d: {filters: 4, kernel_size: 3, activation: relu}}, flatten, {dense: {units: 8, l2: 1.0e-3}}]
trainer: {max_epochs: 2, accelerator: cpu}
"""
LAYERS = ("0_conv2d", "1_flatten", "2_dense", "head")


def fit(config, *options):
    """Train by a config's text, and return the run folder."""
    Path("trained.yaml").write_text(config)
    assert main(["fit", "--config", "trained.yaml", *options]) == 0
    return Path("runs/trained/version_0")


def read(folder):
    """Return what TensorBoard's reader finds in a folder: tags by kind."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0, "images": 0, "histograms": 0})
    return events.Reload()


@pytest.fixture
def digits():
    """A run with everything that is written by default."""
    return fit(DIGITS)


def test_histograms_of_each_layer(digits):
    """Weights from before training on, gradients and activations after each epoch that is due, over epochs."""
    events = read(digits)
    found = events.Tags()["histograms"]
    parameters = {f"{layer}/{name}" for layer in ("0_conv2d", "2_dense", "head") for name in ("weight", "bias")}
    for group, names in (("weights", parameters), ("gradients", parameters), ("activations", set(LAYERS))):
        assert {tag for tag in found if group in tag} == {f"network_{group}/{name}" for name in names}
    weights = events.Histograms("network_weights/0_conv2d/weight")
    assert [event.step for event in weights] == [0, 1, 2]
    assert [event.step for event in events.Histograms("network_gradients/head/bias")] == [1, 2]
    assert weights[0].histogram_value.num == 36
    assert weights[0].histogram_value.bucket != weights[2].histogram_value.bucket
    relu = events.Histograms("network_activations/0_conv2d")[0].histogram_value
    assert relu.min == 0 < relu.max


def test_images(digits):
    """The first batch as the model sees it, the worst mistakes, and the charts that the problem has."""
    events = read(digits)
    charts = {"confusion_matrix", "roc", "precision_recall", "calibration", "worst_mistakes"}
    assert set(events.Tags()["images"]) == {"samples/first_batch", *(f"predictions/{chart}" for chart in charts)}
    for tag in events.Tags()["images"]:
        (image,) = events.Images(tag)
        assert image.width > 200
        assert image.encoded_image_string.startswith(b"\x89PNG")


def test_embeddings_and_texts(digits):
    """The features of validation rows lie beside the events, with labels; config, summary and environment are there."""
    lines = (digits / "val" / "labels.tsv").read_text().splitlines()
    assert lines[0].split("\t") == ["true", "predicted", "row"]
    assert len(lines) == 1 + 270
    tags = read(digits).Tags()["tensors"]
    assert {"run/config", "run/summary", "run/environment"} <= set(tags)


def test_numbers_have_charts_of_their_own():
    """Of regression predicted against true numbers, and residuals; mistakes of a table are a text."""
    run = fit(
        "data: {class_path: BundledData, init_args: {name: diabetes}}\nmodel: {layers: [{dense: 4}]}\n"
        "trainer: {max_epochs: 1, accelerator: cpu}\n"
    )
    events = read(run)
    assert set(events.Tags()["images"]) == {"predictions/predicted_against_true", "predictions/residuals"}
    assert "run/worst_mistakes" in events.Tags()["tensors"]


def test_charts_that_are_left_out():
    """Of more classes than a chart holds a text says that there is none."""
    rows = "".join(f"{number % 21},{number},k{number % 21}\n" for number in range(210))
    Path("many.csv").write_text("a,b,kind\n" + rows)
    run = fit(
        "data: {class_path: TableData, init_args: {path: many.csv, target: kind}}\nmodel: {layers: [{dense: 4}]}\n"
        "trainer: {max_epochs: 1, accelerator: cpu}\n"
    )
    events = read(run)
    assert set(events.Tags()["images"]) == {"predictions/confusion_matrix", "predictions/calibration"}
    (text,) = events.Tensors("run/charts_left_out")
    assert b"of at most 20 classes; these are 21." in text.tensor_proto.string_val[0]


OFF = {
    "curves": lambda run: not (run / "train").exists() and not read(run / "val").Tags()["scalars"],
    "learning_rate": lambda run: "training/learning_rate" not in read(run).Tags()["scalars"],
    "gradient_norm": lambda run: not any("gradient_norm" in tag for tag in read(run).Tags()["scalars"]),
    "penalty": lambda run: "training/penalty" not in read(run).Tags()["scalars"],
    "throughput": lambda run: not any("second" in tag for tag in read(run).Tags()["scalars"]),
    "memory": lambda run: "training/memory_mib" not in read(run).Tags()["scalars"],
    "histograms": lambda run: read(run).Tags()["histograms"] == [],
    "weights": lambda run: not any("_weights/" in tag for tag in read(run).Tags()["histograms"]),
    "gradients": lambda run: not any("_gradients/" in tag for tag in read(run).Tags()["histograms"]),
    "activations": lambda run: not any("_activations/" in tag for tag in read(run).Tags()["histograms"]),
    "graph": lambda run: not read(run).Tags()["graph"],
    "hyperparameters": lambda run: not _has_hyperparameters(run),
    "text": lambda run: "run/config" not in read(run).Tags()["tensors"],
    "images": lambda run: "samples/first_batch" not in read(run).Tags()["images"],
    "mistakes": lambda run: "predictions/worst_mistakes" not in read(run).Tags()["images"],
    "embeddings": lambda run: not list(run.rglob("projector_config.pbtxt")),
    "confusion_matrix": lambda run: "predictions/confusion_matrix" not in read(run).Tags()["images"],
    "roc": lambda run: "predictions/roc" not in read(run).Tags()["images"],
    "precision_recall": lambda run: "predictions/precision_recall" not in read(run).Tags()["images"],
    "calibration": lambda run: "predictions/calibration" not in read(run).Tags()["images"],
}


def _has_hyperparameters(run):
    return any(b"_hparams_/session_start_info" in file.read_bytes() for file in run.rglob("events.out*"))


def test_each_is_there_by_default(digits):
    """What can be switched off is on: no check below is true of a run as it is by default."""
    assert [option for option, is_off in OFF.items() if is_off(digits)] == []


@pytest.mark.parametrize("option", OFF)
def test_each_can_be_switched_off(option):
    """Without it the run has all the rest."""
    run = fit(DIGITS, f"--tensorboard.{option}=false", "--trainer.max_epochs=1")
    assert OFF[option](run)
    implied = {"histograms": {"weights", "gradients", "activations"}}.get(option, set())
    assert {other for other, is_off in OFF.items() if is_off(run)} == {option, *implied}


@pytest.mark.parametrize(("option", "tag"), [("predictions", "predicted_against_true"), ("residuals", "residuals")])
def test_charts_of_numbers_can_be_switched_off(option, tag):
    """Likewise for regression."""
    run = fit(
        "data: {class_path: BundledData, init_args: {name: diabetes}}\nmodel: {layers: [{dense: 4}]}\n"
        f"tensorboard: {{{option}: false}}\ntrainer: {{max_epochs: 1, accelerator: cpu}}\n"
    )
    charts = {"predictions/predicted_against_true", "predictions/residuals"}
    assert set(read(run).Tags()["images"]) == charts - {f"predictions/{tag}"}


def test_amounts():
    """So many images, mistakes and rows are shown as the config says."""
    options = ["--tensorboard.embeddings=20", "--tensorboard.mistakes=3", "--tensorboard.images=2"]
    run = fit(DIGITS, *options, "--trainer.max_epochs=1")
    assert len((run / "val" / "labels.tsv").read_text().splitlines()) == 21
    events = read(run)
    assert events.Images("samples/first_batch")[0].width < events.Images("predictions/worst_mistakes")[0].width


def test_nothing_at_all(capsys):
    """null leaves no event file; the history, the evaluation and the verdict are there all the same."""
    run = fit(DIGITS, "--tensorboard=null", "--trainer.max_epochs=1")
    assert not list(run.rglob("events.out*"))
    assert {"history.csv", "evaluation.json"} <= {path.name for path in run.iterdir()}
    assert "doctor" in capsys.readouterr().out


def test_over_steps_where_validation_is_within_epochs():
    """Then figures of an epoch would stand on one place: they stand over steps."""
    run = fit(DIGITS, "--trainer.max_epochs=1", "--trainer.val_check_interval=3")
    assert [event.step for event in read(run / "val").Scalars("metrics/loss")] == [3, 6, 9]


@pytest.mark.parametrize("logger", ["false", "CSVLogger"])
def test_another_logger_and_options_of_ours_contradict_each_other(logger, capsys):
    """Options that would have no effect are a fault; those of a repeated run, which are the defaults, are none."""
    Path("trained.yaml").write_text(DIGITS)
    options = ["--trainer.fast_dev_run=true", f"--trainer.logger={logger}"]
    options += ["--trainer.logger.save_dir=logs"] if logger == "CSVLogger" else []
    assert main(["fit", "--config", "trained.yaml", *options, "--tensorboard.graph=false"]) == 2
    assert "tensorboard: tensorboard says what lightlab's own logger writes" in capsys.readouterr().err
    assert main(["fit", "--config", "trained.yaml", *options, "--tensorboard.graph=true"]) == 0
