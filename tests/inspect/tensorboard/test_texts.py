"""The Markdown of a run, as TensorBoard turns it into a page."""

import pytest
from markdown import markdown

from lightlab import Model
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.inspect.evaluation import Mistake
from lightlab.inspect.tensorboard.texts import config_text, environment_text, mistakes_text, summary_text


def to_html(text):
    """Return what TensorBoard makes of Markdown."""
    return markdown(text, extensions=["tables", "fenced_code"])


def cells(text):
    """Return the lines of a Markdown table as cells, without the line below the heading."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return [lines[0], *lines[2:]]


def test_config():
    """It is a block of code, whatever characters are in it."""
    html = to_html(config_text("layers:\n  - dense: 4  # `a` <b> *c*\n"))
    assert '<code class="language-yaml">layers:\n  - dense: 4  # `a` &lt;b&gt; *c*\n</code>' in html


def test_summary():
    """There is a line for each layer, and for what is inside."""
    model = Model([{"mlp": [8]}])
    spec = InputSpec((4,), (0.0,), (1.0,))
    model.build(DataSpec("regression", spec, TargetSpec(("y",), mean=(0.0,), std=(1.0,))))
    names = [line[0] for line in cells(summary_text(model))]
    assert names == ["layer", "preprocess", "0 mlp", "· 0 Linear", "· 1 ReLU", "head", "· linear Linear", "**total**"]
    assert "<table>" in to_html(summary_text(model))


def test_environment():
    """Packages are told one by one; what is not known is left out."""
    given = {"python": "3.12", "packages": {"torch": "2.10", "pandas": None}, "gpus": ["H100", "H100"], "cuda": None}
    assert cells(environment_text(given))[1:] == [["python", "3.12"], ["gpus", "H100, H100"], ["torch", "2.10"]]


@pytest.mark.parametrize(("probability", "column"), [(0.875, ["probability"]), (None, [])])
def test_mistakes(probability, column):
    """Each has a line, with what its row holds; a bar in a value does not end its cell."""
    mistake = Mistake("17", 2.5, "a|b", "c", probability, values={"age": "40"})
    heading, line = cells(mistakes_text([mistake]))
    assert heading == ["row", "loss", "true", "predicted", *column, "age"]
    assert line == ["17", "2.5", r"a\|b", "c", *(["0.875"] if probability else []), "40"]
    assert to_html(mistakes_text([mistake])).count("<td") == len(heading)
