"""Run folders as fit leaves them, made by hand."""

import base64
import json
import math
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from lightlab import Model
from lightlab.checkpoints import digests, write_checkpoint
from lightlab.data.finding import DataFinding
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.inspect.evaluation import (
    Calibration,
    Confusion,
    Curve,
    Evaluation,
    Histogram,
    LayerRecord,
    Mistake,
    Residuals,
    SampleLoss,
    SplitRecord,
)
from lightlab.inspect.outcome import Outcome
from lightlab.inspect.run import Run

EPOCHS = 12


def histogram(values, bins=30):
    counts, edges = np.histogram(values, bins)
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def history(metric, generator):
    """Return the history of a training whose loss falls."""
    epochs = np.arange(1, EPOCHS + 1)
    falling = np.exp(-epochs / 4)
    return pd.DataFrame(
        {
            "epoch": epochs,
            "step": epochs * 20,
            "seconds": epochs * 0.5,
            "train/loss": 2 * falling + 0.02,
            "val/loss": 2 * falling + 0.1 + 0.01 * epochs,
            f"train/{metric}": 1 - falling,
            f"val/{metric}": 0.95 - falling,
            "learning_rate": 0.001 * np.cos(epochs / 10),
            "gradient_norm": 1 + generator.random(EPOCHS),
            "gradient_norm_max": 2 + generator.random(EPOCHS),
            "epoch_seconds": 0.5 + 0.1 * generator.random(EPOCHS),
            "samples_per_second": 2500 + 100 * generator.random(EPOCHS),
            "memory_mib": np.full(EPOCHS, 512.0),
        }
    )


def layers(generator):
    """Return the records of three layers; one of them has no weights, and units that are dead."""
    return (
        LayerRecord(
            "0_dense",
            "model.layers[0].dense",
            40,
            histogram(generator.normal(0, 0.2, 400)),
            histogram(generator.normal(0.05, 0.4, 400)),
            0.31,
            0.004,
        ),
        LayerRecord("1_relu", "model.layers[1].relu", dead=0.25),
        LayerRecord(
            "head",
            "model.head",
            27,
            histogram(generator.normal(0, 1, 90)),
            histogram(generator.normal(0, 2, 90)),
            0.2,
            None,
        ),
    )


def classified(classes, generator, mistakes=()):
    """Return what is kept of a split of a problem with classes."""
    counts = generator.integers(0, 3, (len(classes), len(classes))) + 40 * np.eye(len(classes), dtype=int)
    x = np.linspace(0, 1, 50)
    areas = np.linspace(0.99, 0.8, len(classes))
    roc = {name: Curve(tuple(x), tuple(x ** (1 - area)), area) for name, area in zip(classes, areas, strict=True)}
    bins = np.linspace(0.4, 0.99, 10)
    return SplitRecord(
        rows=int(counts.sum()),
        loss=0.1234,
        confusions=(Confusion("", classes, tuple(tuple(row) for row in counts.tolist())),),
        confused=((classes[0], classes[1], 7), (classes[1], classes[0], 3)),
        roc=roc,
        precision_recall={
            name: Curve(tuple(x), tuple(1 - 0.3 * x**3), area) for name, area in zip(classes, areas, strict=True)
        },
        calibration=Calibration(tuple(bins), tuple(bins**1.2), (30,) * 10, 0.021),
        mistakes=mistakes,
    )


def measured(targets, generator, mistakes=()):
    """Return what is kept of a split of a problem with numbers."""
    residuals = []
    for target in targets:
        true = generator.normal(150, 50, 200)
        predicted = true + generator.normal(3, 12, 200)
        errors = predicted - true
        residuals.append(
            Residuals(
                target, tuple(true), tuple(predicted), histogram(errors), float(errors.mean()), float(errors.std())
            )
        )
    return SplitRecord(rows=200, loss=0.4, residuals=tuple(residuals), mistakes=mistakes)


def thumbnail(generator):
    buffer = BytesIO()
    Image.fromarray(generator.integers(0, 255, (8, 8), np.uint8)).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def write_model(path, classes):
    """Write the checkpoint of a small model."""
    model = Model([{"dense": 8}, "relu"], problem="multiclass" if classes else "regression")
    inputs = InputSpec((4,), (0.0,) * 4, (1.0,) * 4)
    kind = model.hparams["problem"]
    target = TargetSpec(("kind",), classes) if classes else TargetSpec(("price",), mean=(0.0,), std=(1.0,))
    spec = DataSpec(kind, inputs, target)
    model.build(spec)
    write_checkpoint(
        {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams), "data_spec": spec.to_dict()}, path
    )


def write_start(folder, config):
    """Write what a run folder holds from the start on."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True), encoding="utf-8")
    environment = {
        "python": "3.11.9",
        "platform": "Linux",
        "cpu_count": 8,
        "packages": {"lightlab": "0.4.0", "torch": "2.10.0", "pandas": None},
        "gpus": [],
        "git_commit": "c0ffee",
        "git_changed": True,
    }
    (folder / "environment.json").write_text(json.dumps(environment), encoding="utf-8")


@pytest.fixture
def harmful():
    """Names that would do harm in a page, in a table of Markdown, or in a formula of matplotlib's."""
    return ("<script>alert(1)</script>", 'a|b\n"c" </svg>&amp;', "$\\frac{$ __init__ `*x*`")


@pytest.fixture
def make_run():
    """Return a function that writes a whole run folder, and returns its run.

    Called with no ``classes``, it writes a run of a regression.
    """

    def make(name="pets", classes=("cat", "dog", "cow"), targets=("kind",), images=False, ill=False):
        generator = np.random.default_rng(0)
        folder = Path("runs") / name / "version_0"
        write_start(folder, {"seed_everything": 42, "model": {"problem": "multiclass", "layers": [{"dense": 8}]}})
        metric = "accuracy" if classes else "r2"
        history(metric, generator).to_csv(folder / "history.csv", index=False)
        hashes = {split: {"rows": rows, "sha256": "0123abcd" * 8} for split, rows in (("train", 140), ("val", 30))}
        (folder / "data.json").write_text(json.dumps(hashes))
        mistakes = tuple(
            Mistake(
                f"row {place}",
                9.5 - place,
                classes[0] if classes else "151",
                classes[1] if classes else "93.2",
                0.98 if classes else None,
                thumbnail(generator) if images else None,
                {}
                if images
                else {"age": "3", "a very long name of a column": "Oslo", "weight": "12.5", targets[0]: "<b>"},
            )
            for place in range(6)
        )
        record = classified(classes, generator, mistakes) if classes else measured(targets, generator, mistakes)
        test = classified(classes, generator) if classes else measured(targets, generator)
        losses = {"train": 0.05, "val": 0.7 if ill else 0.05}
        samples = {split: SampleLoss(140, loss, loss, 0.01, 1.1, 0.0) for split, loss in losses.items()}
        Evaluation(
            problem="multiclass" if classes else "regression",
            classes=tuple(classes),
            targets=targets,
            monitor="val/loss",
            mode="min",
            splits={"val": record, "test": test},
            samples=samples,
            layers=layers(generator),
            findings=(DataFinding("shared rows", "1 of 30 rows of val also stand in train.", "val", rows=1, of=30),),
        ).write(folder / "evaluation.json")
        checkpoint = folder / "checkpoints" / "best.ckpt"
        write_model(checkpoint, tuple(classes))
        validation = {"val/loss": 0.1234, f"val/{metric}": 0.93}
        Outcome(
            validation,
            {"test/loss": 0.2, f"test/{metric}": math.nan},
            7,
            70,
            EPOCHS,
            6.5,
            str(checkpoint),
            **digests(checkpoint),
        ).write(folder / "metrics.json")
        return Run(folder)

    return make
