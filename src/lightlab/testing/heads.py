"""What every registered head keeps to, and the row of the table of problems that it belongs to."""

from __future__ import annotations

import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch import Tensor

from lightlab.data_spec import TargetSpec
from lightlab.heads.base import Head
from lightlab.metrics import EpochMetrics
from lightlab.problems import Problem
from lightlab.registry import HEADS, PROBLEMS
from lightlab.testing.checks import Case, Check, saved
from lightlab.testing.documentation import documentation_checks

#: Length of the vectors that heads are tried on.
FEATURES = 6
#: A logit that a network gives when its training runs away, and from which it has to find back.
LARGE = 1e4


@dataclass(frozen=True, eq=False)
class HeadCase(Case):
    """A head, with the problem of its name, and how they are tried.

    Args:
        name: of the problem and of the head.
        target: what is to be predicted, as it would be learned from a train split.
        targets: of some rows, (rows, …), as the head takes them: codes of classes, or a column for each label or
            quantity.
        options: what ``model.head`` gives it, beside ``loss``: each loss is tried.

    Example:
        >>> ages = TargetSpec(("age",), mean=(40.0,), std=(10.0,))
        >>> case = HeadCase("regression", ages, torch.tensor([[30.0], [40.0], [55.0]]))
        >>> [check.id for check in case.checks()][4:6]
        ['regression-loss_is_per_row-mse', 'regression-stable_at_large_logits-mse']
        >>> for check in case.checks():
        ...     check()
    """

    registry: ClassVar = HEADS

    name: str
    target: TargetSpec
    targets: Tensor
    options: Mapping[str, Any] = field(default_factory=dict)

    def checks(self) -> Iterator[Check]:
        """Yield a check for each rule, and for each loss that the rule is tried with."""
        yield self.check(losses_are_those_of_the_problem)
        yield self.check(metrics_are_those_of_the_problem)
        yield self.check(is_a_head)
        yield self.check(targets_are_valid)
        for loss in self.losses or ("",):
            options = {"loss": loss} if loss else {}
            yield self.check(loss_is_per_row, options, on=loss)
            yield self.check(stable_at_large_logits, options, on=loss)
        yield self.check(decoded_columns)
        yield self.check(metrics_take_what_the_head_gives)
        yield self.check(survives_saving)
        yield self.check(is_built_without_memory)
        yield from documentation_checks(self)

    @property
    def problem(self) -> Problem:
        """The row of the table of problems.

        Raises:
            RegistryError: there is none of the head's name.
        """
        return PROBLEMS.get(self.name)

    @property
    def losses(self) -> tuple[str, ...]:
        """The losses that the head's parameter ``loss`` chooses from; none where it has no such parameter."""
        hints = typing.get_type_hints(self.component.__init__)
        return typing.get_args(hints["loss"]) if "loss" in hints else ()

    def build(self, **options: Any) -> Head:
        """Return a new head."""
        head: Head = self.component(FEATURES, target=self.target, **{**self.options, **options})
        return head

    def features(self) -> Tensor:
        """Return what the layers before the head might give, (rows, features)."""
        return torch.randn(len(self.targets), FEATURES)


def losses_are_those_of_the_problem(case: HeadCase) -> None:
    """The head offers the losses that the problem lists, and its default is the first."""
    listed = case.problem.losses
    if "loss" in case.parameters:
        rule = f"The head's parameter 'loss' is a Literal of the problem's losses, {listed}."
        case.require(case.losses == listed, rule, case.losses)
        default = case.parameters["loss"].default
        case.require(default == listed[0], f"The default loss is the problem's first, {listed[0]!r}.", repr(default))
    else:
        case.require(len(listed) == 1, "A problem of several losses has a head with a parameter 'loss'.", listed)


def metrics_are_those_of_the_problem(case: HeadCase) -> None:
    """The metrics are those that the problem lists; one for each label ends in its name; one of them is watched."""
    row, expected = case.problem, ["loss"]
    for metric in row.metrics:
        stem, _, each = metric.partition("<")
        expected += [f"{stem}{column}" for column in case.target.columns] if each else [metric]
    modes = EpochMetrics(case.build(), case.target.columns).modes()
    case.require(list(modes) == expected, f"The head's metrics are those of the problem: {expected}.", list(modes))
    watched = row.monitor.removeprefix("val/")
    case.require(watched in modes, f"What the problem watches is one of {expected}.", row.monitor)
    rule = f"The problem's mode says whether more of {watched} is better, as the metric does: {modes[watched]}."
    case.require(modes[watched] == row.mode, rule, row.mode)


def is_a_head(case: HeadCase) -> None:
    """The head is a `Head`: its last linear layer, `linear`, takes what comes in, and gives the logits."""
    head = case.build()
    case.require(isinstance(head, Head), "A head is a subclass of lightlab.Head.", type(head))
    logits = head(case.features())
    expected = (len(case.targets), head.linear.out_features)
    case.require(logits.shape == expected, f"A head gives logits, {expected}.", tuple(logits.shape))


def targets_are_valid(case: HeadCase) -> None:
    """The case's targets can be learned, NaN can't; there is an answer for each value, and words for the rule."""
    head, targets = case.build(), case.targets
    valid = head.valid(targets)
    received = f"{valid.dtype} of {tuple(valid.shape)}"
    case.require(valid.dtype == torch.bool and valid.shape == targets.shape, "valid() has a bool a value.", received)
    case.require(valid.all(), "The case's targets are valid.", targets[~valid])
    if targets.is_floating_point():
        unknown = head.valid(torch.full_like(targets, torch.nan))
        case.require(not unknown.any(), "NaN is no valid target.", "it is accepted")
    case.require(head.rule.endswith("."), "The head's rule is a sentence.", repr(head.rule))


def loss_is_per_row(case: HeadCase, options: dict[str, str]) -> None:
    """The loss has a value for each row, which depends on that row alone, and its gradient reaches every parameter."""
    head, targets = case.build(**options), case.targets
    features = case.features().requires_grad_()
    losses = head.loss(head(features), targets)
    rows = len(targets)
    case.require(losses.shape == (rows,), f"loss() has a value a row, ({rows},).", tuple(losses.shape))
    case.require(torch.isfinite(losses).all(), "The loss of valid targets is finite.", losses)
    alone = torch.cat([head.loss(head(features[[row]]), targets[[row]]) for row in range(rows)])
    case.require(
        torch.allclose(losses, alone, rtol=1e-5, atol=1e-6),
        f"A row's loss is the same alone and in a batch, {alone.tolist()}.",
        losses.tolist(),
    )
    torch.autograd.backward(losses.sum())
    for name, value in {"features": features, **dict(head.named_parameters())}.items():
        reached = value.grad is not None and value.grad.any()
        case.require(bool(reached), "The loss's gradient reaches the features and every parameter.", f"none at {name}")


def stable_at_large_logits(case: HeadCase, options: dict[str, str]) -> None:
    """At logits of ±10⁴, right or wrong, the loss, its gradient and the predictions are finite."""
    head = case.build(**options)
    for size in (LARGE, -LARGE):
        logits = torch.full((len(case.targets), head.linear.out_features), size)
        logits[:, ::2] *= -1
        logits.requires_grad_()
        losses = head.loss(logits, case.targets)
        torch.autograd.backward(losses.sum())
        gradient = logits.grad
        case.require(torch.isfinite(losses).all(), f"The loss at logits of ±{LARGE:.0f} is finite.", losses)
        finite = gradient is not None and torch.isfinite(gradient).all()
        case.require(bool(finite), f"The loss's gradient at logits of ±{LARGE:.0f} is finite.", gradient)
        for column, values in head.decode(logits.detach()).items():
            numbers = torch.tensor([value for value in values if isinstance(value, float)], dtype=torch.float32)
            rule = f"Predictions at logits of ±{LARGE:.0f}, and their squares, are finite as floats of 32 bits."
            case.require(torch.isfinite(numbers.square()).all(), rule, f"{values} in column {column}")


def decoded_columns(case: HeadCase) -> None:
    """Each column of the predictions has a plain value for each row, and is named after a class or target column."""
    head = case.build()
    columns = head.decode(torch.randn(5, head.linear.out_features))
    names = (*case.target.classes, *case.target.columns)
    named = all(column == "prediction" or any(column.endswith(f"_{name}") for name in names) for column in columns)
    case.require(
        named and any(column.startswith("prediction") for column in columns),
        "decode() has a column 'prediction', or prediction_<name>, and others, <what>_<name>, of classes or targets.",
        ", ".join(columns),
    )
    for column, values in columns.items():
        case.require(len(values) == 5, "A column of predictions has a value a row, 5.", f"{len(values)} in {column}")
        types = {type(value) for value in values}
        rule = "Values of predictions are int, float or str."
        case.require(types <= {int, float, str}, rule, f"{', '.join(each.__name__ for each in types)} in {column}")


def metrics_take_what_the_head_gives(case: HeadCase) -> None:
    """Each metric takes what `measured` gives, and gives a finite number; one whose name ends in / one a column."""
    head = case.build()
    for key, metric in head.metrics().items():
        metric.update(*head.measured(head(case.features()), case.targets))
        values = metric.compute()
        shape = (len(case.target.columns),) if key.endswith("/") else ()
        case.require(values.shape == shape, f"Metric {key} gives values of shape {shape}.", tuple(values.shape))
        case.require(torch.isfinite(values).all(), f"Metric {key} of the case's targets is finite.", values)


def survives_saving(case: HeadCase) -> None:
    """A fresh copy with the saved state gives the same losses and predictions."""
    head, fresh, features = case.build(), case.build(), case.features()
    fresh.load_state_dict(saved(head.state_dict()))
    expected, losses = (each.loss(each(features), case.targets) for each in (head, fresh))
    rule = "All that decides over loss and predictions is in state_dict, or comes from the config and the target."
    case.require(torch.equal(expected, losses), rule, f"{losses} from a copy with the saved state, for {expected}")
    decoded, again = (each.decode(each(features)) for each in (head, fresh))
    case.require(decoded == again, rule, f"{again} from a copy with the saved state, for {decoded}")


def is_built_without_memory(case: HeadCase) -> None:
    """Built on torch's meta device, as a checkpoint's head is at first, it has weights of the same shapes."""
    try:
        with torch.device("meta"):
            head = case.build()
            EpochMetrics(head, case.target.columns)
    except Exception as error:
        case.require(False, "A head is built without a look at values, on torch's meta device, too.", error)
        return
    expected, found = (
        {name: tuple(each.shape) for name, each in of.state_dict().items()} for of in (case.build(), head)
    )
    case.require(found == expected, f"On torch's meta device a head has the weights {expected}.", found)
