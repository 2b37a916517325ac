"""A config with all that it leaves out: what a run keeps, so that it can be repeated."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from lightlab.config.classes import ClassSpec
from lightlab.config.documents import Dumper
from lightlab.config.sections import CONFIG, SECTIONS, section_signature
from lightlab.config.sources import spell_out
from lightlab.credentials import without_secrets
from lightlab.optim import OPTIMIZERS, class_signature, parse_optimizer
from lightlab.signatures import REQUIRED, Code, Signature, read_signature

#: What lightlab asks of the Trainer unless the config says otherwise.
TRAINER_DEFAULTS = {"default_root_dir": "runs", "enable_model_summary": False}


def with_defaults(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config, as `check_config` returns it, with the defaults of sections and classes that are not null."""
    filled = _with_defaults(config, CONFIG)
    for section in SECTIONS:
        if section != "data" and isinstance(filled.get(section), Mapping):
            own = TRAINER_DEFAULTS if section == "trainer" else {}
            filled[section] = _with_defaults({**own, **filled[section]}, section_signature(section))
    if isinstance(filled.get("model"), Mapping):
        filled["model"]["optimizer"] = _fill_optimizer(filled["model"]["optimizer"])
    filled["trainer"] = {name: _fill(value) for name, value in filled["trainer"].items()}
    return spell_out({name: _fill(value) for name, value in filled.items()})


def config_text(config: Mapping[str, Any]) -> str:
    """Return the config that repeats a run, as YAML; secrets in it have to be given anew."""
    # A run that was resumed is repeated from its start.
    filled = {name: value for name, value in with_defaults(config).items() if name != "ckpt_path"}
    return str(yaml.dump(without_secrets(filled), Dumper=Dumper, sort_keys=False, allow_unicode=True))


def _with_defaults(values: Mapping[str, Any], signature: Signature) -> dict[str, Any]:
    """Return values in the order of a signature, with its defaults; those that are null are left out."""
    defaults = {each.name: each.default for each in signature.parameters if not isinstance(each.default, Code)}
    both = {name: values.get(name, default) for name, default in defaults.items()} | dict(values)
    return {name: value for name, value in both.items() if name in values or value not in (None, REQUIRED)}


def _fill_optimizer(given: Any) -> dict[str, Any]:
    """Return an optimizer with its class and its arguments: what torch has by default may be another one day."""
    spec = parse_optimizer(given, ("model", "optimizer"))
    arguments = _with_defaults(spec.arguments, class_signature(OPTIMIZERS[spec.name]))
    return {"class_path": spec.name, "init_args": arguments}


def _fill(value: Any) -> Any:
    """Add to each class the defaults of its arguments."""
    if isinstance(value, list):
        return [_fill(part) for part in value]
    if not isinstance(value, ClassSpec):
        return value
    arguments = {name: _fill(part) for name, part in value["init_args"].items()}
    signature = read_signature(value["class_path"])
    filled = arguments if signature is None else _with_defaults(arguments, signature)
    return ClassSpec(class_path=value["class_path"], init_args=filled)
