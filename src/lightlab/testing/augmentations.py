"""What every registered augmentation keeps to."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightlab.batch import Batch
from lightlab.data.augment import Augment, Mix
from lightlab.data_spec import InputSpec
from lightlab.errors import ConfigError, format_key
from lightlab.registry import AUGMENTATIONS
from lightlab.testing.checks import Case, Check
from lightlab.testing.documentation import documentation_checks

#: What augmentations are tried on; the last column of the table is one of categories.
KINDS = {
    "images": InputSpec((3, 12, 10), (120.0, 100.0, 80.0), (60.0, 50.0, 40.0), kind="image", high=255.0),
    "numbers": InputSpec((5,), (10.0,) * 5, (5.0,) * 5, ("a", "b", "c", "d", "e"), kind="table"),
    "table": InputSpec((5,), (1.0,) * 4, (2.0,) * 4, ("a", "b", "c", "d"), {"city": ("Bonn", "Köln")}, kind="table"),
    "arrays": InputSpec((2, 16, 16), (0.0, 1.0), (1.0, 2.0), kind="array"),
    "vectors": InputSpec((5,), (0.0,) * 5, (1.0,) * 5, kind="array"),
    "texts": InputSpec((20,), (), (), kind="text", vocabulary=("a", "b")),
}
#: So many samples show whether each has random numbers of its own.
COPIES = 64


@dataclass(frozen=True)
class AugmentationCase(Case):
    """An augmentation, and how it is tried.

    Args:
        name: under which it is registered.
        fits: the kinds of inputs that it fits, keys of `KINDS`; others it has to refuse.
        value: what a config gives it: a mapping of parameters, or a value for the first; ``None`` for nothing.
        refused: what a config must not give it: a mapping of one parameter, or a value for the first; ``None``
            where it has no parameters.
        outcomes: how many different results 64 copies of one sample have at least.
        unchanged: the share of samples that stay as they were with ``probability: 0.5``.

    Example:
        >>> for check in AugmentationCase("random_flip", ["images", "arrays"], "both", "upside", 4, 0.25).checks():
        ...     check()
    """

    registry: ClassVar = AUGMENTATIONS
    sections: ClassVar = {"Inputs: (batch, …)": r"^Inputs: \S"}

    name: str
    fits: Sequence[str]
    value: Any = None
    refused: Any = None
    outcomes: int = 20
    unchanged: float = 0.5

    def checks(self) -> Iterator[Check]:
        """Yield a check for each rule, and for each kind of inputs that the rule is tried on."""
        for kind in self.fits:
            for rows in (1, 2, 7):
                yield self.check(shape_type_and_input_stay, kind, rows, on=f"{kind}-{rows}")
            for rule in (every_sample_has_random_numbers_of_its_own, seed_reproduces, no_rows_and_evaluation):
                yield self.check(rule, kind, on=kind)
            if "probability" in self.parameters:
                yield self.check(probability_is_kept, kind, on=kind)
            if kind == "images":
                yield self.check(all_ranges_of_pixels_agree)
            yield self.check(nothing_is_left_in_a_checkpoint, kind, on=kind)
        for kind in (kind for kind in KINDS if kind not in self.fits):
            yield self.check(other_inputs_are_refused, kind, on=kind)
        if self.parameters:
            yield self.check(refuses_what_can_not_be)
        yield from documentation_checks(self)

    def build(self, spec: InputSpec, value: Any = None) -> Augment:
        """Return it as a config has it, with the case's value or another."""
        value = self.value if value is None else value
        return Augment([self.name if value is None else {self.name: value}], spec)


def samples(spec: InputSpec, rows: int) -> Tensor:
    """Return inputs as a loader gives them."""
    if spec.kind == "image":
        return torch.randint(256, (rows, *spec.shape), dtype=torch.uint8)
    inputs = torch.randn(rows, *spec.shape)
    if spec.categories:
        inputs[:, -1] = torch.arange(rows) % 2
    return inputs


def shape_type_and_input_stay(case: AugmentationCase, kind: str, rows: int) -> None:
    """Floats of the same shape come out, finite and within the pixels' range, and what came in is as it was."""
    spec = KINDS[kind]
    inputs = samples(spec, rows)
    before, targets, places = inputs.clone(), torch.arange(rows), torch.arange(rows) + 5
    result = case.build(spec)(Batch(inputs, targets, places, rows))
    outputs = result.inputs
    case.require(torch.equal(inputs, before), "The inputs are not written into.", "other values in them afterwards")
    case.require(outputs.shape == inputs.shape, f"The shape stays, {tuple(inputs.shape)}.", tuple(outputs.shape))
    case.require(outputs.dtype == torch.float32, "Outputs are of the type torch.float32.", outputs.dtype)
    case.require(torch.isfinite(outputs).all(), "Outputs of finite inputs are finite.", outputs)
    if spec.high:
        within = outputs.min() >= 0 and outputs.max() <= spec.high * (1 + 1e-6)
        received = f"{outputs.min()} to {outputs.max()}"
        case.require(bool(within), f"Pixels stay within their range, 0 to {spec.high}.", received)
    kept = result.targets is targets and result.places is places and result.total == rows
    case.require(kept, "Targets, places and total of a batch stay.", result)


def every_sample_has_random_numbers_of_its_own(case: AugmentationCase, kind: str) -> None:
    """Of copies of one sample, different ones come out; a mixing one mixes different samples differently."""
    spec = KINDS[kind]
    augment = case.build(spec)
    mixes = isinstance(augment.steps[0], Mix)
    inputs = samples(spec, 2)[torch.arange(COPIES) % 2 if mixes else torch.zeros(COPIES, dtype=torch.long)]
    result = augment(Batch(inputs))
    found = len(result.inputs.flatten(1).unique(dim=0))
    rule = f"{COPIES} copies of one sample have at least {case.outcomes} different results."
    case.require(found >= case.outcomes, rule, found)
    if not mixes:
        case.require(result.mixed is None, "Only a subclass of Mix mixes samples.", result.mixed)
        return
    partner, weight = result.mixed.partner, result.mixed.weight
    distinct = len(weight.unique())
    case.require(distinct >= case.outcomes, f"Samples have at least {case.outcomes} different weights.", distinct)
    permuted = partner.dtype == torch.int64 and sorted(partner.tolist()) == list(range(COPIES))
    case.require(permuted, "Each sample is partner of one: places in the batch, int64.", partner)
    case.require(((weight >= 0) & (weight <= 1)).all(), "Weights are from 0 to 1.", weight)


def seed_reproduces(case: AugmentationCase, kind: str) -> None:
    """The same seed gives the same batch, and what follows differs."""
    batch = Batch(samples(KINDS[kind], 16))
    augment = case.build(KINDS[kind])
    results = []
    for seed in (3, 3, None):
        if seed is not None:
            torch.manual_seed(seed)
        results.append(augment(batch).inputs)
    case.require(torch.equal(results[0], results[1]), "The same seed of torch's gives the same batch.", "another one")
    case.require(not torch.equal(results[1], results[2]), "The next batch is augmented differently.", "the same one")


def no_rows_and_evaluation(case: AugmentationCase, kind: str) -> None:
    """A batch without rows comes back as it is, and so does every batch in evaluation."""
    augment = case.build(KINDS[kind])
    empty, full = Batch(samples(KINDS[kind], 0)), Batch(samples(KINDS[kind], 2))
    case.require(augment(empty) is empty, "A batch without rows comes back as it is.", "another one")
    case.require(augment.eval()(full) is full, "In evaluation a batch comes back as it is.", "another one")


def all_ranges_of_pixels_agree(case: AugmentationCase) -> None:
    """Pixels of 8 bit, the same as floats, and the same in 16 bit or from 0 to 1 give the same image."""
    images = KINDS["images"]
    inputs = samples(images, 16)
    given = {255.0: inputs.float(), 65535.0: inputs.float() * 257, 1.0: inputs.double() / 255}
    torch.manual_seed(5)
    expected = case.build(images)(Batch(inputs)).inputs
    for high, pixels in given.items():
        factor = high / 255
        offset, scale = (tuple(value * factor for value in values) for values in (images.offset, images.scale))
        torch.manual_seed(5)
        spec = replace(images, offset=offset, scale=scale, high=high)
        result = case.build(spec)(Batch(pixels)).inputs / factor
        if high == images.high:
            rule = "Pixels of 8 bit and the same as floats give the same images."
            case.require(torch.equal(result, expected), rule, result - expected)
        # Where a value is the very limit of an operation, a rounding decides on which side of it.
        different = ((result - expected).abs() > 0.01).float().mean().item()
        rule = f"Pixels from 0 to {high:g} and from 0 to 255 give the same images."
        case.require(different < 0.01, rule, f"{different:.1%} of the pixels differ")


def nothing_is_left_in_a_checkpoint(case: AugmentationCase, kind: str) -> None:
    """Statistics are built from the spec: nothing is to be saved or loaded."""
    state = case.build(KINDS[kind]).state_dict()
    case.require(not state, "Buffers are registered with persistent=False: adapt() makes them.", ", ".join(state))


def probability_is_kept(case: AugmentationCase, kind: str) -> None:
    """With probability 0 samples come out as they are; with one half about half of them do, exactly."""
    spec, value = KINDS[kind], case.value
    given = value if isinstance(value, dict) else {} if value is None else {next(iter(case.parameters)): value}
    inputs = samples(spec, 400)
    never = case.build(spec, {**given, "probability": 0.0})(Batch(inputs)).inputs
    same = torch.allclose(never, inputs.float(), rtol=1e-6, atol=0)
    case.require(same, "With probability 0 samples stay as they are.", (never - inputs).abs().max())
    (step,) = case.build(spec, {**given, "probability": 0.5}).steps
    floats = inputs.float() / (spec.high or 1)
    result = step(floats)[0] if isinstance(step, Mix) else step(floats)
    share = (result == floats).flatten(1).all(1).float().mean().item()
    rule = f"With probability 0.5 the share of samples that stay as they were is about {case.unchanged}."
    case.require(abs(share - case.unchanged) <= 0.1, rule, round(share, 3))


def other_inputs_are_refused(case: AugmentationCase, kind: str) -> None:
    """What does not fit is answered with what is needed, what was received, and where."""
    try:
        case.build(KINDS[kind])
    except ConfigError as error:
        (fault,) = error.faults
        rule, _, received = fault.message.partition(". Received: ")
        says = rule.startswith(f"{case.name} needs ") and len(rule) > len(f"{case.name} needs ") and received
        case.require(bool(says), f"It is refused with '{case.name} needs …. Received: …'.", fault.message)
        case.require(fault.key[:3] == ("data", "augment", 0), "The error says where in the config.", fault.key)
    else:
        rule = "Its method needs() refuses what it does not fit: all but " + ", ".join(case.fits) + "."
        case.require(False, rule, f"no error for {kind}")


def refuses_what_can_not_be(case: AugmentationCase) -> None:
    """A parameter out of its range, or of another type, is a fault at its own key."""
    value = case.refused
    case.require(value is not None, "A case of one that has parameters has 'refused', a value that is none.", value)
    parameter, received = next(iter(value.items())) if isinstance(value, dict) else (next(iter(case.parameters)), value)
    try:
        case.build(KINDS[case.fits[0]], value)
    except ConfigError as error:
        (fault,) = error.faults
        here = fault.key[:5] == ("data", "augment", 0, case.name, parameter)
        case.require(here, f"The error is at the key of {parameter}.", fault.key)
        entry = (parameter, *fault.key[5:])  # of a list, the entry that is wrong
        for place in fault.key[5:]:
            received = received[place]
        start, end = f"{case.name}'s {format_key(entry)} must be ", f"Received: {received!r}."
        says = start in fault.message and end in fault.message
        rule = f'It is refused with "{start}…. {end}"'
        case.require(says, rule, fault.message)
    else:
        case.require(False, f"The type of {parameter} says what it can be.", f"no error for {received!r}")
