"""Figures: each kind is drawn of plain records, whatever their names and numbers; and what figures are turned into."""

import io
import math
import re
import time
import xml.etree.ElementTree as ET

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from lightlab.inspect import figures
from lightlab.inspect.evaluation import Calibration, Confusion, Curve, Histogram, LayerRecord, Residuals
from lightlab.inspect.figures.history import epochs_of

NAMES = ("cat", "_dog", "$\\frac{$", "<b>&", "猫", "line\nbreak\x07", "", "a very long name of a class")


def make_history(epochs=8):
    place = np.arange(1, epochs + 1)
    return pd.DataFrame(
        {
            "epoch": place,
            "step": place * 10,
            "train/loss": 1 / place,
            "val/loss": 1.1 / place,
            "val/accuracy": 1 - 1 / (place + 1),
            "val/accuracy/cat": 0.5,
            "train/penalty": 0.1,
            "learning_rate": 0.001,
            "gradient_norm": 1.0,
            "gradient_norm_max": 2.0,
            "memory_mib": math.nan,
        }
    )


def make_curves(names):
    x = tuple(np.linspace(0, 1, 30))
    return {name: Curve(x, tuple(np.sqrt(x)), 0.5 + 0.01 * place) for place, name in enumerate(names)}


def make_confusion(names):
    counts = 9 * np.eye(len(names), dtype=int)
    return Confusion("", tuple(names), tuple(map(tuple, counts.tolist())))


RESIDUALS = Residuals("price", (1.0, 2.0, 4.0), (1.5, 2.0, 3.0), Histogram((-1.0, 0.0, 1.0), (1, 2)), -0.2, 0.8)
LAYER = LayerRecord(
    "0_dense", "model.layers[0].dense", 6, Histogram((0.0, 0.5, 1.0), (2, 4)), Histogram((0.0, 2.0), (6,))
)
HISTORY = make_history()
DRAWN = {
    "history": lambda: figures.draw_history(HISTORY, figures.metric_charts(HISTORY)[:1], 3),
    "confusion": lambda: figures.draw_confusion(make_confusion(NAMES)),
    "many classes": lambda: figures.draw_confusion(make_confusion([f"class {place}" for place in range(200)])),
    "roc": lambda: figures.draw_roc(make_curves(NAMES)),
    "precision-recall": lambda: figures.draw_precision_recall(make_curves(NAMES)),
    "calibration": lambda: figures.draw_calibration(Calibration((0.5, 0.9), (0.4, 0.95), (10, 12), 0.05)),
    "predictions": lambda: figures.draw_predictions(RESIDUALS),
    "residuals": lambda: figures.draw_residuals(RESIDUALS),
    "weights": lambda: figures.draw_weights([LAYER]),
}


def texts(figure):
    """Return all that is written in a figure."""
    root = ET.fromstring(figures.to_svg(figure))
    return ["".join(each.itertext()).strip() for each in root.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("draw", DRAWN.values(), ids=DRAWN)
def test_every_figure(draw):
    """Each is drawn as pixels, as PNG and as SVG, without a warning, and the same whenever it is drawn."""
    pixels = figures.to_pixels(draw())
    assert pixels.dtype == np.uint8
    assert pixels.ndim == 3
    assert pixels.shape[2] == 3
    assert pixels.std() > 5
    with Image.open(io.BytesIO(figures.to_png(draw()))) as image:
        assert image.size == pixels.shape[1::-1]
    assert figures.to_svg(draw()) == figures.to_svg(draw())


def test_nothing_global():
    """Figures are drawn without pyplot, and change none of matplotlib's settings."""
    import sys

    before = dict(matplotlib.rcParams)
    for draw in DRAWN.values():
        figures.to_svg(draw())
    assert dict(matplotlib.rcParams) == before
    assert "matplotlib.pyplot" not in sys.modules or not sys.modules["matplotlib.pyplot"].get_fignums()


def test_svg_stands_in_a_page():
    """An SVG is an element alone: letters are letters, names are escaped, and no other figure has its identifiers."""
    drawn = [figures.to_svg(draw()) for draw in DRAWN.values()]
    ids = [each for svg in drawn for each in re.findall(r'\bid="([^"]*)"', svg)]
    assert len(ids) == len(set(ids)) > len(drawn)
    for svg in drawn:
        assert svg.startswith("<svg")
        assert svg.endswith("</svg>")
        assert ET.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
        assert set(re.findall(r'(?:url\(|href=")#([\w-]+)', svg)) <= set(re.findall(r'\bid="([^"]*)"', svg))
        assert not re.search(r"href=\"(?!#|data:)", svg)
        assert "<metadata" not in svg
    assert {"cat", "_dog", "$\\frac{$", "<b>&", "猫", "line break"} <= set(texts(DRAWN["confusion"]()))


def test_confusion_has_figures_where_they_fit():
    """The cells of few classes have figures, those that are empty none; of many classes some names are written."""
    assert texts(figures.draw_confusion(make_confusion("abc"))).count("9") == 3
    assert "0" not in texts(figures.draw_confusion(make_confusion("abc")))
    many = texts(DRAWN["many classes"]())
    assert "9" not in many
    assert 40 < len(many) < 60


def test_legend_names_the_least_areas():
    """Of many classes, the ten with the least area have a name and their area; of few, all."""
    few = [text for text in texts(figures.draw_roc(make_curves("abc"))) if text.startswith("0.5") and len(text) > 3]
    assert [" ".join(text.split()) for text in few] == ["0.500 a", "0.510 b", "0.520 c"]
    names = [f"class {place}" for place in range(30)]
    many = texts(figures.draw_roc(make_curves(names)))
    assert [name for name in names if any(text.endswith(f" {name}") for text in many)] == names[:10]


def test_charts_of_a_history():
    """Loss comes first; single labels and the penalty are no metrics; what was not measured has no chart."""
    metrics = figures.metric_charts(HISTORY)
    assert [chart.title for chart in metrics] == ["loss", "accuracy"]
    assert metrics[0].lines == {"train": "train/loss", "validation": "val/loss"}
    assert metrics[1].lines == {"validation": "val/accuracy"}
    titles = [chart.title for chart in figures.training_charts(HISTORY)]
    assert titles == ["learning rate", "gradient norm", "penalty (l1, l2)"]
    written = texts(figures.draw_history(HISTORY, metrics, 3))
    assert written.count("best (3)") == 2
    assert {"loss", "accuracy", "train", "validation", "epoch"} <= set(written)


def test_validations_within_epochs():
    """A validation in the middle of an epoch stands in its middle."""
    history = pd.DataFrame(
        {
            "epoch": [1, 1, 2, 2],
            "step": [5, 10, 15, 20],
            "train/loss": [math.nan, 1.0, math.nan, 0.5],
            "val/loss": [2.0, 1.5, 1.0, 0.8],
        }
    )
    assert epochs_of(history).tolist() == [0.5, 1.0, 1.5, 2.0]
    (axes,) = figures.draw_history(history, figures.metric_charts(history)).axes
    train, validation = axes.lines
    assert train.get_xdata().tolist() == [1.0, 2.0]
    assert validation.get_ydata().tolist() == [2.0, 1.5, 1.0, 0.8]


@pytest.mark.parametrize("values", [[math.nan] * 3, [1.0, math.inf, math.nan], [0.0, 0.0, 0.0], [1.0, 1e-9, 1e-12]])
def test_losses_that_are_no_numbers(values):
    """What is no number leaves a gap; what falls over many powers of ten has a logarithmic scale."""
    history = pd.DataFrame({"epoch": [1, 2, 3], "step": [1, 2, 3], "train/loss": values})
    figure = figures.draw_history(history, figures.metric_charts(history), 1)
    assert np.isfinite(figure.axes[0].lines[0].get_ydata()).all()
    assert figure.axes[0].get_yscale() == ("log" if values[-1] == 1e-12 else "linear")
    assert figures.to_pixels(figure).size


def test_weights_share_a_scale_of_heights():
    """Both histograms reach the same peak, however wide their bins are; layers without weights have none."""
    figure = figures.draw_weights([LAYER, LayerRecord("1_relu", "model.layers[1].relu"), LAYER])
    assert len(figure.axes) == 2
    assert [patch.get_data().values.max() for patch in figure.axes[0].patches] == [1, 1]
    still = LayerRecord("0", "k", 1, Histogram((1.0, 1.0), (3,)), Histogram((1.0, 1.0), (0,)))
    assert figures.to_pixels(figures.draw_weights([still])).size


def test_a_figure_of_nothing():
    """No charts make an empty figure, and no error."""
    assert isinstance(figures.draw_history(HISTORY, []), Figure)
    assert isinstance(figures.draw_weights([]), Figure)


def test_fast_enough_to_draw_in_training():
    """Each figure takes a small part of a second: about 30 ms where nothing else runs."""
    for name, draw in DRAWN.items():
        times = []
        for _ in range(3):
            start = time.process_time()
            figures.to_pixels(draw())
            times.append(time.process_time() - start)
        assert min(times) < 0.4, name
