"""What a model is made of: the shapes, parameters, FLOPs and bytes of its layers, as plain data.

Everything is measured on a copy whose weights take no memory: they lie on the meta device, which holds shapes and no
values, or, for a network that looks at values, are the model's own.
"""

from __future__ import annotations

import copy
import re
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from lightlab.data_spec import InputSpec
from lightlab.errors import DataError
from lightlab.module import Model

#: Operations that make room for values or move them, and compute nothing; views are told apart by torch.
MOVES = frozenset({
    "cat", "clone", "constant_pad_nd", "copy", "embedding", "empty", "empty_like", "fill", "full", "index",
    "index_select", "local_scalar_dense", "new_zeros", "repeat", "stack", "to_copy", "transpose", "unsafe_split",
    "unsafe_view", "zero", "zeros", "zeros_like",
})  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A layer, with all that is inside it.

    Attributes:
        name: its place and name in the config; inside a layer, its attribute and class.
        depth: 0 where it stands in the config's list, 1 inside such a layer, and so on.
        output_shape: of one sample, without the batch; ``None`` where it is not called by itself.
        parameters: how many numbers are parameters, each counted once.
        trainable: how many of these the optimizer changes.
        shared: how many of these a row above has, too.
        buffers: how many numbers are kept beside the parameters, such as a batch_norm's running mean.
        bytes: what parameters and buffers take.
        flops: of a forward pass of one sample, all calls of the layer together, a multiply-add counted as 2; ``None``
            where nothing of what it computes is counted.
        not_counted: the operations, as torch names them, that ``flops`` leaves out.
    """

    name: str
    depth: int
    output_shape: tuple[int, ...] | None
    parameters: int
    trainable: int
    shared: int
    buffers: int
    bytes: int
    flops: int | None
    not_counted: tuple[str, ...]


@dataclass(frozen=True)
class Summary:
    """A model, layer by layer.

    Attributes:
        problem: the problem type.
        head: what the head gives, and the activation that decoding applies.
        input_kind: what a sample is.
        input_shape: of one sample as the loaders give it, without the batch.
        layers: preprocessing, the config's layers with what is inside them, and the head.
        total: all of it; what is shared counts once.
    """

    problem: str
    head: str
    input_kind: str
    input_shape: tuple[int, ...]
    layers: tuple[Row, ...]
    total: Row


def summarize(model: Model, depth: int = 1) -> Summary:
    """Return what a model is made of.

    Args:
        model: built; it stays as it is.
        depth: how deep to look: 1 for what stands in the config's list of layers, 2 for what is inside that, too.

    Raises:
        DataError: the model is not built.

    Example:
        >>> from lightlab.data_spec import DataSpec, TargetSpec
        >>> model = Model([{"dense": 8}])
        >>> model.build(DataSpec("bounded_regression", InputSpec((4,), (0.0,), (1.0,)), TargetSpec(("share",))))
        >>> [(row.name, row.output_shape, row.parameters, row.flops) for row in summarize(model).layers]
        [('preprocess', (4,), 0, None), ('0 dense', (8,), 40, 64), ('head', (1,), 9, 16)]
    """
    spec = model.data_spec
    if spec is None:
        raise DataError("A summary is of a model that is built: its shapes follow from the data. See Model.build.")
    parts = OrderedDict([("preprocess", model.preprocess), *_children(model.network), ("head", model.head)])
    network, measures = _measure(nn.Sequential(parts), spec.input)
    return Summary(
        problem=spec.problem,
        head=_head_words(model.problem_row.output, model.head.linear.out_features),
        input_kind=spec.input.kind,
        input_shape=spec.input.shape,
        layers=tuple(_rows(network, depth, measures, 0, set())),
        total=_row("total", network, 0, measures, set()),
    )


def _head_words(output: str, outputs: int) -> str:
    """Return a problem's output with the number in place of its letter.

    >>> _head_words("C logits, softmax", 10), _head_words("D numbers", 1)
    ('10 logits, softmax', '1 number')
    """
    what, comma, rest = re.sub(r"^[A-Z]\b", str(outputs), output).partition(",")
    return f"{what.removesuffix('s') if outputs == 1 else what}{comma}{rest}"


# Rows


def _rows(
    module: nn.Module, depth: int, measures: dict[nn.Module, _Measure], level: int, above: set[nn.Parameter]
) -> Iterator[Row]:
    """Yield a row for each child, with those of its own children below it.

    Args:
        module: whose children.
        depth: how many levels there are.
        measures: of the modules that were called.
        level: of the children.
        above: the parameters of the rows above; those of the children are added.
    """
    for name, child in _children(module):
        yield _row(_name(name, child, level), child, level, measures, above)
        if level + 1 < depth:
            yield from _rows(child, depth, measures, level + 1, above)
        above.update(child.parameters())


def _children(module: nn.Module, prefix: str = "") -> Iterator[tuple[str, nn.Module]]:
    """Yield the parts of a module by name; lists of modules are not called, so what is in them comes instead."""
    for name, child in module._modules.items():  # named_children leaves out what stands there a second time
        if isinstance(child, nn.ModuleList | nn.ModuleDict):
            yield from _children(child, f"{prefix}{name}.")
        elif child is not None:
            yield f"{prefix}{name}", child


def _name(name: str, module: nn.Module, level: int) -> str:
    """Return what people call a part: layers of a config have its place and its name there as their module's name."""
    if written := re.fullmatch(r"(\d+)_(nn_)?(.+)", name):
        place, torch_module, layer = written.groups()
        return f"{place} {'nn.' if torch_module else ''}{layer}"
    return name if level == 0 else f"{name} {type(module).__name__}"


def _row(
    name: str, module: nn.Module, level: int, measures: dict[nn.Module, _Measure], above: set[nn.Parameter]
) -> Row:
    parameters = list(module.parameters())
    buffers = list(module.buffers())
    measure = measures.get(module, _Measure())
    return Row(
        name=name,
        depth=level,
        output_shape=measure.output_shape,
        parameters=_numbers(parameters),
        trainable=_numbers([parameter for parameter in parameters if parameter.requires_grad]),
        shared=_numbers([parameter for parameter in parameters if parameter in above]),
        buffers=_numbers(buffers),
        bytes=sum(tensor.numel() * tensor.element_size() for tensor in [*parameters, *buffers]),
        flops=None if measure.not_counted and not measure.flops else measure.flops,
        not_counted=tuple(sorted(measure.not_counted)),
    )


def _numbers(tensors: list[Any]) -> int:
    return sum(tensor.numel() for tensor in tensors)


# Measuring


@dataclass
class _Measure:
    """What was seen of a module while it was called, however often that was."""

    output_shape: tuple[int, ...] | None = None
    flops: int | None = None
    not_counted: frozenset[str] = frozenset()


class _NotCounted(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Collects the operations that a counter of FLOPs has no formula for."""

    def __init__(self, counter: FlopCounterMode) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self.counter = counter
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func._schema.name.split("::")[-1].strip("_")
        if not (func.overloadpacket in self.counter.flop_registry or func.is_view or name in MOVES):
            self.names.append(name)
        return func(*args, **(kwargs or {}))


def _measure(network: nn.Module, spec: InputSpec) -> tuple[nn.Module, dict[nn.Module, _Measure]]:
    """Call a copy of a network with one sample; see `_call`."""
    try:
        return _call(network, spec, "meta")
    except RuntimeError:  # a layer asks for values, as one that drops a text's padding may
        return _call(network, spec, "cpu")


def _call(network: nn.Module, spec: InputSpec, device: str) -> tuple[nn.Module, dict[nn.Module, _Measure]]:
    """Call a copy of a network with one sample, and return it with what was seen of each of its modules."""
    probe = copy_onto(network, device).eval()
    # Codes of words stay whole numbers; everything else arrives as floats.
    dtype = torch.long if spec.kind == "text" else torch.float32
    sample = torch.zeros(1, *spec.shape, dtype=dtype, device=device)
    counter = FlopCounterMode(display=False)
    not_counted = _NotCounted(counter)
    measures: dict[nn.Module, _Measure] = {}
    starts: list[tuple[int, int]] = []

    def enter(module: nn.Module, inputs: Any) -> None:
        starts.append((counter.get_total_flops(), len(not_counted.names)))

    def leave(module: nn.Module, inputs: Any, outputs: Any) -> None:
        flops, names = starts.pop()
        measure = measures.setdefault(module, _Measure())
        first = outputs[0] if isinstance(outputs, tuple | list) else outputs
        measure.output_shape = tuple(first.shape[1:]) if isinstance(first, Tensor) else None
        measure.flops = (measure.flops or 0) + counter.get_total_flops() - flops
        measure.not_counted |= frozenset(not_counted.names[names:])

    for module in probe.modules():
        module.register_forward_pre_hook(enter)
        module.register_forward_hook(leave)
    with torch.no_grad(), not_counted, counter:
        probe(sample)
    return probe, measures


def copy_onto(network: nn.Module, device: str) -> nn.Module:
    """Return a copy whose tensors are shapes on the meta device, or else the network's own."""
    tensors = chain(network.parameters(), network.buffers())
    return copy.deepcopy(network, {id(tensor): _shape_of(tensor) if device == "meta" else tensor for tensor in tensors})


def _shape_of(tensor: Tensor) -> Tensor:
    shape = torch.empty_like(tensor, device="meta")
    return nn.Parameter(shape, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else shape
