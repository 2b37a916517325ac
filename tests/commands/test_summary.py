"""lightlab summary: what it prints of every shipped config, of checkpoints and of texts, and what it refuses."""

import json
from pathlib import Path

import pandas as pd
import pytest
import yaml

from lightlab import Model
from lightlab.cli import main
from lightlab.commands.summary import run
from lightlab.errors import CheckpointError, ConfigError, LightlabError

CONFIGS = Path(__file__).parents[2] / "configs"
#: Overlays stand on another config.
BASE = CONFIGS / "digits_cnn.yaml"

CONFIG = """\
data: {class_path: TableData, init_args: {path: pets.csv, target: kind}}
model: {layers: [{dense: {units: 4, activation: relu}}, {mlp: [3]}]}
trainer: {max_epochs: 1, accelerator: cpu}
"""


def summary(capsys, *arguments):
    """Return what the verb writes as JSON; nothing else is on standard output."""
    capsys.readouterr()
    run([*map(str, arguments), "--format", "json"])
    return json.loads(capsys.readouterr().out, parse_constant=lambda name: 1 / 0)


@pytest.fixture
def config():
    """A table with numbers and categories, and a config for it."""
    rows = range(60)
    frame = pd.DataFrame({"age": rows, "city": [["Oslo", "Rome"][row % 2] for row in rows]})
    frame["kind"] = [["cat", "dog", "cow"][row % 3] for row in rows]
    frame.to_csv("pets.csv", index=False)
    Path("pets.yaml").write_text(CONFIG)
    return "pets.yaml"


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_config(path, capsys):
    """Each shipped config has a summary with a row for each of its layers, and the figures add up."""
    overlay = "overlays" in path.parts
    found = summary(capsys, *([BASE, path] if overlay else [path]))
    layers = yaml.safe_load((BASE if overlay else path).read_text())["model"]["layers"]
    names = [layer if isinstance(layer, str) else next(iter(layer)) for layer in layers]
    rows = found["layers"]
    assert [row["name"] for row in rows] == [
        "preprocess",
        *(f"{place} {name}" for place, name in enumerate(names)),
        "head",
    ]
    assert all(row["output_shape"] for row in rows)
    for figure in ("parameters", "trainable", "bytes"):
        assert found["total"][figure] == sum(row[figure] for row in rows) > 0
    assert found["total"]["flops"] == sum(row["flops"] or 0 for row in rows) > 0


def test_text(config, capsys):
    """The table names layers, head and problem; what the data's source says goes to standard error."""
    run([config])
    out, err = capsys.readouterr()
    assert out.startswith("input    table (batch, 2)\nproblem  multiclass\nhead     3 logits, softmax\n\n  layer ")
    assert "  preprocess  (batch, 3)             0          0      -" in out
    assert "  1 mlp       (batch, 3)            15         15     24     60\n  head" in out
    assert "a multiply-add counts as 2" in out
    assert "problem: multiclass, inferred from kind" in err
    assert not Path("runs").exists()


def test_depth(config, capsys):
    """More depth shows what is inside the layers."""
    run([config, "--depth", "2", "--format", "markdown"])
    assert "| 1 mlp | (batch, 3) | 15 |" in (out := capsys.readouterr().out)
    assert "| · 0 Linear | (batch, 3) | 15 |" in out


@pytest.mark.parametrize("spelling", [["--config", "pets.yaml"], ["--config=pets.yaml"], ["pets.yaml"]])
def test_spellings(spelling, config, capsys):
    """The config is given as in other verbs, or by itself; later configs and the command line win."""
    Path("more.yaml").write_text("model: {layers: [{dense: 7}, {dense: 5}]}\n")
    found = summary(capsys, *spelling, "--config", "more.yaml", "--model.problem", "multiclass")
    assert [row["output_shape"] for row in found["layers"]] == [[3], [7], [5], [3]]


def test_checkpoint(config, capsys):
    """A checkpoint has the summary of its config, and needs neither config nor data."""
    assert main(["fit", "--config", config]) == 0
    of_config = summary(capsys, "runs/pets/version_0/config.yaml")
    checkpoint = "runs/pets/version_0/checkpoints/best.ckpt"
    Path("pets.csv").unlink()
    Path("pets.yaml").unlink()
    assert summary(capsys, checkpoint) == of_config
    parameters = Model.load(checkpoint).parameters()
    assert of_config["total"]["parameters"] == sum(parameter.numel() for parameter in parameters)


def test_texts(capsys):
    """An embedding has a vector for each word of the vocabulary, which follows from the data."""
    frame = pd.DataFrame({"text": ["good film", "bad film"] * 30, "y": ["yes", "no"] * 30})
    frame.to_csv("texts.csv", index=False)
    Path("texts.yaml").write_text(
        "data: {class_path: TextData, init_args: {path: texts.csv, target: y, length: 4}}\n"
        "model: {layers: [{embedding: 8}, {gru: 3}]}\n"
    )
    rows = summary(capsys, "texts.yaml")["layers"]
    assert rows[1]["parameters"] == (2 + 3) * 8  # padding, unknown, and three words
    assert [row["output_shape"] for row in rows] == [[4], [4, 8], [3], [1]]


@pytest.mark.parametrize(
    ("change", "arguments", "kind", "message"),
    [
        (("dense:", "densee:"), [], ConfigError, r"pets\.yaml:2: model\.layers\[0\].* 'densee'.*Did you mean dense"),
        (("{mlp: [3]}", "{lstm: 3}"), [], ConfigError, r"pets\.yaml:2: model\.layers\[1\]\.lstm: lstm needs rank 3"),
        (("", ""), ["--depth", "0"], LightlabError, r"summary: argument --depth: it is a whole number.* Received: 0"),
        (("", ""), ["--depth", "two"], LightlabError, r"argument --depth: it is a whole number.* Received: two"),
        (("", ""), ["--format", "xml"], LightlabError, r"summary: argument --format: invalid choice: 'xml'"),
    ],
)
def test_errors(change, arguments, kind, message, config):
    """Faults of a config are those of fit, with file and line."""
    Path(config).write_text(CONFIG.replace(*change))
    with pytest.raises(kind, match=message):
        run([config, *arguments])


def test_checkpoints_that_are_none():
    """A file that is missing or no checkpoint is named, and what is given beside one is refused."""
    with pytest.raises(CheckpointError, match=r"There is none at no\.ckpt"):
        run(["no.ckpt"])
    Path("bad.ckpt").write_text("no checkpoint")
    with pytest.raises(CheckpointError, match=r"bad\.ckpt can't be read as a checkpoint"):
        run(["bad.ckpt"])
    with pytest.raises(LightlabError, match=r"nothing goes with it\. Received: --model\.problem binary"):
        run(["bad.ckpt", "--model.problem", "binary"])
