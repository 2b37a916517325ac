import pytest
import torch

from lightlab.batch import Batch
from lightlab.data.augment import Augment
from lightlab.data_spec import InputSpec

SPEC = InputSpec((2, 40, 50), (30.0, 200.0), (10.0, 20.0), kind="image", high=255.0)


def erase(inputs, spec=SPEC, **parameters):
    return Augment([{"random_erasing": {"probability": 1.0, **parameters}}], spec)(Batch(inputs)).inputs


def test_a_box_is_covered_and_the_rest_stays():
    """What is covered is a box of an allowed area, with each channel's offset; nothing else changes."""
    torch.manual_seed(0)
    inputs = torch.randint(90, 110, (300, 2, 40, 50), dtype=torch.uint8)
    results = erase(inputs, area=[0.1, 0.2], ratio=[0.5, 2.0])
    covered = (results[:, 0] - 30).abs() < 1e-3
    assert torch.equal(covered, (results[:, 1] - 200).abs() < 1e-3)
    areas = covered.flatten(1).sum(1)
    sides = covered.any(1).sum(1) * covered.any(2).sum(1)
    assert torch.equal(areas, sides)
    assert 0.095 < areas.min() / 2000 < 0.11
    assert 0.19 < areas.max() / 2000 < 0.205
    rest = ~covered[:, None].expand_as(inputs)
    torch.testing.assert_close(results[rest], inputs.float()[rest], rtol=1e-6, atol=0)


def test_share_of_samples():
    """Samples are covered as often as the probability says."""
    torch.manual_seed(0)
    results = erase(torch.full((2000, 2, 40, 50), 100.0), probability=0.3)
    covered = (results[:, 0] < 99).flatten(1).any(1)
    assert covered.float().mean().item() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("kind", ["image", "array"])
def test_fills(kind):
    """Black, or noise around each channel's offset, within the pixels' range where there is one."""
    torch.manual_seed(0)
    high = 255.0 if kind == "image" else 0.0
    spec = InputSpec(SPEC.shape, SPEC.offset, SPEC.scale, kind=kind, high=high)
    whole = {"area": [1.0, 1.0], "ratio": [1.25, 1.25]}
    inputs = torch.full((50, 2, 40, 50), 100.0)
    assert not erase(inputs, spec, fill="zeros", **whole).any()
    noise = erase(inputs, spec, fill="noise", **whole)
    assert noise[:, 0].mean().item() == pytest.approx(30, abs=0.2)
    assert noise[:, 0].std().item() == pytest.approx(10, abs=0.2)
    assert noise[:, 1].mean().item() == pytest.approx(200, abs=0.4)
    assert (noise.max() <= 255.001) == (kind == "image")
