"""The graph of a model for TensorBoard: layers as the config names them, with the operations inside."""

from __future__ import annotations

import re
from collections import Counter, OrderedDict, deque
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from lightlab.errors import DataError
from lightlab.inspect.summary import copy_onto
from lightlab.module import Model

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tensorboard.compat.proto.graph_pb2 import GraphDef

#: How many samples go through a network. A first dimension of this size is the batch's, and of any size.
BATCH = 7
#: Modules that are one operation to people, though torch takes them apart: into each step of a sequence.
WHOLE = (nn.RNNBase, nn.RNNCellBase, nn.MultiheadAttention)
#: What people call some of torch's operations.
NAMES = {
    "max_pool2d_with_indices": "max_pool2d",
    "max_pool3d_with_indices": "max_pool3d",
    "native_batch_norm": "batch_norm",
    "native_batch_norm_legit_no_training": "batch_norm",
    "native_group_norm": "group_norm",
    "native_layer_norm": "layer_norm",
    "unsafe_view": "view",
}


def model_graph(model: Model) -> GraphDef:
    """Return the graph of a model: preprocessing, the config's layers, and the head.

    Args:
        model: built; it stays as it is.

    Raises:
        DataError: the model is not built.
    """
    spec = model.data_spec
    if spec is None:
        raise DataError("A graph is of a model that is built: its shapes follow from the data. See Model.build.")
    layers: Any = model.network._modules.items()  # named_children leaves out what stands there a second time
    parts = OrderedDict([("preprocess", model.preprocess), *layers, ("head", model.head)])
    dtype = torch.long if spec.input.kind == "text" else torch.float32
    return network_graph(nn.Sequential(parts), spec.input.shape, dtype)


def network_graph(network: nn.Module, shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> GraphDef:
    """Return the graph of what a network does to samples, in evaluation mode.

    Each operation on data is a node, in the scope of the module that it belongs to. What comes out of one and goes into
    another is an edge, with its shape. Parameters are no nodes; a node says what its layer is set to.

    Args:
        network: stays as it is.
        shape: of one sample, without the batch.
        dtype: of samples.

    Example:
        >>> graph = network_graph(nn.Sequential(OrderedDict(dense=nn.Linear(4, 2), relu=nn.ReLU())), (4,))
        >>> [(node.name, *node.input) for node in graph.node]
        [('input',), ('dense/addmm', 'input'), ('relu/relu', 'dense/addmm'), ('output', 'relu/relu')]
    """
    try:
        return _record(network, shape, dtype, "meta")
    except RuntimeError:  # a layer asks for values, and there are none on the meta device
        return _record(network, shape, dtype, "cpu")


def _record(network: nn.Module, shape: tuple[int, ...], dtype: torch.dtype, device: str) -> GraphDef:
    probe = copy_onto(network, device).eval()
    sample = torch.zeros(BATCH, *shape, dtype=dtype, device=device)
    recorder = _Recorder(probe)
    recorder.add("input", [], [sample])
    with torch.no_grad(), recorder:
        output = probe(sample)
    recorder.add("output", [output], [output])
    return recorder.graph


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it untyped
    """Keeps each operation on data as a node, in the scope of the module that it belongs to.

    Args:
        network: whose modules open the scopes.

    Attributes:
        graph: what was recorded.
    """

    def __init__(self, network: nn.Module) -> None:
        from tensorboard.compat.proto.graph_pb2 import GraphDef

        super().__init__()  # type: ignore[no-untyped-call]  # likewise
        self.graph = GraphDef()
        self._calls: list[tuple[str, nn.Module]] = []
        self._silent = 0
        self._names: Counter[str] = Counter()
        #: By id the node and output that a tensor comes from; with the tensor, so that no other gets its id.
        self._sources: dict[int, tuple[str, Tensor]] = {}
        self._scopes: dict[nn.Module, deque[str]] = {}
        for path, module in network.named_modules(remove_duplicate=False):
            self._scopes.setdefault(module, deque()).append(_scope(path, module))
        for module in self._scopes:
            module.register_forward_pre_hook(self._enter)
            module.register_forward_hook(self._leave)

    def _enter(self, module: nn.Module, inputs: Any) -> None:
        scopes = self._scopes[module]
        self._calls.append((scopes[0], module))
        scopes.rotate(-1)  # a module that stands in several places is called for each in turn
        self._silent += isinstance(module, WHOLE)

    def _leave(self, module: nn.Module, inputs: Any, outputs: Any) -> Any:
        """Add a node for a module that is one, and for one that did nothing, as dropout in evaluation."""
        self._silent -= isinstance(module, WHOLE)
        passed = any(outputs is each for each in inputs)
        if passed:
            self._silent += 1
            outputs = outputs.view_as(outputs)  # another tensor, since what went in may go elsewhere, too
            self._silent -= 1
        if not self._silent and (passed or isinstance(module, WHOLE)):
            name = "identity" if isinstance(module, nn.Sequential) else type(module).__name__.lower()
            self.add(name, tree_leaves(inputs), tree_leaves(outputs))
        self._calls.pop()
        return outputs

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Carry out an operation, and add a node if data goes into it."""
        outputs = func(*args, **(kwargs or {}))
        inputs = tree_leaves((args, kwargs))
        if not self._silent and any(id(each) in self._sources for each in inputs):
            name = func._schema.name.split("::")[-1].strip("_")
            self.add(NAMES.get(name, name), inputs, tree_leaves(outputs))
        return outputs

    def add(self, operation: str, inputs: Iterable[Any], outputs: list[Any]) -> None:
        """Add a node.

        Args:
            operation: what people call it.
            inputs: what goes in; what is no tensor that a node gave is passed over.
            outputs: what comes out.
        """
        scope, module = self._calls[-1] if self._calls else ("", None)
        path = f"{scope}/{operation}" if scope else operation
        name = f"{path}_{self._names[path]}" if self._names[path] else path
        self._names[path] += 1
        node = self.graph.node.add(name=name, op=operation)
        node.input.extend(self._sources[id(each)][0] for each in inputs if id(each) in self._sources)
        if module is not None and not any(module.children()):
            node.attr["layer"].s = repr(module).encode()
        for place, output in enumerate(outputs):
            if isinstance(output, Tensor):
                self._sources[id(output)] = (f"{name}:{place}" if place else name, output)
                shape = node.attr["_output_shapes"].list.shape.add()
                for axis, size in enumerate(output.shape):
                    shape.dim.add(size=-1 if size == BATCH and axis == 0 else size)


def _scope(path: str, module: nn.Module) -> str:
    """Return the scope of a module. One that has only a number for a name, as in an mlp, is part of what is around it.

    >>> _scope("1_residual.inner.0_dense", nn.Tanh()), _scope("0_mlp.2", nn.Tanh())
    ('1_residual/0_dense', '0_mlp')
    """
    *outer, name = re.sub(r"\bbranches\.", "branch_", path).split(".")
    names = outer if name.isdigit() and not any(module.children()) else [*outer, name]
    return "/".join(name for name in names if name != "inner")
