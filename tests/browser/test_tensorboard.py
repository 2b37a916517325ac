"""What TensorBoard shows of real runs: its data, and its pages in a real browser."""

import io
import re
import time
from os.path import normpath
from pathlib import Path
from urllib.parse import parse_qsl

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from playwright.sync_api import expect
from tensorboard.compat.proto.graph_pb2 import GraphDef

from lightlab.cli import main
from lightlab.inspect.run import Run

CONFIGS = Path(__file__).parents[2] / "configs"
EPOCHS = 3
DIGITS, DIABETES = "digits_cnn/version_0", "diabetes_mlp/version_0"

#: One process shares a browser, the runs, and what looks at them.
pytestmark = pytest.mark.xdist_group("browser")


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    """A folder with a run of digits in ten classes, by a CNN, and one of a regression on a table."""
    root = tmp_path_factory.mktemp("runs")
    for name in ("digits_cnn", "diabetes_mlp"):
        options = {"max_epochs": EPOCHS, "accelerator": "cpu", "default_root_dir": root}
        arguments = [each for key, value in options.items() for each in (f"--trainer.{key}", str(value))]
        assert main(["fit", "--config", str(CONFIGS / f"{name}.yaml"), *arguments]) == 0
    return root


def has_read(board, run):
    """Return whether TensorBoard has got to the last that is written of a run, in each of its folders."""
    final = normpath(f"{run}/best/test")
    images = board.get("plugin/images/tags")[run]
    return final in board.get("plugin/scalars/tags") and any("residuals" in tag or "roc" in tag for tag in images)


@pytest.fixture(scope="session")
def board(runs, start_tensorboard):
    """TensorBoard of the run of digits, by the line that fit ends with."""
    board = start_tensorboard(runs / DIGITS)
    board.wait_for(lambda board: has_read(board, "."))
    return board


@pytest.fixture(scope="session")
def all_runs(runs, start_tensorboard):
    """TensorBoard of both runs."""
    board = start_tensorboard(runs)
    board.wait_for(lambda board: has_read(board, DIGITS) and has_read(board, DIABETES))
    return board


def graph(board, run):
    """Return the nodes of a run's graph, by name."""
    text = board.get("plugin/graphs/graph", run=run, conceptual="false").decode()
    return {node.name: node for node in text_format.Parse(text, GraphDef()).node}


def sessions(board):
    """Return the trials that the hyperparameters' page compares, by name."""
    question = {"colParams": [], "startIndex": 0, "sliceSize": 100}
    statuses = ["STATUS_UNKNOWN", "STATUS_SUCCESS", "STATUS_FAILURE", "STATUS_RUNNING"]
    answer = board.post("plugin/hparams/session_groups", {**question, "allowedStatuses": statuses})
    return {group["name"]: group for group in answer["sessionGroups"]}


def figures(group):
    """Return the metrics of a trial, by folder and name."""
    return {f"{each['name']['group']}/{each['name']['tag']}": each["value"] for each in group["metricValues"]}


def wait_until(condition, what):
    """Ask a page again and again: it draws when it has time to."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what


def show_all(page):
    """Have charts reach as far as their points; TensorBoard cuts off what it takes for outliers."""
    page.get_by_text("Ignore outliers in chart scaling").click()


def has_curves_and_points(chart):
    """Return whether a chart has two curves, as of train and validation, and two points, told apart by colour."""
    lines = chart.locator("path.line[d]").evaluate_all(
        "lines => lines.map(line => [line.getAttribute('stroke') || line.style.stroke, line.getAttribute('d')])"
    )
    curves = {colour for colour, path in lines if "L" in path}
    points = {colour for colour, path in lines} - curves
    return len(curves) == len(points) == 2


def charts(board):
    """Return the titles of the custom charts, by category."""
    categories = board.get("plugin/custom_scalars/layout")["category"]
    return {category["title"]: [chart["title"] for chart in category["chart"]] for category in categories}


def test_it_listens_on_this_machine_alone(board):
    """TensorBoard's own default: the loopback address, of version 4 or 6."""
    loopback = {"0100007F", "00000000000000000000000001000000"}
    assert board.addresses()
    assert board.addresses() <= loopback


# Scalars


def test_scalars_are_those_of_the_history(board, runs):
    """Each split has a folder of its own; the figures stand over epochs and are those of history.csv."""
    tags = board.get("plugin/scalars/tags")
    history = Run(runs / DIGITS).history
    for split in ("train", "val"):
        assert set(tags[split]) == {f"metrics/{name}" for name in ("loss", "accuracy", "f1_macro")}
        for tag in tags[split]:
            points = board.get("plugin/scalars/scalars", run=split, tag=tag)
            assert [step for _, step, _ in points] == list(range(1, EPOCHS + 1))
            wanted = history[f"{split}/{tag.removeprefix('metrics/')}"]
            assert [value for _, _, value in points] == pytest.approx(list(wanted), rel=1e-6)
    measured = ("learning_rate", "gradient_norm", "penalty", "samples_per_second", "epoch_seconds", "memory_mib")
    assert {f"training/{name}" for name in measured} <= set(tags["."])
    assert not any("hp_metric" in tag or tag == "epoch" for run in tags.values() for tag in run)


def test_best_figures_are_those_of_the_outcome(board, runs):
    """Validation and test stand once, at the best epoch."""
    outcome = Run(runs / DIGITS).outcome
    for split, wanted in (("val", outcome.validation), ("test", outcome.test)):
        for name, value in wanted.items():
            ((_, step, shown),) = board.get(
                "plugin/scalars/scalars", run=f"best/{split}", tag=f"metrics/{name.partition('/')[2]}"
            )
            assert (step, shown) == (outcome.best_epoch, pytest.approx(value, rel=1e-6))


def test_scalars_page(board, page):
    """The chart of the loss has curves of train and validation, and points of the best weights."""
    board.open(page, "scalars")
    show_all(page)
    chart = page.locator("tf-scalar-card").filter(has_text="metrics/loss").first
    wait_until(lambda: has_curves_and_points(chart), "The chart has not all lines.")


def test_time_series_page(board, page):
    """The table of the chart of the loss names the four folders that it draws."""
    board.open(page, "timeseries")
    page.locator("input[placeholder='Filter tags (regex)']").fill("metrics/loss")
    card = page.locator("scalar-card").filter(has_text="metrics/loss").first
    expect(card.locator("line-chart canvas, line-chart svg").first).to_be_visible()
    for run in ("train", "val", "best/val", "best/test"):
        expect(card.locator("tb-data-table").get_by_text(run, exact=True).first).to_be_visible()


def test_a_regression_has_its_own_metrics(all_runs):
    """Another problem has other charts, beside those of the first."""
    tags = all_runs.get("plugin/scalars/tags")
    assert {"metrics/r2", "metrics/rmse", "metrics/loss"} <= set(tags[f"{DIABETES}/val"])
    assert "metrics/accuracy" not in tags[f"{DIABETES}/val"]


# Custom charts


def test_custom_charts(board, all_runs):
    """There is a chart for each metric and for how training goes; of several runs each chart once."""
    own = charts(board)
    assert own["metrics"] == ["loss", "accuracy", "f1_macro"]
    assert {"learning rate", "gradient norm", "samples per second", "memory in MiB"} <= set(own["training"])
    both = charts(all_runs)
    assert sorted(both["metrics"]) == sorted([*own["metrics"], "mse", "rmse", "mae", "r2"])
    assert both["training"] == own["training"]


def test_custom_charts_page(board, page):
    """The chart of the loss has curves of train and validation, and points of the best weights."""
    board.open(page, "custom_scalars")
    show_all(page)
    chart = page.locator("tf-custom-scalar-multi-line-chart-card").filter(has_text="loss").first
    wait_until(lambda: has_curves_and_points(chart), "The chart has not all lines.")


# Histograms and distributions


@pytest.mark.parametrize("kind", ["histograms", "distributions"])
def test_histograms(board, kind):
    """Weights, gradients and activations of the first layer are there."""
    tags = [(run, tag) for run, tags in board.get(f"plugin/{kind}/tags").items() for tag in tags]
    for what in ("weights", "gradients", "activations"):
        run, tag = next((run, tag) for run, tag in tags if f"{what}/0_conv2d" in tag)
        points = board.get(f"plugin/{kind}/{kind}", run=run, tag=tag)
        assert len(points) >= 2
        assert all(step <= EPOCHS for _, step, _ in points)


@pytest.mark.parametrize(
    ("dashboard", "card", "shape"),
    [
        ("histograms", "tf-histogram-loader", "vz-histogram-timeseries path.outline"),
        ("distributions", "tf-distribution-loader", "vz-distribution-chart path.area"),
    ],
)
def test_histograms_page(board, page, dashboard, card, shape):
    """Shapes are drawn of the first layer's weights."""
    board.open(page, dashboard)
    page.get_by_role("textbox", name=re.compile("Filter tags")).fill("weights/0_conv2d")
    loader = page.locator(card).filter(has_text="weights/0_conv2d").first
    expect(loader.locator(shape).first).to_be_attached()
    assert loader.locator(shape).count() >= 2


# Graph


def test_graph(board):
    """The layers are scopes under the config's names, connected from the input to the output, with shapes."""
    nodes = graph(board, ".")
    scopes = list(dict.fromkeys(name.split("/")[0] for name in nodes))
    assert scopes == [
        "input", "preprocess", "0_conv2d", "1_batch_norm", "2_conv2d", "3_batch_norm", "4_max_pool2d", "5_flatten",
        "6_dropout", "7_dense", "8_dropout", "head", "output",
    ]  # fmt: skip
    assert nodes["0_conv2d/relu"].input == ["0_conv2d/convolution"]
    shape = nodes["0_conv2d/convolution"].attr["_output_shapes"].list.shape[0]
    assert [dim.size for dim in shape.dim] == [-1, 32, 8, 8]


def test_graph_page(board, page):
    """The layers are boxes; a click shows what is in one."""
    board.open(page, "graphs")
    scene = page.locator("tf-graph-scene")
    for name in ("preprocess", "0_conv2d", "7_dense", "head", "input", "output"):
        expect(scene.locator(f'[data-name="{name}"]').first).to_be_attached()
    expect(scene.locator("path.edgeline").first).to_be_attached()
    scene.locator('[data-name="0_conv2d"]').first.dblclick()
    expect(scene.locator('[data-name="0_conv2d/convolution"]').first).to_be_attached()


# Projector


def test_projector(board, runs):
    """Vectors of the validation split have labels and thumbnails."""
    assert board.get("plugin/projector/runs") == ["val"]
    (info,) = board.get("plugin/projector/info", run="val")["embeddings"]
    rows, features = info["tensorShape"]
    assert rows == Run(runs / DIGITS).data["val"]["rows"]
    assert features == 128
    asked = {"run": "val", "name": info["tensorName"]}
    vectors = np.frombuffer(board.get("plugin/projector/tensor", **asked), np.float32).reshape(rows, features)
    assert np.isfinite(vectors).all()
    assert vectors.std() > 0
    lines = board.get("plugin/projector/metadata", **asked).decode().splitlines()
    heading, cells = lines[0].split("\t"), [line.split("\t") for line in lines[1:]]
    assert len(cells) == rows
    assert {"true", "predicted"} <= set(heading)
    assert {line[heading.index("true")] for line in cells} == set("0123456789")
    sheet = Image.open(io.BytesIO(board.get("plugin/projector/sprite_image", **asked)))
    width, height = info["sprite"]["singleImageDim"]
    assert (sheet.width // width) * (sheet.height // height) >= rows


def test_projector_page(board, runs, page):
    """Points are drawn, as many as there are rows, with thumbnails."""
    board.open(page, "projector")
    frame = page.frame_locator("iframe").frame_locator("iframe")
    expect(frame.get_by_text(f"Points: {Run(runs / DIGITS).data['val']['rows']}")).to_be_visible()
    canvas = frame.locator("canvas").first
    expect(canvas).to_be_visible()
    wait_until(lambda: dark_share(canvas) > 0.01, "Nothing is drawn.")


def dark_share(element):
    """Return how much of an element is drawn in dark colours: thumbnails of digits are black."""
    with Image.open(io.BytesIO(element.screenshot())) as picture:
        return float((np.asarray(picture.convert("L")) < 50).mean())


# Images


@pytest.mark.parametrize(
    ("run", "names"),
    [
        (DIGITS, {"first_batch", "worst_mistakes", "confusion_matrix", "roc", "precision_recall", "calibration"}),
        (DIABETES, {"predicted_against_true", "residuals"}),
    ],
)
def test_images(all_runs, run, names):
    """There are images of training, and the charts that a problem has; they are PNG files."""
    found = {tag.rpartition("/")[2]: tag for tag in all_runs.get("plugin/images/tags")[run]}
    assert found.keys() == names
    for tag in found.values():
        (image,) = all_runs.get("plugin/images/images", run=run, tag=tag, sample=0)
        content = all_runs.get("plugin/images/individualImage", **dict(parse_qsl(image["query"])))
        assert Image.open(io.BytesIO(content)).format == "PNG"


def test_images_page(board, page):
    """Images are loaded, and have a size."""
    board.open(page, "images")
    image = page.locator("tf-image-loader img").first
    expect(image).to_be_visible()
    assert image.evaluate("async image => { await image.decode(); return image.naturalWidth }") > 8


# Hyperparameters


@pytest.mark.parametrize("logdir", ["", "digits_cnn", DIGITS])
def test_hyperparameters(runs, start_tensorboard, logdir):
    """Whatever folder is shown, a trial has its hyperparameters, and the final metrics of both splits."""
    board = start_tensorboard(runs / logdir)
    board.wait_for(lambda board: DIGITS in sessions(board) and "test/metrics/loss" in figures(sessions(board)[DIGITS]))
    group = sessions(board)[DIGITS]
    assert group["hparams"]["optimizer"] == "AdamW"
    assert group["hparams"]["optimizer.lr"] == 1e-3
    assert group["hparams"]["max_epochs"] == EPOCHS
    assert group["sessions"][0]["status"] == "STATUS_SUCCESS"
    outcome = Run(runs / DIGITS).outcome
    for split, wanted in (("val", outcome.validation), ("test", outcome.test)):
        for name, value in wanted.items():
            tag = f"{split}/metrics/{name.partition('/')[2]}"
            assert figures(group)[tag] == pytest.approx(value, rel=1e-6)


def test_what_differs_between_runs_comes_first(all_runs):
    """Runs of different problems stand in one table, each with the metrics that it has."""
    infos = all_runs.post("plugin/hparams/experiment", {})["hparamInfos"]
    assert infos[0]["differs"]
    found = sessions(all_runs)
    assert found.keys() == {DIGITS, DIABETES}
    assert "val/metrics/r2" in figures(found[DIABETES])
    assert "val/metrics/accuracy" in figures(found[DIGITS])


def test_hyperparameters_page(all_runs, page):
    """The table has a line for each run."""
    all_runs.open(page, "hparams")
    table = page.locator("tf-hparams-table-view")
    for name in (DIGITS, DIABETES):
        expect(table.get_by_text(name).first).to_be_visible()
    assert "hp_metric" not in page.locator("tf-hparams-dashboard").inner_text()


# Texts


def test_texts(board, runs):
    """Config, summary and environment are there."""
    assert {"run/config", "run/summary", "run/environment"} <= set(board.get("plugin/text/tags")["."])
    (text,) = board.get("plugin/text/text", run=".", tag="run/config")
    assert "seed_everything: 42" in text["text"]
    assert "max_pool2d" in (runs / DIGITS / "config.yaml").read_text()


def test_texts_page(board, page):
    """The config is a block of code, the summary a table."""
    board.open(page, "text")
    texts = page.locator("tf-text-loader")
    expect(texts.locator("pre code").filter(has_text="seed_everything: 42").first).to_be_visible()
    expect(texts.get_by_role("cell", name="0 conv2d", exact=True).first).to_be_visible()
