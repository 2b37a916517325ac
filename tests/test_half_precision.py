"""Half precision: what stays in single, and what comes of it."""

import copy
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
from lightning import Trainer, seed_everything
from torch import nn

from lightlab import InputSpec, Model, TableData
from lightlab.half_precision import SinglePrecisionBuffers, at_least_single
from lightlab.preprocess import make_preprocess
from lightlab.training.half_precision import HalfPrecisionNetwork

HALF = ["bf16-true", "16-true"]


class Shift(SinglePrecisionBuffers):
    """A buffer, a parameter, and a module with its own."""

    def __init__(self):
        super().__init__()
        self.register_buffer("offset", torch.tensor([1987.0]))
        self.register_buffer("place", torch.tensor([1]))
        self.register_buffer("none", None)
        self.weight = nn.Parameter(torch.ones(1))
        self.norm = nn.BatchNorm1d(1)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_buffers(dtype):
    """A module's own buffers stay exact there and back, also in a copy; all else is converted, gradients too."""
    module = Shift()
    module.weight.sum().backward()
    module.to(dtype)
    assert module.weight.grad.dtype == dtype
    module = copy.deepcopy(module).to("cpu")
    assert (module.offset.dtype, module.offset.item()) == (torch.float32, 1987)
    assert module.place.dtype == torch.int64
    assert {each.dtype for each in (module.weight, module.norm.weight, module.norm.running_mean)} == {dtype}
    assert module.dtype == dtype
    back = module.float()
    assert (back.offset.item(), back.weight.dtype, back.dtype) == (1987, torch.float32, torch.float32)
    assert (module.double().offset.dtype, module.dtype) == (torch.float64, torch.float64)
    assert module.to(dtype).offset.dtype == torch.float32
    assert module.to("meta").offset.is_meta


def test_at_least_single():
    """Half becomes single; single and double are the same tensors."""
    for dtype in (torch.float16, torch.bfloat16):
        assert at_least_single(torch.ones(1, dtype=dtype)).dtype == torch.float32
    for dtype in (torch.float32, torch.float64):
        numbers = torch.ones(1, dtype=dtype)
        assert at_least_single(numbers) is numbers


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_preprocessing_of_half(dtype):
    """Numbers, fills, indicators and codes beyond what half holds exactly come out as in single, rounded once."""
    words = tuple(map(str, range(600)))
    spec = InputSpec(
        (3,),
        offset=(1990.0,),
        scale=(10.0,),
        columns=("year",),
        categories={"a": words, "b": words},
        fill=(2013.0,),
        indicators=("year",),
        embeddings={"b": 4},
        kind="table",
    )
    preprocess = make_preprocess(spec)
    inputs = torch.tensor([[1991.0, 513, 515], [1992.0, 514, -1], [torch.nan, -1, 599]])
    expected = preprocess(inputs).to(dtype)
    outputs = preprocess.to(dtype)(inputs)
    assert outputs.dtype == dtype
    assert torch.equal(outputs, expected)
    image = make_preprocess(InputSpec((3, 2, 2), offset=(127.0,) * 3, scale=(60.0,) * 3, kind="image", high=255.0))
    pixels = torch.randint(0, 256, (2, 3, 2, 2), dtype=torch.uint8)
    expected = image(pixels).to(dtype)
    assert torch.equal(image.to(dtype)(pixels), expected)


@pytest.fixture
def table():
    """Rows of years, of which one decides, and of one of 300 shops; and what is due by them."""
    generator = np.random.default_rng(0)
    rows = 600
    year = generator.integers(1990, 2026, rows)
    shop = generator.integers(0, 300, rows)
    frame = pd.DataFrame({"year": year, "shop": [f"s{each:03}" for each in shop]})
    return frame.assign(new=np.where(year >= 2008, "yes", "no"), cost=100_000.0 + 10.0 * (year - 1990))


def trained(table, target, precision, others=(), **head):
    """Return a trainer that has fitted and tested a model, and its metrics."""
    table.drop(columns=list(others)).to_csv("t.csv", index=False)
    seed_everything(0)
    data = TableData(path="t.csv", target=target, batch_size=32)
    model = Model(
        [{"dense": {"units": 16, "activation": "relu"}}],
        head=head,
        optimizer={"class_path": "AdamW", "init_args": {"lr": 1e-2, "eps": 1e-4}},
    )
    options = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    trainer = Trainer(max_epochs=20, accelerator="cpu", precision=precision, enable_model_summary=False, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(model, data)
        (figures,) = trainer.test(model, data, verbose=False)
    return trainer, figures


@pytest.mark.parametrize("precision", ["bf16-true", "16-true", "bf16-mixed", "64-true"])
def test_years_stay_apart(table, precision):
    """A column of years tells as much in half precision as in single; inputs aren't rounded, nor what is learned."""
    _, single = trained(table, "new", "32-true", others=["cost"])
    trainer, figures = trained(table, "new", precision, others=["cost"])
    assert single["test/accuracy"] > 0.95
    assert figures["test/accuracy"] > single["test/accuracy"] - 0.03
    wanted = {"bf16-true": torch.bfloat16, "16-true": torch.float16, "64-true": torch.float64}
    assert trainer.lightning_module.head.linear.weight.dtype == wanted.get(precision, torch.float32)
    assert isinstance(trainer.precision_plugin, HalfPrecisionNetwork) == (precision in HALF)


@pytest.mark.parametrize("precision", HALF)
def test_targets_keep_their_scale(table, precision):
    """Targets beyond 65,504, which differ by less than half precision rounds them, are learned and given back."""
    trainer, figures = trained(table, "cost", precision, others=["new"])
    assert figures["test/rmse"] < 30
    (prediction,) = trainer.lightning_module.predict(torch.tensor([[2000.0, 17.0]]))["prediction"]
    assert prediction == pytest.approx(100_100, abs=100)
