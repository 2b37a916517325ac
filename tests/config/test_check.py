"""A config as a whole: every fault at once, in the order of the files, with nothing heavy imported."""

import subprocess
import sys
from pathlib import Path

import pytest

from lightlab.config.check import better_way, check_config
from lightlab.config.sources import Sources
from lightlab.data_spec import TargetSpec
from lightlab.errors import ConfigError
from lightlab.metrics import EpochMetrics
from lightlab.registry import HEADS, PROBLEMS

BASE = """\
data: {class_path: BundledData, init_args: {name: iris}}
model:
  problem: multiclass
  layers:
    - dense: 4
  optimizer: {class_path: AdamW, lr: 1e-3}
"""


def check(text=BASE, *options):
    """Check a config and options."""
    Path("config.yaml").write_text(text)
    return check_config(Sources(["config.yaml"], options))


def faults(text=BASE, *options):
    """Return what is said of a config and options, a line each."""
    with pytest.raises(ConfigError) as caught:
        check(text, *options)
    return str(caught.value).splitlines()


def test_a_config_without_faults():
    """Classes are returned in their long form."""
    config = check(BASE + "trainer: {callbacks: Timer, max_epochs: 3}\n")
    assert config["data"] == {"class_path": "lightlab.data.bundled.BundledData", "init_args": {"name": "iris"}}
    assert config["trainer"]["max_epochs"] == 3
    assert config["trainer"]["callbacks"]["class_path"] == "lightning.pytorch.callbacks.timer.Timer"


def test_every_fault_in_the_order_of_the_file():
    """One of each part, those of the command line last."""
    wrong = BASE.replace("iris", "iriss").replace("dense", "dens").replace("1e-3", "x")
    text = "trainer: {max_epoch: 3}\nsed: 1\n" + wrong
    said = faults(text, "--model.optimizer.betas=1", "--early_stopping.patience=-1")
    starts = [
        "config.yaml:1: trainer.max_epoch: ",
        "config.yaml:2: sed: ",
        "config.yaml:3: data.init_args.name: ",
        "config.yaml:7: model.layers[0].dens: ",
        "config.yaml:8: model.optimizer.lr: ",
    ]
    assert [line[: len(start)] for line, start in zip(said, starts, strict=False)] == starts
    assert sorted(line.split(": ")[:2] for line in said[5:]) == [
        ["command line", "early_stopping.patience"],
        ["command line", "model.optimizer.betas"],
    ]


def test_text_that_a_shell_took_the_quotation_marks_from():
    """An option that reads as a number is text where only text fits; where nothing fits, the number is reported."""
    table = BASE.replace("BundledData, init_args: {name: iris}", "TableData, init_args: {path: a.csv, target: y}")
    assert check(table, "--data.target=007", "--trainer.max_epochs=3")["data"]["init_args"]["target"] == "007"
    assert faults(BASE, "--data.batch_size=1.5")[0].endswith("Received: 1.5.")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("early_stopping: {monitor: val/los}", "early_stopping.monitor: .*Did you mean val/loss"),
        ("early_stopping: {}\ntrainer: {callbacks: [EarlyStopping]}", r"trainer\.callbacks\[0\].*one early stopping"),
        ("early_stopping: {}\ntrainer: {limit_val_batches: 0}", "early_stopping.* (validation|train/)"),
        ("trainer: {callbacks: [{init_args: {monitor: val/loss}}]}", r"trainer\.callbacks\[0\].*class_path"),
        ("checkpoint: {monitor: accuracy}", "checkpoint.monitor: .*val/accuracy"),
        ("trainer: 3", "trainer: .*mapping. Received: 3"),
        ("seed_everything: -1", "seed_everything"),
        ("ckpt_path: 3", "ckpt_path"),
    ],
)
def test_parts_that_do_not_go_together(text, error):
    """Contradictions are found without the data."""
    with pytest.raises(ConfigError, match=error):
        check(BASE + text)


def test_no_config():
    """A call without one is told so."""
    with pytest.raises(ConfigError, match="A config is needed"):
        check_config(Sources([], []))


def test_the_same_faults_each_time():
    """Checking changes nothing in what is checked."""
    Path("config.yaml").write_text(BASE.replace("dense: 4", "dense: x"))
    read = Sources(["config.yaml"], ["--trainer.max_epochs=x", "--data.seed=null"])
    said = []
    for _ in range(2):
        with pytest.raises(ConfigError) as caught:
            check_config(read)
        said.append(str(caught.value))
    assert said[0] == said[1]


def test_nothing_heavy_is_imported():
    """A config with classes of Lightning and of lightlab is checked without lightning or what reads data."""
    Path("config.yaml").write_text(
        BASE + "trainer: {callbacks: [Timer], logger: {class_path: CSVLogger, save_dir: x}, strategy: ddp}\n"
    )
    code = """
import sys
from lightlab.config.check import better_way, check_config
from lightlab.config.sources import Sources
check_config(Sources(["config.yaml"], []))
sys.exit(" ".join({"lightning", "torchvision", "torchmetrics", "pandas", "sklearn", "scipy"} & sys.modules.keys()) or 0)
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("name", ["binary", "multiclass", "multilabel", "regression", "bounded_regression"])
def test_which_way_is_better(name):
    """What is told of a metric without data is what the head says of it with data."""
    problem = PROBLEMS.get(name)
    names = ("y",) if problem.target != "labels" else ("a", "b")
    classes = {"binary": ("a", "b"), "multiclass": ("a", "b", "c"), "multilabel": ("a", "b")}.get(name, ())
    target = TargetSpec(names, classes, (1,) * len(classes), (0.0,), (1.0,), 3)
    modes = EpochMetrics(HEADS.get(name)(4, target=target), names).modes()
    assert len(modes) > 2
    assert modes == {metric: better_way(metric, problem) for metric in modes}


def test_a_file_of_another_kind():
    """Every unknown key is said; what the first hundred may be meant for is, too, and the others take no time."""
    Path("config.yaml").write_text("".join(f"trainerr{number}: {number}\n" for number in range(5000)))
    with pytest.raises(ConfigError) as wrong:
        check_config(Sources(["config.yaml"], []))
    unknown = [fault.message for fault in wrong.value.faults if fault.message.startswith("A config has no section")]
    assert len(unknown) == 5000
    assert sum("Did you mean trainer?" in message for message in unknown) == 100
