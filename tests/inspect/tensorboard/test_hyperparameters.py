"""Configs as TensorBoard compares them."""

from pathlib import Path

import pytest
import yaml

from lightlab.cli import main
from lightlab.inspect.run import Run
from lightlab.inspect.tensorboard.hyperparameters import MOST_LETTERS, flatten_config

CONFIG = yaml.safe_load("""\
seed_everything: 42
data:
  class_path: lightlab.data.bundled.BundledData
  init_args:
    {name: digits, batch_size: 64, split: [0.7, 0.15, 0.15], augment: [{class_path: RandomFlip, init_args: {}}]}
model:
  problem: multiclass
  head: {label_smoothing: 0.1}
  layers: [{conv2d: {filters: 32, kernel_size: 3}}, batch_norm, flatten, {dropout: 0.4}]
  optimizer: {class_path: torch.optim.AdamW, init_args: {lr: 0.001, betas: [0.9, 0.999], maximize: false}}
  lr_scheduler: {class_path: OneCycleLR, init_args: {max_lr: 0.01}, interval: step, warmup: 100}
early_stopping: {monitor: val/loss, patience: 10, mode: null}
tensorboard: {histograms: 5}
checkpoint: {every_n_epochs: 1, monitor: val/accuracy}
trainer:
  {max_epochs: 60, accelerator: auto, max_steps: -1, accumulate_grad_batches: 2, default_root_dir: runs,
  precision: 16-mixed, enable_progress_bar: true}
ckpt_path: best
""")


def test_names_are_short():
    """Keys that speak for themselves stand without sections, lists in one line; what is usual is left out."""
    assert flatten_config(CONFIG) == {
        "seed_everything": 42,
        "data": "BundledData",
        "data.name": "digits",
        "data.batch_size": 64,
        "data.split": "[0.7, 0.15, 0.15]",
        "data.augment": "[{class_path: RandomFlip, init_args: {}}]",
        "problem": "multiclass",
        "head.label_smoothing": 0.1,
        "layers": "[{conv2d: {filters: 32, kernel_size: 3}}, batch_norm, flatten, {dropout: 0.4}]",
        "optimizer": "AdamW",
        "optimizer.lr": 0.001,
        "optimizer.betas": "[0.9, 0.999]",
        "optimizer.maximize": False,
        "lr_scheduler": "OneCycleLR",
        "lr_scheduler.max_lr": 0.01,
        "lr_scheduler.interval": "step",
        "lr_scheduler.warmup": 100,
        "early_stopping.monitor": "val/loss",
        "early_stopping.patience": 10,
        "checkpoint.monitor": "val/accuracy",
        "max_epochs": 60,
        "accumulate_grad_batches": 2,
        "precision": "16-mixed",
    }


def test_long_texts_are_cut():
    """A table has to hold them."""
    text = flatten_config({"model": {"layers": [{"dense": 64}] * 1000}})["layers"]
    assert len(text) == MOST_LETTERS
    assert text.endswith("…")


@pytest.mark.parametrize("given", [{}, {"trainer": None}, {"model": {"layers": []}}])
def test_configs_that_say_little(given):
    """Nothing is made up."""
    assert flatten_config(given).keys() <= {"layers"}


def test_config_of_a_run():
    """The config that a run keeps has plain values for everything, and none of the run's own places."""
    config = Path(__file__).parents[3] / "configs" / "iris_mlp.yaml"
    assert main(["fit", "--config", str(config), "--trainer.max_epochs", "1"]) == 0
    found = flatten_config(Run("runs/iris_mlp/version_0").config)
    assert found["optimizer.lr"] == 0.02
    assert found["max_epochs"] == 1
    assert all(isinstance(value, str | int | float | bool) for value in found.values())
    assert not any("runs" in str(value) for value in found.values())
