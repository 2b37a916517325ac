"""The procedure from end to end: shipped configs pass, every kind of data is served, and nothing is left behind."""

import copy
import io
import itertools
import json
import random
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import nn

from lightlab import BundledData, ConfigError, ImageFolderData, SyntheticData, TableData
from lightlab.commands.call import reading
from lightlab.commands.reader import ConfigReader
from lightlab.data import ImageShards, IterableData, ParquetStream, TextData
from lightlab.errors import Fault, TargetError
from lightlab.inspect.procedure import run_procedure
from lightlab.inspect.procedure.run import STEPS
from lightlab.module import Model
from lightlab.registry import LAYERS

CONFIGS = Path(__file__).parents[3] / "configs"
BASE = CONFIGS / "digits_mlp.yaml"
SHIPPED = sorted(CONFIGS.rglob("*.yaml"))
DENSE = [{"dense": {"units": 16, "activation": "relu"}}]
CONV = [{"conv2d": {"filters": 8, "kernel_size": 3, "activation": "relu"}}, "flatten"]
ADAM = {"class_path": "AdamW", "init_args": {"lr": 0.01}}


def run(model, data, **options):
    """Run the procedure, and return what came out and what was said; it can be written as JSON."""
    said = []
    found = run_procedure(model, data, say=said.append, **options)
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["passed"] == found.passed
    return found, "\n".join(said)


def verdicts(found):
    return {result.step: result.verdict for result in found.results}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configs(path):
    """All steps of every shipped config pass; an overlay stands on another config."""
    configs = [str(BASE), str(path)] if path.parent.name == "overlays" else [str(path)]
    with reading("fit", [part for config in configs for part in ("--config", config)]) as call:
        reader = ConfigReader(call)
    found, said = run(reader.model, reader.datamodule)
    assert found.passed, said
    assert list(verdicts(found)) == list(STEPS)
    assert {"failed", "skipped"}.isdisjoint(verdicts(found).values()), said
    assert set(Path().iterdir()) == set()


# Every kind of data


def classes(rows):
    """Return random pixels, dark or bright, and what they are."""
    generator = np.random.default_rng(0)
    kinds = generator.integers(2, size=rows)
    return generator.integers(0, 120, (rows, 8, 8, 3)).astype(np.uint8) + (120 * kinds).astype(np.uint8)[
        :, None, None, None
    ], kinds


def make_folder():
    for number, (pixels, kind) in enumerate(zip(*classes(120), strict=True)):
        Path(f"sky/{kind}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(f"sky/{kind}/{number}.png")


def make_stored():
    make_folder()
    return ImageFolderData("sky", memory_limit=0, num_workers=0, batch_size=16)


def make_stored_with_workers():
    make_folder()
    return ImageFolderData("sky", memory_limit=0, num_workers=2, batch_size=16)


def make_shards():
    Path("shards").mkdir()
    with tarfile.open("shards/0.tar", "w") as shard:
        for number, (pixels, kind) in enumerate(zip(*classes(120), strict=True)):
            content = io.BytesIO()
            Image.fromarray(pixels).save(content, "PNG")
            for extension, part in (("png", content.getvalue()), ("cls", f"kind {kind}".encode())):
                member = tarfile.TarInfo(f"{number:04}.{extension}")
                member.size = len(part)
                shard.addfile(member, io.BytesIO(part))
    return ImageShards("shards", num_workers=0, batch_size=16)


def make_parquet():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame(generator.normal(size=(400, 5)), columns=list("abcde"))
    frame["y"] = frame["a"] - 2 * frame["b"]
    frame.to_parquet("rows.parquet", row_group_size=100)
    return ParquetStream("rows.parquet", "y", num_workers=0, batch_size=32)


def make_texts():
    words = np.random.default_rng(0).choice(["good", "bad", "so", "it", "was"], (300, 7))
    kinds = np.where((words == "good").sum(1) > (words == "bad").sum(1), "praise", "blame")
    pd.DataFrame({"text": [" ".join(row) for row in words], "kind": kinds}).to_csv("texts.csv", index=False)
    return TextData("texts.csv", text="text", target="kind")


def make_table():
    generator = np.random.default_rng(0)
    frame = pd.DataFrame({"size": generator.normal(size=300), "city": generator.choice(list("abcd"), 300)})
    frame["price"] = frame["size"] * 2 + (frame["city"] == "a")
    frame.loc[::5, "size"] = np.nan
    return TableData.from_frame(frame, "price", embeddings="all")


def endless(split):
    """Samples that never end; validation does."""
    generator = np.random.default_rng(len(split))
    for _ in itertools.count() if split == "train" else range(100):
        values = generator.normal(size=3)
        yield values, "up" if values.sum() > 0 else "down"


def make_endless():
    return IterableData(endless, endless, endless=True, statistics_rows=200)


def make_without_validation():
    return IterableData(lambda: itertools.islice(endless("train"), 200))


KINDS = {
    "stored": (make_stored, CONV),
    "workers": (make_stored_with_workers, CONV),
    "shards": (make_shards, CONV),
    "parquet": (make_parquet, DENSE),
    "texts": (make_texts, [{"embedding": 8}, "sequence_avg_pool", *DENSE]),
    "table": (make_table, DENSE),
    "endless": (make_endless, DENSE),
    "no validation": (make_without_validation, DENSE),
    "augmented": (lambda: BundledData("digits", augment=["random_flip"]), ["flatten", *DENSE]),
    "bounded": (lambda: SyntheticData([6], "bounded_regression"), DENSE),
    "labels": (lambda: SyntheticData([4, 6], "multilabel"), ["flatten", *DENSE]),
}


@pytest.mark.parametrize(("make", "layers"), KINDS.values(), ids=KINDS)
def test_kinds_of_data(make, layers):
    """Whatever comes in batches is checked to the end."""
    found, said = run(Model(layers, optimizer=ADAM), make())
    assert found.passed, said
    assert list(verdicts(found)) == list(STEPS)


# What is left behind


def test_nothing_is_changed():
    """Random numbers, the model and the data's rows stay as they are, and no file is written."""
    model, data = Model(DENSE), BundledData("iris")
    spec = data.connect("multiclass")
    rows = copy.deepcopy(data.rows["train"])
    before = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    run(model, data)
    after = random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state()
    assert before[:2] == after[:2]
    assert torch.equal(before[2], after[2])
    assert model.data_spec is None
    assert not list(model.parameters())
    assert data.spec == spec
    pd.testing.assert_frame_equal(data.rows["train"].inputs, rows.inputs)
    assert set(Path().iterdir()) == set()


def test_built_model_keeps_its_weights():
    """A model that was built, for a summary, is checked as well, and stays as it is."""
    model, data = Model(DENSE, problem="multiclass"), BundledData("iris")
    model.build(data.connect("multiclass"))
    before = copy.deepcopy(model.state_dict())
    assert run(model, data)[0].passed
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_same_each_time():
    """The same words and figures, whatever random numbers were drawn before."""
    layers = [*DENSE, {"dropout": 0.3}]
    first = run(Model(layers), BundledData("wine"))
    torch.rand(7), np.random.rand(3), random.random()
    second = run(Model(layers), BundledData("wine"))
    assert first[1] == second[1]
    assert first[0].to_dict() == second[0].to_dict()


# The order of steps


@pytest.fixture
def broken(registries):
    """Return a function that gives a model that forgets its inputs, and data."""

    class Zero(nn.Module):
        def forward(self, inputs):
            return inputs * 0

    LAYERS.add("zero", lambda: Zero(), provider="tests")
    return lambda: (Model(["zero", *DENSE]), BundledData("iris"))


def test_first_failure_stops(broken):
    """What was not run is said; the gradients are looked at all the same, since they may say why."""
    found, said = run(*broken())
    assert not found.passed
    assert verdicts(found)["overfit one batch"] == "failed"
    assert found.left == ("real data",)
    assert "not run: real data (--keep-going runs them)" in said


def test_keep_going(broken):
    """All steps are run, and come out as they do otherwise."""
    stopped = run(*broken())[0]
    found, _ = run(*broken(), keep_going=True)
    assert list(verdicts(found)) == list(STEPS)
    assert found.left == ()
    assert found.results[: len(stopped.results)] == stopped.results


def test_data_that_can_t_be_read():
    """Nothing follows, even if one wants to keep going."""
    frame = pd.DataFrame({"x": np.arange(100.0) ** 2, "y": np.where(np.arange(100) % 9, 1.5, np.nan)})
    data = TableData.from_frame(frame, "y")
    found, said = run(Model(DENSE, problem="regression"), data, keep_going=True)
    assert verdicts(found) == {"data": "failed"}
    assert isinstance(found.results[0].error, TargetError)
    assert said.splitlines()[-1].startswith("not run: shapes, targets, ")
    assert "keep-going" not in said


def test_error_of_a_config_is_located():
    """The caller adds the file and line of an error in a config."""

    def locate(error):
        return ConfigError([Fault((), f"my.yaml:3: {fault}") for fault in error.faults])

    found, said = run(Model([{"conv1d": {"filters": 2, "kernel_size": 3}}]), BundledData("iris"), locate=locate)
    assert verdicts(found)["shapes"] == "failed"
    assert "failed   shapes                my.yaml:3: model.layers[0].conv1d: conv1d needs rank 3" in said
    assert found.hints == ()


def test_targets_that_the_head_can_t_learn():
    """A step of its own says so."""
    found, _ = run(Model(DENSE, problem="bounded_regression"), SyntheticData([3], "regression"))
    assert verdicts(found)["targets"] == "failed"


def test_layer_that_raises_in_training(registries):
    """What a plugin raises is the finding of the step that met it."""

    class Moody(nn.Module):
        def forward(self, inputs):
            if self.training:
                raise RuntimeError("not today")
            return inputs

    LAYERS.add("moody", lambda: Moody(), provider="tests")
    found, said = run(Model(["moody", *DENSE]), BundledData("iris"))
    assert verdicts(found)["train on random data"] == "failed"
    assert "RuntimeError: not today" in said


def test_clipping():
    """A training that only clipping keeps in bounds passes with it, and fails without."""
    sgd = {"class_path": "SGD", "init_args": {"lr": 1e9}}
    arguments = {"optimizer": sgd, "problem": "regression"}
    assert not run(Model(DENSE, **arguments), BundledData("diabetes"))[0].passed
    for algorithm in ("norm", "value"):
        clip = {"gradient_clip_val": 1e-10, "gradient_clip_algorithm": algorithm}
        found, said = run(Model(DENSE, **arguments), BundledData("diabetes"), **clip)
        assert verdicts(found)["train on random data"] == "ok", said


def test_lines():
    """A line for each step, aligned, then the hints with their keys."""
    found, said = run(
        Model([{"dense": {"units": 64, "activation": "tanh"}}], optimizer=ADAM), BundledData("iris", seed=7)
    )
    lines = said.splitlines()
    assert lines[0].startswith(" warning  data                  multiclass, rows: train 106, val 22, test 22")
    assert any(line.startswith(" ok       loss at start         1.") and "chance 1.10 (ln 3)" in line for line in lines)
    assert [f"hint     {hint.to_dict()['key']}" in said for hint in found.hints] == [True]
    assert lines[-1].startswith(" hint     model.layers[0].dense.units: 64 units for 4 inputs")
