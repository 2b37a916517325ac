"""The model card: its sections, and that no name breaks its tables."""

import re

import yaml

from lightlab.inspect.report import render_markdown
from lightlab.inspect.run import Run

SECTIONS = [
    "Model details",
    "Uses",
    "Bias, risks and limitations",
    "How to get started",
    "Training data",
    "Training procedure",
    "Evaluation",
    "Environment",
    "Files",
]


def outside_code(card):
    """Return a card without its blocks of code."""
    return re.sub(r"^(`{3,})\w*\n.*?^\1$", "", card, flags=re.DOTALL | re.MULTILINE)


def test_sections(make_run):
    """A card has the sections that people look for, and starts with what a hub reads."""
    card = render_markdown(make_run())
    assert re.findall(r"^## (.*)$", outside_code(card), flags=re.MULTILINE) == SECTIONS
    head = yaml.safe_load(card.split("---")[1])
    assert head == {"library_name": "lightlab", "tags": ["lightlab", "classification"]}
    assert card.count("left for the author") + card.count("Left for the author") == 4
    assert "| accuracy | 0.93 | – |" in card
    assert "| loss, train | █" in card
    assert "| cat | dog | 7 |" in card
    assert "\n\n\n" not in card
    assert "Epochs trained: 12. The weights are those of epoch 7, chosen by val/loss." in card


def test_config_is_what_repeats_the_run(make_run):
    """The block of YAML is the run's config."""
    run = make_run()
    block = re.search(r"```yaml\n(.*?)\n```", render_markdown(run), flags=re.DOTALL)
    assert yaml.safe_load(block[1]) == run.config


def test_names_that_would_do_harm(make_run, harmful):
    """Pipes, lines, tags, backticks and underscores in names neither break a table nor mean anything."""
    card = outside_code(render_markdown(make_run(name="<b>|`x`", classes=harmful, targets=("__init__",))))
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in card
    assert not re.search(r"(?<!\\)<", card)
    assert "\\_\\_init\\_\\_" in card
    tables = re.findall(r"(?:^\|.*\n)+", card, flags=re.MULTILINE)
    assert len(tables) > 10
    for table in tables:
        widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
        assert len(widths) == 1, table


def test_code_in_the_config_ends_no_block(make_run):
    """A config with backticks stands in a block with more of them."""
    run = make_run()
    (run.path / "config.yaml").write_text("name: |\n  ```\n  # not a heading\n  ```\n")
    card = render_markdown(Run(run.path))
    assert "````yaml\nname: " in card
    assert "# not a heading" not in outside_code(card)


def test_regression(make_run):
    """A run of numbers has residuals in place of classes."""
    card = render_markdown(make_run(classes=(), targets=("price", "rent")))
    assert "tags: [lightlab, regression]" in card
    assert re.search(r"^\| rent \| -?\d", card, flags=re.MULTILINE)


def test_run_that_broke_off(make_run):
    """A run without its last files has a card, which says so."""
    run = make_run()
    for name in ("metrics.json", "evaluation.json", "history.csv", "data.json"):
        (run.path / name).unlink()
    card = render_markdown(Run(run.path))
    assert "**Training broke off, or still goes on: its history has no epoch yet" in card
    assert "No epoch has ended." in card
    assert "There are no final metrics." in card
    assert "may still change" in card


def test_charts_that_are_left_out(make_run):
    """A confusion matrix of more classes than a card has room for is missed by nobody."""
    card = render_markdown(make_run(classes=tuple(f"kind {number}" for number in range(21))))
    assert "There is a confusion matrix of at most 20 classes here; these are 21." in card
    assert "true classes down" not in card
    assert "kind 19, … (21 classes)" in card
