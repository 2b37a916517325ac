import pytest
import torch

from lightlab.batch import Batch
from lightlab.data.augment import Augment
from lightlab.data_spec import InputSpec

TABLE = InputSpec((3,), (10.0, -4.0), (5.0, 0.5), ("height", "weight"), {"city": ("Bonn", "Köln")}, kind="table")


@pytest.mark.parametrize(
    ("kind", "high", "scale"), [("image", 255.0, (20.0, 40.0)), ("image", 1.0, (0.1, 0.2)), ("array", 0.0, (3.0, 0.1))]
)
def test_std_is_that_of_normalised_inputs(kind, high, scale):
    """The noise of each channel is std times its scale, whatever the range of the pixels."""
    torch.manual_seed(0)
    middle = high / 2
    augment = Augment([{"gaussian_noise": 0.5}], InputSpec((2, 10, 10), (0.0, 0.0), scale, kind=kind, high=high))
    noise = augment(Batch(torch.full((500, 2, 10, 10), middle))).inputs - middle
    for channel in range(2):
        assert noise[:, channel].std().item() == pytest.approx(0.5 * scale[channel], rel=0.02)
        assert noise[:, channel].mean().item() == pytest.approx(0, abs=0.01 * scale[channel])


def test_images_keep_their_range():
    """What noise would push beyond black and white stays there; arrays have no such range."""
    for kind, high in [("image", 255.0), ("array", 0.0)]:
        spec = InputSpec((1, 8, 8), (0.0,), (60.0,), kind=kind, high=high)
        results = Augment([{"gaussian_noise": 1.0}], spec)(Batch(torch.zeros(50, 1, 8, 8))).inputs
        assert (results.min() == 0) if kind == "image" else (results.min() < -60)


def test_noise_on_a_table():
    """Numbers are disturbed in the units of their columns; categories and missing numbers stay."""
    torch.manual_seed(0)
    inputs = torch.tensor([[12.0, torch.nan, 1.0], [12.0, 3.0, -1.0]]).repeat(2000, 1)
    results = Augment([{"gaussian_noise": 0.2}], TABLE)(Batch(inputs)).inputs
    assert torch.equal(results[:, 2], inputs[:, 2])
    assert torch.equal(results.isnan(), inputs.isnan())
    assert (results[:, 0] - 12).std().item() == pytest.approx(1.0, rel=0.05)
    assert (results[1::2, 1] - 3).std().item() == pytest.approx(0.1, rel=0.05)


def test_feature_dropout():
    """A share of the cells, drawn one by one, becomes the offset, or an unknown category; what is missing stays."""
    torch.manual_seed(0)
    inputs = torch.tensor([[12.0, torch.nan, 1.0], [12.0, 3.0, 0.0]]).repeat(5000, 1)
    results = Augment([{"feature_dropout": 0.3}], TABLE)(Batch(inputs)).inputs
    lost = (results != inputs) & ~inputs.isnan()
    assert torch.equal(results.isnan(), inputs.isnan())
    assert torch.equal(results[lost], torch.tensor([10.0, -4.0, -1.0]).expand(10000, 3)[lost])
    assert lost[:, 0].float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert lost[1::2, 1].float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert lost[:, 2].float().mean().item() == pytest.approx(0.3, abs=0.02)
    assert (lost[:, 0] & lost[:, 2]).float().mean().item() == pytest.approx(0.09, abs=0.02)


def test_tables_of_one_kind_of_column():
    """Without categories, and without numbers, there is nothing else to do."""
    numbers = InputSpec((2,), (1.0, 2.0), (1.0, 1.0), ("a", "b"), kind="table")
    words = InputSpec((2,), (), (), (), {"a": ("x",), "b": ("y",)}, kind="table")
    torch.manual_seed(0)
    inputs = torch.zeros(100, 2)
    assert sorted(Augment([{"feature_dropout": 0.5}], numbers)(Batch(inputs)).inputs.unique()) == [0, 1, 2]
    assert sorted(Augment([{"feature_dropout": 0.5}], words)(Batch(inputs)).inputs.unique()) == [-1, 0]
    assert torch.equal(Augment(["gaussian_noise"], words)(Batch(inputs)).inputs, inputs)
