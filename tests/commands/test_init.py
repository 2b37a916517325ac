"""lightlab init from end to end: what it writes is trained at once, for every kind of data."""

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from lightlab.cli import main
from lightlab.data.propose import propose as propose_module

ROWS = 120


def numbers(*shape):
    """Return numbers that are the same in every test."""
    return np.random.default_rng(0).normal(size=shape)


def table(target):
    """Return a table with names of rows, numbers with holes, dates, categories and free text."""
    frame = pd.DataFrame(
        {
            "customer_id": range(ROWS),
            "income, yearly": numbers(ROWS).round(3),
            "1e3": numbers(ROWS, 2)[:, 1].round(3),
            "joined": pd.date_range("2024-01-01", periods=ROWS).astype(str),
            "born": pd.date_range("1980-01-01", periods=ROWS).strftime("%d/%m/%Y"),
            "city: of birth": ["Oslo", "Rome", "#1"] * (ROWS // 3),
            "remark": [f"a remark, number {row}" for row in range(ROWS)],
            "price": target,
        }
    )
    frame.loc[frame.index % 7 == 0, "income, yearly"] = np.nan
    return frame


def write_images(folder, size=12):
    """Write images of two classes."""
    for kind, value in (("a", 200), ("b: c", 40)):
        Path(folder, kind).mkdir(parents=True)
        for number in range(20):
            pixels = np.random.default_rng(number).integers(value, value + 40, (size, size, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(Path(folder, kind, f"{number}.png"))


def write_shards(folder):
    """Write two tar files of images with classes."""
    Path(folder).mkdir()
    for shard in range(2):
        with tarfile.open(Path(folder, f"{shard}.tar"), "w") as archive:
            for number in range(30):
                image = io.BytesIO()
                pixels = np.random.default_rng(number).integers(number % 2 * 200, 255, (16, 16, 3), dtype=np.uint8)
                Image.fromarray(pixels).save(image, "png")
                for ending, content in (("png", image.getvalue()), ("cls", b"01"[number % 2 : number % 2 + 1])):
                    member = tarfile.TarInfo(f"{number:04}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))


def write_parquet_folder(folder):
    """Write a folder of Parquet files."""
    Path(folder).mkdir()
    for part in range(2):
        frame = table(["yes", "no"] * (ROWS // 2))
        frame.assign(customer_id=frame.customer_id + part * ROWS).to_parquet(
            f"{folder}/{part}.parquet", row_group_size=20
        )


def write_reviews(path):
    """Write a table with a column of prose."""
    words = np.random.default_rng(0).choice(["good", "bad", "film", "plot", "dull"], (ROWS, 9))
    reviews = pd.DataFrame({"id": range(ROWS), "review": map(" ".join, words), "stars": ["1", "2", "3"] * (ROWS // 3)})
    reviews.to_csv(path, index=False)


CLASSES = ["yes", "no"] * (ROWS // 2)
SOURCES = {
    "binary.csv": ("TableData", "binary", lambda path: table(CLASSES).to_csv(path, index=False)),
    "multi.tsv": (
        "TableData",
        "multiclass",
        lambda path: table(["a", "b", "null"] * (ROWS // 3)).to_csv(path, index=False, sep="\t"),
    ),
    "house.txt": (
        "TableData",
        "regression",
        lambda path: table(numbers(ROWS)).to_csv(path, index=False, sep=";", decimal=",", encoding="cp1252"),
    ),
    "rows.parquet": ("TableData", "regression", lambda path: table(numbers(ROWS)).to_parquet(path)),
    "many": ("ParquetStream", "binary", write_parquet_folder),
    "pets": ("ImageFolderData", "binary", write_images),
    "shards": ("ImageShards", "binary", write_shards),
    "vectors.npz": ("ArrayData", "binary", lambda path: np.savez(path, x=numbers(ROWS, 5), y=np.array(CLASSES))),
    "signals.npz": (
        "ArrayData",
        "regression",
        lambda path: np.savez(path, a=numbers(ROWS, 2, 40), target=numbers(ROWS)),
    ),
    "pictures.npz": (
        "ArrayData",
        "multiclass",
        lambda path: np.savez(path, x=(numbers(ROWS, 8, 8, 1) > 0) * np.uint8(255), y=np.arange(ROWS) % 3),
    ),
    "volumes.npz": (
        "ArrayData",
        "binary",
        lambda path: np.savez(path, x=numbers(ROWS, 1, 8, 8, 8), y=np.arange(ROWS) % 2),
    ),
    "reviews.csv": ("TextData", "multiclass", write_reviews),
}


@pytest.mark.parametrize("name", SOURCES)
def test_init_then_data_then_fit(name, capsys):
    """What init writes is shown and trained at once, without a change; problem and source are as they look."""
    source, problem, write = SOURCES[name]
    write(name)
    assert main(["init", name]) == 0
    config = f"{Path(name).stem}.yaml"
    assert f"  lightlab data {config}\n  lightlab fit --config {config}\n" in capsys.readouterr().out
    written = yaml.safe_load(Path(config).read_text())
    assert (written["data"]["class_path"], written["model"]["problem"]) == (source, problem)
    assert main(["data", config]) == 0
    fast = ["--trainer.max_epochs", "1", "--trainer.accelerator", "cpu", "--data.num_workers", "0"]
    assert main(["fit", "--config", config, *fast]) == 0
    assert json.loads(Path("runs", Path(name).stem, "version_0", "metrics.json").read_text())["epochs"] == 1


def test_what_was_decided_is_said(capsys):
    """A guessed target is said to be guessed, on the terminal and in the config; and so are other decisions."""
    table(CLASSES).assign(weight=["n.k.", *map(str, range(1, ROWS))])[::-1].iloc[:, [0, 1, 4, 8, 7]].to_csv(
        "a.csv", index=False
    )
    assert main(["init", "a.csv"]) == 0
    out = capsys.readouterr().out
    config = Path("a.yaml").read_text()
    assert "target 'price' was guessed: the last column. Choose another with --target NAME." in out
    assert "# target 'price' was guessed: the last column" in config
    assert "weight: mostly numbers, but 1 are text, as 'n.k.'" in out
    options = yaml.safe_load(config)["data"]["init_args"]
    assert options["ignore"] == ["weight"]
    assert options["id_column"] == "customer_id"
    assert options["dates"] == {"born": "%d/%m/%Y"}


def test_targets_that_are_given(capsys):
    """A target of one's own is no guess; several are numbers at once."""
    table(numbers(ROWS)).to_csv("a.csv", index=False)
    assert main(["init", "a.csv", "--target", "city: of birth"]) == 0
    assert "guessed" not in capsys.readouterr().out + Path("a.yaml").read_text()
    assert yaml.safe_load(Path("a.yaml").read_text())["model"]["problem"] == "multiclass"
    assert main(["init", "a.csv", "--target", "price", "1e3", "-o", "b.yaml"]) == 0
    assert yaml.safe_load(Path("b.yaml").read_text())["data"]["init_args"]["target"] == ["price", "1e3"]
    assert main(["fit", "--config", "b.yaml", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]) == 0


def test_parquet_that_is_too_large(monkeypatch):
    """A Parquet file of more bytes than memory should be given is streamed."""
    table(CLASSES).to_parquet("a.parquet")
    monkeypatch.setattr(propose_module, "LARGEST", 1000)
    assert main(["init", "a.parquet"]) == 0
    assert "class_path: ParquetStream" in Path("a.yaml").read_text()


def test_commands_are_quoted(capsys):
    """What is said to be next, there and in the config, is one word of a shell, whatever the file is called."""
    table(numbers(ROWS)).to_csv("t.csv", index=False)
    assert main(["init", "t.csv", "--target", "price", "-o", "x;touch y;.yaml"]) == 0
    assert capsys.readouterr().out.endswith(
        "lightlab data 'x;touch y;.yaml'\n  lightlab fit --config 'x;touch y;.yaml'\n"
    )
    assert "#   lightlab fit --config 'x;touch y;.yaml' " in Path("x;touch y;.yaml").read_text()


def test_never_overwrites():
    """A file that is there stays, unless --force says otherwise; nothing else is left."""
    table(CLASSES).to_csv("a.csv", index=False)
    Path("a.yaml").write_text("mine")
    assert main(["init", "a.csv"]) == 2
    assert Path("a.yaml").read_text() == "mine"
    assert main(["init", "a.csv", "--force"]) == 0
    assert "class_path: TableData" in Path("a.yaml").read_text()
    assert {path.name for path in Path().iterdir()} == {"a.csv", "a.yaml"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["b.csv"], "There is none at b.csv. Did you mean a.csv?"),
        (["a.json"], "init looks at files that end in .csv, .txt, .tsv"),
        (["empty.csv"], "empty.csv is empty."),
        (["folder"], "folder has none of them."),
        (["a.csv", "--target", "prise"], "a.csv has no column 'prise'. Did you mean price?"),
        (["a.csv", "-o", "no/such.yaml"], "The config can't be written to no/such.yaml"),
        ([], "lightlab init: the following arguments are required: PATH. 'lightlab init --help' says what it takes."),
        (["a.csv", "--tarrget", "price"], "unrecognized arguments: --tarrget price"),
        (["one.npz"], "No array of one.npz is called y or target. There are: a, b. Name the one to predict"),
        (["one.npz", "--target", "c"], "No array of one.npz is called 'c'. There are: a, b."),
        (["one.npy"], "Name the file of the targets of one.npy with --target"),
        (["holes.csv"], "A target has a value in every row. Missing in column 'label'"),
    ],
)
def test_errors(arguments, message, capsys):
    """What can't be used is answered with the rule, what was received, and what is near; no config is written."""
    table(CLASSES).to_csv("a.csv", index=False)
    Path("a.json").write_text("{}")
    Path("empty.csv").touch()
    Path("folder").mkdir()
    np.savez("one.npz", a=numbers(5, 2), b=numbers(5))
    np.save("one.npy", numbers(5, 2))
    Path("holes.csv").write_text(
        "size,label\n" + "".join(f"{row},{'ab'[row % 2] if row % 9 else ''}\n" for row in range(60))
    )
    assert main(["init", *arguments]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert not list(Path().glob("*.yaml"))


def test_a_table_of_images():
    """A table that names image files is one of images; its target may be a number."""
    generator = np.random.default_rng(0)
    rows = []
    Path("photos").mkdir()
    for number in range(30):
        light = int(generator.integers(0, 200))
        Image.fromarray(np.full((12, 12 + number % 2, 3), light, dtype=np.uint8)).save(f"photos/{number}.png")
        rows.append((f"photos/{number}.png", light + 0.5))
    pd.DataFrame(rows, columns=["file", "light"]).to_csv("a.csv", index=False)
    assert main(["init", "a.csv", "--target", "light"]) == 0
    config = yaml.safe_load(Path("a.yaml").read_text())
    assert config["data"]["class_path"] == "ImageFolderData"
    assert config["data"]["init_args"]["image_column"] == "file"
    assert config["model"]["problem"] == "regression"
    assert main(["fit", "--config", "a.yaml", "--trainer.max_epochs", "1", "--trainer.accelerator", "cpu"]) == 0


def test_a_damaged_file_in_utf_16(capsys):
    """Bytes that are no text are said to be none."""
    Path("rows.csv").write_bytes("a,b\n1,2\n".encode("utf-16") + b"\x00\xdc\x0a\x00")
    assert main(["init", "rows.csv"]) == 2
    assert "A CSV file is text in UTF-16. Received: rows.csv: " in capsys.readouterr().err
    assert not Path("rows.yaml").exists()


def test_where_no_config_can_be_written(capsys):
    """That is said before the data is looked at, which is not there."""
    Path("file").touch()
    assert main(["init", "none.csv", "-o", "file/new.yaml"]) == 2
    assert capsys.readouterr().err == (
        "lightlab: error: The config can't be written to file/new.yaml: Not a directory.\n"
    )
