"""Weights as safetensors: whole, checked, and the same model to the bit."""

import json
import random
from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from lightlab import __version__
from lightlab.checkpoints import read_checkpoint
from lightlab.checkpoints.weights import read_weights, write_weights
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.errors import CheckpointError
from lightlab.module import Model

IMAGE = InputSpec((2, 6, 6), (0.1, 0.2), (0.3, 0.7), kind="image", high=1.0)
LABELS = TargetSpec(("y",), ("no", "yes"), (5, 7))
LAYERS = [{"conv2d": {"filters": 3, "kernel_size": 3, "activation": "relu"}}, "batch_norm", "flatten"]


@pytest.fixture
def checkpoint():
    """The checkpoint of a model that was not trained."""
    torch.manual_seed(0)
    model = Model(LAYERS, "binary", {"class_weight": {"no": 1.0, "yes": 0.1}})
    model.build(DataSpec("binary", IMAGE, LABELS))
    return {
        "state_dict": model.state_dict(),
        "hyper_parameters": dict(model.hparams),
        "data_spec": model.data_spec.to_dict(),
        "metrics": {"val/loss": 0.1 + 0.2},
        "epoch": 3,
        "global_step": 12,
        "lightlab_version": __version__,
        "optimizer_states": [{"state": {0: torch.zeros(3)}}],
    }


def test_round_trip(checkpoint):
    """The model comes back whole: the same outputs to the bit, and the same that is known of its data."""
    write_weights(checkpoint, Path("a.safetensors"))
    assert [path.name for path in Path().iterdir()] == ["a.safetensors"]
    read = read_checkpoint("a.safetensors")
    assert read.keys() == checkpoint.keys() - {"optimizer_states"}
    assert all(torch.equal(each, checkpoint["state_dict"][name]) for name, each in read["state_dict"].items())
    assert (read["metrics"], read["epoch"]) == (checkpoint["metrics"], 3)
    loaded, own = Model.load("a.safetensors"), Model(**checkpoint["hyper_parameters"])
    own.on_load_checkpoint(checkpoint)
    own.load_state_dict(checkpoint["state_dict"])
    inputs = torch.rand(4, 2, 6, 6)
    assert loaded.predict(inputs) == own.predict(inputs)
    assert loaded.data_spec == own.data_spec


def test_others_read_it(checkpoint):
    """The library of safetensors reads tensors and texts, each text as JSON; weights of one memory are each whole."""
    checkpoint["state_dict"]["twin"] = checkpoint["state_dict"]["head.linear.weight"]
    write_weights(checkpoint, Path("a.safetensors"))
    with safe_open("a.safetensors", "pt") as file:
        texts = file.metadata()
        assert torch.equal(file.get_tensor("twin"), checkpoint["state_dict"]["twin"])
    assert texts["format"] == "pt"
    assert json.loads(texts["problem"]) == "binary"
    assert json.loads(texts["format_version"]) == 1
    assert json.loads(texts["lightlab_version"]) == __version__
    assert json.loads(texts["hyper_parameters"])["layers"] == LAYERS
    assert json.loads(texts["data_spec"])["target"]["classes"] == ["no", "yes"]


def test_no_altered_byte_is_loaded(checkpoint):
    """No file with a bit flipped, or cut short, is read."""
    write_weights(checkpoint, Path("a.safetensors"))
    content, numbers = Path("a.safetensors").read_bytes(), random.Random(0)
    places = [numbers.randrange(len(content)) for _ in range(200)]
    start = content.index(b'"sha256"')
    altered = [content[:at] + bytes([content[at] ^ 1 << bit]) + content[at + 1 :] for at in places for bit in (0, 5)]
    altered += [content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :] for at in range(start, start + 80)]
    altered += [content[:at] for at in places[:50]] + [content + b"\0", b"", b"\xff" * 9]
    for each in altered:
        Path("b.safetensors").write_bytes(each)
        with pytest.raises(CheckpointError, match=r"b\.safetensors can't be read .*damaged"):
            read_checkpoint("b.safetensors")


def test_of_another_form(checkpoint, monkeypatch):
    """A file of a later lightlab is refused by its number, one of another program for what it lacks."""
    with monkeypatch.context() as later:
        later.setattr("lightlab.checkpoints.weights.FORMAT_VERSION", 2)
        write_weights(checkpoint, Path("a.safetensors"))
    with pytest.raises(ValueError, match="of format 2, and this lightlab reads 1"):
        read_weights(Path("a.safetensors"))
    from safetensors.torch import save_file

    save_file({"w": torch.zeros(2)}, "b.safetensors")
    with pytest.raises(CheckpointError, match="there is no checksum in its header"):
        read_checkpoint("b.safetensors")
