"""What a config already does about the illnesses that a doctor knows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from lightlab.errors import Key, format_key

#: Layers that leave something out in training.
DROPOUT = ("dropout", "spatial_dropout", "alpha_dropout")
#: Layers that normalise what passes.
NORMALISATION = ("batch_norm", "layer_norm", "group_norm")
#: Layers of units or filters, and their parameter that says how many.
SIZES = {"dense": "units", "mlp": "units", "gru": "units", "lstm": "units", "conv_block": "filters"} | {
    f"{kind}{rank}d": "filters" for kind in ("conv", "separable_conv") for rank in (1, 2, 3)
}
#: Of these, the layers that take no l1 and l2, and that batch_norm does not suit.
RECURRENT = ("gru", "lstm")
#: Layers that images go through.
OF_IMAGES = ("conv2d", "separable_conv2d", "conv2d_transpose", "max_pool2d", "avg_pool2d")
#: Data that is always images.
IMAGE_DATA = ("ImageFolderData", "ImageShards", "TorchvisionData")
#: Schedules that lead the learning rate up to an argument of theirs, whatever the optimizer's is.
WITH_MAX_RATE = ("OneCycleLR", "CyclicLR")
#: The learning rate of most of torch's optimizers, where the config has none.
DEFAULT_RATE = 1e-3
#: The rate of a dropout that does not say.
DEFAULT_DROPOUT = 0.5


@dataclass(frozen=True)
class Layer:
    """A layer of a config, nested or not.

    Attributes:
        name: a registered name.
        key: where it stands, its name included.
        parameters: what the config gives; a lone value has an empty name.
    """

    name: str
    key: Key
    parameters: Mapping[str, Any]

    @property
    def place(self) -> str:
        """Where it stands, as people write it."""
        return format_key(self.key)

    def get(self, parameter: str) -> Any:
        """Return the value of a parameter; ``None`` where the config does not give it."""
        return self.parameters.get(parameter)

    @property
    def sizes(self) -> list[int]:
        """How many units or filters it has, one number for each of its layers; none for other layers."""
        name = SIZES.get(self.name, "")
        given = self.parameters.get(name, self.parameters.get("")) if name else None
        listed = given if isinstance(given, list | tuple) else [given]
        return [size for size in listed if isinstance(size, int) and size > 0]

    @property
    def activation(self) -> str:
        """The name of its activation; empty where it has none."""
        given = self.get("activation") or ("relu" if self.name in ("mlp", "conv_block") else "")
        return str(next(iter(given), "")) if isinstance(given, Mapping) else str(given)

    @property
    def normalises(self) -> bool:
        """Whether it normalises what passes."""
        return self.name in NORMALISATION or bool(self.parameters.get("batch_norm", self.name == "conv_block"))


class Setup:
    """A config, as those need to know it who propose changes.

    Args:
        config: with its defaults or without; what is odd in it counts as not there.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config

    def get(self, *key: str) -> Any:
        """Return what stands in the config; ``None`` where nothing does."""
        value: Any = self.config
        for part in key:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def number(self, *key: str) -> float:
        """Return a number of the config; 0 where there is none."""
        value = self.get(*key)
        return value if _is_number(value) else 0.0

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        """All layers in their order, one that holds others before these."""
        return tuple(_walk(self.get("model", "layers"), ("model", "layers")))

    @property
    def sized(self) -> list[Layer]:
        """The layers with units or filters."""
        return [layer for layer in self.layers if layer.sizes]

    @property
    def images(self) -> bool:
        """Whether inputs are images."""
        source = str(self.get("data", "class_path") or self.get("data")).rpartition(".")[2]
        return source in IMAGE_DATA or any(layer.name in OF_IMAGES for layer in self.layers)

    @property
    def dropout(self) -> float:
        """The largest rate of dropout; 0 where there is none."""
        rates = [
            layer.get("rate") or layer.get("") or DEFAULT_DROPOUT for layer in self.layers if layer.name in DROPOUT
        ]
        rates += [layer.get("dropout") for layer in self.layers]
        return max((rate for rate in rates if _is_number(rate)), default=0.0)

    @property
    def penalty(self) -> float:
        """The largest factor of an l1 or l2; 0 where there is none."""
        factors = [layer.get(name) for layer in self.layers for name in ("l1", "l2")]
        return max((factor for factor in factors if _is_number(factor)), default=0.0)

    @property
    def scheduler(self) -> str:
        """The name of the learning rate's schedule; empty where there is none."""
        given = self.get("model", "lr_scheduler")
        name = given.get("class_path") if isinstance(given, Mapping) else given
        return str(name or "").rpartition(".")[2]

    @property
    def rate(self) -> tuple[str, float]:
        """The key of the learning rate, and the rate."""
        if self.scheduler in WITH_MAX_RATE:
            key = ("model", "lr_scheduler", "init_args", "max_lr")
            return format_key(key), self.number(*key) or DEFAULT_RATE
        key = ("model", "optimizer", "init_args", "lr")
        return format_key(key), self.number("model", "optimizer", "lr") or self.number(*key) or DEFAULT_RATE


def _walk(layers: Any, key: Key) -> Iterator[Layer]:
    """Yield the layers of a list, and those within them; whatever is none is passed over."""
    for index, entry in enumerate(layers if isinstance(layers, list | tuple) else ()):
        if isinstance(entry, str):
            yield Layer(entry, (*key, index, entry), {})
        elif isinstance(entry, Mapping) and len(entry) == 1:
            ((name, value),) = entry.items()
            place = (*key, index, str(name))
            parameters = value if isinstance(value, Mapping) else {"": value}
            yield Layer(str(name), place, parameters)
            for parameter, nested in parameters.items():
                yield from _walk(nested, (*place, parameter or "layers"))
        else:  # a branch of parallel
            yield from _walk(entry, (*key, index))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
