"""Files and options laid over one another: what counts, where each value comes from, and how its key is written."""

from pathlib import Path

import pytest

from lightlab.config.sources import Sources
from lightlab.errors import ConfigError, Fault, ShapeError, format_key

BASE = """\
data:
  class_path: BundledData
  init_args:
    name: iris
model:
  layers:
    - dense: {units: 3}
    - relu
    - residual:
        - dense: 4
    - dropout: 0.5
  optimizer:
    class_path: SGD
    lr: 0.1
trainer:
  callbacks:
    - EarlyStopping
    - class_path: Timer
      init_args: {duration: 00:12:00:00}
"""


def sources(*options, overlay=""):
    """Return what a base, an overlay and options make."""
    Path("base.yaml").write_text(BASE)
    Path("overlay.yaml").write_text(overlay)
    return Sources(["base.yaml", "overlay.yaml"] if overlay else ["base.yaml"], list(options))


def place(read, *key):
    """Return how the fault of a key is written, without its message."""
    (fault,) = read.located(ConfigError.at(key, "")).faults
    return f"{fault.place}: {format_key(fault.key)}"


LAYERS = ("model", "layers")


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (("data",), "base.yaml:1: data"),
        (("data", "class_path"), "base.yaml:2: data.class_path"),
        (("data", "name"), "base.yaml:4: data.init_args.name"),
        (("data", "init_args", "name"), "base.yaml:4: data.init_args.name"),
        (("data", "init_args", "seed"), "base.yaml:1: data.init_args.seed"),
        ((*LAYERS, 0, "dense", "units"), "base.yaml:7: model.layers[0].dense.units"),
        ((*LAYERS, 0, "dense", "unit"), "base.yaml:7: model.layers[0].dense.unit"),
        ((*LAYERS, 1), "base.yaml:8: model.layers[1]"),
        (
            (*LAYERS, 2, "residual", "layers", 0, "dense", "units"),
            "base.yaml:10: model.layers[2].residual.layers[0].dense.units",
        ),
        ((*LAYERS, 3, "dropout", "rate"), "base.yaml:11: model.layers[3].dropout.rate"),
        (("model", "optimizer", "init_args", "lr"), "base.yaml:14: model.optimizer.lr"),
        (("trainer", "callbacks", 0, "class_path"), "base.yaml:17: trainer.callbacks[0].class_path"),
        (("trainer", "callbacks", 1, "init_args", "duration"), "base.yaml:19: trainer.callbacks[1].init_args.duration"),
        (("checkpoint", "monitor"), "base.yaml: checkpoint.monitor"),
        ((), "base.yaml: "),
    ],
)
def test_places(key, expected):
    """A fault has the line of its key, or of what is nearest above it, and the key as the file writes it."""
    assert place(sources(), *key) == expected


def test_an_overlay_counts_key_by_key():
    """What the overlay says comes from there; what it leaves alone comes from below."""
    read = sources(overlay="\nmodel:\n  problem: binary\n  optimizer: {lr: 0.2}\n")
    assert read.values["model"]["optimizer"] == {"class_path": "SGD", "init_args": {"lr": 0.2}}
    assert place(read, "model", "problem") == "overlay.yaml:3: model.problem"
    assert place(read, "model", "optimizer", "init_args", "lr") == "overlay.yaml:4: model.optimizer.lr"
    assert place(read, "model", "optimizer", "class_path") == "base.yaml:13: model.optimizer.class_path"


@pytest.mark.parametrize(
    ("overlay", "key", "expected"),
    [
        ("model:\n  layers: [dense: {unit: 3}]", (*LAYERS, 0, "dense", "units"), "overlay.yaml:2"),
        ("model:\n  layers: [dense: {unit: 3}]", (*LAYERS, 3), "overlay.yaml:2"),
        ("model:\n  layers: relu", (*LAYERS, 0, "dense", "units"), "overlay.yaml:2"),
        ("model:\n  optimizer: Adam", ("model", "optimizer", "init_args", "lr"), "overlay.yaml:2"),
        ("model:\n  optimizer: {class_path: Adam}", ("model", "optimizer", "init_args", "lr"), "overlay.yaml:2"),
        ("\ndata: {class_path: TableData}", ("data", "init_args", "name"), "overlay.yaml:2"),
        ("trainer: null", ("trainer", "callbacks", 0), "overlay.yaml:1"),
    ],
)
def test_lines_of_what_was_replaced_are_forgotten(overlay, key, expected):
    """Where an overlay replaces a list, a class or a section, no line of what was there is reported."""
    assert sources(overlay=overlay).locate(key) == expected


def test_another_class_takes_no_arguments_along():
    """Arguments of a class go with it; those of the same class stay, in a file and on the command line."""
    for option in ("Adam", "{class_path: Adam}"):
        assert sources("--model.optimizer", option).values["model"]["optimizer"] == {"class_path": "Adam"}
        assert sources(overlay=f"model: {{optimizer: {option}}}").values["model"]["optimizer"] == {"class_path": "Adam"}
    stays = {"class_path": "SGD", "init_args": {"lr": 0.1}}
    assert sources("--model.optimizer", "SGD").values["model"]["optimizer"] == stays
    assert sources(overlay="model: {optimizer: SGD}").values["model"]["optimizer"] == stays
    assert sources("--model.optimizer.class_path", "Adam").values["model"]["optimizer"] == {"class_path": "Adam"}


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        (["--trainer.max_epochs=3"], ("trainer", "max_epochs"), 3),
        (["--trainer.max_epochs", "3", "--trainer.max_epochs", "-1"], ("trainer", "max_epochs"), -1),
        (["--model.layers[0].dense.units", "5"], (*LAYERS, 0, "dense", "units"), 5),
        (["--model.layers.0.dense", "{l2: 1}"], (*LAYERS, 0, "dense"), {"units": 3, "l2": 1}),
        (["--model.layers", "[relu]"], LAYERS, ["relu"]),
        (["--model.layers+=relu"], (*LAYERS, 4), "relu"),
        (["--model.layers+", "[{dense: 1}, relu]"], (*LAYERS, 4, "dense"), 1),
        (["--trainer.logger+=CSVLogger"], ("trainer", "logger"), ["CSVLogger"]),
        (["--data.name", "wine"], ("data", "init_args", "name"), "wine"),
        (["--data.init_args.name", "wine"], ("data", "init_args", "name"), "wine"),
        (["--data.name", "---"], ("data", "init_args", "name"), "---"),
        (["--data.name=--x"], ("data", "init_args", "name"), "--x"),
        (["--data.name=a=b"], ("data", "init_args", "name"), "a=b"),
        (["--model.optimizer.lr", "1e-3"], ("model", "optimizer", "init_args", "lr"), 0.001),
        (["--model.lr_scheduler.warmup=2"], ("model", "lr_scheduler"), {"warmup": 2}),
        (["--model.head.class_weight.0", "2"], ("model", "head", "class_weight"), {0: 2}),
        (["--trainer.callbacks.duration", "x"], ("trainer", "callbacks", 1, "duration"), "x"),
        (["--trainer.callbacks[0].patience", "3"], ("trainer", "callbacks", 0, "patience"), 3),
        (
            ["--trainer.callbacks+=Timer", "--trainer.callbacks.interval=step"],
            ("trainer", "callbacks", 2),
            {"class_path": "Timer", "interval": "step"},
        ),
        (
            ["--trainer.callbacks=Timer", "--trainer.callbacks.interval=step"],
            ("trainer", "callbacks"),
            {"class_path": "Timer", "interval": "step"},
        ),
    ],
)
def test_options(options, key, value):
    """Options lay values over those of files; what is given comes from the command line."""
    read = sources(*options)
    found = read.values
    for part in key:
        inner = found["init_args"] if isinstance(found, dict) and part not in found else found
        found = inner[part]
    assert found == value
    assert read.locate(key) == "command line"


def test_an_option_leaves_other_places_alone():
    """Beside what an option gives, all comes from where it came; also in a list that it adds to."""
    read = sources(
        "--trainer.callbacks+=X", "--trainer.callbacks.y=1", "--checkpoint.monitor=z", "--model.head={low: 1}"
    )
    assert place(read, "trainer", "callbacks", 1, "init_args", "duration").startswith("base.yaml:19: ")
    assert place(read, "trainer", "callbacks", 2, "class_path") == "command line: trainer.callbacks[2].class_path"
    assert place(read, "trainer", "callbacks", 2, "init_args", "y") == "command line: trainer.callbacks.y"
    assert place(read, "checkpoint", "mode") == "command line: checkpoint.mode"
    assert place(read, "model", "head", "low") == "command line: model.head.low"


def test_an_option_hides_the_line_that_it_overrides():
    """Also where it overrides a whole mapping."""
    assert sources("--model.layers[0]={dense: {units: 4}}").locate((*LAYERS, 0, "dense", "units")) == "command line"
    assert sources("--model.layers[0]=relu").locate((*LAYERS, 0, "dense", "units")) == "command line"


@pytest.mark.parametrize(
    ("options", "errors"),
    [
        (["--a", "--b", "1", "--c"], ["--a takes a value. Received nothing.", "--c takes a value. Received nothing."]),
        (
            ["x.yaml", "a=1"],
            [
                "What follows the verb is --key value. Received: 'x.yaml'. Write --config x.yaml.",
                "What follows the verb is --key value. Received: 'a=1'. Write --a=1.",
            ],
        ),
        (
            ["--", "-x"],
            [
                "What follows the verb is --key value. Received: '--'.",
                "What follows the verb is --key value. Received: '-x'.",
            ],
        ),
        (
            ["--a..b=1"],
            ["An option is --key value, its key made of words and numbers with dots between them. Received: --a..b."],
        ),
        (["--model.layers[4]=relu"], ["model.layers[4]: model.layers has 4 entries, from [0] on. Received: [4]."]),
        (["--model.layers.units=3"], ["model.layers.units: model.layers has 4 entries, from [0] on. Received: units."]),
        (
            ["--model.layers=[]", "--model.layers[0]=relu"],
            ["model.layers[0]: model.layers has 0 entries, from [0] on. Received: [0]."],
        ),
        (
            ["--data.split=[1"],
            ["data.split: This is no YAML: while parsing a flow sequence: did not find expected ',' or ']'."],
        ),
    ],
)
def test_wrong_options(options, errors):
    """What is wrong with options is said, all of it."""
    with pytest.raises(ConfigError) as caught:
        sources(*options)
    assert str(caught.value).splitlines() == [f"command line: {error}" for error in errors]


def test_all_files_and_options_are_read_before_it_is_said():
    """Faults of several files and of options come together."""
    Path("a.yaml").write_text("a: [")
    Path("b.yaml").write_text("b: 1\nb: 2")
    with pytest.raises(ConfigError) as caught:
        Sources(["a.yaml", "no.yaml", "b.yaml"], ["c"])
    assert [line[:9] for line in str(caught.value).splitlines()] == ["a.yaml:2:", "b.yaml:2:", "A config ", "command l"]


def test_the_order_of_faults():
    """Faults come in the order of files and lines, those of the command line last; their kind stays."""
    read = sources("--seed_everything=1", overlay="checkpoint: {}\ndata: {}\n")
    keys = [("seed_everything",), ("data",), ("checkpoint",), ("model",), ("data", "name")]
    located = read.located(ShapeError([Fault(key, str(number)) for number, key in enumerate(keys)]))
    assert isinstance(located, ShapeError)
    assert [fault.place for fault in located.faults] == [
        "base.yaml:4",
        "base.yaml:5",
        "overlay.yaml:1",
        "overlay.yaml:2",
        "command line",
    ]


def test_text_after_all():
    """Options that read as numbers or null become text where they are asked to, and numbers again."""
    read = sources("--data.name=007", "--trainer.max_epochs=3", "--trainer.callbacks.duration=null", "--data.seed='1'")
    keys = [("data", "init_args", "name"), ("trainer", "callbacks", 1, "duration"), ("data", "seed"), ("model",)]
    changed = read.read_as_text(keys)
    assert read.values["data"]["init_args"] == {"name": "007", "seed": "1"}
    assert read.values["trainer"]["callbacks"][1]["init_args"] == {"duration": "null"}
    read.put_back({("data", "name"): changed[("data", "name")]})
    assert read.values["data"]["init_args"]["name"] == 7
    assert read.values["trainer"]["max_epochs"] == 3


def test_the_name_of_a_class_that_reads_as_a_number():
    """It is a class name as any other, until it is a number again."""
    read = sources("--data=1", "--model.optimizer=null")
    changed = read.read_as_text([("data",), ("model", "optimizer")])
    assert read.values["data"] == {"class_path": "1"}
    assert read.values["model"]["optimizer"] == {"class_path": "null"}
    read.put_back(changed)
    assert (read.values["data"], read.values["model"]["optimizer"]) == (1, None)


def test_text_of_what_a_later_option_overrides_is_forgotten():
    """The value that counts is what an option said last."""
    read = sources("--data.name=1", "--data={name: 2}")
    assert read.read_as_text([("data", "name")]) == {}
    assert read.values["data"]["init_args"]["name"] == 2


def test_add_below():
    """A checkpoint's model counts where files and options say nothing, with its own place."""
    read = sources("--model.optimizer.momentum=0.9")
    below = {"layers": [{"dense": 9}] * 5, "problem": "binary", "optimizer": {"class_path": "SGD", "nesterov": True}}
    read.add_below({"model": below}, "best.ckpt")
    assert len(read.values["model"]["layers"]) == 4
    assert read.values["model"]["optimizer"]["init_args"] == {"lr": 0.1, "momentum": 0.9, "nesterov": True}
    assert read.locate(("model", "problem")) == "best.ckpt"
    assert read.locate(("model", "optimizer", "init_args", "nesterov")) == "best.ckpt"
    assert read.locate((*LAYERS, 4)) == "base.yaml:6"
    assert read.locate((*LAYERS, 0, "dense", "units")) == "base.yaml:7"


def test_find():
    """A value, or a key of that name, is found below a key."""
    assert sources().find(("model",), "relu") == (*LAYERS, 1)
    assert sources().find(("data", "init_args"), "name") == ("data", "init_args", "name")
    assert sources().find(("data", "init_args"), "wine") is None


def test_many_values():
    """Of many values each has its line; what was replaced has that of the list."""
    Path("base.yaml").write_text("a:\n" + "  - [1, 2, 3]\n" * 2_400)
    Path("overlay.yaml").write_text("a:\n" + "  - [1, 2, 3]\n" * 2_300)
    read = Sources(["base.yaml", "overlay.yaml"], ["--b=1"])
    assert read.locate(("a", 2_200, 2)) == "overlay.yaml:2202"
    assert read.locate(("a", 2_350, 2)) == "overlay.yaml:1"
