"""The first steps: the data can be read, the layers fit it, and its targets can be learned by the head."""

from __future__ import annotations

from contextlib import redirect_stdout
from io import StringIO

from torch import Tensor

from lightlab.inspect.procedure.base import Result, Subject, known_targets
from lightlab.registry import PROBLEMS

#: Batches of one class each are a finding where chance would give them less often than this.
UNLIKELY = 1e-6


def check_data(subject: Subject) -> Result:
    """Read and split the rows, and look at the first training batches.

    A warning where the source warns (rows in two splits, a column that tells the target); or where the rows come in
    order, so that a batch holds one class and the next another: no step then knows what the whole is like.

    Raises:
        LightlabError: the data can't be used.
    """
    said = StringIO()
    with redirect_stdout(said):  # what a source says while it reads is part of the result
        spec = subject.spec
        batches = subject.batches
    counts = subject.data.counts
    rows = ", ".join(f"{split} {'not counted' if count is None else f'{count:,}'}" for split, count in counts.items())
    shape = ", ".join(map(str, spec.input.shape))
    lines = tuple(said.getvalue().splitlines()) or tuple(f"warning: {finding}" for finding in subject.data.findings)
    ordered = _say_ordered(subject, [known_targets(batch) for batch in batches])
    if ordered:
        lines = (*lines, f"warning: {ordered}")
    warned = any(line.startswith("warning: ") for line in lines)
    return Result(
        "warning" if warned else "ok",
        f"{spec.problem}, rows: {rows}; inputs ({shape})",
        {"problem": spec.problem, "rows": counts, "input_shape": list(spec.input.shape), "input_kind": spec.input.kind},
        lines,
    )


def _say_ordered(subject: Subject, targets: list[Tensor]) -> str:
    """Return that rows come in order, where batches of one class are too many for chance."""
    spec = subject.spec
    if PROBLEMS.get(spec.problem).target != "class" or not sum(spec.target.counts):
        return ""
    total = sum(spec.target.counts)
    chance, pure = 1.0, 0
    for batch in targets:
        if len(batch) > 1 and batch.ndim == 1 and bool((batch == batch[0]).all()):
            pure += 1
            chance *= min(1.0, sum((count / total) ** len(batch) for count in spec.target.counts))
    if chance > UNLIKELY:
        return ""
    return (
        f"{pure} of the first {len(targets)} batches hold one class each: rows come in order. Shuffle them, or raise "
        f"data.shuffle_buffer."
    )


def check_shapes(subject: Subject) -> Result:
    """Build the model, its layers traced on the meta device.

    Raises:
        ConfigError: a layer or the head can't be built so, or does not fit what arrives at it.
    """
    model = subject.fresh()
    parameters = sum(parameter.numel() for parameter in model.parameters())
    features, outputs = model.head.linear.in_features, model.head.linear.out_features
    return Result(
        "ok",
        f"{parameters:,} parameters; ({features}) reaches the head, which gives {outputs}",
        {"parameters": parameters, "head_in": features, "head_out": outputs},
    )


def check_targets(subject: Subject) -> Result:
    """Hold the targets of all splits against what the head can learn.

    Raises:
        TargetError: a target that can't be.
    """
    head = subject.fresh().head
    subject.data.check_targets(head.valid, head.rule)
    return Result("ok", f"the head can learn all. {head.rule}", {"rule": head.rule})
