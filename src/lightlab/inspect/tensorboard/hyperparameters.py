"""Hyperparameters for TensorBoard: what a config says, in short names, and the record of a run that came of them."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from lightlab.config.documents import Dumper
from lightlab.config.sections import section_signature

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary

#: What TensorBoard takes for a hyperparameter.
Plain = str | int | float | bool
#: The sections that say what is learned and how, and those whose keys speak for themselves.
SECTIONS = ("seed_everything", "data", "model", "early_stopping")
UNNAMED = ("model", "trainer")
#: The arguments of the Trainer that results depend on.
TRAINER = (
    "max_epochs", "max_steps", "max_time", "precision", "gradient_clip_val", "gradient_clip_algorithm",
    "accumulate_grad_batches", "accelerator", "devices", "num_nodes", "strategy", "limit_train_batches",
    "overfit_batches", "deterministic", "sync_batchnorm", "callbacks",
)  # fmt: skip
#: Longer texts are cut: a table has to hold them.
MOST_LETTERS = 500


def flatten_config(config: Mapping[str, Any]) -> dict[str, Plain]:
    """Return what results depend on, by short names.

    Classes stand by their names, lists such as the layers as one line of YAML. Left out are null, what only says where
    files lie, and what the Trainer and checkpoints do anyway: a page has room for a few.

    Args:
        config: with all sections, as the run folder keeps it.

    Example:
        >>> flatten_config({
        ...     "data": {"class_path": "lightlab.data.bundled.BundledData", "init_args": {"name": "iris"}},
        ...     "model": {
        ...         "layers": [{"dense": {"units": 8}}, "tanh"],
        ...         "optimizer": {"class_path": "AdamW", "init_args": {"lr": 0.1}},
        ...     },
        ... })
        {'data': 'BundledData', 'data.name': 'iris', 'layers': '[{dense: {units: 8}}, tanh]',
        'optimizer': 'AdamW', 'optimizer.lr': 0.1}
    """
    trainer = {name: value for name, value in _other_than_usual(config, "trainer").items() if name in TRAINER}
    others = {"checkpoint": _other_than_usual(config, "checkpoint"), "trainer": trainer}
    return dict(_leaves("", {name: config[name] for name in SECTIONS if name in config} | others))


def _other_than_usual(config: Mapping[str, Any], section: str) -> dict[str, Any]:
    """Return the keys of a section whose values are not the default."""
    defaults = {each.name: each.default for each in section_signature(section).parameters}
    return {name: value for name, value in (config.get(section) or {}).items() if value != defaults.get(name)}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Plain]]:
    if isinstance(value, Mapping):
        if "class_path" in value:
            yield name, str(value["class_path"]).rpartition(".")[2]
        others = {key: part for key, part in value.items() if key not in ("class_path", "init_args")}
        for key, part in {**value.get("init_args", {}), **others}.items():
            yield from _leaves(f"{name}.{key}" if name and name not in UNNAMED else str(key), part)
    elif isinstance(value, bool | int | float):
        yield name, value
    elif value is not None:
        text = value if isinstance(value, str) else _one_line(value)
        yield name, text if len(text) <= MOST_LETTERS else f"{text[: MOST_LETTERS - 1]}…"


def _one_line(value: Any) -> str:
    text = yaml.dump(value, Dumper=Dumper, default_flow_style=True, width=math.inf, sort_keys=False, allow_unicode=True)
    return str(text).strip()


def session(hyperparameters: Mapping[str, Plain], name: str, seconds: float) -> Summary:
    """Return the record of a run that has just come to its end.

    It leaves open which metrics there are: TensorBoard finds those of all runs, in and below the folders that have such
    records.

    Args:
        hyperparameters: by name.
        name: of the run, by which it is told apart from others.
        seconds: how long it took.
    """
    from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
    from tensorboard.plugins.hparams.summary_v2 import hparams_pb

    now = time.time()
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=now)
    data = metadata.create_summary_metadata(plugin_data_pb2.HParamsPluginData(session_end_info=end))
    summary: Summary = hparams_pb(dict(hyperparameters), trial_id=name, start_time_secs=now - seconds)
    summary.value.add(tag=metadata.SESSION_END_INFO_TAG, metadata=data, tensor=metadata.NULL_TENSOR)
    return summary
