"""What the tests of the doctor share: runs made by hand."""

import numpy as np
import pandas as pd
import pytest

from lightlab.inspect.doctor import diagnose
from lightlab.inspect.evaluation import Evaluation, LayerRecord, SampleLoss


@pytest.fixture
def config():
    """What a run's config says, as far as the doctor asks."""
    return {
        "data": {"class_path": "lightlab.data.tables.table.TableData", "init_args": {"normalize": "standard"}},
        "model": {
            "layers": [{"dense": {"units": 64, "activation": "relu"}}, {"mlp": {"units": [128, 32]}}],
            "problem": "regression",
            "optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.001}},
        },
        "trainer": {"max_epochs": 10},
    }


@pytest.fixture
def make_history():
    """Return a function that makes the history of some losses, a row an epoch, and of more columns."""

    def make(train, val=None, **columns):
        epochs = np.arange(1, len(train) + 1)
        frame = pd.DataFrame({"epoch": epochs, "step": 10 * epochs, "seconds": epochs / 10, "train/loss": train})
        frame = frame.assign(learning_rate=1e-3, gradient_norm=1.0, gradient_norm_max=2.0, epoch_seconds=0.1)
        return frame.assign(**({} if val is None else {"val/loss": val}), **columns)

    return make


@pytest.fixture
def make_evaluation():
    """Return a function that makes an evaluation; the best constant answer costs 1, and the best of all 0."""

    def make(train=(0.05, 0.04), val=(0.08, 0.09), error=0.01, rows=100, **others):
        samples = {
            split: SampleLoss(rows, *losses, error, 1.0, 0.0)
            for split, losses in (("train", train), ("val", val))
            if losses
        }
        layers = (LayerRecord("0_dense", "model.layers[0].dense", first_gradient=0.2, dead=0.1),)
        given = {"splits": {}, "samples": samples, "layers": layers, **others}
        return Evaluation("regression", (), ("y",), "val/loss", "min", **given)

    return make


@pytest.fixture
def illnesses(make_history, make_evaluation, config):
    """Return a function that makes a run, healthy but for what is said of it, and returns its illnesses in order."""

    def find(
        train_losses=(0.9, 0.4, 0.2, 0.1, 0.08, 0.06), val_losses=(0.8, 0.4, 0.2, 0.1, 0.09, 0.09), limit=99, **others
    ):
        history = make_history(train_losses, val_losses if len(val_losses) == len(train_losses) else None)
        found = diagnose(history, make_evaluation(**others), {**config, "trainer": {"max_epochs": limit}})
        return [finding.illness for finding in found.findings]

    return find
