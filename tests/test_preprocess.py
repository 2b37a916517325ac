import copy

import pytest
import torch

from lightlab import InputSpec
from lightlab.preprocess import make_preprocess

DTYPES = [torch.float32, torch.float64, torch.float16, torch.int64, torch.uint8]


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns(dtype):
    """Each column of numbers of any type is shifted and scaled by its own; what comes out are floats."""
    preprocess = make_preprocess(InputSpec((3,), offset=(1.0, 2.0, 0.0), scale=(2.0, 1.0, 4.0)))
    outputs = preprocess(torch.tensor([[1, 5, 2], [9, 2, 0]], dtype=dtype))
    assert outputs.tolist() == [[0, 3, 0.5], [4, 0, 0]]
    assert outputs.dtype == torch.float32
    assert preprocess.output_shape == (3,)


@pytest.mark.parametrize("sizes", [(5,), (5, 4), (5, 4, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_channels(sizes, dtype):
    """Each channel is shifted and scaled by its own, whatever the dimensions after it."""
    preprocess = make_preprocess(InputSpec((2, *sizes), offset=(10.0, 20.0), scale=(2.0, 4.0)))
    inputs = torch.randint(0, 100, (3, 2, *sizes)).to(dtype)
    outputs = preprocess(inputs)
    torch.testing.assert_close(outputs[:, 0], (inputs[:, 0].float() - 10) / 2)
    torch.testing.assert_close(outputs[:, 1], (inputs[:, 1].float() - 20) / 4)
    assert outputs.dtype == torch.float32
    assert preprocess.output_shape == (2, *sizes)


def test_large_numbers_keep_their_differences():
    """Numbers of double precision are shifted before they lose any of it: times in seconds since 1970, say."""
    preprocess = make_preprocess(InputSpec((1,), offset=(float(2**30),), scale=(1.0,)))
    assert preprocess(torch.tensor([[2**30 + 1], [2**30 + 2]], dtype=torch.float64)).tolist() == [[1], [2]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_categories(dtype):
    """A category becomes one feature a value, after the numbers; an unknown one is all zeros."""
    spec = InputSpec(
        (3,),
        offset=(1.0,),
        scale=(2.0,),
        columns=("age",),
        categories={"pet": ("cat", "dog"), "home": ("a", "b", "c")},
        kind="table",
    )
    preprocess = make_preprocess(spec)
    outputs = preprocess(torch.tensor([[5, 1, 0], [1, -1, 2], [1, 0, -1]], dtype=dtype))
    assert outputs.tolist() == [[2, 0, 1, 1, 0, 0], [0, 0, 0, 0, 0, 1], [0, 1, 0, 0, 0, 0]]
    assert outputs.dtype == torch.float32
    assert preprocess.output_shape == (6,)


def test_categories_alone():
    """A table may have no column of numbers."""
    preprocess = make_preprocess(InputSpec((1,), offset=(), scale=(), categories={"pet": ("cat", "dog")}, kind="table"))
    assert preprocess(torch.tensor([[1.0], [0.0], [-1.0]])).tolist() == [[0, 1], [1, 0], [0, 0]]
    assert preprocess.output_shape == (2,)


def test_statistics_are_saved_and_not_trained():
    """What was learned is part of the state, and none of it a parameter."""
    spec = InputSpec(
        (2,), offset=(1.0,), scale=(2.0,), columns=("age",), categories={"pet": ("cat", "dog")}, kind="table"
    )
    preprocess = make_preprocess(spec)
    assert list(preprocess.parameters()) == []
    other = make_preprocess(InputSpec((2,), (0.0,), (1.0,), ("age",), {"pet": ("cat", "dog")}, kind="table"))
    other.load_state_dict(copy.deepcopy(preprocess.state_dict()))
    inputs = torch.tensor([[4.0, 1.0]])
    assert torch.equal(other(inputs), preprocess(inputs))
    assert other(inputs).tolist() == [[1.5, 0, 1]]


def test_in_half_precision():
    """A model in half precision is given half precision."""
    spec = InputSpec(
        (2,), offset=(1.0,), scale=(2.0,), columns=("age",), categories={"pet": ("cat", "dog")}, kind="table"
    )
    for preprocess in (make_preprocess(spec), make_preprocess(InputSpec((2,), (1.0, 0.0), (2.0, 1.0)))):
        assert preprocess.to(torch.bfloat16)(torch.tensor([[4.0, 1.0]])).dtype == torch.bfloat16


def test_missing_numbers():
    """A missing number is filled in before it is normalised; an indicator says where, after the numbers."""
    spec = InputSpec(
        (3,),
        (1.0, 0.0),
        (2.0, 1.0),
        ("age", "size"),
        {"pet": ("cat",)},
        kind="table",
        fill=(5.0, 7.0),
        indicators=("size",),
    )
    preprocess = make_preprocess(spec)
    nan = float("nan")
    outputs = preprocess(torch.tensor([[nan, nan, 0], [3, 4, -1], [nan, 4, 0]]))
    assert outputs.tolist() == [[2, 7, 1, 1], [1, 4, 0, 0], [2, 4, 0, 1]]
    assert preprocess.output_shape == (4,)


def test_embeddings():
    """A category may become a vector that is trained; one that was not seen in training is zero, and stays so."""
    spec = InputSpec(
        (3,), (0.0,), (1.0,), ("age",), {"pet": ("cat", "dog"), "home": ("a", "b")}, kind="table", embeddings={"pet": 3}
    )
    preprocess = make_preprocess(spec)
    assert preprocess.output_shape == (1 + 2 + 3,)
    outputs = preprocess(torch.tensor([[1.0, 0, 1], [1, 1, 0], [1, -1, -1]]))
    (vectors,) = preprocess.parameters()
    assert torch.equal(outputs[:, 3:], vectors[[1, 2, 0]])
    assert outputs[2].tolist() == [1, 0, 0, 0, 0, 0]
    outputs.square().sum().backward()
    assert vectors.grad[0].tolist() == [0, 0, 0]
    assert vectors.grad[1].abs().sum() > 0


def test_text_passes_through():
    """Codes of words are for the layers to embed."""
    codes = torch.tensor([[3, 1, 0]])
    preprocess = make_preprocess(InputSpec((3,), (), (), kind="text", vocabulary=("", "?", "a", "b")))
    assert torch.equal(preprocess(codes), codes)
    assert preprocess.output_shape == (3,)


def test_only_tables_have_columns():
    """A spec that would lose its columns can't be made."""
    with pytest.raises(ValueError, match="Only a table has columns"):
        InputSpec((1,), (), (), categories={"pet": ("cat",)})
