"""Advice from the course: what often is a mistake, and may be meant so."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from lightlab.errors import Key, format_key
from lightlab.inspect.numbers import short
from lightlab.inspect.procedure.base import Subject
from lightlab.module import Model

#: The course's rule of thumb is a fifth of the inputs for the first dense layer; so many times more or less is far.
SHARE, FAR = 5, 5
#: A fifth of few inputs would be too few units for anything: up to so many units nothing is said.
FEW_UNITS = 40
#: Inputs are of another scale where a feature's mean or standard deviation is above this, or all are below its inverse:
#: initial weights and usual learning rates are made for a mean of 0 and a standard deviation of 1.
SCALE = 10.0
#: So many times more parameters than train rows are far more.
MANY = 10


@dataclass(frozen=True)
class Hint:
    """A piece of advice.

    Attributes:
        key: the config's key that it is about.
        text: the figure, and what to think of.
        figures: what ``text`` says, as JSON has it.
    """

    key: Key
    text: str
    figures: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return text, numbers and dictionaries only."""
        return {"key": format_key(self.key), "text": self.text, "figures": self.figures}


def find_hints(subject: Subject) -> list[Hint]:
    """Return what the course would say of a config; see the constants above for when."""
    model = subject.fresh()
    layers = list(_dense_layers(model))
    return [*_narrow(model, layers), *_first(layers), *_scale(subject, model), *_size(subject, model)]


def _dense_layers(model: Model) -> Iterator[tuple[Key, int, int]]:
    """Yield the key, what comes in and the units of each dense layer that is not inside another layer."""
    for spec, module in zip(model.layer_specs, model.network.children(), strict=True):
        if spec.name not in ("dense", "mlp"):
            continue
        linear = [part for part in module.modules() if isinstance(part, nn.Linear)]
        listed = isinstance(spec.parameters["units"], list | tuple)
        for place, part in enumerate(linear):
            yield (*spec.key, "units", *([place] if listed else [])), part.in_features, part.out_features


def _narrow(model: Model, layers: list[tuple[Key, int, int]]) -> Iterator[Hint]:
    outputs = model.head.linear.out_features
    for key, _, units in layers:
        if units < outputs:
            text = f"{units} units, and the head has {outputs} outputs: what passes here can't tell them all apart"
            yield Hint(key, text, {"units": units, "outputs": outputs})


def _first(layers: list[tuple[Key, int, int]]) -> Iterator[Hint]:
    if not layers:
        return
    key, inputs, units = layers[0]
    usual = inputs / SHARE
    figures = {"units": units, "inputs": inputs}
    if units > max(usual * FAR, FEW_UNITS):
        yield Hint(
            key,
            f"{units} units for {inputs} inputs, many times the rule of thumb of a fifth ({usual:.0f}): it may learn "
            f"rows by heart",
            figures,
        )
    elif units < usual / FAR:
        yield Hint(
            key,
            f"{units} units for {inputs} inputs, far below the rule of thumb of a fifth ({usual:.0f}): much of the "
            f"inputs is lost here",
            figures,
        )


def _scale(subject: Subject, model: Model) -> Iterator[Hint]:
    """Say inputs of another scale, where the config keeps them as they are."""
    if subject.data.normalize != "none" or subject.spec.input.kind == "text":
        return
    with torch.no_grad():
        inputs = model.preprocess(subject.sample.inputs).double()
    features = inputs.transpose(0, 1).flatten(1)
    mean, std = features.mean(1).abs().max().item(), features.std(1).max().item()
    if max(mean, std) > SCALE or max(mean, std) < 1 / SCALE:
        yield Hint(
            ("data", "normalize"),
            f"inputs are not scaled: a mean of up to {short(mean)} and a standard deviation of up to {short(std)}. "
            f"Networks learn best of values around 0 and 1: try standard",
            {"mean": mean, "std": std},
        )


def _size(subject: Subject, model: Model) -> Iterator[Hint]:
    parameters = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    rows = subject.data.counts.get("train") or subject.spec.target.rows
    if rows and parameters > MANY * rows:
        yield Hint(
            ("model", "layers"),
            f"{parameters:,} parameters for {rows:,} train rows, {parameters / rows:.0f} for each: without dropout, a "
            f"penalty, augmentation or early stopping it learns them by heart",
            {"parameters": parameters, "rows": rows},
        )
