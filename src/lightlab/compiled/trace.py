"""From a model and an optimizer to the graph of one training step."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.export._trace import _compiling_state_context  # type: ignore[attr-defined]  # torch has no public one
from torch.func import functional_call
from torch.fx import GraphModule
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.node import map_arg

from lightlab.batch import Batch, Mixed
from lightlab.compiled.request import Request, fixed_tensors, state_tensors, step_tensors
from lightlab.data_spec import DataSpec
from lightlab.module import Model
from lightlab.optim import OPTIMIZERS


def build_model(request: Request) -> Model:
    """Return the model of a request, with weights of its own."""
    model = Model(**request.model)
    model.build(DataSpec.from_dict(request.data_spec))
    model.to(request.device)
    for name in request.frozen:
        model.get_parameter(name).requires_grad_(False)
    return model.train()


def trace(request: Request) -> tuple[GraphModule, list[Tensor], list[Tensor]]:
    """Return the graph of a request's steps, and what it is called with: what it moves, and what is new each time.

    The first is `step_tensors`; the other the learning rate of each step, (steps,), and the tensors of each step's
    batch. The graph moves parameters, buffers and the optimizer's state in place. It returns the logits of all steps,
    (steps · rows, outputs); the loss of each row, (steps · rows,); and the penalties' sum of each step, (steps,), where
    there are any.

    Raises:
        ValueError: two traces differ, since a layer computes with numbers of its own, such as Python's random ones.
        Exception: whatever else stands in the way of tracing.
    """
    model = build_model(request)
    steps = Steps(model, request)
    rates = torch.ones(request.steps, dtype=torch.float64, device=request.device)
    moved, new = step_tensors(model, steps.optimizer), [rates, *request.example()]
    with _compiling_state_context():  # torch's optimizers then read no number from a tensor
        graph, again = (make_fx(steps, tracing_mode="fake")(*moved, *new) for _ in range(2))
    if _constants(graph) != _constants(again):
        raise ValueError("A step is the same every time. Here a layer has numbers that change, and are no tensors.")
    return graph, moved, new


def _constants(graph: GraphModule) -> list[str]:
    """Return the operations of a graph with all that is no result of another: numbers, and tensors of its own."""
    operations = (
        f"{node.target}{map_arg((node.args, node.kwargs), lambda result: None)}" for node in graph.graph.nodes
    )
    return [*operations, *(str(each.tolist()) for each in graph.buffers())]


class _Evaluate(nn.Module):
    """What a model computes in a step, as a module's forward: so that its tensors can be replaced."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor | None]:
        return self.model.evaluate(batch)


class Steps:
    """Some training steps in a row, as a function of tensors alone.

    Args:
        model: what is trained.
        request: how.
    """

    def __init__(self, model: Model, request: Request) -> None:
        self.request = request
        self.evaluate = _Evaluate(model)
        self.trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
        self.fixed = list(fixed_tensors(model))
        self.optimizer = self._make_optimizer(model)
        self.kept = [sorted(name for name, each in self.optimizer.state[weight].items() if each is not None)
                     for weight in self.trained.values()]  # fmt: skip

    def _make_optimizer(self, model: Model) -> torch.optim.Optimizer:
        """Return an optimizer that has taken a step, and computes with tensors only."""
        spec = model.optimizer_spec
        known = inspect.signature(OPTIMIZERS[spec.name]).parameters
        wanted = {"foreach": False, "fused": False, "capturable": True}
        ways = {name: value for name, value in wanted.items() if name in known}
        optimizer = OPTIMIZERS[spec.name](self.trained.values(), **{**spec.arguments, **ways})
        for weight in self.trained.values():
            weight.grad = torch.zeros_like(weight)
        with _compiling_state_context():
            optimizer.step()
        optimizer.zero_grad()
        state_tensors(list(self.trained.values()), optimizer)  # which says whether a graph can move it
        return optimizer

    def __call__(self, *given: Tensor) -> tuple[Tensor, ...]:
        """Take the steps."""
        tensors = iter(given)
        weights = [next(tensors) for _ in self.trained]
        fixed = {f"model.{name}": next(tensors) for name in self.fixed}
        state = [{name: next(tensors) for name in names} for names in self.kept]
        rates = next(tensors).unbind()
        batches = [batch_of([next(tensors) for _ in self.request.batch]) for _ in rates]
        results = [self._step(weights, fixed, state, *each) for each in zip(rates, batches, strict=True)]
        return tuple(torch.cat(each) for each in zip(*results, strict=True))

    def _step(
        self,
        weights: list[Tensor],
        fixed: dict[str, Tensor],
        state: list[dict[str, Tensor]],
        rate: Tensor,
        batch: Batch,
    ) -> list[Tensor]:
        """Take one, and return its logits, losses and, if there is one, the penalty."""
        leaves = [weight.detach().requires_grad_() for weight in weights]
        parameters = dict(zip((f"model.{name}" for name in self.trained), leaves, strict=True))
        with self._autocast():
            logits, losses, extra = functional_call(self.evaluate, {**parameters, **fixed}, (batch,))
        loss = losses.sum() * (1 / len(losses))
        gradients = torch.autograd.grad(loss if extra is None else loss + extra, leaves, materialize_grads=True)
        with torch.no_grad():
            self._move(weights, gradients, state, rate)
        results = [logits, losses] + ([] if extra is None else [extra.reshape(1)])
        return [each.detach() for each in results]

    def _autocast(self) -> Any:
        if self.request.precision is None:
            return nullcontext()
        kind = torch.device(self.request.device).type
        return torch.autocast(kind, getattr(torch, self.request.precision), cache_enabled=False)

    def _move(
        self, weights: list[Tensor], gradients: tuple[Tensor, ...], state: list[dict[str, Tensor]], rate: Tensor
    ) -> None:
        """Clip the gradients, and have the optimizer move the weights by them."""
        for weight, gradient in zip(weights, gradients, strict=True):
            weight.grad = gradient
        if self.request.clip is not None:
            bound, way = self.request.clip
            clips: dict[str, Callable[..., Any]] = {
                "norm": nn.utils.clip_grad_norm_,
                "value": nn.utils.clip_grad_value_,
            }
            clips[way](weights, bound, foreach=False)
        rate = rate.detach().requires_grad_()  # a rate that needs no gradient is read as a number in torch's SGD
        optimizer = object.__new__(type(self.optimizer))
        optimizer.__dict__.update(self.optimizer.__dict__)
        others = [{**each, "params": weights, "lr": rate} for each in self.optimizer.param_groups]
        nothing: dict[str, Any] = dict.fromkeys(
            name for own in self.optimizer.state.values() for name, each in own.items() if each is None
        )
        # Eager steps count in Python's numbers: what follows from a count is computed in their precision, here, too.
        counts = [{"step": own["step"].double()} if "step" in own else {} for own in state]
        optimizer.param_groups = others
        optimizer.state = defaultdict(
            dict,
            {weight: nothing | own | count for weight, own, count in zip(weights, state, counts, strict=True)},
        )
        cast("Any", inspect.unwrap(type(optimizer).step))(optimizer)
        for own, count in zip(state, counts, strict=True):
            for name, each in count.items():
                own[name].copy_(each)


def batch_of(tensors: list[Tensor]) -> Batch:
    """Return the batch that `batch_tensors` has taken apart."""
    inputs, targets, *mixed = tensors
    return Batch(inputs, targets, mixed=Mixed(*mixed) if mixed else None)
