"""Layers that break a rule each, and what the contract says of them."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

from lightlab.layers.base import activation, expects
from lightlab.registry import LAYERS
from lightlab.testing import LayerCase


class Fine(nn.Module):
    """Weigh everything by one number."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, inputs: Tensor) -> Tensor:
        return inputs * self.weight


class OtherShape(Fine):
    def forward(self, inputs: Tensor) -> Tensor:
        return inputs if inputs.is_meta else super().forward(inputs)[:, :-1]


class OtherType(Fine):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).double()


class NotFinite(Fine):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).log()


class NoGradient(Fine):
    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs.detach())


class Unused(Fine):
    def __init__(self) -> None:
        super().__init__()
        self.more = nn.Parameter(torch.ones(2))


class Forgetful(Fine):
    def __init__(self) -> None:
        super().__init__()
        self.factor = torch.rand(1).item()

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs) * self.factor


class Longer(Fine):
    def forward(self, inputs: Tensor) -> Tensor:
        return torch.cat([super().forward(inputs)] * 2, dim=-1)


@pytest.mark.parametrize(
    ("module", "rule", "said"),
    [
        (OtherShape, "shape_is_what_a_forward_gives", "shape that the meta device infers, (3, 6). Received: (3, 5)."),
        (OtherType, "shape_is_what_a_forward_gives", "of the type torch.float32. Received: torch.float64."),
        (NotFinite, "shape_is_what_a_forward_gives", "Outputs of finite inputs are finite. Received: tensor("),
        (NoGradient, "gradient_flows", "reaches the input and every parameter. Received: None, for the input."),
        (Unused, "gradient_flows", "reaches the input and every parameter. Received: None, for 0_part.more."),
        (Forgetful, "survives_saving", "is in state_dict, or comes from the config. Received: tensor("),
    ],
)
def test_broken_module(broken, module, rule, said):
    """What a layer does is tried on every shape that it takes."""
    LAYERS.add("part", lambda: module(), __name__)
    found = broken(LayerCase("part"))
    assert found[rule].startswith("layer part: ")
    assert said in found[rule]


def test_activation_that_changes_the_shape(broken):
    """What others take for ``activation`` keeps the shape."""

    @activation("part")
    def part() -> nn.Module:
        return Longer()

    said = broken(LayerCase("part"))["activation_keeps_the_shape"]
    assert said == "layer part: An activation keeps the shape, (6). Received: (12,)."


def test_rank_that_is_not_refused(broken, monkeypatch):
    """A builder that does not look at the rank is found out by every layer that expects one."""
    monkeypatch.setattr("lightlab.testing.layers.build_network", lambda layers, shape: (nn.Sequential(Fine()), shape))
    found = broken(LayerCase("flatten"))
    assert "other_rank_is_refused" not in found
    found = broken(LayerCase("conv2d", {"filters": 2, "kernel_size": 3}))
    assert found["other_rank_is_refused"].endswith(
        "that the layer does not expect are refused. Received: no error for (batch, 6)."
    )


def fine(scale: float = 1.0, *, input_shape: tuple[int, ...]) -> nn.Module:
    """Weigh everything.

    Args:
        scale: says nothing.

    Input shape: any. Output shape: the same.

    Example:
        >>> fine(input_shape=(2,)).weight.item()
        1.0
    """
    return Fine()


def no_stop() -> nn.Module:
    """Weigh everything"""
    return Fine()


def no_shapes(scale: float = 1.0) -> nn.Module:
    """Weigh everything.

    Args:
        scale: says nothing.

    Example:
        >>> 2
        2
    """
    return Fine()


def no_parameter(scale: float = 1.0) -> nn.Module:
    """Weigh everything.

    Input shape: any. Output shape: the same.
    """
    return Fine()


def no_example() -> nn.Module:
    """Weigh everything.

    Input shape: any. Output shape: the same.
    """
    return Fine()


def no_type(scale=1.0) -> nn.Module:
    """Weigh everything."""
    return Fine()


def lost_type(scale: Absent = 1.0) -> nn.Module:  # noqa: F821 - that is what is tested
    """Weigh everything."""
    return Fine()


def no_module() -> int:
    """Weigh everything."""
    return Fine()


def test_fine_layer(broken):
    """A layer that keeps to everything passes, as a function and as a class; what lightlab gives it needs no words."""
    LAYERS.add("fine", fine, __name__)
    assert broken(LayerCase("fine")) == {}
    LAYERS.add("of_a_class", Fine, __name__)
    assert set(broken(LayerCase("of_a_class"))) == {"is_documented", "example_runs"}


@pytest.mark.parametrize(
    ("layer", "rule", "said"),
    [
        (no_stop, "is_documented", "a sentence with its full stop. Received: 'Weigh everything'."),
        (no_parameter, "is_documented", "for each of: scale. Received: none."),
        (no_shapes, "is_documented", "The docstring says 'Input shape: …. Output shape: ….'."),
        (no_example, "is_documented", "a section 'Example:' that starts with '>>> '."),
        (no_example, "example_runs", "doctest finds an example of tests.testing.test_layers.no_example."),
        (
            no_type,
            "is_annotated",
            "Every parameter has a type, which configs are held against. Received: none for scale.",
        ),
        (lost_type, "is_annotated", "not under TYPE_CHECKING only. Received: name 'Absent' is not defined."),
        (no_module, "returns_a_module", "or a function with '-> nn.Module'. Received: <class 'int'>."),
    ],
)
def test_broken_source(layer, rule, said):
    """Docstring and signature are held against the rules, too."""
    LAYERS.add(layer.__name__, layer, __name__)
    checks = {check.id.split("-")[1]: check for check in LayerCase(layer.__name__, shapes=[(6,)]).checks()}
    with pytest.raises(AssertionError, match=re.escape(said)):
        checks[rule]()


def test_example_that_is_wrong(broken, monkeypatch):
    """An example that gives something else is a failure with what it gives."""
    monkeypatch.setattr(no_example, "__doc__", "Add.\n\nExample:\n    >>> 1 + 1\n    3\n")
    LAYERS.add("no_example", no_example, __name__)
    said = broken(LayerCase("no_example"))["example_runs"]
    assert "The docstring's example gives what it says. Received: *" in said
    assert "Expected:\n    3\nGot:\n    2." in said


def test_function_of_another_name(broken):
    """A function whose name is not the layer's is not found by doctest under it."""
    LAYERS.add("part", fine, __name__)
    assert "the name under which it is registered" in broken(LayerCase("part"))["example_runs"]


def test_shapes_are_those_that_the_layer_expects():
    """A layer is tried on each rank that it declares, or on the shapes of the case; others are to be refused."""

    @expects("features", "channels, length")
    def part() -> nn.Module:
        return Fine()

    LAYERS.add("part", part, __name__)
    ids = [check.id for check in LayerCase("part").checks()]
    assert [each for each in ids if "gradient" in each] == ["part-gradient_flows-6", "part-gradient_flows-4x6"]
    refused = ["part-other_rank_is_refused-4x6x6", "part-other_rank_is_refused-4x4x6x6"]
    assert [each for each in ids if "refused" in each] == refused
    ids = [check.id for check in LayerCase("part", shapes=[(9,)]).checks()]
    assert [each for each in ids if "gradient" in each] == ["part-gradient_flows-9"]
