"""The graph of a step moves weights, buffers and the optimizer's state as eager steps do."""

import copy
import json
from dataclasses import asdict, replace

import pandas as pd
import pytest
import torch
from torch import nn

from lightlab import LAYERS, Batch, BundledData, Model
from lightlab.batch import Mixed
from lightlab.compiled.request import Request, batch_tensors, describe, step_tensors
from lightlab.compiled.trace import build_model, trace
from lightlab.data import SyntheticData, TableData, TextData
from lightlab.optim import OPTIMIZERS

LAYERS_OF_MANY_KINDS = [
    {"dense": {"units": 16, "activation": "relu", "l2": 1e-3, "l1": 1e-4}},
    "batch_norm",
    {"dense": {"units": 8, "activation": "tanh", "use_bias": False}},
]
#: Of torch's optimizers, those that no graph can hold: they look at numbers, or evaluate a batch more than once.
UNTRACEABLE = {"Adafactor", "LBFGS"}
ROWS = 16


class Case:
    """A model twice, both with weights that have moved: one to be trained by a graph, the other by eager steps."""

    def __init__(self, data, layers=None, problem="multiclass", head=None, optimizer="AdamW", mixed=False, **options):
        model = Model(layers or LAYERS_OF_MANY_KINDS, problem, head, optimizer)
        model.build(data.connect(problem))
        inputs, targets = data._encoded["train"]
        self.batches = [
            Batch(inputs[start : start + ROWS], targets[start : start + ROWS])
            for start in range(0, len(inputs) - ROWS + 1, ROWS)
        ]
        if mixed:
            mixing = Mixed(torch.randperm(ROWS), torch.rand(ROWS))
            self.batches = [batch._replace(mixed=mixing) for batch in self.batches]
        given = {
            "steps": 1,
            "frozen": [],
            "precision": None,
            "clip": None,
            "mode": "default",
            "plugins": [],
            "device": "cpu",
        }
        given |= options
        kinds = describe(batch_tensors(self.batches[0]))
        self.request = Request(dict(model.hparams), model.data_spec.to_dict(), kinds, **given)
        self.models = [build_model(self.request)]
        self.models.append(copy.deepcopy(self.models[0]))
        self.optimizers = [model.optimizer_spec.build(model.parameters()) for model in self.models]
        for each in (0, 1):
            torch.manual_seed(0)
            self.eager(each, self.batches[-1], 0.01)

    def eager(self, which, batch, rate):
        """Take an eager step, and return logits, losses and the penalty."""
        model, optimizer = self.models[which], self.optimizers[which]
        autocast = torch.autocast("cpu", torch.bfloat16, enabled=self.request.precision is not None)
        with autocast:
            logits, losses, extra = model.evaluate(batch)
        optimizer.zero_grad()
        (losses.mean() if extra is None else losses.mean() + extra).backward()
        if self.request.clip is not None:
            bound, way = self.request.clip
            {"norm": nn.utils.clip_grad_norm_, "value": nn.utils.clip_grad_value_}[way](model.parameters(), bound)
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        return [each.detach().reshape(-1) for each in (logits, losses, extra) if each is not None]

    def run(self, executions=4, seed=0):
        """Train both, with another learning rate each step, and return what the graph and the eager steps gave."""
        graph, *_ = trace(Request(**json.loads(json.dumps(asdict(self.request)))))
        steps = self.request.steps
        given = []
        for place in range(executions):
            batches = [self.batches[(place * steps + step) % len(self.batches)] for step in range(steps)]
            rates = [0.02 / (1 + place * steps + step) for step in range(steps)]
            torch.manual_seed(seed + place)
            tensors = [each for batch in batches for each in batch_tensors(batch)]
            moved = step_tensors(self.models[0], self.optimizers[0])
            results = graph(*moved, torch.tensor(rates, dtype=torch.float64), *tensors)
            torch.manual_seed(seed + place)
            each = [self.eager(1, batch, rate) for batch, rate in zip(batches, rates, strict=True)]
            there = [torch.cat(one) for one in zip(*each, strict=True)]
            given.append(([result.reshape(-1) for result in results], there))
        return given

    def compare(self, tolerance=1e-5, **options):
        """Train both, and hold all that moves and all that comes out against each other, relative to its largest."""
        moved = [each.clone() for each in self.models[0].parameters()]
        pairs = [pair for here, there in self.run(**options) for pair in zip(here, there, strict=True)]
        pairs += zip(*(step_tensors(*each) for each in zip(self.models, self.optimizers, strict=True)), strict=True)
        for here, there in pairs:
            assert here.dtype == there.dtype
            largest = there.abs().max() if there.numel() else 0
            torch.testing.assert_close(here, there, rtol=0, atol=tolerance * float(largest + 1e-3))
        same = [torch.equal(old, new) for old, new in zip(moved, self.models[0].parameters(), strict=True)]
        names = [name for name, _ in self.models[0].named_parameters()]
        assert [name for name, is_same in zip(names, same, strict=True) if is_same] == self.request.frozen


@pytest.fixture(scope="module")
def wine():
    data = BundledData("wine", batch_size=ROWS)
    data.connect("multiclass")
    return data


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - UNTRACEABLE - {"Muon"}))
def test_every_optimizer(wine, name):
    """Weights, batch norm's buffers and counts, and the optimizer's state move as in eager steps, up to rounding."""
    Case(wine, optimizer=name).compare()


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("SGD", {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
        ("AdamW", {"amsgrad": True, "maximize": True, "foreach": True}),
        ("RMSprop", {"centered": True, "momentum": 0.5}),
        ("Adagrad", {"lr_decay": 0.1, "fused": True}),
        ("NAdam", {"decoupled_weight_decay": True, "weight_decay": 0.01}),
    ],
)
def test_arguments_of_optimizers(wine, name, arguments):
    """What an optimizer is given holds in the graph, too; how it goes about it does not matter."""
    Case(wine, optimizer={"class_path": name, "init_args": arguments}).compare()


def test_long_training(wine):
    """RAdam's bias correction, in which large numbers cancel, is computed as precisely as in eager steps."""
    Case(wine, optimizer="RAdam").compare(executions=40, tolerance=1e-4)


@pytest.mark.parametrize("name", sorted(UNTRACEABLE))
def test_optimizers_that_no_graph_holds(wine, name):
    """They are refused by an exception, which says so to whoever asked."""
    request = Case(wine).request
    with pytest.raises(Exception, match=r"."):
        trace(replace(request, model=request.model | {"optimizer": name}))


@pytest.mark.parametrize(
    ("problem", "head"),
    [
        ("binary", {"class_weight": "balanced"}),
        ("multiclass", {"class_weight": [1.0, 2.0, 5.0], "label_smoothing": 0.1}),
        ("multilabel", {"class_weight": "balanced"}),
        ("regression", {"loss": "huber"}),
        ("bounded_regression", None),
    ],
)
@pytest.mark.parametrize("mixed", [False, True])
def test_every_problem(problem, head, mixed):
    """Each problem's loss, with weights of classes and smoothing, and with rows that were mixed."""
    Case(SyntheticData([6], problem, rows=200, batch_size=ROWS), problem=problem, head=head, mixed=mixed).compare()


@pytest.mark.parametrize("clip", [(0.05, "norm"), (1e6, "norm"), (0.002, "value")])
def test_clipping(wine, clip):
    """Gradients are clipped by norm or by value; SGD's steps depend on how long they are."""
    Case(wine, optimizer={"class_path": "SGD", "init_args": {"momentum": 0.9}}, clip=clip).compare()


def test_autocast(wine):
    """Layers compute in bfloat16: logits are its numbers, in a type that is exact; weights move up to rounding."""
    case = Case(wine, optimizer="SGD", precision="bfloat16")
    case.compare(tolerance=2e-2)
    logits = case.run(1)[0][0][0]
    assert logits.dtype == torch.float32
    assert torch.equal(logits, logits.bfloat16().float())


def test_several_steps_at_once(wine):
    """Three steps in a graph are three eager ones: on batches of their own, with rates of their own."""
    Case(wine, steps=3).compare(executions=2)


def test_frozen_parameters(wine):
    """What is not trained stays as it is, and does its work; what is before it is trained."""
    Case(wine, frozen=["network.0_dense.0.bias", "network.2_dense.0.weight"]).compare()


def test_random_layers(wine):
    """From the same seed, the graph drops what eager steps drop, in every step."""
    layers = [
        {"dense": {"units": 32, "activation": "selu"}},
        {"dropout": 0.5},
        {"gaussian_noise": 0.1},
        {"alpha_dropout": 0.2},
    ]
    Case(wine, layers, steps=2).compare()


def test_images():
    """Convolutions with the colours of a pixel side by side: the weights keep their place in memory."""
    layers = [
        {"conv2d": {"filters": 4, "kernel_size": 3, "activation": "relu"}},
        "batch_norm",
        {"residual": [{"conv2d": {"filters": 4, "kernel_size": 3, "padding": "same"}}]},
        {"spatial_dropout": 0.2},
        "global_avg_pool",
    ]
    case = Case(SyntheticData([3, 8, 8], rows=100, batch_size=ROWS), layers)
    case.compare()
    assert case.models[0].network[0][0].weight.stride()[1] == 1


@pytest.mark.parametrize("layer", ["lstm", "gru"])
def test_recurrent_layers(layer):
    """Sequences are read as in eager steps, in both directions."""
    layers = [{layer: {"units": 4, "bidirectional": True}}]
    Case(SyntheticData([5, 3], rows=100, batch_size=ROWS), layers).compare()


def test_tables():
    """Missing numbers, one-hot categories, and learned vectors with a fixed first one."""
    rows = range(100)
    table = pd.DataFrame(
        {
            "number": [None if row % 7 == 0 else row / 10 for row in rows],
            "few": [f"f{row % 3}" for row in rows],
            "many": [f"m{row % 20}" for row in rows],
            "y": [row / 50 + row % 3 for row in rows],
        }
    )
    table.to_csv("table.csv", index=False)
    data = TableData("table.csv", target="y", embeddings={"many": 3}, batch_size=ROWS)
    case = Case(data, problem="regression")
    case.compare()
    assert not case.models[0].preprocess.embeddings[0].weight[0].any()


def test_texts():
    """Words become learned vectors, of which a batch moves some."""
    words = ["good", "bad", "fine", "poor", "film", "book", "long"]
    texts = [" ".join(words[(row * step) % 7] for step in range(1, 5)) for row in range(100)]
    pd.DataFrame({"text": texts, "y": ["no", "yes"] * 50}).to_csv("texts.csv", index=False)
    data = TextData("texts.csv", text="text", target="y", length=6, batch_size=ROWS)
    Case(data, [{"embedding": 5}, "sequence_avg_pool"], problem="binary").compare()


class Own(nn.Module):
    """A layer that does what a test wants."""

    def __init__(self, function):
        super().__init__()
        self.function = function
        self.calls = 0

    def forward(self, inputs):
        self.calls += 1
        return inputs if inputs.is_meta else self.function(self, inputs)


@pytest.mark.parametrize(
    ("name", "function", "message"),
    [
        ("looks", lambda layer, inputs: inputs if inputs.sum() > 0 else -inputs, "data-dependent"),
        ("counts", lambda layer, inputs: inputs * layer.calls, "numbers that change"),
        ("remembers", lambda layer, inputs: inputs * torch.tensor([float(layer.calls)]), "numbers that change"),
    ],
)
def test_layers_that_no_graph_holds(wine, name, function, message):
    """What a graph would do otherwise than the layer is refused: a look at numbers, and numbers of Python's own."""
    LAYERS.add(name, lambda: Own(function), "test")
    try:
        request = Case(wine).request
        with pytest.raises(Exception, match=message):
            trace(replace(request, model=request.model | {"layers": [{"dense": 4}, name]}))
    finally:
        del LAYERS._entries[name]
