"""lightlab data from end to end: what it prints of real files, as text and as JSON, and what it refuses."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lightlab.cli import main

CONFIG = """\
data: {class_path: TableData, init_args: {path: pets.csv, target: kind, id_column: name}}
model: {layers: [{dense: 4}]}
trainer: {max_epochs: 1, accelerator: cpu}
"""


@pytest.fixture
def config():
    """A table with numbers, categories, dates and holes, and a config for it."""
    lines = ["name,age,city,born,kind"]
    for row in range(100):
        age = "" if row % 10 == 0 else str(row)
        lines.append(f"pet {row},{age},{['Oslo', 'Rome', 'Rome'][row % 3]},2024-01-{row % 28 + 1:02},{'cd'[row % 2]}at")
    Path("pets.csv").write_text("\n".join(lines) + "\n")
    Path("pets.yaml").write_text(CONFIG)
    return "pets.yaml"


def failing(arguments, capsys):
    """Make a call that fails, and return what it says."""
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return error


def test_text(config, capsys):
    """Source, problem with its reason, splits, classes, columns with figures, rows: in this order."""
    assert main(["data", config]) == 0
    out = capsys.readouterr().out
    parts = [
        "source   TableData: pets.csv",
        "problem  binary, inferred from kind (2 different texts)",
        "train    70  70.0%",
        "target: kind",
        "cat    36 (51.4%)",
        "inputs: 3 columns",
        "age     numeric  10 (10.0%)",
        "city    categorical        -       2  Rome (",
        "born    date        -  2024-01-01  2024-01-28",
        "name      it names the rows: data.id_column",
        "some rows of train",
        "filled: age, where it is missing, by the median",
    ]
    places = [out.index(part) for part in parts]
    assert places == sorted(places)
    assert "images:" not in out
    assert not Path("runs").exists()


def test_json(config, capsys):
    """Standard output is one JSON document with the same facts."""
    assert main(["data", config, "--format", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["problem"] == {"name": "binary", "reason": "binary, inferred from kind (2 different texts). Set "
                                "model.problem to choose another."}  # fmt: skip
    assert found["splits"]["train"]["rows"] == 70
    assert len(found["splits"]["train"]["sha256"]) == 64
    assert found["inputs"]["columns"]["age"]["missing"] == 10
    assert found["warnings"] == []


@pytest.mark.parametrize("spelling", [["--config", "pets.yaml"], ["--config=pets.yaml"], ["pets.yaml"]])
def test_spellings(spelling, config, capsys):
    """The config is given as in other verbs, or by itself; keys on the command line win."""
    assert main(["data", *spelling, "--data.split", "[0.5, 0.5, 0]"]) == 0
    assert "train    50  50.0%" in capsys.readouterr().out


def test_several_configs(config, capsys):
    """A later config wins."""
    Path("more.yaml").write_text("data: {init_args: {split: [0.5, 0.5, 0]}}\n")
    assert main(["data", config, "--config", "more.yaml"]) == 0
    assert "train    50  50.0%" in capsys.readouterr().out


def test_config_of_a_run(config, capsys):
    """The config.yaml of a run shows the rows that the run was trained on."""
    assert main(["fit", "--config", config]) == 0
    capsys.readouterr()
    assert main(["data", "runs/pets/version_0/config.yaml", "--format", "json"]) == 0
    digests = json.loads(capsys.readouterr().out)["splits"]
    assert main(["data", config, "--format", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["splits"] == digests


@pytest.mark.parametrize(
    ("change", "arguments", "message"),
    [
        (
            ("target: kind", "targt: kind"),
            [],
            "pets.yaml:1: data.init_args.targt: TableData has no parameter 'targt'. Did you mean",
        ),
        (("dense: 4", "densee: 4"), [], "pets.yaml:2: model.layers[0].densee"),
        (("model:", "modell:"), [], "pets.yaml:2: modell: A config has no section 'modell'. Did you mean model?"),
        (("target: kind", "target: kinds"), [], "has no column 'kinds'. Did you mean kind?"),
        (("", ""), ["--data.batch_size", "0"], "command line: data.batch_size"),
        (("", ""), ["--format", "xml"], "lightlab data: argument --format: invalid choice: 'xml'"),
    ],
)
def test_errors_are_those_of_fit(change, arguments, message, config, capsys):
    """A fault is answered with file and line, as fit does."""
    Path(config).write_text(CONFIG.replace(*change))
    assert message in failing(["data", config, *arguments], capsys)


def test_no_such_config(capsys):
    """A config that is not there is named."""
    assert "Received: missing.yaml (no such file)" in failing(["data", "missing.yaml"], capsys)


def test_warnings(config, capsys):
    """What may spoil a training is said once."""
    lines = Path("pets.csv").read_text().splitlines()
    Path("pets.csv").write_text("\n".join(f"{line},{line.rsplit(',', 1)[1]}2" for line in lines) + "\n")
    assert main(["data", config]) == 0
    assert capsys.readouterr().out.count("warning: column 'kind2' tells the target 'kind' by itself") == 1


def make_images():
    """Write a folder of images, and a config for it."""
    for kind, value in (("day", 220), ("night", 30)):
        Path("sky", kind).mkdir(parents=True)
        for number in range(10):
            pixels = np.random.default_rng(number).integers(value - 20, value + 20, (12, 12, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(f"sky/{kind}/{number}.png")
    Path("sky.yaml").write_text("data: {class_path: ImageFolderData, init_args: {path: sky}}\nmodel: {layers: []}\n")


def test_images(capsys):
    """Of images there is a picture, called after the config or as one likes, and no other file is left."""
    make_images()
    assert main(["data", "sky.yaml"]) == 0
    out = capsys.readouterr().out
    assert "images  3 × 12 × 12, uint8" in out
    assert "images: data_sky.png" in out
    assert main(["data", "sky.yaml", "-o", "other.png", "--data.augment", "[random_flip]"]) == 0
    with Image.open("data_sky.png") as plain, Image.open("other.png") as augmented:
        assert augmented.width > plain.width
    assert {path.name for path in Path().iterdir()} == {"sky", "sky.yaml", "data_sky.png", "other.png"}


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("no/such/folder.png", "can't be written to no/such/folder.png"),
        ("sky.jpg", "written as .png. Received: sky.jpg"),
    ],
)
def test_picture_that_can_t_be_written(output, message, capsys):
    """Where the picture can't go is said."""
    make_images()
    assert message in failing(["data", "sky.yaml", "-o", output], capsys)


@pytest.mark.parametrize("verb", ["data", "init"])
def test_help_without_torch(verb):
    """The help of both verbs is printed by a process that never imports torch."""
    code = (
        f"import sys; from lightlab.cli import main; code = main(['{verb}', '--help']); "
        "heavy = ' '.join({'torch', 'lightning', 'numpy'} & sys.modules.keys()); sys.exit(heavy or code)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    assert f"usage: lightlab {verb} " in result.stdout
