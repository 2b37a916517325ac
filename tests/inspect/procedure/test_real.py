"""Some steps on real data: healthy configs beat the baselines, noise and wild learning rates do not."""

import numpy as np
import pytest

from lightlab import BundledData, SyntheticData
from lightlab.data import TextData
from lightlab.inspect.procedure.baseline import linear_model
from lightlab.inspect.procedure.real import check_real_data, training_batches

RELU = [{"dense": {"units": 32, "activation": "relu"}}]


def noise_classes(inputs, generator):
    return generator.choice(["a", "b", "c"], len(inputs))


def noise_numbers(inputs, generator):
    return generator.normal(size=len(inputs))


def product(inputs, generator):
    return inputs[:, 0] * inputs[:, 1]


@pytest.mark.parametrize("target", [noise_classes, noise_numbers])
def test_noise(target, run_step, make_table):
    """Nothing beats the best constant on noise, and that is said with the losses."""
    found = run_step(check_real_data, RELU, make_table(target))
    assert found.verdict == "failed"
    assert "not better than a constant; in training it went from" in found.text
    assert found.figures["loss"] > found.figures["constant"]


def test_what_a_linear_model_can_t_learn(run_step, make_table):
    """The product of two columns: better than the constant and than the linear model."""
    optimizer = {"class_path": "AdamW", "init_args": {"lr": 0.01}}
    found = run_step(check_real_data, RELU, make_table(product, columns=2), optimizer=optimizer)
    assert found.verdict == "ok"
    figures = found.figures
    assert figures["loss"] < 0.5 * figures["linear"]
    assert figures["constant"] == pytest.approx(figures["linear"], rel=0.1)
    assert (figures["split"], figures["rows"]) == ("val", 150)


def test_worse_than_a_linear_model(run_step):
    """A network through one unit on data that is linear is a warning."""
    data = SyntheticData([20], "multiclass", rows=1000, outputs=5)
    found = run_step(check_real_data, [{"dense": {"units": 1, "activation": "tanh"}}], data)
    assert found.verdict == "warning"
    assert found.text.endswith("not better than a linear model so far")


@pytest.mark.parametrize(
    "optimizer",
    [
        {"class_path": "AdamW", "init_args": {"lr": 100.0}},
        {"class_path": "SGD", "init_args": {"lr": 100.0}},
        {"class_path": "SGD", "init_args": {"lr": 1e25}},
        {"class_path": "AdamW", "init_args": {"lr": 1e-8}},
    ],
    ids=["AdamW 100", "SGD 100", "not finite", "AdamW 1e-8"],
)
def test_learning_rates(optimizer, run_step):
    """Far too large, or far too small."""
    found = run_step(check_real_data, ["flatten", *RELU], BundledData("digits", batch_size=64), optimizer=optimizer)
    assert found.verdict == "failed", found.text


def test_rare_class(run_step, make_table):
    """What takes more than a round is given more: a rare class with a small learning rate."""
    data = make_table(lambda inputs, generator: np.where(inputs[:, 0] > 1.6, "rare", "often"), rows=400, columns=2)
    found = run_step(check_real_data, RELU, data)
    assert found.verdict != "failed"
    assert found.figures["loss"] < found.figures["constant"]
    assert found.figures["steps"] > 200


def test_targets_that_are_not_normalized(run_step):
    """A loss that falls fast, and from far away, is not held against the model."""
    options = {"problem": "regression", "head": {"normalize_target": False}}
    found = run_step(check_real_data, RELU, BundledData("diabetes"), **options)
    assert found.verdict == "warning"
    assert "not better than a constant yet" in found.text


def test_no_validation_split(run_step):
    """The training rows stand in, and that is said."""
    found = run_step(check_real_data, RELU, BundledData("iris", split=[0.8, 0, 0.2]))
    assert found.figures["loss"] < found.figures["constant"]
    assert "rows of train, since there is no val split" in found.text


def test_few_rows_of_validation(run_step, make_table):
    """Four rows are too few to tell noise from a model."""
    found = run_step(check_real_data, RELU, make_table(noise_numbers, rows=100, split=[0.9, 0.05, 0.05]))
    assert found.verdict == "warning"


def test_batches_go_on_with_other_orders():
    """After the last batch of an epoch comes another epoch, in another order."""
    data = BundledData("iris", batch_size=50)
    data.connect("multiclass")
    batches = training_batches(data)
    orders = [tuple(next(batches).places.tolist()) for _ in range(4)]
    assert len(data.train_dataloader()) == 2
    assert orders[0] != orders[2]
    assert sorted(orders[0] + orders[1]) == sorted(orders[2] + orders[3])


def test_linear_model_of_texts(make_subject):
    """Of texts it is one of the shares of words, and learns which word tells the class."""
    import pandas as pd

    words = np.random.default_rng(0).choice(["red", "green", "blue"], (300, 6))
    kind = np.where((words == "red").sum(1) > 1, "warm", "cold")
    pd.DataFrame({"text": [" ".join(row) for row in words], "kind": kind}).to_csv("colours.csv", index=False)
    layers = [{"embedding": 8}, "sequence_avg_pool"]
    data = TextData("colours.csv", text="text", target="kind")
    optimizer = {"class_path": "AdamW", "init_args": {"lr": 0.02}}
    subject = make_subject(layers, data, optimizer=optimizer)
    assert linear_model(subject)[2] == "a linear model of the words"
    found = check_real_data(subject)
    assert found.verdict in ("ok", "warning")
    assert found.figures["linear"] < 0.7 * found.figures["constant"]
