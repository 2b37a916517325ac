"""What augmentations share, and the list of them that a batch goes through."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from lightlab.batch import Batch, Mixed
from lightlab.data_spec import InputSpec
from lightlab.errors import ConfigError, Fault, Key, collect, format_key
from lightlab.registry import AUGMENTATIONS
from lightlab.specs import LayerSpec, parse_component

KEY: Key = ("data", "augment")


class Augmentation(nn.Module):
    """What knows which inputs it fits, and may learn from the train split's statistics."""

    def needs(self, spec: InputSpec) -> str:
        """Return in words what it needs that such inputs are not; nothing where it fits them."""
        return ""

    def adapt(self, spec: InputSpec) -> None:
        """Take over what it has to know of the inputs; called once, before the first batch."""


class Change(Augmentation):
    """An augmentation that changes samples one by one.

    A subclass defines ``change``. It is given floats, images in the range 0 to 1, and must not write into them.

    Args:
        probability: of each sample to be changed.
    """

    def __init__(self, probability: float = 1.0) -> None:
        super().__init__()
        self.probability = probability

    def change(self, inputs: Tensor) -> Tensor:
        """Return every sample changed, each by random numbers of its own."""
        raise NotImplementedError

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (batch, …), each sample as it was or changed."""
        changed = self.change(inputs)
        if self.probability == 1:
            return changed
        return torch.where(per_sample(chance(self.probability, inputs), inputs), changed, inputs)


class ChangePlanes(Change):
    """A change that moves or covers pixels, whatever their values mean."""

    def needs(self, spec: InputSpec) -> str:
        """Return what it needs where inputs have no height and width."""
        return needs_planes(spec)


class Mix(Augmentation):
    """An augmentation that mixes each sample with another of its batch.

    A subclass defines ``forward``. A config has one of these at most, and the class itself is registered.
    """

    def forward(self, inputs: Tensor) -> tuple[Tensor, Mixed]:
        """Return the mixtures, (batch, …), and what they were made of."""
        raise NotImplementedError


def needs_planes(spec: InputSpec) -> str:
    """Return what is needed where inputs have no channels, height and width; nothing where they do."""
    fits = spec.kind in ("image", "array") and len(spec.shape) == 3
    return "" if fits else "images (channels, height, width)"


def per_sample(values: Tensor, inputs: Tensor) -> Tensor:
    """Return one value a sample, (batch,), with as many dimensions as ``inputs``."""
    return values.reshape(-1, *(1,) * (inputs.ndim - 1))


def chance(probability: float, inputs: Tensor) -> Tensor:
    """Return (batch,), true with the given probability, each drawn for itself."""
    return torch.rand(len(inputs), device=inputs.device) < probability


def uniform(low: float, high: float, inputs: Tensor) -> Tensor:
    """Return (batch,), each drawn for itself between two limits."""
    return torch.empty(len(inputs), device=inputs.device).uniform_(low, high)


def statistics(values: tuple[float, ...], spec: InputSpec, rest: float) -> Tensor:
    """Return ``spec.offset`` or ``spec.scale`` in the units that augmentations see, to broadcast over a batch.

    Args:
        values: for each numeric column, or each channel.
        spec: where they are from.
        rest: what stands for a table's categories.
    """
    if spec.kind == "table":
        return torch.tensor([*values, *(rest,) * len(spec.categories)])
    return torch.tensor(values).reshape(-1, *(1,) * (len(spec.shape) - 1)) / (spec.high or 1)


def parse_augment(config: Any, key: Key = KEY) -> tuple[LayerSpec, ...]:
    """Read a list of augmentations, not knowing yet what they are applied to.

    Args:
        config: augmentations, each ``name``, ``{name: value}`` or ``{name: {parameter: value}}``.
        key: where the list stands.

    Raises:
        ConfigError: with every fault of every augmentation.
    """
    faults: list[Fault] = []
    specs = _parse(config, key, faults)
    if faults:
        raise ConfigError(faults)
    return specs


def _parse(config: Any, key: Key, faults: list[Fault]) -> tuple[LayerSpec, ...]:
    """Return the augmentations that can be used, and add the faults of the others to a list."""
    if not isinstance(config, list | tuple):
        raise ConfigError.at(key, f"Augmentations are a list: one '- name: …' each. Received: {config!r}.")
    specs: list[LayerSpec] = []
    for index, augmentation in enumerate(config):
        with collect(faults):
            specs.append(parse_component(augmentation, (*key, index), AUGMENTATIONS))
    mixing = [spec for spec in specs if _mixes(spec)]
    faults += [
        Fault(
            spec.key,
            f"One augmentation at most mixes samples, since a row has one partner. Received: {spec.name} beside "
            f"{mixing[0].name} at {format_key(mixing[0].key)}.",
        )
        for spec in mixing[1:]
    ]
    return tuple(specs)


def _mixes(spec: LayerSpec) -> bool:
    component = AUGMENTATIONS.get(spec.name)
    return isinstance(component, type) and issubclass(component, Mix)


class Augment(nn.Module):
    """Augmentations in the order of a config, for batches of the train split.

    Images become floats in the range 0 to 1 once, whatever they came as, and have their own range again at the end.
    In evaluation mode, without augmentations, and for an empty batch, the batch comes back as it is. All random
    numbers are from torch's global generators.

    Args:
        config: augmentations, each ``name``, ``{name: value}`` or ``{name: {parameter: value}}``.
        spec: what the inputs are.
        key: where the list stands in the config.

    Raises:
        ConfigError: with every fault of every augmentation, and for each that does not fit such inputs.

    Example:
        >>> spec = InputSpec((1, 8, 8), (33.0,), (78.0,), kind="image", high=255.0)
        >>> augment = Augment(["random_flip", {"mixup": 0.2}], spec)
        >>> batch = augment(Batch(torch.zeros(4, 1, 8, 8, dtype=torch.uint8), torch.arange(4)))
        >>> batch.inputs.dtype, batch.mixed.partner.shape, batch.targets
        (torch.float32, torch.Size([4]), tensor([0, 1, 2, 3]))
    """

    place: Tensor

    def __init__(self, config: Any, spec: InputSpec, key: Key = KEY) -> None:
        super().__init__()
        self.steps = nn.ModuleList()
        self.high = spec.high if spec.kind == "image" else 0.0
        # It says where the statistics of the steps lie; like them it is no part of a checkpoint.
        self.register_buffer("place", torch.empty(0), persistent=False)
        faults: list[Fault] = []
        for entry in _parse(config, key, faults):
            step = AUGMENTATIONS.get(entry.name)(**entry.parameters)
            if isinstance(step, Augmentation):
                if needed := step.needs(spec):
                    faults.append(Fault(entry.key, f"{entry.name} needs {needed}. Received: {describe(spec)}."))
                    continue
                step.adapt(spec)
            self.steps.append(step)
        if faults:
            raise ConfigError(faults)

    @torch.no_grad()
    def forward(self, batch: Batch) -> Batch:
        """Return the batch with other inputs, floats of the same shape; its targets and places stay."""
        if not (self.training and len(self.steps) and len(batch.inputs)):
            return batch
        if self.place.device != batch.inputs.device:
            self.to(batch.inputs.device)
        inputs = batch.inputs.to(torch.float32)
        if self.high:
            inputs = inputs / self.high
        mixed = batch.mixed
        for step in self.steps:
            if isinstance(step, Mix):
                inputs, mixed = step(inputs)
            else:
                inputs = step(inputs)
        return batch._replace(inputs=inputs * self.high if self.high else inputs, mixed=mixed)


def describe(spec: InputSpec) -> str:
    """Say what inputs are.

    >>> describe(InputSpec((2,), (0.0,), (1.0,), ("age",), {"city": ("Bonn", "Köln")}, kind="table"))
    'a table of 2 columns, 1 of them of categories'
    """
    if spec.kind == "table":
        categories = f", {len(spec.categories)} of them of categories" if spec.categories else ""
        return f"a table of {spec.shape[0]} columns{categories}"
    return "texts" if spec.kind == "text" else f"{spec.kind}s of shape {spec.shape}"
