"""The schema says of configs what the check says: it accepts what the check accepts, and what it refuses is wrong."""

import copy
import json
from contextlib import suppress
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lightlab.config.check import check_config
from lightlab.config.classes import FAMILIES
from lightlab.config.documents import read_document
from lightlab.config.schema import config_schema
from lightlab.config.sources import Sources, merge
from lightlab.errors import ConfigError, format_key
from lightlab.optim import OPTIMIZERS, SCHEDULERS
from lightlab.registry import ACTIVATIONS, AUGMENTATIONS, LAYERS
from lightlab.signatures import Code, signature_of
from lightlab.specs import INJECTED

CONFIGS = Path(__file__).parents[2] / "configs"
SHIPPED = sorted(CONFIGS.rglob("*.yaml"))
BROKEN = sorted((Path(__file__).parents[1] / "conf" / "broken").glob("*.yaml"))
#: What an overlay is laid on.
BASE = CONFIGS / "digits_cnn.yaml"
#: A config with something of every kind.
RICH = {
    "seed_everything": 1,
    "data": {
        "class_path": "SyntheticData",
        "init_args": {
            "shape": [1, 8, 8],
            "problem": "multiclass",
            "split": {"shares": [0.5, 0.25, 0.25], "stratify": False},
            "augment": ["random_flip", {"gaussian_noise": 0.1}, {"rotation": {"degrees": 20}}],
        },
    },
    "model": {
        "problem": "multiclass",
        "layers": [
            {"conv2d": {"filters": 4, "kernel_size": [3, 3], "activation": {"leaky_relu": {"negative_slope": 0.2}}}},
            {"residual": [{"conv_block": 4}, {"repeat": {"times": 2, "layers": ["batch_norm"]}}]},
            {
                "parallel": {
                    "branches": [["global_avg_pool"], [{"nn.AdaptiveAvgPool2d": {"output_size": 1}}, "flatten"]]
                }
            },
            "nn.GELU",
            {"dense": {"units": 8, "activation": "relu"}},
        ],
        "head": {"label_smoothing": 0.1, "class_weight": [1, 2]},
        "optimizer": {"class_path": "torch.optim.SGD", "init_args": {"lr": 0.1}, "momentum": 0.9},
        "lr_scheduler": {"class_path": "StepLR", "init_args": {"step_size": 3}, "warmup": 2, "interval": "step"},
    },
    "early_stopping": {"monitor": "val/loss", "patience": 3},
    "checkpoint": {"monitor": "val/accuracy", "mode": "max"},
    "trainer": {
        "max_epochs": 3,
        "devices": [0],
        "precision": "32-true",
        "strategy": {"class_path": "DDPStrategy", "init_args": {"checkpoint_io": "TorchCheckpointIO"}},
        "callbacks": ["DeviceStatsMonitor", {"class_path": "Timer", "duration": "00:01:00:00"}],
        "logger": [{"class_path": "CSVLogger", "init_args": {"save_dir": "logs"}}],
        "plugins": {"class_path": "lightning.pytorch.plugins.MixedPrecision", "precision": "16-mixed", "device": "cpu"},
    },
}


@cache
def validator():
    """The schema as editors get it: through JSON."""
    schema = json.loads(json.dumps(config_schema(), allow_nan=False))
    return Draft202012Validator(schema)


def places(config):
    """Return the keys at which the schema refuses a config."""
    plain = json.loads(json.dumps(config))
    return {key for error in validator().iter_errors(plain) for key in _leaves(error)}


def _leaves(error):
    """Return where an error lies: of several alternatives, in those that are of the value's own type."""
    place = tuple(error.absolute_path)
    if error.validator == "anyOf":
        near = [inner for branch in _branches(error) if not any(map(_is_of_another_type, branch)) for inner in branch]
        return {key for inner in near for key in _leaves(inner)} or {place}
    if error.validator == "additionalProperties":
        return {(*place, name) for name in error.instance if name not in error.schema["properties"]}
    return {place}


def _branches(error):
    """Return the errors of each alternative."""
    branches = {}
    for inner in error.context:
        branches.setdefault(inner.schema_path[0], []).append(inner)
    return branches.values()


def _is_of_another_type(error):
    if error.path:
        return False
    if error.validator == "anyOf":
        return all(any(map(_is_of_another_type, branch)) for branch in _branches(error))
    return error.validator in ("type", "not")


def faults(config):
    """Return the keys at which the check refuses a config."""
    Path("checked.yaml").write_text(json.dumps(config), encoding="utf-8")
    try:
        check_config(Sources(["checked.yaml"], []))
    except ConfigError as error:
        return {fault.key for fault in error.faults}
    return set()


def hold(config):
    """Assert that the check, too, finds something wrong wherever the schema does: at the place, above it or in it."""
    wrong = {_written(config, key) for key in faults(config)}
    for key in places(config):
        assert any(key[: len(other)] == other or other[: len(key)] == key for other in wrong), (
            f"the schema refuses {format_key(key)}, the check {sorted(map(format_key, wrong))}"
        )


def _written(config, key):
    """Return a fault's key as the config has it: with ``init_args`` or not, without the names of lone parameters."""
    written, value = (), config
    for part in key:
        for parts in ((part,), ("init_args", part)):
            with suppress(KeyError, IndexError, TypeError):
                value, written = _get(value, parts), (*written, *parts)
                break
    return written


def _get(value, key):
    for part in key:
        value = value[part]
    return value


def changed(config, key, value):
    """Return a config with another value at a key; without the key where the value is `...`."""
    config = copy.deepcopy(config)
    inner = _get(config, key[:-1])
    if value is ...:
        del inner[key[-1]]
    else:
        inner[key[-1]] = value
    return config


def test_is_a_schema():
    """The schema is one by the metaschema, its references lead somewhere, and it is small enough for editors."""
    schema = validator().schema
    Draft202012Validator.check_schema(schema)
    assert len(json.dumps(schema)) < 800_000

    def references(part):
        if isinstance(part, dict):
            yield from [part["$ref"]] if isinstance(part.get("$ref"), str) else []
            part = list(part.values())
        for inner in part if isinstance(part, list) else ():
            yield from references(inner)

    for reference in set(references(schema)):
        _get(schema, reference.removeprefix("#/").split("/"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_shipped_configs_are_accepted(path):
    """Every config that lightlab comes with fits; an overlay does when it is laid on a config."""
    config = read_document(str(path)).values
    if "overlays" in path.parts:
        config = merge(read_document(str(BASE)).values, config)
    assert places(config) == set()


def test_something_of_every_kind_is_accepted():
    """Nested layers, modules of torch, arguments beside class_path, whole paths: both take them."""
    assert faults(RICH) == set()
    assert places(RICH) == set()


@pytest.mark.parametrize("path", BROKEN, ids=lambda path: path.stem)
def test_refuses_what_the_check_refuses(path):
    """Of each broken config, what the schema says is true."""
    try:
        config = read_document(str(path)).values
    except ConfigError:
        return  # no YAML, or not for configs: editors say so without a schema
    hold(config)


LAYER = ("model", "layers", 0)
ARGUMENTS = ("data", "init_args")


@pytest.mark.parametrize(
    ("key", "value", "place"),
    [
        # A key that there is not, in each section.
        (("trainr",), {}, None),
        (("fit",), {}, None),
        ((*ARGUMENTS, "batchsize"), 3, None),
        (("data", "batchsize"), 3, None),
        ((*ARGUMENTS, "split", "share"), [1, 0, 0], None),
        ((*ARGUMENTS, "augment", 2, "rotation", "degree"), 3, None),
        (("model", "layer"), [], None),
        ((*LAYER, "conv2d", "filter"), 3, None),
        ((*LAYER, "conv2d", "activation", "leaky_relu", "slope"), 3, None),
        (("model", "layers", 1, "residual", 1, "repeat", "time"), 3, None),
        (("model", "layers", 2, "parallel", "branches", 1, 0, "nn.AdaptiveAvgPool2d", "size"), 3, None),
        (("model", "head", "threshold"), 0.5, None),
        (("model", "optimizer", "init_args", "learning_rate"), 3, None),
        (("model", "optimizer", "learning_rate"), 3, None),
        (("model", "lr_scheduler", "init_args", "gama"), 3, None),
        (("model", "lr_scheduler", "wramup"), 3, None),
        (("early_stopping", "patiance"), 3, None),
        (("checkpoint", "save_top_k"), 3, None),
        (("trainer", "max_epoch"), 3, None),
        (("trainer", "callbacks", 1, "interwal"), 3, None),
        (("trainer", "logger", 0, "init_args", "folder"), 3, None),
        # A value of another type.
        (("seed_everything",), "1", None),
        (("data",), 3, None),
        ((*ARGUMENTS, "batch_size"), "16", None),
        (("data", "init_args"), [3], None),
        (("model",), None, None),
        (("model", "layers"), {"dense": 3}, None),
        (("model", "layers", 0), 3, None),
        ((*LAYER, "conv2d", "filters"), 2.5, None),
        ((*LAYER, "conv2d", "filters"), True, None),
        ((*LAYER, "conv2d"), "3", None),
        (("model", "optimizer", "init_args", "lr"), "1e-3", None),
        (("model", "optimizer", "momentum"), "much", None),
        (("model", "lr_scheduler", "init_args", "step_size"), "3", None),
        (("early_stopping",), True, None),
        (("early_stopping", "patience"), 1.5, None),
        (("trainer",), None, None),
        (("trainer", "max_epochs"), "3", None),
        (("trainer", "callbacks", 0), 3, None),
        (("trainer", "logger"), 3, None),
        # A number out of range.
        (("seed_everything",), -1, None),
        ((*ARGUMENTS, "batch_size"), 0, None),
        ((*ARGUMENTS, "split", "shares"), [0.5, 0.5], None),
        ((*ARGUMENTS, "split"), [0.5, 0.6, -0.1], (*ARGUMENTS, "split", 2)),
        ((*LAYER, "conv2d", "filters"), 0, None),
        (("model", "layers", 3), {"dropout": 1}, ("model", "layers", 3, "dropout")),
        (("model", "head", "label_smoothing"), 1.5, None),
        (("model", "optimizer", "init_args", "lr"), -1, None),
        (("model", "lr_scheduler", "warmup"), -1, None),
        (("early_stopping", "min_delta"), -1, None),
        (("checkpoint", "every_n_epochs"), 0, None),
        (("trainer", "limit_val_batches"), 1.5, None),
        # None of the values that there are.
        ((*ARGUMENTS, "normalize"), "no", None),
        ((*LAYER, "conv2d", "padding"), "sme", None),
        ((*LAYER, "conv2d", "activation"), "rellu", None),
        (("model", "problem"), "classification", None),
        (("model", "lr_scheduler", "interval"), "batch", None),
        (("checkpoint", "mode"), "auto", None),
        (("trainer", "precision"), "16-mixd", None),
        (("trainer", "accelerator"), "gpuu", None),
        (("trainer", "strategy"), "dpp", None),
        # A name that there is not.
        (("data",), "IrisData", None),
        (("data", "class_path"), "IrisData", None),
        ((*ARGUMENTS, "augment", 0), "randomflip", None),
        ((*ARGUMENTS, "augment", 0), {"randomflip": 1}, (*ARGUMENTS, "augment", 0, "randomflip")),
        (("model", "layers", 3), "nn.Gelu", None),
        (("model", "layers", 3), {"dens": 3}, ("model", "layers", 3, "dens")),
        (("model", "layers", 1, "residual", 0), "conv_blok", None),
        (("model", "optimizer"), "adam", None),
        (("model", "optimizer", "class_path"), "torch.optim.Adm", None),
        (("model", "lr_scheduler", "class_path"), "LambdaLR", None),
        (("trainer", "callbacks", 0), "EarlyStoping", None),
        (("trainer", "callbacks", 1, "class_path"), "os.system", None),
        (("trainer", "logger", 0, "class_path"), "CSVLoger", None),
        (("trainer", "strategy", "class_path"), "DPStrategy", None),
        (("trainer", "strategy", "init_args", "checkpoint_io"), "TorchIO", None),
        (("trainer", "plugins", "class_path"), "torch.hub.load", None),
        # Something that is not there, or that stands twice.
        (("data",), ..., ()),
        (("data", "class_path"), ..., ("data",)),
        ((*ARGUMENTS, "shape"), ..., ARGUMENTS),
        (("data", "init_args"), ..., ("data",)),
        (("model",), ..., ()),
        (("model", "layers"), ..., ("model",)),
        ((*LAYER, "conv2d", "filters"), ..., (*LAYER, "conv2d")),
        (("model", "layers", 3), "dense", None),
        (("model", "layers", 3), {}, None),
        (("model", "layers", 3), {"dense": 3, "relu": None}, None),
        (("model", "layers", 3), {"dense": None}, ("model", "layers", 3, "dense")),
        (("model", "optimizer"), {}, None),
        (("model", "lr_scheduler"), {"interval": "step"}, None),
        (("model", "lr_scheduler"), {"warmup": 2, "T_max": 3}, ("model", "lr_scheduler", "T_max")),
        (("trainer", "logger", 0), {"init_args": {}}, None),
        (("trainer", "plugins", "device"), ..., ("trainer", "plugins")),
    ],
    ids=lambda value: format_key(value) if isinstance(value, tuple) else None,
)
def test_place_of_a_fault(key, value, place):
    """One fault is found at its place, and only there; the check finds it, too."""
    config = changed(RICH, key, value)
    assert places(config) == {key if place is None else place}
    hold(config)
    assert faults(config)


def test_head_follows_from_the_problem():
    """A head's options are those of its problem; without a problem any mapping may be one."""
    config = changed(changed(RICH, ("model", "problem"), "regression"), ("model", "head"), {"loss": "huber"})
    assert places(config) == set()
    assert places(changed(config, ("model", "head"), {"low": 0})) == {("model", "head", "low")}
    assert places(changed(changed(config, ("model", "problem"), ...), ("model", "head"), {"low": 0})) == set()


#: The Trainer's argument for each family of classes after the first, which are data sources.
TRAINER_KEYS = ("callbacks", "logger", "strategy", "accelerator", "profiler", "plugins")
#: Values for arguments that have to be given; of all others 1 will do.
EXAMPLES = {
    "shape": [2], "target_shape": [2], "layers": ["relu"], "branches": [["relu"]], "monitor": "val/loss",
    "path": "x", "target": "y", "name": "iris", "problem": "binary", "precision": "16-mixed", "device": "cpu",
    "scheduling": {"0": 1}, "save_dir": "x", "source": "x", "inputs": "x", "data": "x", "pruning_fn": "l1_unstructured",
}  # fmt: skip


def components():
    """Return every class, layer and augmentation: where it may stand, its name and its signature."""
    keys = ["data", *(f"trainer.{name}" for name in TRAINER_KEYS)]
    for family, key in zip(FAMILIES, keys, strict=True):
        for name in family.names():
            yield pytest.param(key, name, family.find(name, ()), id=f"{key}-{name}")
    for registry, key in ((LAYERS, "model.layers"), (AUGMENTATIONS, "data.init_args.augment")):
        for name in registry.names():
            yield pytest.param(key, name, signature_of(registry.get(name), INJECTED), id=f"{key}-{name}")


@pytest.mark.parametrize(("key", "name", "signature"), list(components()))
def test_defaults_are_accepted(key, name, signature):
    """Every argument may be given its default, unless that is no plain value or the check refuses it."""
    given = {each.name: EXAMPLES.get(each.name, 1) for each in signature.parameters if each.required}
    for each in signature.parameters:
        with suppress(TypeError):
            plain = not each.required and not isinstance(each.default, Code)
            given |= {each.name: json.loads(json.dumps(each.default))} if plain else {}

    def written():
        classes = key == "data" or key.startswith("trainer")
        return changed(RICH, key.split("."), {"class_path": name, "init_args": given} if classes else [{name: given}])

    for parameter in {fault[-1] for fault in faults(written())} & given.keys():
        del given[parameter]
    assert faults(written()) or not places(written())


VALUES = st.one_of(
    st.sampled_from(
        [None, True, False, 0, 1, 2, 0.5, 1.0, 3, -1, "", "auto", "relu", "min", "max", "same", "standard", "val/loss"]
    ),
    st.sampled_from([[], {}, [1, 2], [0.5, 0.25, 0.25], ["relu"], {"dense": 3}, [["flatten"], []], {"patience": 3}]),
    st.sampled_from([*LAYERS.names(), *ACTIVATIONS.names(), *OPTIMIZERS, *SCHEDULERS]),
    st.sampled_from([name for family in FAMILIES for name in family.names()]),
)


def keys(config):
    """Return the keys of all values in a config."""
    parts = config.items() if isinstance(config, dict) else enumerate(config) if isinstance(config, list) else ()
    for part, value in parts:
        yield (part,)
        yield from ((part, *rest) for rest in keys(value))


@st.composite
def configs(draw):
    """Shipped configs and a rich one, a few of whose values are others, are missing, or have another name beside."""
    config = draw(st.sampled_from([RICH, *(read_document(str(path)).values for path in SHIPPED)]))
    for _ in range(draw(st.integers(1, 3))):
        key = draw(st.sampled_from(sorted(keys(config), key=format_key)))
        change = draw(st.sampled_from(["replace", "wrap", "name", "remove", "copy"]))
        if change == "replace":
            config = changed(config, key, draw(VALUES))
        elif change == "wrap" and isinstance(key[-1], int):
            config = changed(config, key, {draw(st.sampled_from(LAYERS.names())): draw(VALUES)})
        elif change == "name" and isinstance(key[-1], str):
            config = changed(config, (*key[:-1], draw(st.sampled_from(["monitor", "units", "lr", "x"]))), draw(VALUES))
        elif change == "remove":
            config = changed(config, key, ...)
        elif change == "copy":
            source = draw(st.sampled_from(sorted(keys(config), key=format_key)))
            config = changed(config, key, copy.deepcopy(_get(config, source)))
        if not config:
            break
    return config


@given(configs())
@settings(max_examples=400, deadline=None, database=None, derandomize=True)
def test_accepts_what_the_check_accepts(config):
    """Whatever is done to a config: where the check finds nothing, the schema does not either."""
    assert faults(config) or not places(config)
