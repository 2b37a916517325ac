"""lightlab report: which run it is of, what it writes and where, and what it refuses."""

import json
import os
from pathlib import Path

import pytest

from lightlab.cli import main
from lightlab.commands.report import run
from lightlab.errors import LightlabError, RunError

CONFIG = """\
data: {class_path: BundledData, init_args: {name: iris, batch_size: 32}}
model: {problem: multiclass, layers: [{dense: {units: 8, activation: relu}}]}
trainer: {max_epochs: 2, accelerator: cpu}
"""


def make_run(folder):
    """Write a run that broke off before its first epoch."""
    folder = Path(folder)
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text("model: {problem: regression}\n")
    (folder / "environment.json").write_text(json.dumps({"python": "3.11"}))
    return folder


def test_trained_run(capsys):
    """What fit leaves behind makes a page and a card, in the run folder; their paths are all that is printed."""
    Path("iris.yaml").write_text(CONFIG)
    assert main(["fit", "--config", "iris.yaml"]) == 0
    capsys.readouterr()
    folder = Path("runs/iris/version_0")
    assert main(["report", str(folder)]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.html'}\n"
    page = (folder / "report.html").read_text(encoding="utf-8")
    for text in ("confusion matrix", "setosa", "worst mistakes", "0_dense", "batch_size: 32"):
        assert text in page
    assert "The file is the one that training ended with." in page
    assert json.loads((folder / "metrics.json").read_text())["sha256"] in page
    assert main(["report", str(folder), "--format", "markdown"]) == 0
    assert capsys.readouterr().out == f"{folder / 'report.md'}\n"
    assert "\n# Model card: iris/version_0\n" in (folder / "report.md").read_text(encoding="utf-8")
    assert sorted(file.name for file in folder.glob("*report*")) == ["report.html", "report.md"]


def test_latest_of_a_config(capsys):
    """Of a folder with several runs the latest is taken, by number, and it is said which."""
    for number in (2, 10, 9):
        make_run(f"runs/pets/version_{number}")
    run(["runs/pets"])
    out, err = capsys.readouterr()
    latest = Path("runs/pets/version_10")
    assert out == f"{latest / 'report.html'}\n"
    assert err == f"runs/pets has 3 runs: this is of the latest, {latest}.\n"
    run(["runs"])
    assert capsys.readouterr().out == out


def test_printed(capsys):
    """A dash prints the report, and writes nothing."""
    folder = make_run("runs/pets/version_0")
    run([str(folder), "-o", "-"])
    assert capsys.readouterr().out.startswith("<!DOCTYPE html>")
    run([str(folder), "-o", "-", "--format", "markdown"])
    assert capsys.readouterr().out.startswith("---\nlibrary_name: lightlab\n")
    assert not list(folder.glob("report*"))


@pytest.mark.parametrize(("name", "start"), [("a.md", "---"), ("a.htm", "<!DOCTYPE"), ("A.HTML", "<!DOCTYPE")])
def test_form_follows_from_the_file(name, start):
    """The ending of the file says which form is meant."""
    run([str(make_run("runs/pets/version_0")), "-o", name])
    assert Path(name).read_text().startswith(start)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], r"Received: nowhere\. There is no such folder\."),
        (["empty"], r"Received: empty\. There is none"),
        (["runs"], r"runs has runs of several configs: runs/cats, runs/dogs\."),
        (["runs/cats/version_0/config.yaml"], r"Received the file .*\. Did you mean runs/cats/version_0\?"),
        (["other.txt"], r"A report is of a run folder\. Received the file other\.txt\.$"),
        (["runs/cats", "-o", "a.md", "--format", "html"], r"ends in \.html or \.htm \(html\)\. Received: a\.md\."),
        (
            ["runs/cats", "-o", "a.pdf"],
            r"\.html or \.htm \(html\) or \.md or \.markdown \(markdown\)\. Received: a\.pdf",
        ),
        (["runs/cats", "-o", "no/a.html"], r"The report can't be written to no/a\.html"),
        (["runs/cats", "--format", "pdf"], "invalid choice: 'pdf'"),
        ([], "required: RUN"),
    ],
)
def test_refused(arguments, message):
    """What can't be done is said before anything is written, with what is right."""
    make_run("runs/cats/version_0")
    make_run("runs/dogs/version_0")
    Path("empty").mkdir()
    Path("other.txt").touch()
    with pytest.raises(LightlabError, match=message):
        run(arguments)
    assert not list(Path().rglob("*report*")) + list(Path().glob("a.*"))


@pytest.mark.parametrize("name", ["config.yaml", "environment.json", "evaluation.json", "metrics.json", "data.json"])
def test_unreadable_file(name):
    """A file that is damaged is an error that names it, and leaves no report."""
    folder = make_run("runs/pets/version_0")
    (folder / name).write_text("{")
    with pytest.raises(RunError, match=name):
        run([str(folder)])
    assert not list(folder.glob("report*"))


def test_earlier_report_stays_when_a_new_one_fails():
    """A report that can't be written leaves the one that stood there."""
    folder = make_run("runs/pets/version_0")
    run([str(folder)])
    before = (folder / "report.html").read_text()
    (folder / "evaluation.json").write_text("{")
    with pytest.raises(RunError):
        run([str(folder)])
    assert (folder / "report.html").read_text() == before
    assert os.listdir(folder).count("report.html") == 1
