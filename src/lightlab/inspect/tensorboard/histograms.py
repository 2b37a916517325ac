"""Histograms of weights, gradients and activations, counted on the device and over all processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.utils.tensorboard import SummaryWriter

from lightlab.inspect.evaluation.layers import weighted_modules
from lightlab.inspect.names import config_layers
from lightlab.module import Model
from lightlab.processes import are_together

#: Bins of a histogram; TensorBoard draws 30.
BINS = 32
#: From one epoch with histograms to the next the training gets longer by this factor: what moves early is seen closely,
#: and a long training has no more of them than can be looked at, 9 in 60 epochs and 17 in 1000.
GROWTH = 1.5

#: Of more numbers so many are counted: the eye sees no difference, and the training would feel it.
SAMPLE = 16_384

#: Counts of `BINS` bins, then how many numbers there are, their sum, and the sum of their squares.
Counted = tuple[Tensor, Tensor, Tensor]


def are_due(every: int | bool, epoch: int) -> bool:
    """Return whether histograms are due after an epoch; the first is 1.

    Args:
        every: after so many epochs; true for more seldom as the training gets longer.
        epoch: its number.

    >>> [epoch for epoch in range(1, 31) if are_due(True, epoch)]
    [1, 2, 3, 5, 8, 12, 18, 27]
    """
    if every is not True:
        return bool(every) and epoch % every == 0
    due = 1
    while due < epoch:
        due = max(due + 1, -int(-due * GROWTH // 1))
    return due == epoch


def weight_tensors(model: Model) -> dict[str, Tensor]:
    """Return each parameter by what charts call it: ``0_conv2d/weight``."""
    return {tag: parameter.detach() for tag, parameter in _parameters(model).items()}


def gradient_tensors(model: Model) -> dict[str, Tensor]:
    """Return the gradient of each parameter that has one, by the parameter's name."""
    return {
        tag: parameter.grad.detach()
        for tag, parameter in _parameters(model).items()
        if parameter.grad is not None and not parameter.grad.is_sparse
    }


def _parameters(model: Model) -> dict[str, nn.Parameter]:
    return {
        f"{name}/{own}": parameter
        for name, (_, module) in weighted_modules(model).items()
        for own, parameter in module.named_parameters(recurse=False)
    }


class Activations:
    """Numbers that each layer of the config gives, of one call of the model.

    Attributes:
        seen: by the layer's name.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Tensor] = {}
        self._handles: list[Any] = []

    def watch(self, model: Model) -> None:
        """Look at the next call of a model."""
        self.stop()
        self.seen = {}
        for name, layer in config_layers(model).items():
            self._handles.append(layer.register_forward_hook(self._keep(name)))
        # The head comes last: then all is seen.
        self._handles.append(model.head.register_forward_hook(lambda *_: self.stop()))

    def stop(self) -> None:
        """Look at no more calls."""
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def _keep(self, name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, inputs: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                self.seen[name] = _sample(output.detach()).clone()  # not all of it until the epoch ends

        return hook


def count(tensors: Mapping[str, Tensor], over_processes: bool = False) -> dict[str, Counted]:
    """Count numbers by size, on their device; those that are not finite are left out.

    Args:
        tensors: by name.
        over_processes: whether the other processes have others of the same names, which are counted, too; all of them
            must call it.

    Returns:
        edges of bins, (BINS + 1,), counts of each, (BINS,), and number, sum and sum of squares, (3,), all on the CPU.
    """
    together = over_processes and are_together()
    if not tensors:
        return {}
    samples = {name: _sample(tensor) for name, tensor in tensors.items()}
    ends = torch.stack([_ends(values) for values in samples.values()])
    if together:
        distributed.all_reduce(ends, distributed.ReduceOp.MIN)
    known = zip(samples, ends.tolist(), strict=True)
    ranges = {name: _range(low, -negative) for name, (low, negative) in known if low <= -negative}
    if not ranges:
        return {}
    counted = torch.stack([_count_one(samples[name], low, high) for name, (low, high) in ranges.items()])
    if together:
        distributed.all_reduce(counted)
    return {
        name: (torch.linspace(*ranges[name], BINS + 1), row[:BINS], row[BINS:])
        for name, row in zip(ranges, counted.cpu(), strict=True)
    }


def _ends(values: Tensor) -> Tensor:
    """Return the lowest number and the negative of the highest, (2,): of several such, the lowest are those of all."""
    if not len(values):
        return values.new_full((2,), torch.inf)
    low, high = torch.aminmax(values)
    return torch.stack([low, -high])


def _range(low: float, high: float) -> tuple[float, float]:
    return (low, high) if low < high else (low - 0.5, high + 0.5)


def _count_one(values: Tensor, low: float, high: float) -> Tensor:
    """Return counts of the bins of a range, then number, sum and sum of squares, (BINS + 3,)."""
    sums = [values.new_tensor(len(values)), values.sum(), values.square().sum()]
    return torch.cat([torch.histc(values, BINS, low, high), torch.stack(sums)])


def _sample(tensor: Tensor) -> Tensor:
    """Return the finite numbers of a tensor, (numbers,), some of them where there are many."""
    numbers = tensor.flatten()
    # An odd step does not keep to the same channels.
    numbers = numbers[:: len(numbers) // SAMPLE | 1].float()
    return numbers if torch.isfinite(numbers.sum()) else numbers[torch.isfinite(numbers)]


def write_histograms(writer: SummaryWriter, group: str, counted: Mapping[str, Counted], step: int) -> None:
    """Write histograms under ``<group>/<name>``, in one event."""
    from tensorboard.compat.proto.summary_pb2 import HistogramProto, Summary

    values = []
    for name, (edges, counts, (number, total, squares)) in counted.items():
        proto = HistogramProto(
            min=float(edges[0]), max=float(edges[-1]), num=float(number), sum=float(total), sum_squares=float(squares),
            bucket_limit=edges[1:].tolist(), bucket=counts.tolist(),
        )  # fmt: skip
        values.append(Summary.Value(tag=f"{group}/{name}", histo=proto))
    writer._get_file_writer().add_summary(Summary(value=values), step)  # type: ignore[no-untyped-call]  # torch has no types here
