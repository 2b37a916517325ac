"""The sections of a config, and the keys of each: read from the signatures of what they are for."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from lightlab.errors import Fault, did_you_mean, sentences
from lightlab.registry import plugin_modules
from lightlab.signatures import REQUIRED, Parameter, Signature, read_signature, signature_of
from lightlab.training.options import (
    CheckpointOptions,
    Compile,
    EarlyStoppingOptions,
    NonFinite,
    StepsPerExecution,
    TensorBoardOptions,
)

#: The verbs of Lightning's Trainer, which stock configs have sections for.
TRAINER_VERBS = ("fit", "validate", "test", "predict")


def _check_devices(text: str) -> str:
    if not re.fullmatch(r"auto|-1|\d+(\s*,\s*\d+)*,?", text):
        raise ValueError("must be auto, a number of devices, or the places of some with commas between them")
    return text


def _check_number_of_devices(number: int) -> int:
    if number < -1 or number == 0:
        raise ValueError("must be 1 or more, or -1 for all")
    return number


def _check_duration(text: str) -> str:
    if not re.fullmatch(r"\d+:\d+:\d+:\d+", text):
        raise ValueError("must be a duration, as DD:HH:MM:SS")
    return text


_AtLeastZero = Annotated[int, Field(ge=0)]
_AtLeastOne = Annotated[int, Field(ge=1)]
_Unlimited = Annotated[int, Field(ge=-1)]
_Batches = {int: _AtLeastZero, float: Annotated[float, Field(ge=0, le=1)]}
#: What the Trainer asks of its arguments, and its annotations don't say.
TRAINER_RANGES: dict[str, dict[type, Any]] = {
    "accelerator": {str: Literal["auto", "cpu", "gpu", "cuda", "mps", "tpu"]},
    "devices": {
        str: Annotated[str, AfterValidator(_check_devices)],
        int: Annotated[int, AfterValidator(_check_number_of_devices)],
    },
    "max_time": {str: Annotated[str, AfterValidator(_check_duration)]},
    "num_nodes": {int: _AtLeastOne},
    "fast_dev_run": {int: _AtLeastZero},
    "max_epochs": {int: _Unlimited},
    "min_epochs": {int: _AtLeastZero},
    "max_steps": {int: _Unlimited},
    "min_steps": {int: _AtLeastZero},
    "limit_train_batches": _Batches,
    "limit_val_batches": _Batches,
    "limit_test_batches": _Batches,
    "limit_predict_batches": _Batches,
    "overfit_batches": _Batches,
    "val_check_interval": {
        int: _AtLeastOne,
        float: Annotated[float, Field(gt=0, le=1)],
        str: Annotated[str, AfterValidator(_check_duration)],
    },
    "check_val_every_n_epoch": {int: _AtLeastOne},
    "num_sanity_val_steps": {int: _Unlimited},
    "log_every_n_steps": {int: _AtLeastZero},
    "accumulate_grad_batches": {int: _AtLeastOne},
    "gradient_clip_val": {int: _AtLeastZero, float: Annotated[float, Field(ge=0)]},
    "gradient_clip_algorithm": {str: Literal["norm", "value"]},
    "profiler": {str: Literal["simple", "advanced", "pytorch", "xla"]},
    "reload_dataloaders_every_n_epochs": {int: _AtLeastZero},
}
#: The strategies that Lightning has names for; plugins may have others.
Strategies = Literal[
    "auto", "ddp", "ddp_spawn", "ddp_fork", "ddp_notebook",
    "ddp_find_unused_parameters_false", "ddp_find_unused_parameters_true",
    "ddp_spawn_find_unused_parameters_false", "ddp_spawn_find_unused_parameters_true",
    "ddp_fork_find_unused_parameters_false", "ddp_fork_find_unused_parameters_true",
    "ddp_notebook_find_unused_parameters_false", "ddp_notebook_find_unused_parameters_true",
    "deepspeed", "deepspeed_stage_1", "deepspeed_stage_2", "deepspeed_stage_2_offload",
    "deepspeed_stage_3", "deepspeed_stage_3_offload", "deepspeed_stage_3_offload_nvme",
    "fsdp", "fsdp_cpu_offload", "single_device", "single_tpu", "single_xla", "xla", "xla_debug",
]  # fmt: skip
#: For so many unknown keys it is looked up what they may be meant for; who has more has another kind of file.
MOST_EXPLAINED = 100
#: Where that belongs which people write elsewhere, many of them with Keras or Lightning in mind.
BELONGS = {
    "activation": "in a layer, or nowhere: the problem adds the last one",
    "batch_size": "under data.init_args",
    "class_path": "nowhere: model is lightlab's own, and what stands below init_args belongs under model itself",
    "drop_last": "nowhere: every row is trained on, and those of a short last batch join the batch before it",
    "epochs": "under trainer, as max_epochs",
    "gpus": "under trainer, as devices",
    "init_args": "under model, without init_args: each of its keys",
    "input_shape": "nowhere: it follows from the data",
    "learning_rate": "under model.optimizer.init_args, as lr",
    "loss": "under model.head",
    "lr": "under model.optimizer.init_args",
    "metrics": "nowhere: they follow from the problem",
    "num_classes": "nowhere: it follows from the data",
    "output_shape": "nowhere: it follows from the data",
    "patience": "under early_stopping",
    "plugin": "on the command line, as --plugin MODULE",
    "scheduler": "under model, as lr_scheduler",
    "seed": "at the top level, as seed_everything",
    "target": "under data.init_args",
    "val_split": "under data.init_args, as split",
    "validation_split": "under data.init_args, as split",
}


@cache
def model_signature() -> Signature:
    """Return what ``model`` takes."""
    return _read("lightlab.module.Model")


@cache
def trainer_signature() -> Signature:
    """Return what ``trainer`` takes: the arguments of Lightning's Trainer."""
    signature = _read("lightning.pytorch.trainer.trainer.Trainer")
    ranges: dict[str, dict[type, Any]] = {**TRAINER_RANGES, "strategy": {str: Strategies}}
    if plugin_modules():  # which may register others
        ranges |= {"strategy": {}, "accelerator": {}}
    return signature.with_types(
        {each.name: _narrow(each.type, ranges.get(each.name, {})) for each in signature.parameters}
    )


def _read(path: str) -> Signature:
    signature = read_signature(path)
    assert signature is not None, path
    return signature


def _narrow(kind: Any, ranges: Mapping[type, Any]) -> Any:
    """Return a type in which some of its alternatives are narrower."""
    parts = typing.get_args(kind) if typing.get_origin(kind) is typing.Union else (kind,)
    return typing.Union[tuple(ranges.get(part, part) for part in parts)]  # noqa: UP007 - of a tuple


#: The sections that are options of lightlab's own.
OPTIONS: dict[str, type] = {
    "early_stopping": EarlyStoppingOptions,
    "checkpoint": CheckpointOptions,
    "tensorboard": TensorBoardOptions,
}
#: The sections that hold other keys.
SECTIONS = ("data", "model", "trainer", "early_stopping", "checkpoint", "tensorboard")
#: What stands at the top level of a config.
CONFIG = Signature(
    "config",
    __name__,
    (
        Parameter("seed_everything", bool | Annotated[int, Field(ge=0, le=2**32 - 1)], "bool | int", True,
                  "of all random numbers but those of data.seed; true to draw one, which config.yaml then keeps."),
        Parameter("data", dict | str, "data source", REQUIRED,
                  "what is read: class_path names a data source, init_args are its arguments."),
        Parameter("model", dict, "mapping", REQUIRED, "layers, problem and optimizer."),
        Parameter("early_stopping", dict | None, "mapping | None", None, "when to stop; null for not at all."),
        Parameter("checkpoint", dict, "mapping", {}, "which weights to keep."),
        Parameter("tensorboard", dict | None, "mapping | None", {}, "what TensorBoard shows; null for nothing."),
        Parameter("trainer", dict, "mapping", {}, "the arguments of Lightning's Trainer."),
        Parameter("steps_per_execution", StepsPerExecution, "'auto' | int", "auto",
                  "at most so many batches in one go; auto for as many as there are until something is due."),
        Parameter("compile", Compile, "'auto' | bool | mapping", "auto",
                  "whether a step is compiled as a whole: auto where it pays; {mode: max-autotune} for torch's modes."),
        Parameter("non_finite", NonFinite, "'stop' | 'skip'", "stop",
                  "what is done where loss or gradient of a step are no finite numbers: stop with an error that says "
                  "where it came from; or skip the step, count it, and stop after too many in a row."),
        Parameter("rank_timeout", Annotated[float, Field(gt=0)] | None, "float | None", None,
                  "so many seconds processes that train together wait for one of them, then all end; by default 40 for "
                  "one that has stopped, and half an hour for one that is at work."),
        Parameter("ckpt_path", str | None, "str | None", None,
                  "a checkpoint, best or last: to go on from in fit, to evaluate or predict with in the other verbs."),
        Parameter("output", str | None, "str | None", None,
                  "the file that predict writes, .csv or .parquet; by default predictions.csv in the run folder."),
    ),
)  # fmt: skip


def section_signature(section: str) -> Signature:
    """Return what a section other than ``data`` takes; that of the whole config for the empty name."""
    if section in OPTIONS:
        return signature_of(OPTIONS[section])
    if section == "":
        return CONFIG
    return model_signature() if section == "model" else trainer_signature()


def find_unknown_keys(values: Mapping[Any, Any]) -> Iterator[Fault]:
    """Return a fault for each key of a config, or of a section, that is none; with where it belongs."""
    explained = 0
    for key in values:
        if key in TRAINER_VERBS:
            rule = f"A config has no section for a verb: what stands below '{key}' belongs at the top level."
            yield Fault((key,), rule)
        elif not CONFIG.get(str(key)):
            explained += 1
            place = _place("", key) if explained <= MOST_EXPLAINED else ""
            yield Fault((key,), sentences(f"A config has no section {key!r}.", place))
    for section in SECTIONS:
        given = values.get(section)
        if isinstance(given, Mapping):
            known = ["class_path", "init_args"] if section == "data" else section_signature(section).names
            for key in given:
                if key not in known:
                    yield Fault((section, key), sentences(f"{section} has no key {key!r}.", _place(section, key)))


def find_place(key: Any, section: str = "data") -> str:
    """Return where a key belongs that stands in a section that has no such key; empty where that can't be told."""
    if key in BELONGS and not (section == "data" and BELONGS[key].startswith("under data")):
        return f"It belongs {BELONGS[key]}."
    for other in ("", "model", "trainer"):
        if other != section and section_signature(other).get(str(key)):
            return f"It belongs {f'under {other}' if other else 'at the top level'}."
    return ""


def _place(section: str, key: Any) -> str:
    """Return where a key that a section does not have belongs, as far as that can be told."""
    if place := find_place(key, section):
        return place
    names = ["class_path", "init_args"] if section == "data" else section_signature(section).names
    return did_you_mean(key, names) or f"There are: {', '.join(names)}."
