"""Comparing runs: what differs, which are best, repeats, what can't be compared, and how it all is written."""

import csv
import io
import json
import math
import re
from pathlib import Path

import pytest
import yaml

from lightlab import LightlabError, RunError
from lightlab.inspect.compare import compare
from lightlab.inspect.compare.chart import draw_comparison, write_chart
from lightlab.inspect.compare.columns import make_columns, make_repeat_columns
from lightlab.inspect.compare.differences import find_differences, shorten_keys
from lightlab.inspect.compare.export import as_csv, as_json, as_markdown
from lightlab.inspect.compare.text import as_text

DENSE = {"dense": {"units": 8, "activation": "relu"}}


def make_run(
    version,
    loss=0.5,
    metrics=None,
    name="pets",
    seed=1,
    layers=(DENSE,),
    rows="aa",
    finished=True,
    epochs=3,
    monitor="val/loss",
    mode="min",
    **sections,
):
    """Write the folder of a run; losses fall to ``loss`` at the epoch before the last."""
    folder = Path("runs", name, f"version_{version}")
    folder.mkdir(parents=True)
    metrics = {"loss": loss, "accuracy": 1 - loss} if metrics is None else metrics
    config = {
        "seed_everything": seed,
        "data": {"class_path": "TableData", "init_args": {"path": f"{name}.csv"}},
        "model": {"layers": list(layers), "problem": "multiclass", **sections.pop("model", {})},
        **sections,
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / "environment.json").write_text("{}")
    digests = {split: {"rows": 9, "sha256": sha} for split, sha in zip(("val", "test"), rows, strict=True)}
    (folder / "data.json").write_text(json.dumps(digests))
    if epochs:
        (folder / "history.csv").write_text(history_text(metrics, epochs))
    if finished:
        outcome = {
            "validation": {f"val/{metric}": value for metric, value in metrics.items()},
            "test": {f"test/{metric}": value for metric, value in metrics.items()},
            "best_epoch": epochs - 1,
            "best_step": 6 * (epochs - 1),
            "epochs": epochs,
            "seconds": 1.5,
            "checkpoint": "",
            "sha256": "",
            "md5": "",
        }
        (folder / "metrics.json").write_text(json.dumps(outcome))
        layer = {"name": "head", "key": "model.head", "parameters": 1000 * len(layers)}
        evaluation = {"classes": [], "targets": ["y"], "splits": {}, "samples": {}, "layers": [layer]}
        evaluation |= {"problem": config["model"]["problem"], "monitor": monitor, "mode": mode}
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    return folder


def history_text(metrics, epochs):
    """Return a history in which the metrics have their values at the epoch before the last, and multiples elsewhere."""
    lines = [["epoch", "step", "seconds", "train/loss", *(f"val/{metric}" for metric in metrics)]]
    for epoch in range(1, epochs + 1):
        factor = 1 + abs(epochs - 1 - epoch)
        figures = [value * factor for value in metrics.values()]
        lines.append([epoch, 10 * epoch, 0.5 * epoch, figures[0] / 2, *figures])
    return "".join(f"{','.join(map(str, line))}\n" for line in lines)


def cells(comparison, heading):
    """Return the cells of a column of the table."""
    return next(column.cells for column in make_columns(comparison) if column.heading == heading)


# What differs


def test_what_does_not_differ_is_left_out():
    """Only keys with several values are there; one that a run lacks is None; numbers that are equal are the same."""
    one = {"data": {"class_path": "a.TableData", "init_args": {"batch_size": 8}}, "trainer": {"max_epochs": 5}}
    two = {"data": {"class_path": "b.TableData", "init_args": {"batch_size": 8.0}}, "early_stopping": {"patience": 3}}
    assert find_differences([one, two]) == {"max_epochs": [5, None], "early_stopping.patience": [None, 3]}
    assert find_differences([one, one]) == {}
    assert find_differences([one]) == {}


def test_parameters_of_the_same_layers():
    """Each parameter of a layer that differs has a key of its own, one that is not given, too."""
    configs = [
        {"model": {"layers": ["flatten", {"dense": {"units": 8}}, {"dropout": 0.2}, {"mlp": [3, 4]}]}},
        {"model": {"layers": ["flatten", {"dense": {"units": 16, "l2": 0.1}}, {"dropout": 0.5}, {"mlp": [3, 5]}]}},
    ]
    assert find_differences(configs) == {
        "layers[1].dense.units": [8, 16],
        "layers[2].dropout": [0.2, 0.5],
        "layers[3].mlp": ["[3, 4]", "[3, 5]"],
        "layers[1].dense.l2": [None, 0.1],
    }


def test_other_layers():
    """Layers that not all have stand in their order, the others are dots; however long the lists are."""
    many = [{"dense": {"units": units, "activation": "relu"}} for units in range(40)]
    configs = [
        {"model": {"layers": layers}} for layers in (many, [*many[:20], "batch_norm", *many[20:], {"dropout": 0.3}])
    ]
    assert find_differences(configs) == {"layers": ["…", "…, batch_norm, …, dropout: 0.3"]}
    configs.append({"model": {"layers": [{"gru": 8}]}})
    of_first, _, of_last = find_differences(configs)["layers"]
    assert of_first.startswith("dense: {units: 0, activation: relu}, dense: {units: 1")
    assert of_last == "gru: 8"


def test_short_keys():
    """A key is as short as tells it from others, and never the ending of another."""
    assert shorten_keys(["data.name", "optimizer", "lr_scheduler", "optimizer.lr"]) == {
        "data.name": "name",
        "optimizer": "optimizer",
        "lr_scheduler": "lr_scheduler",
        "optimizer.lr": "lr",
    }
    assert shorten_keys(["a.seed", "b.seed", "seed"]) == {"a.seed": "a.seed", "b.seed": "b.seed", "seed": "seed"}


# Runs


def test_runs_and_folders_of_runs():
    """A folder stands for the runs below it, in their order; a run that is given twice is there once."""
    for version in (0, 2, 10):
        make_run(version)
    make_run(0, name="cars")
    assert [row.name for row in compare(["runs/pets"]).rows] == ["version_0", "version_2", "version_10"]
    given = ["runs/pets/version_2", "runs/../runs/pets/version_2", "runs/cars", "runs/pets/version_0"]
    assert [row.name for row in compare(given).rows] == ["pets/version_2", "cars/version_0", "pets/version_0"]
    assert [row.name for row in compare(["runs/cars/version_0"]).rows] == ["cars/version_0"]
    with pytest.raises(RunError, match="nowhere"):
        compare(["runs", "nowhere"])


def test_the_best_are_marked():
    """Of losses and errors the least is best, of accuracies the highest, ties all; of others nothing is said."""
    for version, (mse, r2, own) in enumerate([(0.5, 0.7, 1.0), (0.4, 0.7, 2.0), (math.nan, 0.6, 3.0)]):
        make_run(version, metrics={"loss": mse, "mse": mse, "r2": r2, "deviance": own})
    best = compare(["runs"]).best
    assert best["val/mse"] == best["test/mse"] == best["val/loss"] == {1}
    assert best["val/r2"] == {0, 1}
    assert best["val/deviance"] == set()


def test_the_watched_metric_says_which_way_is_better():
    """A plugin's metric that says which weights are best has a direction, on other splits as well."""
    for version, own in enumerate([1.0, 2.0]):
        make_run(version, metrics={"loss": 1, "skill": own}, monitor="val/skill", mode="max")
    comparison = compare(["runs"])
    assert comparison.monitor == "val/skill"
    assert comparison.best["val/skill"] == comparison.best["test/skill"] == {1}
    assert comparison.best["val/loss"] == {0, 1}


def test_a_single_run_is_not_the_best():
    """Where there is nothing to be better than, nothing is marked."""
    make_run(0)
    comparison = compare(["runs"])
    assert not any(comparison.best.values())
    assert "*" not in as_text(comparison, 80)


@pytest.mark.parametrize(
    ("metric", "versions"),
    [
        ("val/loss", [1, 2, 0, 3]),
        ("test/accuracy", [1, 2, 0, 3]),
        ("accuracy", [1, 2, 0, 3]),
        ("parameters", [2, 0, 1, 3]),
        ("epochs", [3, 0, 1, 2]),
    ],
)
def test_sorting(metric, versions):
    """The best comes first, those without the figure last, equals in their order."""
    make_run(0, 0.5, layers=[DENSE, DENSE])
    make_run(1, 0.2, layers=[DENSE, DENSE])
    make_run(2, 0.3)
    make_run(3, finished=False, epochs=0)
    comparison = compare(["runs"], metric)
    assert [row.name for row in comparison.rows] == [f"version_{version}" for version in versions]
    assert cells(comparison, "run")[0] == f"version_{versions[0]}"
    assert 0 not in comparison.best["val/loss"] or comparison.rows[0].figures["val/loss"] == 0.2


def test_sorting_by_what_is_not_there():
    """The nearest metric is named."""
    make_run(0)
    with pytest.raises(LightlabError, match=r"Received: val/acuracy\. Did you mean val/accuracy"):
        compare(["runs"], "val/acuracy")
    with pytest.raises(LightlabError, match=r"Received: \?\. There are: val/loss, val/accuracy, test/loss, .* seconds"):
        compare(["runs"], "?")


def test_runs_that_broke_off():
    """They have what was reached: the figures of the best validation so far, or none at all; and it is said."""
    make_run(0, 0.5)
    make_run(1, 0.4, finished=False, epochs=4)
    make_run(2, finished=False, epochs=0)
    comparison = compare(["runs"])
    _, broken, empty = comparison.rows
    assert broken.figures == {"val/loss": 0.4, "val/accuracy": 0.6}
    assert (broken.best_epoch, broken.epochs, broken.seconds, broken.curve[-1]) == (3, 4, 2.0, 0.8)
    assert (empty.figures, empty.best_epoch, empty.curve) == ({}, None, ())
    assert cells(comparison, "val/loss") == ["0.5000", "0.4000", "–"]
    assert cells(comparison, "test/loss") == ["0.5000", "–", "–"]
    assert cells(comparison, "best epoch") == ["2 of 3", "3 of 4", "–"]
    assert all(verdict.startswith("not finished") for verdict in cells(comparison, "verdict")[1:])
    assert comparison.best["val/loss"] == {1}
    assert not comparison.repeats


# Repeats, and what can't be compared


def test_runs_that_differ_in_seeds():
    """Their mean and standard deviation are there, for each setting; others and those that broke off stay out."""
    for version, (seed, loss, lr) in enumerate([(1, 0.2, 0.1), (2, 0.4, 0.1), (3, 0.3, 0.1), (1, 0.7, 0.01)]):
        make_run(version, loss, seed=seed, model={"optimizer": {"class_path": "AdamW", "init_args": {"lr": lr}}})
    make_run(4, 0.9, seed=4, finished=False, model={"optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.1}}})
    (repeats,) = compare(["runs"]).repeats
    assert repeats.names == ("version_0", "version_1", "version_2")
    assert repeats.settings == {"optimizer.lr": 0.1}
    assert repeats.figures["val/loss"] == pytest.approx((0.3, 0.1))
    make_run(5, 0.9, seed=2, model={"optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.01}}})
    comparison = compare(["runs"])
    columns = {column.heading: column.cells for column in make_repeat_columns(comparison)}
    assert columns["lr"] == ["0.1", "0.01"]
    assert columns["seeds"] == ["3", "2"]
    assert columns["val/loss"] == ["0.3000 ± 0.1", "0.8000 ± 0.14"]
    assert "0.3000 ± 0.1" in as_text(comparison, 120)


def test_seeds_of_the_data():
    """Another seed of the data gives other splits: a repeat; other rows at the same seed are another experiment."""
    for version, rows in enumerate(["aa", "bb"]):
        source = {"class_path": "TableData", "init_args": {"seed": version}}
        make_run(version, seed=1, rows=rows, data=source)
        make_run(version, seed=version, rows=rows, name="cars")
    assert len(compare(["runs/pets"]).repeats) == 1
    assert not compare(["runs/cars"]).repeats


def test_the_same_config_and_seed():
    """Runs that nothing tells apart are said to be the same; they are no repeats to average."""
    for version, seed in enumerate([1, 1, 2]):
        make_run(version, 0.5 + version, seed=seed)
    comparison = compare(["runs"])
    assert comparison.notes == ["The same config, seed and data: version_0, version_1."]
    (repeats,) = comparison.repeats
    assert len(repeats.names) == 2
    make_run(3, seed=2, rows="ba")
    assert "version_2, version_3" not in " ".join(compare(["runs"]).notes)


def test_other_rows():
    """Figures of other validation or test rows can't be compared: it is said, and each group has its own best."""
    for version, (loss, rows) in enumerate([(0.5, "aa"), (0.4, "aa"), (0.1, "ab"), (0.2, "ab")]):
        make_run(version, loss, rows=rows)
    make_run(4, finished=False, epochs=0, rows="zz")
    comparison = compare(["runs"])
    assert comparison.best["test/loss"] == {1, 2}
    assert comparison.notes[0] == (
        "Not all figures can be compared, since the test rows of these runs are not the same. Those of one group can, "
        "and each group has its own best: version_0, version_1; version_2, version_3."
    )
    assert comparison.notes[0].split(". ")[0] in " ".join(as_text(comparison, 60).split())
    make_run(5, rows="cc")
    assert "since the validation and test rows" in compare(["runs"]).notes[0]


@pytest.mark.parametrize("model", [{"head": {"label_smoothing": 0.1}}, {"problem": "multilabel"}])
def test_other_losses(model):
    """A loss of another head is another figure: it is said, and none is marked; other metrics are compared."""
    make_run(0, 0.5)
    make_run(1, 0.4, model=model)
    comparison = compare(["runs"])
    assert comparison.best["val/loss"] == comparison.best["test/loss"] == set()
    assert comparison.best["val/accuracy"] == {1}
    assert any(note.startswith("Losses can't all be compared: the runs differ in ") for note in comparison.notes)


# How it is written


def sweep(count):
    """Write runs that differ in several things."""
    for version in range(count):
        layers = [{"dense": {"units": 8 * version + 8}}, {"dropout": 0.1 * version}]
        optimizer = {"class_path": "AdamW", "init_args": {"lr": 0.001 * 1.5**version}}
        make_run(version, 0.9 / (version + 1), seed=version, layers=layers, model={"optimizer": optimizer})
    return compare(["runs"])


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200, None])
@pytest.mark.parametrize("count", [1, 2, 4, 50])
def test_the_text_fits(count, width):
    """No line is wider than the terminal; runs and their watched metric are always there; what is left out is named."""
    comparison = sweep(count)
    text = as_text(comparison, width)
    assert all(len(line) <= (width or 1e9) for line in text.splitlines())
    words = text.split()
    for row in comparison.rows:
        assert row.name in words
    assert sum(word.startswith("0.9000") for word in words) >= 1
    if width is None or width == 200:
        assert "no room" not in text
        assert all(
            column.heading.split("/")[-1].split()[0].split("_")[0] in text for column in make_columns(comparison)
        )
    assert not re.search(r"\d…", text)  # no number is cut
    if (count, width) == (50, 80):
        assert "no room for val/accuracy" in text
        assert "(--format csv has all)" in " ".join(words)


def test_cells_are_whole_or_left_out():
    """Whatever the width, what a line has is what it has where there is room for all."""
    comparison = sweep(6)
    whole = {line.split()[0]: set(line.split()) for line in as_text(comparison, None).splitlines() if line}
    for width in range(30, 130):
        lines = as_text(comparison, width).splitlines()
        assert sum(line.startswith("version_") for line in lines) == 6
        for line in lines:
            if line.startswith("version_"):
                assert set(line.split()) <= whole[line.split()[0]]


def test_few_runs_stand_beside_each_other():
    """Two runs on a narrow terminal are columns, with all there is; more of them are lines."""
    text = as_text(sweep(2), 80)
    assert text.splitlines()[0].split() == ["version_0", "version_1"]
    assert "test/accuracy" in text
    assert "no room" not in text
    best = next(line for line in text.splitlines() if line.startswith("val/loss"))
    assert best.split() == ["val/loss", "0.9000", "0.4500*"]


def test_colours():
    """On terminals the best are bold; elsewhere no code stands in the text, and names can't bring in any."""
    assert "\x1b[1m" in as_text(sweep(3), 120, colours=True)
    make_run(3, model={"note": "[red]\x1b[31m\n|"})
    text = as_text(compare(["runs"]), None)
    assert "\x1b" not in text
    assert "[red] [31m |" in text


def test_metrics_of_single_labels():
    """They are in CSV and JSON, and would be too many for a table."""
    make_run(0, metrics={"loss": 0.1, "accuracy/cat": 0.5})
    comparison = compare(["runs"])
    assert "val/accuracy/cat" in as_csv(comparison)
    assert "accuracy/cat" not in as_markdown(comparison)


def test_csv():
    """It has a line for each run, whole keys, and figures as they are."""
    make_run(0, 1 / 3)
    make_run(1, finished=False, epochs=0, layers=[{"dense": {"units": 9}}], name='pets, and "cars"')
    first, second = csv.DictReader(io.StringIO(as_csv(compare(["runs/pets", "runs"]))))
    assert float(first["val/loss"]) == 1 / 3
    assert (first["layers[0].dense.units"], first["run"], first["finished"]) == ("8", "runs/pets/version_0", "True")
    assert first["verdict"]
    assert second["run"] == 'runs/pets, and "cars"/version_1'
    assert (second["val/loss"], second["best_epoch"], second["parameters"]) == ("", "", "")


def test_json():
    """It is JSON, with all there is; what is no number is null."""
    make_run(0, metrics={"loss": math.nan})
    make_run(1, metrics={"loss": 0.1}, seed=2)
    found = json.loads(as_json(compare(["runs"])), parse_constant=lambda name: 1 / 0)
    first, second = found["runs"]
    assert first["metrics"]["val/loss"] is None
    assert second["metrics"] == {"val/loss": 0.1, "test/loss": 0.1}
    assert (second["settings"], second["finished"], second["mode"]) == ({"seed_everything": 2}, True, "min")
    assert second["best"] == []
    assert found["repeats"][0]["metrics"]["val/loss"] == {"mean": None, "std": None}
    assert found["notes"] == []


def test_markdown():
    """Every line of a table has as many cells as its heading, whatever names hold; the best are bold."""
    make_run(0, 0.5, name="a|b", model={"note": "<script> *x* `y` | \\|\nz"})
    make_run(1, 0.4, name="a|b", seed=2, model={"note": "_"})
    text = as_markdown(compare(["runs"]))
    table = [line for line in text.splitlines() if line.startswith("|")]
    cells = [line.replace("\\\\", "").replace("\\|", "").count("|") for line in table]
    assert len(set(cells)) == 1
    assert "<script>" not in text
    assert "**0.4000**" in table[3]
    assert table[1].startswith("| :-- | --: |")


# The chart


def lines(axes):
    """Return the curves: their style, their colour and their last value."""
    return [(line.get_linestyle(), line.get_color(), line.get_ydata()[-1]) for line in axes.lines]


def test_the_chart():
    """Each run has its own colour, validation in a full line and train dashed; the legend begins with the best."""
    make_run(0, 0.5)
    make_run(1, 0.2)
    make_run(2, finished=False, epochs=0)
    (axes,) = draw_comparison(compare(["runs"])).axes
    drawn = lines(axes)
    assert sorted((style, value) for style, _, value in drawn) == [("-", 0.4), ("-", 1.0), ("--", 0.2), ("--", 0.5)]
    assert len({colour for _, colour, _ in drawn}) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["version_1", "version_0"]
    assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("val/loss", "train dashed")


def test_the_chart_of_runs_without_validation():
    """What they watch is that of the train split."""
    for version in range(2):
        make_run(version, monitor="train/loss")
    (axes,) = draw_comparison(compare(["runs"])).axes
    assert [style for style, _, _ in lines(axes)] == ["-", "-"]
    assert (axes.get_title(loc="left"), axes.get_ylabel()) == ("train/loss", "")


def test_a_chart_of_many_runs():
    """The best few have a colour and a name, the others are grey; a loss that falls widely has a logarithmic scale."""
    for version in range(30):
        make_run(version, 10.0 ** (version / 8))
    (axes,) = draw_comparison(compare(["runs"])).axes
    names = [text.get_text() for text in axes.get_legend().get_texts()]
    *best, others = names
    assert best == [f"version_{version}" for version in range(len(best))]
    assert others == f"{30 - len(best)} others"
    assert len(axes.lines) == 2 * len(best) + 30 - len(best)
    assert axes.get_yscale() == "log"


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<svg"), ("a.PDF", b"%PDF")])
def test_chart_files(name, start):
    """The ending says what is written; names in any letters do."""
    make_run(0, name="$x^$ 图 <b>")
    make_run(1, name="$x^$ 图 <b>")
    write_chart(draw_comparison(compare(["runs"])), Path(name))
    assert Path(name).read_bytes().startswith(start)
    assert {path.name for path in Path().iterdir()} == {name, "runs"}


def test_chart_files_that_cannot_be_written():
    """Another ending and a folder that is not there are refused."""
    make_run(0)
    figure = draw_comparison(compare(["runs"]))
    with pytest.raises(RunError, match=r"A chart is written as \.png, \.svg, \.pdf\. Received: a\.jpg"):
        write_chart(figure, Path("a.jpg"))
    with pytest.raises(RunError, match=r"can't be written to nowhere/a\.png"):
        write_chart(figure, Path("nowhere/a.png"))
