import pytest
import torch
from scipy.stats import beta as beta_distribution

from lightlab.batch import Batch
from lightlab.data.augment import Augment
from lightlab.data.augment.mix import beta
from lightlab.data_spec import InputSpec

IMAGES = InputSpec((1, 16, 20), (0.0,), (1.0,), kind="image", high=255.0)


def mix(config, inputs, spec=IMAGES):
    result = Augment([config], spec)(Batch(inputs))
    return result.inputs, result.mixed


@pytest.mark.parametrize("config", ["mixup", {"mixup": 2.0}, "cutmix", {"cutmix": {"probability": 0.5}}])
def test_mixture_is_what_mixed_says(config):
    """Each pixel's mean over the image is weight · own + (1 − weight) · partner's, exactly what the loss does."""
    torch.manual_seed(0)
    values = torch.randint(256, (200, 1, 1, 1)).float()
    results, (partner, weight) = mix(config, values.expand(-1, 1, 16, 20))
    own, other = values.flatten(), values[partner].flatten()
    torch.testing.assert_close(results.mean((1, 2, 3)), weight * own + (1 - weight) * other, rtol=1e-4, atol=1e-2)


def test_cutmix_puts_one_box():
    """Every pixel is the sample's own or its partner's at the same place; the partner's are a box."""
    torch.manual_seed(0)
    # A pixel says whose it is, and where it is.
    inputs = torch.arange(200.0)[:, None, None, None] * 1000 + torch.arange(320.0).reshape(16, 20)
    spec = InputSpec((1, 16, 20), (0.0,), (1.0,))
    results, (partner, weight) = mix("cutmix", inputs, spec)
    own, others = results == inputs, results == inputs[partner]
    assert (own | others).all()
    box = (~own)[:, 0]
    assert torch.equal(box.flatten(1).sum(1), box.any(1).sum(1) * box.any(2).sum(1))
    mixed = partner != torch.arange(200)
    torch.testing.assert_close(own.float().mean((1, 2, 3))[mixed], weight[mixed], rtol=0, atol=1e-6)
    assert len(weight.unique()) > 50
    # Alpha 1 asks for a uniform share; a box that is cut at the edges leaves more of the sample itself.
    assert 0.5 < weight.mean() < 0.75


@pytest.mark.parametrize(("alpha", "std"), [(0.2, 0.4226), (1.0, 0.2887), (8.0, 0.1213)])
def test_weights_are_of_beta(alpha, std):
    """Weights have the mean and the deviation of Beta(alpha, alpha): ½ and 1 / (2 √(2 alpha + 1))."""
    torch.manual_seed(0)
    _, mixed = mix({"mixup": alpha}, torch.zeros(20000, 1, 1, 1), InputSpec((1, 1, 1), (0.0,), (1.0,)))
    assert mixed.weight.mean().item() == pytest.approx(0.5, abs=0.01)
    assert mixed.weight.std().item() == pytest.approx(std, abs=0.01)
    # A quarter of the draws of Beta, by its distribution function, is below this value.
    quarter = mixed.weight.quantile(0.25).item()
    assert beta_distribution.cdf(quarter, alpha, alpha) == pytest.approx(0.25, abs=0.015)


def test_tiny_alpha_gives_numbers():
    """Where Beta has all its mass at the ends, no weight is lost to the limits of floats."""
    weight = beta(1e-3, torch.zeros(10000))
    assert torch.isfinite(weight).all()
    assert (weight < 0.01).float().mean().item() == pytest.approx(0.5, abs=0.03)
    assert (weight > 0.99).float().mean().item() == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_a_sample_alone_is_its_own_partner(name):
    """A batch of one row stays as it is."""
    inputs = torch.randint(256, (1, 1, 16, 20), dtype=torch.uint8)
    results, mixed = mix(name, inputs)
    assert mixed.partner.tolist() == [0]
    torch.testing.assert_close(results, inputs.float(), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["mixup", "cutmix"])
def test_probability_is_that_of_a_partner(name):
    """Who is not drawn keeps to itself."""
    torch.manual_seed(0)
    _, mixed = mix({name: {"probability": 0.3}}, torch.zeros(5000, 1, 16, 20))
    assert (mixed.partner != torch.arange(5000)).float().mean().item() == pytest.approx(0.3, abs=0.02)


def test_mixup_of_a_table():
    """Numbers are added up; one that is missing in either is missing, and a sample alone keeps what it has."""
    spec = InputSpec((2,), (0.0, 0.0), (1.0, 1.0), ("a", "b"), kind="table")
    inputs = torch.tensor([[1.0, torch.nan], [3.0, 5.0], [7.0, 8.0]]).repeat(50, 1)
    results, mixed = mix({"mixup": {"alpha": 1.0, "probability": 0.5}}, inputs, spec)
    expected = mixed.weight[:, None] * inputs + (1 - mixed.weight[:, None]) * inputs[mixed.partner]
    torch.testing.assert_close(results, expected, equal_nan=True)
    assert torch.equal(results.isnan(), inputs.isnan() | inputs[mixed.partner].isnan())
