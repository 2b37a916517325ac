"""What every registered layer keeps to."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lightlab.build import build_network
from lightlab.errors import ShapeError
from lightlab.layers.parameters import Shape
from lightlab.registry import ACTIVATIONS, LAYERS
from lightlab.specs import INJECTED
from lightlab.testing.checks import Case, Check, saved
from lightlab.testing.documentation import documentation_checks

#: One sample of each rank, the batch counted in.
SHAPES: dict[int, Shape] = {2: (6,), 3: (4, 6), 4: (4, 6, 6), 5: (4, 4, 6, 6)}


@dataclass(frozen=True)
class LayerCase(Case):
    """A layer, or an activation, and how it is tried.

    Args:
        name: under which it is registered.
        value: what a config gives it: a mapping of parameters, or a value for the first; ``None`` for nothing.
        shapes: of one sample, on which it is tried; by default one for each rank that it `expects`, from
            (6,), (4, 6), (4, 6, 6) and (4, 4, 6, 6).
        codes: how many different whole numbers its inputs hold, for a layer that takes codes, as ``embedding``
            does; 0 for one that takes numbers of any value.

    Example:
        >>> [check.id for check in LayerCase("flatten").checks()][:2]
        ['flatten-shape_is_what_a_forward_gives-6', 'flatten-survives_saving-6']
        >>> for check in LayerCase("dense", {"units": 3}).checks():
        ...     check()
    """

    registry: ClassVar = LAYERS
    injected: ClassVar = INJECTED
    sections: ClassVar = {"Input shape: …. Output shape: ….": r"Input shape: \S.*Output shape: \S"}

    name: str
    value: Any = None
    shapes: Sequence[Shape] = ()
    codes: int = 0

    @property
    def ranks(self) -> list[int]:
        """The ranks, the batch counted in, that the layer declares; all where it declares none."""
        layouts = getattr(self.component, "expects", ())
        return sorted(layout.count(",") + 2 for layout in layouts) or sorted(SHAPES)

    def checks(self) -> Iterator[Check]:
        """Yield a check for each rule, and for each shape that the rule is tried on."""
        for shape in self.shapes or [SHAPES[rank] for rank in self.ranks]:
            size = "x".join(map(str, shape))
            yield self.check(shape_is_what_a_forward_gives, shape, on=size)
            yield self.check(survives_saving, shape, on=size)
            yield self.check(is_built_without_memory, shape, on=size)
            yield self.check(gradient_flows, shape, on=size)
            if self.name in ACTIVATIONS:
                yield self.check(activation_keeps_the_shape, shape, on=size)
        for shape in (shape for rank, shape in SHAPES.items() if rank not in self.ranks):
            yield self.check(other_rank_is_refused, shape, on="x".join(map(str, shape)))
        yield from documentation_checks(self)
        yield self.check(returns_a_module)

    def build(self, shape: Shape) -> tuple[nn.Sequential, Shape]:
        """Return a network of this layer alone, as a config builds it, and the shape of a sample as it leaves."""
        return build_network([self.name if self.value is None else {self.name: self.value}], shape)

    def batch(self, shape: Shape, rows: int = 3) -> Tensor:
        """Return inputs of a shape: numbers from −2 to 2, or codes."""
        if self.codes:
            return torch.randint(0, self.codes, (rows, *shape)).float()
        return torch.rand(rows, *shape) * 4 - 2


def shape_is_what_a_forward_gives(case: LayerCase, shape: Shape) -> None:
    """The shape that was inferred is that of a real forward pass; the outputs are finite floats of 32 bits."""
    network, inferred = case.build(shape)
    outputs = network.eval()(case.batch(shape))
    case.require(
        outputs.shape == (3, *inferred),
        f"A forward pass gives the shape that the meta device infers, (3, {_sizes(inferred)}).",
        tuple(outputs.shape),
    )
    case.require(outputs.dtype == torch.float32, "Outputs are of the type torch.float32.", outputs.dtype)
    case.require(torch.isfinite(outputs).all(), "Outputs of finite inputs are finite.", outputs)


def gradient_flows(case: LayerCase, shape: Shape) -> None:
    """In training, a gradient that is finite and not zero reaches every parameter, and the input."""
    network, _ = case.build(shape)
    inputs = case.batch(shape, rows=8).requires_grad_(not case.codes)
    outputs = network.train()(inputs)
    torch.autograd.backward((outputs * torch.rand_like(outputs)).sum())
    leaves = {**dict(network.named_parameters()), **({} if case.codes else {"the input": inputs})}
    case.require(bool(leaves), "A layer passes a gradient on, or learns.", "neither inputs nor parameters take one")
    for leaf, value in leaves.items():
        gradient = torch.zeros(()) if value.grad is None else value.grad
        received = f"{value.grad}, for {leaf}"
        case.require(torch.isfinite(gradient).all(), "Gradients of finite inputs are finite.", received)
        case.require(gradient.any(), "In training a gradient reaches the input and every parameter.", received)


def survives_saving(case: LayerCase, shape: Shape) -> None:
    """A fresh copy with the saved state, trained and not as it was built, gives the same outputs."""
    network, _ = case.build(shape)
    network.train()(case.batch(shape))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(torch.rand_like(parameter))
    fresh, _ = case.build(shape)
    fresh.load_state_dict(saved(network.state_dict()))
    inputs = case.batch(shape)
    expected, outputs = network.eval()(inputs), fresh.eval()(inputs)
    case.require(
        torch.equal(expected, outputs),
        "All that decides over the outputs in evaluation is in state_dict, or comes from the config.",
        f"{outputs} from a copy with the saved state, for {expected}",
    )


def is_built_without_memory(case: LayerCase, shape: Shape) -> None:
    """Built on torch's meta device, as a checkpoint's network is at first, it has weights of the same shapes."""
    network, inferred = case.build(shape)
    try:
        with torch.device("meta"):
            shapes, inferred_so = case.build(shape)
    except Exception as error:
        case.require(False, "A layer is built without a look at values, on torch's meta device, too.", error)
        return
    expected, found = ({name: tuple(each.shape) for name, each in of.state_dict().items()} for of in (network, shapes))
    case.require(found == expected, f"On torch's meta device a layer has the weights {expected}.", found)
    case.require(inferred_so == inferred, f"There, too, a sample leaves as ({_sizes(inferred)}).", inferred_so)


def activation_keeps_the_shape(case: LayerCase, shape: Shape) -> None:
    """What serves as an ``activation`` is also a layer, and keeps the shape."""
    same = ACTIVATIONS.get(case.name) is case.component
    case.require(same, "Activation and layer of a name are the same.", ACTIVATIONS.get(case.name))
    _, inferred = case.build(shape)
    case.require(inferred == shape, f"An activation keeps the shape, ({_sizes(shape)}).", inferred)


def other_rank_is_refused(case: LayerCase, shape: Shape) -> None:
    """An input of a rank that the layer does not declare is answered with the rule, and with what arrived."""
    wanted = f"{case.name} needs rank {case.ranks[0]} (batch, "
    received = f"(batch, {_sizes(shape)}) after the input"
    try:
        case.build(shape)
    except ShapeError as error:
        (fault,) = error.faults
        says = wanted in fault.message and received in fault.message
        case.require(says, f"Another rank is refused with '{wanted}…' and '{received}'.", fault.message)
        here = fault.key[:3] in {("layers", 0), ("layers", 0, case.name)}
        case.require(here, "The error says where in the config the layer stands.", fault.key)
    else:
        case.require(
            False, "Ranks that the layer does not expect are refused.", f"no error for (batch, {_sizes(shape)})"
        )


def returns_a_module(case: LayerCase) -> None:
    """A layer is a class of modules, or a function that says that it returns a module."""
    component = case.component
    made = component if isinstance(component, type) else typing.get_type_hints(component).get("return")
    case.require(
        isinstance(made, type) and issubclass(made, nn.Module),
        "A layer is a subclass of nn.Module, or a function with '-> nn.Module'.",
        made,
    )


def _sizes(shape: Shape) -> str:
    return ", ".join(map(str, shape))
