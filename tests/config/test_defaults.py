"""The config that a run keeps: all that was left out is written, and it repeats the run."""

from pathlib import Path

import yaml

from lightlab.config.check import check_config
from lightlab.config.defaults import config_text, with_defaults
from lightlab.config.sources import Sources

BASE = """\
trainer:
  callbacks: {class_path: Timer, init_args: {duration: "00:01:00:00"}}
  max_epochs: null
early_stopping: {patience: 3}
data: {class_path: BundledData, init_args: {name: iris}}
model: {problem: multiclass, layers: [{dense: 4}]}
ckpt_path: last.ckpt
"""


def checked():
    """Return a checked config."""
    Path("config.yaml").write_text(BASE)
    return check_config(Sources(["config.yaml"], []))


def test_what_is_left_out_is_written():
    """Defaults of the sections and of classes stand beside what was given, in the order of the signatures."""
    filled = with_defaults(checked())
    assert list(filled)[:4] == ["seed_everything", "data", "model", "early_stopping"]
    assert filled["seed_everything"] is True
    assert (filled["steps_per_execution"], filled["compile"]) == ("auto", "auto")
    assert list(filled["data"]["init_args"])[:3] == ["name", "batch_size", "eval_batch_size"]
    assert filled["data"]["init_args"]["name"] == "iris"
    assert filled["data"]["init_args"]["batch_size"] == 32
    assert filled["model"]["optimizer"]["class_path"] == "AdamW"
    assert filled["model"]["optimizer"]["init_args"]["lr"] == 0.001
    assert "foreach" not in filled["model"]["optimizer"]["init_args"]
    assert filled["early_stopping"]["patience"] == 3
    assert filled["early_stopping"]["min_delta"] == 0.0
    assert filled["trainer"]["accelerator"] == "auto"
    assert filled["trainer"]["default_root_dir"] == "runs"
    assert filled["trainer"]["enable_model_summary"] is False
    assert filled["trainer"]["callbacks"]["init_args"] == {"duration": "00:01:00:00", "verbose": True}


def test_null_is_written_where_it_was_given():
    """Defaults that are null are left out, and those that only code can write; what was given is kept."""
    filled = with_defaults(checked())
    assert filled["trainer"]["max_epochs"] is None
    assert "min_epochs" not in filled["trainer"]
    assert "interval" not in filled["trainer"]["callbacks"]["init_args"]
    assert "checkpoint" in filled
    assert "output" not in filled


def test_the_config_itself_is_left_as_it_was():
    """Filling in makes another config."""
    config = checked()
    before = repr(config)
    with_defaults(config)
    assert repr(config) == before


def test_the_text_repeats_the_run():
    """Read and checked again, it says the same; where the run was resumed from is left out."""
    text = config_text(checked())
    assert "ckpt_path" not in yaml.safe_load(text)
    Path("again.yaml").write_text(text)
    assert config_text(check_config(Sources(["again.yaml"], []))) == text


def test_a_mapping_that_looks_like_a_class():
    """What only looks like a class is left alone."""
    for value in (
        {"class_path": "Timer", "init_args": None},
        {"class_path": 3, "init_args": {}},
        {"class_path": "x.Y"},
    ):
        assert with_defaults({"ckpt_path": [value]})["ckpt_path"] == [value]
