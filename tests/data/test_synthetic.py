"""Synthetic data has any shape, suits its problem, and holds something to learn."""

import pytest
import torch

from lightlab.data import SyntheticData
from lightlab.data.synthetic import SyntheticProblem
from lightlab.errors import ConfigError


@pytest.mark.parametrize("problem", SyntheticProblem.__args__)
@pytest.mark.parametrize("shape", [[5], [6, 4], [1, 8, 8], [2, 4, 8, 8]])
def test_shapes_and_problems(shape, problem):
    """Inputs of rank 2 to 5, with targets that the problem is inferred from or can be checked against."""
    data = SyntheticData(shape, problem, rows=60)
    spec = data.connect(problem)
    batch = next(iter(data.train_dataloader()))
    assert spec.input.shape == tuple(batch.inputs.shape[1:]) == tuple(shape)
    assert torch.isfinite(batch.targets.float()).all()
    if problem == "bounded_regression":
        assert 0 <= batch.targets.min() <= batch.targets.max() <= 1


def test_there_is_something_to_learn():
    """Without noise, least squares finds the map behind the targets."""
    data = SyntheticData([6], "regression", rows=100, outputs=2, noise=0.0)
    rows = data.load("fit")["all"]
    solution = torch.linalg.lstsq(rows.inputs, torch.tensor(rows.targets.to_numpy()))
    assert (rows.inputs @ solution.solution - torch.tensor(rows.targets.to_numpy())).abs().max() < 1e-4


def test_seed_decides():
    """The same seed gives the same samples."""
    first, again, other = (SyntheticData([3], rows=10, seed=seed).load("fit")["all"].inputs for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(
    "options",
    [{"shape": []}, {"shape": [0]}, {"shape": [3], "rows": 0}, {"shape": [3], "problem": "binary", "outputs": 3}],
)
def test_sizes_that_can_t_be(options):
    """Sizes are positive, and two classes are two."""
    with pytest.raises(ConfigError):
        SyntheticData(**options)


@pytest.mark.parametrize("options", [{"rows": 10**9}, {"outputs": 2**31 - 1}, {"shape": [40_000, 40_000], "rows": 1}])
def test_more_than_memory_holds(options):
    """It is refused before anything is made, with the number."""
    with pytest.raises(ConfigError, match="SyntheticData makes at most 1,073,741,824 numbers. Received: "):
        SyntheticData(**{"shape": [20], **options})
