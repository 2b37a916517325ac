"""What every registered layer keeps to: a new layer needs a line in CASES, and nothing else here."""

import doctest
import inspect
import io
import re
import sys

import pytest
import torch

from lightlab import ShapeError, build_network
from lightlab.registry import ACTIVATIONS, LAYERS
from lightlab.specs import INJECTED

#: One sample of each rank, the batch counted in.
SHAPES = {2: (6,), 3: (4, 6), 4: (4, 6, 6), 5: (4, 4, 6, 6)}
ORDERS = {2: [1], 3: [2, 1], 4: [3, 1, 2], 5: [2, 4, 3, 1]}

#: What a config gives each layer; a function where that depends on the rank.
CASES = {
    "alpha_dropout": 0.5,
    "batch_norm": {"momentum": 0.8},
    "conv_block": {"filters": 3, "pool_size": 2, "dropout": 0.25},
    "dense": {"units": 5, "activation": "tanh", "l2": 0.1},
    "dropout": 0.5,
    "embedding": {"output_dim": 3, "input_dim": 8},
    "flatten": None,
    "gaussian_noise": 0.1,
    "global_avg_pool": None,
    "global_max_pool": None,
    "group_norm": 2,
    "gru": {"units": 3, "return_sequences": True},
    "layer_norm": {"axis": 1},
    "lstm": {"units": 3, "bidirectional": True},
    "mlp": {"units": [5, 3], "batch_norm": True, "dropout": 0.2},
    "parallel": [[{"dense": 6}], ["tanh"], []],
    "permute": lambda rank: ORDERS[rank],
    "repeat": {"times": 2, "layers": [{"dense": 5}, "tanh"]},
    "reshape": [2, -1],
    "residual": [{"dense": {"units": 6, "activation": "tanh"}}],
    "sequence_avg_pool": None,
    "sequence_max_pool": None,
    "spatial_dropout": 0.5,
    **{f"conv{n}d": {"filters": 4, "kernel_size": 3, "stride": 2, "padding": "same", "groups": 2} for n in (1, 2, 3)},
    **{f"conv{n}d_transpose": {"filters": 2, "kernel_size": 3, "stride": 2, "activation": "tanh"} for n in (1, 2, 3)},
    **{f"separable_conv{n}d": {"filters": 3, "kernel_size": 3, "depth_multiplier": 2} for n in (1, 2, 3)},
    **{f"{kind}_pool{n}d": {"pool_size": 3, "padding": "same"} for kind in ("max", "avg") for n in (1, 2, 3)},
    **{f"adaptive_{kind}_pool{n}d": 2 for kind in ("max", "avg") for n in (1, 2, 3)},
    **dict.fromkeys(ACTIVATIONS.names()),
}
#: Layers whose inputs are codes: nothing flows through them to what comes before.
OF_CODES = {"embedding"}

OWN = [name for name in LAYERS.names() if LAYERS.entry(name).provider.startswith("lightlab.")]


def ranks(name):
    """Return the ranks, the batch counted in, that a layer declares."""
    layouts = getattr(LAYERS.get(name), "expects", ())
    return sorted(layout.count(",") + 2 for layout in layouts) or sorted(SHAPES)


def build(name, rank):
    """Return the layer, built from a config for a rank, and the shape of a sample as it leaves."""
    value = CASES[name](rank) if callable(CASES[name]) else CASES[name]
    return build_network([name if value is None else {name: value}], SHAPES[rank])


def batch(name, rank, rows=3):
    inputs = torch.rand(rows, *SHAPES[rank]) * 4 - 2
    return torch.randint(0, 8, inputs.shape).float() if name in OF_CODES else inputs


for_each_layer = pytest.mark.parametrize("name", OWN)
for_each_rank = pytest.mark.parametrize(("name", "rank"), [(name, rank) for name in OWN for rank in ranks(name)])


def test_every_layer_has_a_case():
    """No registered layer escapes this file."""
    assert CASES.keys() == set(OWN)


@for_each_rank
def test_shape_is_what_a_forward_gives(name, rank):
    """The inferred shape is that of a real forward pass on the CPU."""
    network, shape = build(name, rank)
    outputs = network.eval()(batch(name, rank))
    assert outputs.shape == (3, *shape)
    assert outputs.dtype == torch.float32
    assert torch.isfinite(outputs).all()


@for_each_rank
def test_gradient_flows(name, rank):
    """In training, a gradient that is not zero reaches every parameter, and the input."""
    torch.manual_seed(1)
    network, _ = build(name, rank)
    inputs = batch(name, rank, rows=8).requires_grad_(name not in OF_CODES)
    outputs = network.train()(inputs)
    (outputs * torch.rand_like(outputs)).sum().backward()
    leaves = {**dict(network.named_parameters()), **({"input": inputs} if inputs.requires_grad else {})}
    assert leaves
    for leaf, value in leaves.items():
        assert value.grad is not None, leaf
        assert torch.isfinite(value.grad).all(), leaf
        assert value.grad.any(), leaf


@for_each_rank
def test_survives_saving(name, rank):
    """A fresh copy with the saved state gives the same outputs, its state trained and not as it was built."""
    network, _ = build(name, rank)
    network.train()(batch(name, rank))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.rand_like(parameter)
    file = io.BytesIO()
    torch.save(network.state_dict(), file)
    file.seek(0)
    fresh, _ = build(name, rank)
    fresh.load_state_dict(torch.load(file, weights_only=True))
    inputs = batch(name, rank)
    torch.testing.assert_close(fresh.eval()(inputs), network.eval()(inputs), rtol=0, atol=0)


@pytest.mark.parametrize(("name", "rank"), [(name, rank) for name in OWN for rank in SHAPES if rank not in ranks(name)])
def test_other_rank_is_refused(name, rank):
    """Where a layer declares what it takes, another rank is answered with the rule, and with what arrived."""
    with pytest.raises(ShapeError) as caught:
        build(name, rank)
    (fault,) = caught.value.faults
    assert fault.key[:3] in {("layers", 0), ("layers", 0, name)}
    assert f"{name} needs rank {ranks(name)[0]} (batch, " in fault.message
    assert f"(batch, {', '.join(map(str, SHAPES[rank]))}) after the input" in fault.message


@for_each_layer
def test_is_documented(name):
    """The docstring has a summary, every parameter, both shapes and an example."""
    layer = LAYERS.get(name)
    text = inspect.getdoc(layer)
    assert re.match(r"[A-Z].*[.:]", text.split("\n\n")[0], re.DOTALL)
    section = re.search(r"^Args:\n((?:    .*\n)+)", text, re.MULTILINE)
    documented = re.findall(r"^    (\w+): \S", section[1], re.MULTILINE) if section else []
    assert documented == [p for p in inspect.signature(layer).parameters if p not in INJECTED]
    assert re.search(r"Input shape: \S.*Output shape: \S", text, re.DOTALL)
    assert re.search(r"^Example:\n    >>> ", text, re.MULTILINE)


@for_each_layer
def test_example_runs(name):
    """The example is found by doctest under the layer's own name, made by a factory or not, and runs."""
    layer = LAYERS.get(name)
    module = sys.modules[layer.__module__]
    found = [test for test in doctest.DocTestFinder().find(module) if test.name == f"{module.__name__}.{name}"]
    assert len(found) == 1
    assert found[0].examples
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report = []
    runner.run(found[0], out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)


@for_each_layer
def test_is_annotated(name):
    """Every parameter has a type for configs to be held against, and every layer returns a module."""
    signature = inspect.signature(LAYERS.get(name))
    assert all(p.annotation is not p.empty for p in signature.parameters.values())
    assert signature.return_annotation == "nn.Module"
