"""The report as a page: what it says of whole runs, and of those that broke off."""

import html
import re

import pytest

from lightlab.errors import RunError
from lightlab.inspect.doctor import diagnose
from lightlab.inspect.report import render_html
from lightlab.inspect.run import Run


def words(page):
    """Return the text of a page, without its markup."""
    text = re.sub(r"<style>.*?</style>|<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL)
    return " ".join(text.split())


def test_whole_run(make_run):
    """The figures of all files of the run stand in the page."""
    run = make_run()
    text = words(render_html(run))
    assert "pets/version_0 multiclass: kind (3 classes)" in text
    assert "those of epoch 7, chosen by val/loss" in text
    assert "metric validation test loss 0.1234 0.2 accuracy 0.93 –" in text
    assert "cat dog 7 dog cat 3" in text
    assert "row 0 cat dog 98.0% 9.5 3 Oslo 12.5" in text
    assert "0_dense model.layers[0].dense 0.31 0.004 –" in text
    assert "1_relu model.layers[1].relu – – 25.0%" in text
    assert "0 dense 8 40 64" in text
    assert f"validation 30 {'0123abcd' * 8}" in text
    assert "1 of 30 rows of val also stand in train." in text
    assert "git commit c0ffee, with changes that are not committed" in text
    assert "gpus" not in text
    assert run.outcome.sha256 in text
    assert run.outcome.md5 in text
    assert "The file is the one that training ended with." in text
    assert "lightlab fit --config runs/pets/version_0/config.yaml" in text


def test_verdict_stands_first(make_run):
    """What the doctor says stands before all figures, with what to try; of a healthy run, what shows that."""
    run = make_run(ill=True)
    diagnosis = diagnose(run.history, run.evaluation, run.config)
    before = html.unescape(words(render_html(run))).split("Of the best weights")[0]
    assert diagnosis.findings
    assert all(each in before for finding in diagnosis.findings for each in (finding.text, *finding.remedies))
    assert "Verdict healthy: val/loss" in words(render_html(make_run("well")))


def test_one_file(make_run):
    """The page names no other file, and no place on the network; it is the same each time."""
    run = make_run(images=True)
    page = render_html(run)
    assert not re.findall(r"(?:src|href)=\"(?!#|data:)[^\"]*", page)
    assert not re.findall(r"url\((?!#)", page)
    assert "<script" not in page
    assert page == render_html(Run(run.path))


def test_changed_checkpoint(make_run):
    """A checkpoint that is another by now is said to be, with both hashes; one that can't be read has no summary."""
    run = make_run()
    run.checkpoint.write_bytes(b"something else")
    text = words(render_html(run))
    assert "The file has changed since training ended" in text
    assert run.outcome.sha256 in text
    assert "There is no summary of the layers" in text
    run.checkpoint.unlink()
    assert "There is no such file any more." in words(render_html(run))


@pytest.mark.parametrize("left", [["history.csv"], ["history.csv", "data.json"], []])
def test_run_that_broke_off(left, make_run):
    """A run without its last files has a report, which says so."""
    run = make_run()
    keep = {"config.yaml", "environment.json", *left}
    for file in list(run.path.iterdir()):
        if file.is_file() and file.name not in keep:
            file.unlink()
    run.checkpoint.unlink()
    text = words(render_html(Run(run.path)))
    assert "Training broke off, or still goes on" in text
    assert "There are no final metrics." in text
    assert "There is no such file." in text
    assert ("its history ends with epoch 12" in text) == ("history.csv" in left)
    assert ("No epoch has ended." in text) == ("history.csv" not in left)
    assert ("0123abcd" in text) == ("data.json" in left)


def test_run_without_evaluation(make_run):
    """A run whose evaluation is missing still shows its metrics and curves."""
    run = make_run()
    (run.path / "evaluation.json").unlink()
    text = words(render_html(Run(run.path)))
    assert "This run has no evaluation.json" in text
    assert "loss 0.1234 0.2" in text


def test_unreadable_evaluation(make_run):
    """A file that is damaged is an error that names it."""
    run = make_run()
    (run.path / "evaluation.json").write_text("{")
    with pytest.raises(RunError, match="evaluation.json can't be read"):
        render_html(Run(run.path))


def test_labels_have_metrics_of_their_own(make_run):
    """Metrics of single labels have a table of their own, and no chart."""
    run = make_run()
    text = (run.path / "metrics.json").read_text()
    (run.path / "metrics.json").write_text(text.replace('"val/accuracy": 0.93', '"val/accuracy/cat": 0.93'))
    assert "Of each label metric validation test accuracy/cat 0.93 –" in words(render_html(Run(run.path)))


def test_charts_that_are_left_out(make_run):
    """Of more classes than a chart holds it is said that there is none."""
    run = make_run(classes=tuple(f"kind {number}" for number in range(21)))
    assert "ROC and precision-recall curves of at most 20 classes; these are 21." in words(render_html(run))
