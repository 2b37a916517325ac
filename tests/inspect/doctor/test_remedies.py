"""Remedies are of the config that they are for: not what is in use, and only what it takes."""

import copy
import re
from pathlib import Path

import pytest
import yaml

from lightlab.config.check import check_config
from lightlab.config.sources import Sources
from lightlab.inspect.doctor import remedies
from lightlab.inspect.doctor.setup import Setup

LAYERS = [{"dense": {"units": 64, "activation": "tanh", "init": "ones"}}, {"mlp": {"units": [128, 32]}}]


@pytest.fixture
def setup():
    """Return a function that makes the setup of a config with such layers, and with what else is said."""

    def make(layers=LAYERS, **sections):
        model = {"layers": layers, "optimizer": {"class_path": "Adam", "init_args": {"lr": 1e-4}}}
        return Setup({"model": {**model, **sections.pop("model", {})}, "trainer": {"max_epochs": 30}, **sections})

    return make


@pytest.mark.parametrize(
    ("remedy", "advice"),
    [
        (remedies.drop, "model.layers[1].mlp.dropout: 0.3"),
        (remedies.penalise, "model.layers[1].mlp.l2: 0.0001"),
        (remedies.make_smaller, "model.layers[1].mlp.units: [64, 16]"),
        (remedies.stop_early, "early_stopping: {patience: 10}"),
        (remedies.make_larger, "model.layers[1].mlp.units: [256, 64]"),
        (remedies.train_longer, "trainer.max_epochs: 60"),
        (remedies.lower_rate, "model.optimizer.init_args.lr: 1.0e-05 (a tenth of what it is)"),
        (remedies.raise_rate, "model.optimizer.init_args.lr: 0.001 (ten times what it is)"),
        (remedies.schedule, "model.lr_scheduler: ReduceLROnPlateau"),
        (remedies.warm_up, "model.lr_scheduler: {warmup: 100}"),
        (remedies.clip, "trainer.gradient_clip_val: 1.0"),
        (remedies.normalise_layers, "a batch_norm after model.layers[0].dense"),
        (remedies.initialise, "model.layers[0].dense.init: glorot_uniform (it is ones)"),
        (remedies.unsaturate, "model.layers[0].dense.activation: relu (it is tanh)"),
        (remedies.leak, "model.layers[1].mlp.activation: leaky_relu"),
        (remedies.go_around, "fewer layers, or residual ones"),
        (remedies.drop_less, None),
        (remedies.penalise_less, None),
        (remedies.augment, None),
        (remedies.normalise_inputs, None),
    ],
)
def test_remedies_of_a_plain_config(setup, remedy, advice):
    """Each names the key, and a value that follows from the one that is there."""
    assert remedy(setup()) == advice


USED = [
    {"residual": [{"dense": {"units": 8, "l2": 0.5}}, "batch_norm"]},
    {"mlp": {"units": [8, 8], "dropout": 0.8, "activation": "selu"}},
]


@pytest.mark.parametrize(
    "remedy",
    [
        remedies.drop, remedies.penalise, remedies.make_smaller, remedies.normalise_layers, remedies.initialise,
        remedies.unsaturate, remedies.leak, remedies.go_around, remedies.stop_early, remedies.clip, remedies.schedule,
        remedies.warm_up, remedies.augment,
    ],
)  # fmt: skip
def test_what_is_in_use_is_not_proposed(setup, remedy):
    """A config that does all of it is not told to."""
    used = setup(
        [*USED, {"conv2d": 4}],
        model={"lr_scheduler": {"class_path": "StepLR", "warmup": 10}},
        early_stopping={"patience": 3},
        data={"init_args": {"augment": ["random_flip"]}},
    )
    used.config["trainer"]["gradient_clip_val"] = 0.5
    assert remedy(used) is None


def test_less_of_what_is_too_much(setup):
    """Strong dropout and penalties are made weaker."""
    assert remedies.drop_less(setup(USED)) == "a weaker dropout than 0.8: 0.2"
    assert remedies.penalise_less(setup(USED)) == "a smaller l1 or l2 than 0.5: 0.005"


def test_a_high_rate_is_not_raised(setup):
    """Ten times a rate of a hundredth helps nobody."""
    high = {"optimizer": {"class_path": "Adam", "init_args": {"lr": 0.01}}}
    assert remedies.raise_rate(setup(model=high)) is None


def test_images_are_augmented(setup):
    """Images are told by their layers or their source; nothing else is moved about."""
    advice = "data.init_args.augment: [{translation: 0.1}]"
    assert remedies.augment(setup([{"conv2d": 4}])) == advice
    assert remedies.augment(setup(data={"class_path": "lightlab.ImageFolderData"})) == advice
    assert remedies.augment(setup(data={"class_path": "TableData"})) is None


def test_recurrent_layers(setup):
    """They take no penalty, and batch_norm does not suit them."""
    recurrent = setup([{"gru": {"units": 64}}])
    assert remedies.penalise(recurrent) is None
    assert remedies.normalise_layers(recurrent) == "a layer_norm after model.layers[0].gru"
    assert remedies.make_smaller(recurrent) == "model.layers[0].gru.units: 32"


def test_the_narrowest_is_widened(setup):
    """A layer of few units is what all has to pass."""
    assert remedies.make_larger(setup([{"dense": 64}, {"dense": 2}])) == "model.layers[1].dense.units: 32"


def test_a_config_takes_what_is_proposed(setup):
    """Every remedy that is a key and a value can be written so, and the config is still right."""
    config = {
        "data": {"class_path": "BundledData", "init_args": {"name": "digits", "normalize": "none"}},
        "model": {
            "problem": "multiclass",
            "layers": [
                {"conv2d": {"filters": 8, "kernel_size": 3, "activation": "relu"}},
                "flatten",
                {"mlp": {"units": [64, 32], "init": "normal", "activation": "tanh"}},
            ],
            "optimizer": {"class_path": "AdamW", "init_args": {"lr": 1e-6}},
        },
        "trainer": {"max_epochs": 5},
    }
    advice = [each(Setup(config)) for name, each in vars(remedies).items() if _is_remedy(name, each)]
    changes = [
        match.groups()
        for each in advice
        if each and (match := re.fullmatch(r"([a-z_.\[\]0-9]+): (.+?)( \(.*\))?", each))
    ]
    assert len(changes) >= 12
    for key, value, _ in changes:
        changed = copy.deepcopy(config)
        *parents, last = [int(part) if part.isdigit() else part for part in re.findall(r"\w+", key)]
        place = changed
        for part in parents:
            place = place.setdefault(part, {}) if isinstance(place, dict) else place[part]
        place[last] = yaml.safe_load(value)  # as a config is read
        Path("config.yaml").write_text(yaml.safe_dump(changed))
        check_config(Sources(["config.yaml"], ()))


def _is_remedy(name, each):
    return getattr(each, "__module__", "") == remedies.__name__ and not name.startswith("_") and name != "propose"
