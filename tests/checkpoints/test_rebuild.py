"""A stranger's checkpoint may describe a network of any size in a few words: it is refused before it takes memory."""

import copy
from pathlib import Path

import pytest
import torch

from lightlab.checkpoints import write_checkpoint
from lightlab.cli import WRONG_INPUT, main
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.errors import CheckpointError, LightlabError
from lightlab.module import Model

TABLE = InputSpec((4,), (0.0,) * 4, (1.0,) * 4, columns=("a", "b", "c", "d"), kind="table")
TEXT = InputSpec((6,), (), (), kind="text", vocabulary=("", "?", "one", "two"), tokens="words")
IMAGE = InputSpec((1, 8, 8), (0.0,), (1.0,), kind="image", high=1.0)
LABELS = TargetSpec(("y",), ("no", "yes"), (5, 5))


def checkpoint_of(layers, spec, head=None):
    """Return the checkpoint of a model that was not trained."""
    model = Model(layers, "binary", head)
    model.build(DataSpec("binary", spec, LABELS))
    return {
        "state_dict": model.state_dict(),
        "hyper_parameters": {"layers": layers, "problem": "binary", "head": head, "optimizer": "AdamW"},
        "data_spec": model.data_spec.to_dict(),
    }


def changed(checkpoint, place, value):
    """Return a copy with another value in a place."""
    other = copy.deepcopy(checkpoint)
    *way, last = place
    part = other
    for step in way:
        part = part[step]
    part[last] = value
    return other


DENSE, LAYERS = [{"dense": 3}], ("hyper_parameters", "layers")
TEXT_LAYERS = [{"embedding": 2}, {"permute": [2, 1]}, "global_avg_pool"]
DOWN = [{"repeat": {"times": 1000, "layers": [{"repeat": {"times": 1000, "layers": ["relu"]}}]}}]
EVIL = {
    "a large layer": (DENSE, TABLE, LAYERS, [{"dense": {"units": 10**9}}], "weights have the shapes"),
    "a large kernel": (
        [{"conv2d": {"filters": 2, "kernel_size": 3}}, "flatten"],
        IMAGE,
        LAYERS,
        [{"conv2d": {"filters": 2**31 - 1, "kernel_size": 3}}, "global_avg_pool"],
        "weights have the shapes",
    ),
    "many layers": (DENSE, TABLE, LAYERS, [*DOWN, *DENSE], "more than 2000"),
    "many layers of torch's": (
        DENSE,
        TABLE,
        LAYERS,
        [{"nn.LSTM": {"input_size": 4, "hidden_size": 4, "num_layers": 10**9}}],
        "more than 2000",
    ),
    "a large sample": (
        [{"conv2d": {"filters": 2, "kernel_size": 3}}, "flatten"],
        IMAGE,
        ("data_spec", "input", "shape"),
        (1, 10**8, 10**8),
        "weights have the shapes",
    ),
    "long vectors of categories": (
        DENSE,
        InputSpec(
            (2,), (0.0,), (1.0,), columns=("a",), categories={"b": ("x", "y")}, kind="table", embeddings={"b": 2}
        ),
        ("data_spec", "input", "embeddings", "b"),
        10**12,
        "weights have the shapes",
    ),
    "a large embedding": (
        TEXT_LAYERS,
        TEXT,
        LAYERS,
        [{"embedding": {"output_dim": 2, "input_dim": 10**9}}, *TEXT_LAYERS[1:]],
        "weights have the shapes",
    ),
}


@pytest.mark.parametrize("name", EVIL)
def test_descriptions_of_large_networks(name):
    """The network is held against the weights before it is built."""
    layers, spec, place, value, message = EVIL[name]
    write_checkpoint(changed(checkpoint_of(layers, spec), place, value), "evil.ckpt")
    with pytest.raises(CheckpointError, match=message):
        Model.load("evil.ckpt")


def test_weights_that_share_what_is_stored():
    """Many weights made of the same few numbers are no reason to take memory for all of them."""
    layers = [{"repeat": {"times": 40, "layers": [{"dense": {"units": 256}}]}}]
    checkpoint = checkpoint_of(layers, TABLE)
    shared = torch.zeros(256 * 256)
    weights = checkpoint["state_dict"].items()
    checkpoint["state_dict"] = {name: shared[: each.numel()].reshape(each.shape) for name, each in weights}
    write_checkpoint(checkpoint, "evil.ckpt")
    assert Path("evil.ckpt").stat().st_size < 400_000
    with pytest.raises(CheckpointError, match="takes about the memory of its weights"):
        Model.load("evil.ckpt")


def test_a_long_text():
    """A text of any length is no reason to try the layers out on one: the weights don't tell how long it is."""
    checkpoint = changed(checkpoint_of(TEXT_LAYERS, TEXT), ("data_spec", "input", "shape"), (10**13,))
    write_checkpoint(checkpoint, "long.ckpt")
    model = Model.load("long.ckpt")
    assert model.network[0].weight.shape == (4, 2)


@pytest.mark.parametrize(
    ("layers", "spec"),
    [
        (DENSE, TABLE),
        ([{"dense": {"units": 3, "init": "orthogonal", "activation": "prelu"}}, "batch_norm"], TABLE),
        (TEXT_LAYERS, TEXT),
        ([{"embedding": 3}, {"lstm": 4}], TEXT),
        ([{"conv2d": {"filters": 2, "kernel_size": 3}}, "batch_norm", "flatten"], IMAGE),
        ([{"residual": {"layers": [{"dense": 4}]}}, {"nn.LayerNorm": 4}], TABLE),
    ],
)
def test_what_is_loaded_is_what_was_saved(layers, spec):
    """A network comes back whole: weights, buffers that are not saved, and the same outputs to the bit."""
    torch.manual_seed(0)
    checkpoint = checkpoint_of(layers, spec, {"class_weight": "balanced"})
    write_checkpoint(checkpoint, "a.ckpt")
    torch.manual_seed(1)
    loaded = Model.load("a.ckpt")
    assert not any(each.is_meta for each in (*loaded.parameters(), *loaded.buffers()))
    assert all(torch.equal(each, checkpoint["state_dict"][name]) for name, each in loaded.state_dict().items())
    own = Model(layers, "binary", {"class_weight": "balanced"})
    own.build(DataSpec("binary", spec, LABELS))
    own.load_state_dict(checkpoint["state_dict"])
    inputs = torch.randint(0, 4, (5, *spec.shape)).float()
    assert own.predict(inputs) == loaded.predict(inputs)


@pytest.mark.parametrize(
    "parameters",
    [
        {"layers": None},
        {"layers": [{"dense": "x"}]},
        {"layers": ["os.system"]},
        {"class_path": "os.system", "layers": DENSE},
        {"_class_path": "os.system", "layers": DENSE},
        {"_instantiator": "os.system", "layers": DENSE},
        {"layers": [{"class_path": "os.system", "init_args": {"command": "touch ran"}}]},
        {"layers": DENSE, "optimizer": {"class_path": "os.system"}},
        {"layers": DENSE, "problem": {"class_path": "os.system"}},
        {"layers": DENSE, "head": {"_instantiator": "lightning.pytorch.cli.instantiate_module"}},
        {3: 4},
        {},
    ],
    ids=repr,
)
def test_hyper_parameters_of_another_form(parameters):
    """They are answered with lightlab's own errors, and nothing that they name is imported or called."""
    checkpoint = checkpoint_of(DENSE, TABLE)
    write_checkpoint({**checkpoint, "hyper_parameters": parameters}, "evil.ckpt")
    with pytest.raises(LightlabError):
        Model.load("evil.ckpt")
    assert not Path("ran").exists()


@pytest.mark.parametrize("verb", ["fit", "predict", "test", "summary"])
def test_every_verb_refuses_it(verb, capsys):
    """A config that leaves the model to such a checkpoint is no way to have it built: not even for other data."""
    layers, spec, place, value, message = EVIL["a large layer"]
    state = {"epoch": 0, "global_step": 1, "loops": {}, "optimizer_states": [], "lr_schedulers": []}
    write_checkpoint({**changed(checkpoint_of(layers, spec), place, value), **state}, "evil.ckpt")
    Path("data.yaml").write_text("data: {class_path: BundledData, init_args: {name: breast_cancer}}\n")
    call = [verb, "evil.ckpt"] if verb == "summary" else [verb, "--config", "data.yaml", "--ckpt_path", "evil.ckpt"]
    assert main(call) == WRONG_INPUT
    assert message in capsys.readouterr().err
    assert not Path("runs").exists()


def test_memory_that_is_taken(growth):
    """No description has the process that opens it grow by more than what so many modules take."""
    write_checkpoint(checkpoint_of(DENSE, TABLE), "fine.ckpt")
    for number, (layers, spec, place, value, _) in enumerate(EVIL.values()):
        write_checkpoint(changed(checkpoint_of(layers, spec), place, value), f"evil{number}.ckpt")
    assert growth("model") < 100
