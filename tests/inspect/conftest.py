"""What the tests of the procedure share: models and data that are well, and a place for plugins that are not."""

import numpy as np
import pandas as pd
import pytest

from lightlab import BundledData, TableData
from lightlab.inspect.procedure.base import Subject, seeded
from lightlab.module import Model
from lightlab.registry import HEADS, LAYERS, PROBLEMS


def dense(units, activation="relu", **options):
    return {"dense": {"units": units, "activation": activation, **options}}


@pytest.fixture
def make_subject():
    """Return a function that makes what steps look at: a small network on iris, unless something else is said."""

    def make(layers=None, data=None, **options):
        model = Model([dense(16, "tanh")] if layers is None else layers, **options)
        return Subject(model, data or BundledData("iris", batch_size=16), lambda module: None)

    return make


@pytest.fixture
def run_step(make_subject):
    """Return a function that runs one step, as the procedure does, with random numbers of the data's seed."""

    def run(step, layers=None, data=None, **options):
        subject = make_subject(layers, data, **options)
        with seeded(subject.data.seed):
            return step(subject)

    return run


@pytest.fixture
def registries(monkeypatch):
    """Whatever a test registers is gone after it."""
    for registry in (LAYERS, HEADS, PROBLEMS):
        monkeypatch.setattr(registry, "_entries", {name: registry.entry(name) for name in registry.names()})


@pytest.fixture
def make_table():
    """Return a function that makes data of normal numbers, with a target that some function has of them."""

    def make(target, rows=1000, columns=10, **options):
        generator = np.random.default_rng(0)
        inputs = generator.normal(size=(rows, columns))
        frame = pd.DataFrame(inputs, columns=[f"x{number}" for number in range(columns)])
        frame["y"] = target(inputs, generator)
        return TableData.from_frame(frame, "y", **options)

    return make
