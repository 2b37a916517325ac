"""What every registered augmentation keeps to: a new one needs a line in CASES, and nothing else here."""

import doctest
import inspect
import re
import sys

import pytest
import torch

from lightlab import ConfigError
from lightlab.batch import Batch
from lightlab.data.augment import Augment, Augmentation, Change, Mix
from lightlab.data_spec import InputSpec
from lightlab.registry import AUGMENTATIONS

IMAGES = InputSpec((3, 12, 10), (120.0, 100.0, 80.0), (60.0, 50.0, 40.0), kind="image", high=255.0)
TABLE = InputSpec((3,), (10.0, -4.0), (5.0, 0.5), ("height", "weight"), {"city": ("Bonn", "Köln")}, kind="table")
ARRAYS = InputSpec((2, 16, 16), (0.0, 1.0), (1.0, 2.0), kind="array")
VECTORS = InputSpec((5,), (0.0,) * 5, (1.0,) * 5, kind="array")
TEXTS = InputSpec((20,), (), (), kind="text", vocabulary=("a", "b"))

#: For each augmentation what a config gives it, the kinds of input it fits, and what a config can't give it.
CASES = {
    "color_jitter": ({"hue": 0.2}, [IMAGES], {"hue": 0.6}),
    "cutmix": (1.0, [IMAGES, ARRAYS], 0),
    "feature_dropout": (0.5, [TABLE, VECTORS], 1.0),
    "gaussian_noise": (0.3, [IMAGES, TABLE, ARRAYS, VECTORS], -0.1),
    "mixup": (1.0, [IMAGES, ARRAYS, VECTORS], "0.2"),
    "padded_crop": (3, [IMAGES, ARRAYS], 2.5),
    "rand_augment": ({"magnitude": 15, "operations": 3}, [IMAGES], {"operations": 0}),
    "random_erasing": ({"probability": 1.0}, [IMAGES, ARRAYS], {"area": [0.5, 0.1]}),
    "random_flip": ("both", [IMAGES, ARRAYS], "sideways"),
    "random_resized_crop": ({"area": [0.2, 0.6]}, [IMAGES, ARRAYS], {"ratio": [0.0, 1.0]}),
    "rotation": (90, [IMAGES, ARRAYS], 181),
    "translation": ({"share": 0.3, "fill": "edge"}, [IMAGES, ARRAYS], {"fill": "reflect"}),
    "trivial_augment": (None, [IMAGES], {"probability": 1.5}),
    "zoom": (0.5, [IMAGES, ARRAYS], 1.0),
}
KINDS = {"images": IMAGES, "table": TABLE, "arrays": ARRAYS, "vectors": VECTORS, "texts": TEXTS}

OWN = [name for name in AUGMENTATIONS.names() if AUGMENTATIONS.entry(name).provider.startswith("lightlab.")]
PAIRS = [(name, kind) for name in OWN for kind, spec in KINDS.items() if spec in CASES[name][1]]

for_each = pytest.mark.parametrize("name", OWN)
for_each_pair = pytest.mark.parametrize(("name", "kind"), PAIRS)


def build(name, spec, value=None):
    value = CASES[name][0] if value is None else value
    return Augment([name if value is None else {name: value}], spec)


def samples(spec, rows):
    """Return inputs as a loader gives them."""
    if spec.kind == "image":
        return torch.randint(256, (rows, *spec.shape), dtype=torch.uint8)
    inputs = torch.randn(rows, *spec.shape)
    if spec.categories:
        inputs[:, -1] = torch.arange(rows) % 2
    return inputs


def test_every_augmentation_has_a_case():
    """No registered augmentation escapes this file."""
    assert CASES.keys() == set(OWN)


@for_each_pair
@pytest.mark.parametrize("rows", [1, 2, 7])
def test_shape_type_and_input_stay(name, kind, rows):
    """Floats of the same shape come out, finite and within the pixels' range, and what came in is as it was."""
    spec = KINDS[kind]
    inputs = samples(spec, rows)
    before, targets, places = inputs.clone(), torch.arange(rows), torch.arange(rows) + 5
    result = build(name, spec)(Batch(inputs, targets, places, rows))
    assert torch.equal(inputs, before)
    assert result.inputs.shape == inputs.shape
    assert result.inputs.dtype == torch.float32
    assert torch.isfinite(result.inputs).all()
    if spec.high:
        assert result.inputs.min() >= 0
        assert result.inputs.max() <= spec.high * (1 + 1e-6)
    assert (result.targets is targets, result.places is places, result.total) == (True, True, rows)


@for_each_pair
def test_every_sample_has_random_numbers_of_its_own(name, kind):
    """Of copies of one sample, different ones come out; a mixing one mixes different samples differently."""
    spec = KINDS[kind]
    torch.manual_seed(0)
    augment = build(name, spec)
    mixes = isinstance(augment.steps[0], Mix)
    inputs = samples(spec, 2)
    inputs = inputs[torch.arange(64) % 2] if mixes else inputs[:1].repeat(64, *(1,) * (inputs.ndim - 1))
    result = augment(Batch(inputs))
    found = len(result.inputs.flatten(1).unique(dim=0))
    # Mirrored or not along two axes is four; two numbers and a category lost or not is eight.
    expected = {"random_flip": 4, "feature_dropout": 8 if kind == "table" else 16}
    assert found == expected[name] if name == "random_flip" else found >= expected.get(name, 20)
    if mixes:
        assert len(result.mixed.weight.unique()) >= 20
        assert sorted(result.mixed.partner.tolist()) == list(range(64))
        assert result.mixed.partner.dtype == torch.int64
        assert ((result.mixed.weight >= 0) & (result.mixed.weight <= 1)).all()
    else:
        assert result.mixed is None


@for_each_pair
def test_seed_reproduces(name, kind):
    """The same seed gives the same batch, and what follows differs."""
    spec = KINDS[kind]
    batch = Batch(samples(spec, 16))
    augment = build(name, spec)
    results = []
    for seed in (3, 3, None):
        if seed is not None:
            torch.manual_seed(seed)
        results.append(augment(batch).inputs)
    assert torch.equal(results[0], results[1])
    assert not torch.equal(results[1], results[2])


@for_each_pair
def test_no_rows_and_evaluation(name, kind):
    """A batch without rows comes back as it is, and so does every batch in evaluation."""
    spec = KINDS[kind]
    augment = build(name, spec)
    empty, full = Batch(samples(spec, 0)), Batch(samples(spec, 2))
    assert augment(empty) is empty
    assert augment.eval()(full) is full


@pytest.mark.parametrize("name", [name for name, kind in PAIRS if kind == "images"])
def test_eight_bit_and_floats_agree(name):
    """Pixels of 8 bit, the same as floats, and the same in 16 bit or from 0 to 1 give the same image."""
    inputs = samples(IMAGES, 16)
    results = []
    for high, given in [
        (255.0, inputs),
        (255.0, inputs.float()),
        (65535.0, inputs.float() * 257),
        (1.0, inputs.double() / 255),
    ]:
        factor = high / 255
        offset, scale = (tuple(value * factor for value in values) for values in (IMAGES.offset, IMAGES.scale))
        torch.manual_seed(5)
        augment = build(name, InputSpec(IMAGES.shape, offset, scale, kind="image", high=high))
        results.append(augment(Batch(given)).inputs / factor)
    assert torch.equal(results[0], results[1])
    for result in results[2:]:
        # Where a value is the very limit of an operation, a rounding decides on which side of it.
        different = (result - results[0]).abs() > 0.01
        assert different.float().mean() < 0.01


@for_each
def test_nothing_is_left_in_a_checkpoint(name):
    """Statistics are built from the spec: nothing is to be saved or loaded."""
    assert not build(name, CASES[name][1][0]).state_dict()


@pytest.mark.parametrize(
    ("name", "kind"),
    [pair for pair in PAIRS if "probability" in inspect.signature(AUGMENTATIONS.get(pair[0])).parameters],
)
def test_probability(name, kind):
    """With probability 0 samples come out as they are; with one half about half of them do, exactly."""
    torch.manual_seed(1)
    spec = KINDS[kind]
    value = CASES[name][0]
    value = value if isinstance(value, dict) else {} if value is None else {first_parameter(name): value}
    inputs = samples(spec, 400)
    augment = build(name, spec, {**value, "probability": 0.0})
    torch.testing.assert_close(augment(Batch(inputs)).inputs, inputs.float(), rtol=1e-6, atol=0)
    (step,) = build(name, spec, {**value, "probability": 0.5}).steps
    floats = inputs.float() / (spec.high or 1)
    result = step(floats)[0] if isinstance(step, Mix) else step(floats)
    same = (result == floats).flatten(1).all(1).float().mean()
    # Both axes are drawn by themselves; one operation of TrivialAugment does nothing, and others do at level 0.
    expected = {"random_flip": 0.25, "trivial_augment": 0.55}.get(name, 0.5)
    assert same.item() == pytest.approx(expected, abs=0.1)


def first_parameter(name):
    return next(iter(inspect.signature(AUGMENTATIONS.get(name)).parameters))


@pytest.mark.parametrize(
    ("name", "kind"), [(name, kind) for name in OWN for kind in KINDS if (name, kind) not in PAIRS]
)
def test_other_inputs_are_refused(name, kind):
    """What does not fit is answered with what is needed, what was received, and where."""
    with pytest.raises(ConfigError, match=rf"{name} needs .+\. Received: (a table of 3 columns|\w+s)") as caught:
        build(name, KINDS[kind])
    (fault,) = caught.value.faults
    assert fault.key[:3] == ("data", "augment", 0)


@for_each
def test_parameters_that_can_not_be(name):
    """A parameter out of its range, or of another type, is a fault at its own key."""
    value = CASES[name][2]
    with pytest.raises(ConfigError) as caught:
        build(name, CASES[name][1][0], value)
    (fault,) = caught.value.faults
    parameter = next(iter(value)) if isinstance(value, dict) else first_parameter(name)
    received = value[parameter] if isinstance(value, dict) else value
    assert fault.key == ("data", "augment", 0, name, parameter)
    assert f"{name}'s {parameter} must be " in fault.message
    assert f"Received: {received!r}." in fault.message


@for_each
def test_is_documented(name):
    """The docstring has a summary, every parameter, what goes in, and an example."""
    augmentation = AUGMENTATIONS.get(name)
    text = inspect.getdoc(augmentation)
    assert re.match(r"[A-Z].*[.:]", text.split("\n\n")[0], re.DOTALL)
    section = re.search(r"^Args:\n((?:    .*\n)+)", text, re.MULTILINE)
    documented = re.findall(r"^    (\w+): \S", section[1], re.MULTILINE) if section else []
    parameters = inspect.signature(augmentation).parameters
    assert documented == list(parameters)
    assert all(p.annotation is not p.empty for p in parameters.values())
    assert re.search(r"^Inputs: \S", text, re.MULTILINE)
    assert re.search(r"^Example:\n    >>> ", text, re.MULTILINE)


@for_each
def test_example_runs(name):
    """The example is found by doctest under the class's own name, and runs."""
    augmentation = AUGMENTATIONS.get(name)
    assert issubclass(augmentation, Change | Mix)
    assert issubclass(augmentation, Augmentation)
    module = sys.modules[augmentation.__module__]
    full_name = f"{module.__name__}.{augmentation.__name__}"
    found = [test for test in doctest.DocTestFinder().find(module) if test.name == full_name]
    assert len(found) == 1
    assert found[0].examples
    found[0].globs["torch"] = torch
    runner = doctest.DocTestRunner(verbose=False, optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS)
    report = []
    runner.run(found[0], out=report.append)
    assert not runner.summarize(verbose=False).failed, "".join(report)
