"""The keys of each section, and where that belongs which stands in the wrong one."""

import pytest

from lightlab.config.classes import check_arguments
from lightlab.config.sections import CONFIG, SECTIONS, TRAINER_RANGES, find_unknown_keys, section_signature
from lightlab.errors import ConfigError


def test_sections_have_keys():
    """Each section but data has a signature, all of whose keys are described."""
    assert set(SECTIONS) < set(CONFIG.names)
    for section in ("", *SECTIONS):
        if section != "data":
            assert all(each.description for each in section_signature(section).parameters), section


def test_ranges_are_of_parameters_that_there_are():
    """Each narrows one of the Trainer's parameters."""
    assert set(TRAINER_RANGES) <= set(section_signature("trainer").names)


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        ("max_epochs", -1, True),
        ("max_epochs", -2, False),
        ("max_epochs", "3", False),
        ("max_epochs", True, False),
        ("max_epochs", None, True),
        ("limit_val_batches", 0, True),
        ("limit_val_batches", 7, True),
        ("limit_val_batches", 0.5, True),
        ("limit_val_batches", 1.5, False),
        ("val_check_interval", 0, False),
        ("accelerator", "cpu", True),
        ("accelerator", "cpus", False),
        ("strategy", "ddp", True),
        ("strategy", "dpp", False),
        ("precision", "bf16-mixed", True),
        ("precision", 16, True),
        ("precision", 17, False),
        ("devices", [0, 1], True),
        ("devices", 2, True),
        ("gradient_clip_algorithm", "norms", False),
        ("max_time", "00:01:00:00", True),
        ("deterministic", "warn", True),
        ("fast_dev_run", True, True),
        ("fast_dev_run", 3, True),
    ],
)
def test_what_the_trainer_takes(name, value, fits):
    """Values are held against the Trainer's annotations and ranges."""
    if fits:
        check_arguments(section_signature("trainer"), {name: value}, ("trainer",), name="trainer")
    else:
        with pytest.raises(ConfigError, match=rf"^trainer\.{name}: .*Received: "):
            check_arguments(section_signature("trainer"), {name: value}, ("trainer",), name="trainer")


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"fit": {}}, "fit: .*what stands below 'fit' belongs at the top level"),
        ({"modle": {}}, "modle: A config has no section 'modle'. Did you mean model"),
        ({"lr": 1}, "lr: .*It belongs under model.optimizer.init_args"),
        ({"max_epochs": 1}, "max_epochs: .*It belongs under trainer"),
        ({1: 1}, r"\[1\]: A config has no section 1. There are: seed_everything"),
        ({"trainer": {"max_epoch": 1}}, "trainer.max_epoch: .*Did you mean max_epochs"),
        ({"trainer": {"epochs": 1}}, "trainer.epochs: .*as max_epochs"),
        ({"model": {"seed_everything": 1}}, "model.seed_everything: .*at the top level"),
        ({"model": {"callbacks": 1}}, "model.callbacks: .*under trainer"),
        ({"early_stopping": {"wait": 1}}, "early_stopping.wait: .*There are: monitor"),
    ],
)
def test_unknown_keys(values, error):
    """A key that is none is answered with where it belongs, or the nearest one."""
    faults = list(find_unknown_keys(values))
    assert len(faults) == 1
    with pytest.raises(ConfigError, match=error):
        raise ConfigError(faults)


def test_sections_that_are_no_mappings_have_no_keys():
    """They are answered elsewhere."""
    assert list(find_unknown_keys({"model": 3, "trainer": None, "data": [], "checkpoint": "x"})) == []
