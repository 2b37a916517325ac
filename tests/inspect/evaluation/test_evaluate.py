"""What is kept of a run's best weights, for each kind of problem, from real trainings."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from lightlab import Model, Run
from lightlab.cli import main
from lightlab.errors import RunError
from lightlab.inspect.evaluation import read_evaluation

QUIET = ["--trainer.accelerator=cpu", "--tensorboard=null", "--seed_everything=1"]


def fit(config, *options):
    """Train by a config's text, and return the run."""
    Path("trained.yaml").write_text(config)
    assert main(["fit", "--config", "trained.yaml", *QUIET, *options]) == 0
    return Run("runs/trained/version_0")


IRIS = """\
data: {class_path: BundledData, init_args: {name: iris, batch_size: 16}}
model: {layers: [{dense: {units: 16, activation: relu}}], optimizer: {class_path: AdamW, init_args: {lr: 1.0e-2}}}
trainer: {max_epochs: 4}
"""


def test_classes():
    """Confusion, curves, calibration and mistakes are those of the predictions that the checkpoint makes."""
    run = fit(IRIS)
    kept = run.evaluation
    assert set(kept.splits) == {"val", "test"}
    assert kept.monitor == "val/loss"
    assert main(["predict", "--config", str(run.path / "config.yaml"), "--output", "p.csv"]) == 0
    predicted = pd.read_csv("p.csv").prediction
    test = kept.splits["test"]
    (confusion,) = test.confusions
    assert np.sum(confusion.counts, axis=0).tolist() == [int((predicted == name).sum()) for name in confusion.classes]
    accuracy = np.trace(confusion.counts) / test.rows
    assert accuracy == pytest.approx(run.outcome.test["test/accuracy"])
    for split in ("val", "test"):
        logged = {**run.outcome.validation, **run.outcome.test}[f"{split}/loss"]
        assert kept.splits[split].loss == pytest.approx(logged, rel=1e-4)
    assert set(test.roc) == set(test.precision_recall) == set(kept.classes)
    assert sum(test.calibration.rows) == test.rows
    assert test.mistakes == ()  # who looks at them learns from the test split
    val = kept.splits["val"]
    wrong = sum(map(sum, val.confusions[0].counts)) - np.trace(val.confusions[0].counts)
    assert len(val.mistakes) == min(wrong, 16)
    assert [mistake.loss for mistake in val.mistakes] == sorted((m.loss for m in val.mistakes), reverse=True)
    assert all(mistake.true != mistake.predicted for mistake in val.mistakes)


def test_mistakes_say_what_their_rows_hold():
    """A row is called as in predictions, and its values are those of the file, categories and missing ones included."""
    generator = np.random.default_rng(0)
    table = pd.DataFrame({"size": generator.normal(size=80).round(3), "colour": ["red", "blue"] * 40})
    table.loc[::5, "size"] = np.nan
    table["kind"] = generator.choice(["x", "y"], 80)
    table["name"] = [f"row{number}" for number in range(80)]
    table.to_csv("t.csv", index=False)
    run = fit(
        "data:\n  class_path: TableData\n"
        "  init_args: {path: t.csv, target: kind, id_column: name, split: [0.5, 0.25, 0.25]}\n"
        "model: {layers: [{dense: 4}]}\ntrainer: {max_epochs: 2}\n"
    )
    known = table.set_index("name")
    assert run.evaluation.splits["val"].mistakes
    for mistake in run.evaluation.splits["val"].mistakes:
        row = known.loc[mistake.row]
        size = "missing" if np.isnan(row["size"]) else f"{row['size']:.6g}"
        assert mistake.values == {"size": size, "colour": row.colour}
        assert mistake.true == row.kind
        assert mistake.probability > 0.5


def test_labels():
    """Each label has a matrix and curves of its own."""
    run = fit(
        "data: {class_path: SyntheticData, init_args: {shape: [6], problem: multilabel, rows: 200}}\n"
        "model: {problem: multilabel, layers: [{dense: 8}]}\ntrainer: {max_epochs: 1}\n"
    )
    val = run.evaluation.splits["val"]
    assert [confusion.title for confusion in val.confusions] == list(run.evaluation.targets)
    assert all(np.sum(confusion.counts) == val.rows for confusion in val.confusions)
    assert set(val.roc) <= set(run.evaluation.targets)
    assert run.evaluation.reference is None


def test_numbers():
    """Residuals are in the target's own units, and give the error that was logged."""
    run = fit(
        "data: {class_path: BundledData, init_args: {name: diabetes}}\n"
        "model: {layers: [{dense: {units: 16, activation: relu}}]}\ntrainer: {max_epochs: 3}\n"
    )
    (residuals,) = run.evaluation.splits["val"].residuals
    assert 20 < np.mean(residuals.true) < 300
    rows = run.evaluation.splits["val"].rows
    mse = residuals.mean**2 + residuals.std**2 * (rows - 1) / rows
    assert mse == pytest.approx(run.outcome.validation["val/mse"], rel=1e-3)
    assert run.evaluation.splits["val"].confusions == ()
    assert run.evaluation.splits["val"].calibration is None
    assert len(run.evaluation.splits["val"].mistakes) == 16


def test_samples_are_held_like_against_like():
    """Losses are in evaluation mode: with so much dropout those of training would be many times as high."""
    run = fit(IRIS.replace("}}]", "}}, {dropout: 0.9}]"), "--trainer.max_epochs=12")
    train, val = run.evaluation.samples["train"], run.evaluation.samples["val"]
    model = run.load_model()
    assert train.best < 0.8 * run.history["train/loss"].min()
    assert val.best == pytest.approx(run.outcome.validation["val/loss"], rel=1e-4)
    assert train.constant == pytest.approx(np.log(3), abs=0.01)
    assert (train.rows, val.rows) == (model.data_spec.target.rows, run.evaluation.splits["val"].rows)
    assert train.floor == pytest.approx(0, abs=1e-3)
    # The last weights are those of last.ckpt.
    last = Model.load("runs/trained/version_0/checkpoints/last.ckpt")
    assert not torch.equal(last.head.linear.weight, model.head.linear.weight) or train.last == train.best


def test_layers():
    """Each layer has its weights before and after, its gradients, and, where it can be, its dead share."""
    run = fit(
        IRIS.replace(
            "[{dense: {units: 16, activation: relu}}]",
            "[{mlp: {units: [8, 6], batch_norm: true}}, {residual: [{dense: 6}]}, relu]",
        )
    )
    layers = {layer.name: layer for layer in run.evaluation.layers}
    assert list(layers) == ["0_mlp/1", "0_mlp/2", "0_mlp/3", "0_mlp/4", "1_residual/0_dense", "2_relu", "head"]
    dense, activation = layers["0_mlp/1"], layers["2_relu"]
    assert dense.key == "model.layers[0].mlp"
    assert dense.parameters == 4 * 8  # batch norm stands in for the bias
    assert sum(dense.before.counts) == sum(dense.after.counts) == 4 * 8
    assert dense.before != dense.after
    assert dense.first_gradient > 0
    assert dense.last_gradient != dense.first_gradient
    assert layers["0_mlp/2"].dead is not None  # the activation after batch norm
    assert layers["1_residual/0_dense"].dead is None
    assert (activation.parameters, activation.before) == (0, None)
    assert 0 <= activation.dead <= 1
    after = run.load_model().network[0][0].weight
    assert dense.after.edges[0] == pytest.approx(float(after.min().detach()))


def test_a_reference_where_the_network_learns_little():
    """Trees are asked where the loss stays high: here they find what one unit can't; a network that learns is not."""
    poor = "data: {class_path: BundledData, init_args: {name: digits}}\nmodel: {layers: [flatten, {dense: 1}]}\n"
    run = fit(poor + "trainer: {max_epochs: 2}\n")
    reference = run.evaluation.reference
    assert reference.metric == "accuracy"
    assert reference.score > 0.9 > 0.5 > reference.network
    assert reference.network == pytest.approx(run.outcome.validation["val/accuracy"], abs=0.01)


def test_images_come_as_pictures():
    """Mistakes of images are kept as PNG."""
    run = fit(
        "data: {class_path: BundledData, init_args: {name: digits}}\nmodel: {layers: [flatten, {dense: 8}]}\n"
        "trainer: {max_epochs: 1}\n"
    )
    assert all(mistake.image.startswith("iVBOR") for mistake in run.evaluation.splits["val"].mistakes)


def test_without_validation_and_test():
    """Of a run with nothing but a train split, samples and layers are kept."""
    run = fit(IRIS, "--data.split=[1,0,0]")
    assert run.evaluation.splits == {}
    assert list(run.evaluation.samples) == ["train"]
    assert run.evaluation.monitor == "train/loss"
    assert any(layer.dead is not None for layer in run.evaluation.layers)


def test_the_file():
    """It reads back as it was written, is JSON for anyone, and says what is wrong with another."""
    run = fit(IRIS)
    file = run.path / "evaluation.json"
    json.loads(file.read_text(), parse_constant=pytest.fail)
    again = Path("again.json")
    read_evaluation(file).write(again)
    assert again.read_text() == file.read_text()
    again.write_text("{}")
    with pytest.raises(RunError, match=r"again.json can't be read as the evaluation of a run"):
        read_evaluation(again)
