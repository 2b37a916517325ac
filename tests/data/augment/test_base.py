import pytest
import torch
from torch import nn

from lightlab import ConfigError
from lightlab.batch import Batch
from lightlab.data.augment import Augment, parse_augment
from lightlab.data.augment.base import describe
from lightlab.data_spec import InputSpec
from lightlab.registry import AUGMENTATIONS

IMAGES = InputSpec((3, 8, 8), (120.0,) * 3, (60.0,) * 3, kind="image", high=255.0)


def test_every_fault_is_found_at_once():
    """Names, forms and parameters of all entries are checked, without knowing the inputs."""
    config = ["random_flop", {"padded_crop": -1}, 7, {"mixup": {"alpha": 0, "probabilty": 1}}, "random_flip"]
    for check in (parse_augment, lambda config: Augment(config, IMAGES)):
        with pytest.raises(ConfigError) as caught:
            check(config)
        faults = [str(fault) for fault in caught.value.faults]
        assert [fault.split(": ")[0] for fault in faults] == [
            "data.augment[0]",
            "data.augment[1].padded_crop.padding",
            "data.augment[2]",
            "data.augment[3].mixup.alpha",
            "data.augment[3].mixup.probabilty",
        ]
        assert "No augmentation is called 'random_flop'. Did you mean random_flip?" in faults[0]
        assert "padded_crop's padding must be greater than 0. Received: -1." in faults[1]
        assert "One augmentation is 'name', 'name: value' or 'name: {parameter: value}'. Received: 7." in faults[2]
        assert "mixup has no parameter 'probabilty'. Did you mean probability?" in faults[4]


def test_faults_of_names_and_of_inputs_are_found_together():
    """What does not fit the inputs is said beside what is wrong in itself, in the order found."""
    spec = InputSpec((13,), (0.0,) * 13, (1.0,) * 13, tuple("abcdefghijklm"), kind="table")
    with pytest.raises(ConfigError) as caught:
        Augment(["random_flip", {"gaussian_noise": "much"}, "cutmix"], spec, key=("data", "init_args", "augment"))
    assert {fault.key[:4] for fault in caught.value.faults} == {("data", "init_args", "augment", n) for n in range(3)}
    assert (
        "data.init_args.augment[0]: random_flip needs images (channels, height, width). "
        "Received: a table of 13 columns."
    ) in str(caught.value)


@pytest.mark.parametrize("config", [None, "random_flip", {"random_flip": None}])
def test_what_is_no_list(config):
    """Augmentations are a list, one alone too."""
    with pytest.raises(ConfigError, match=r"^data\.augment: Augmentations are a list.* Received: "):
        parse_augment(config)


def test_parse_returns_what_was_given():
    """Each entry has its name, its place, and its parameters, lists as tuples."""
    first, second = parse_augment(["random_flip", {"random_erasing": {"area": [0.1, 0.2]}}], ("augment",))
    assert (first.name, first.key, first.parameters) == ("random_flip", ("augment", 0), {})
    assert (second.name, second.key) == ("random_erasing", ("augment", 1, "random_erasing"))
    assert second.parameters == {"area": (0.1, 0.2)}


@pytest.mark.parametrize("config", [["mixup", {"cutmix": 1.0}], ["cutmix", "random_flip", "cutmix"]])
def test_samples_are_mixed_once(config):
    """A batch has room for one partner a row, so a second mixing is a fault where it stands."""
    with pytest.raises(ConfigError, match="One augmentation at most mixes samples") as caught:
        parse_augment(config)
    (fault,) = caught.value.faults
    assert fault.key[2] == len(config) - 1
    assert f"beside {config[0]} at data.augment[0]." in fault.message


def test_order_is_that_of_the_config():
    """What erasing covers with a neutral value, noise disturbs if it comes later, and not if it comes before."""
    erasing = {"random_erasing": {"probability": 1.0, "area": [0.25, 0.25], "ratio": [1.0, 1.0]}}
    inputs = torch.zeros(32, 3, 8, 8)
    for config, expected in [([{"gaussian_noise": 0.1}, erasing], 16), ([erasing, {"gaussian_noise": 0.1}], 0)]:
        result = Augment(config, IMAGES)(Batch(inputs)).inputs
        covered = (result[:, 0] - 120).abs() < 1e-4
        assert (covered.flatten(1).sum(1) == expected).all()


def test_nothing_to_do():
    """Without augmentations a batch is not even copied."""
    batch = Batch(torch.zeros(2, 3, 8, 8, dtype=torch.uint8))
    assert Augment([], IMAGES)(batch) is batch


def test_no_gradient_is_recorded():
    """What is random here is no part of what is learned."""
    inputs = torch.zeros(2, 3, 8, 8, requires_grad=True)
    assert not Augment(["random_flip"], IMAGES)(Batch(inputs)).inputs.requires_grad


def test_any_module_can_be_registered(monkeypatch):
    """A plugin's function that returns a plain module, tensor to tensor, is an augmentation."""

    def invert(limit: float = 1.0) -> nn.Module:
        class Invert(nn.Module):
            def forward(self, inputs):
                return limit - inputs

        return Invert()

    # What this test registers is gone after it.
    monkeypatch.setattr(AUGMENTATIONS, "_entries", {name: AUGMENTATIONS.entry(name) for name in AUGMENTATIONS.names()})
    AUGMENTATIONS.add("invert", invert, provider="test")
    result = Augment(["invert"], IMAGES)(Batch(torch.full((1, 3, 8, 8), 55, dtype=torch.uint8)))
    torch.testing.assert_close(result.inputs, torch.full((1, 3, 8, 8), 200.0))


def test_statistics_follow_the_batch():
    """Statistics are moved to where the batch is; "meta" stands for another device."""
    augment = Augment(["gaussian_noise", {"random_erasing": 1.0}], IMAGES)
    batch = Batch(torch.zeros(4, 3, 8, 8, dtype=torch.uint8))
    assert augment.to("meta")(batch._replace(inputs=batch.inputs.to("meta"))).inputs.device.type == "meta"
    fresh = Augment(["gaussian_noise", {"random_erasing": 1.0}], IMAGES)
    assert fresh(batch._replace(inputs=batch.inputs.to("meta"))).inputs.device.type == "meta"


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        (InputSpec((2,), (0.0,) * 2, (1.0,) * 2, ("a", "b"), kind="table"), "a table of 2 columns"),
        (IMAGES, "images of shape (3, 8, 8)"),
        (InputSpec((4, 7), (0.0,) * 4, (1.0,) * 4), "arrays of shape (4, 7)"),
        (InputSpec((20,), (), (), kind="text"), "texts"),
    ],
)
def test_describe(spec, text):
    assert describe(spec) == text
