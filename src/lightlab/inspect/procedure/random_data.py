"""Steps on random data, which show that loss, metrics and training work before the data can be blamed."""

from __future__ import annotations

import math

import torch

from lightlab.inspect.numbers import short
from lightlab.inspect.procedure.base import Result, Subject, Verdict, known_targets, row_losses, take_step
from lightlab.names import name_module
from lightlab.registry import PROBLEMS

#: So many random rows are evaluated: enough for classes of a few percent to be among them.
ROWS = 256
#: A loss that has grown so many times over diverges; one that jumps about on random data stays far below.
DIVERGED = 100.0
#: So many steps of training show whether weights move.
STEPS = 10


def check_evaluation(subject: Subject) -> Result:
    """Compute the loss and all metrics of random data: they are finite.

    A metric that is not a number is a warning, and is only mentioned where the random targets leave something out that
    metrics may need, such as a class.
    """
    model = subject.fresh().eval()
    batch = subject.random_rows(ROWS)
    targets = known_targets(batch)
    with torch.no_grad():
        logits = model(batch.inputs)
        losses = model.head.loss(logits, targets)
    if losses.shape != targets.shape[:1]:
        return Result(
            "failed", f"the loss has a value for each of {len(targets)} rows. Received: {tuple(losses.shape)}"
        )
    model.val_metrics.update(losses, logits, targets)
    values = {name: value.item() for name, value in model.val_metrics.compute().items()}
    figures = {name: value if math.isfinite(value) else None for name, value in values.items()}
    if figures["loss"] is None:
        return Result("failed", f"the loss is a finite number. Received: {values['loss']}", figures)
    shown = {name: value for name, value in figures.items() if value is not None and "/" not in name}
    text = ", ".join(f"{name} {short(value)}" for name, value in shown.items())
    missing = [name for name, value in figures.items() if value is None]
    if not missing:
        return Result("ok", text, figures)
    verdict: Verdict = "warning" if _all_occur(subject, targets) else "ok"
    return Result(verdict, f"{text}; no number: {', '.join(missing)}", figures)


def _all_occur(subject: Subject, targets: torch.Tensor) -> bool:
    """Return whether every class, or each label both ways, is among targets."""
    kind = PROBLEMS.get(subject.spec.problem).target
    if kind == "class":
        return len(set(targets.tolist())) >= len(subject.spec.target.classes)
    return bool((targets.amin(0) < targets.amax(0)).all())


def check_training(subject: Subject) -> Result:
    """Train a few steps on random data with the config's own optimizer: the loss stays small, and weights move."""
    model = subject.fresh().train()
    optimizer = model.optimizer_spec.build(model.parameters())
    before = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    batch = subject.random_rows(max(2, min(subject.data.batch_size, ROWS)))
    losses = [take_step(model, optimizer, batch, subject.clip, penalised=True) for _ in range(STEPS)]
    with torch.no_grad():
        losses.append(row_losses(model, batch).mean().item())
    figures = {"steps": STEPS, "losses": [loss if math.isfinite(loss) else None for loss in losses]}
    text = f"loss {short(losses[0])} to {short(losses[-1])} in {STEPS} steps"
    weights = [*model.parameters()]
    finite = all(bool(torch.isfinite(weight).all()) for weight in weights)
    if not finite or not all(map(math.isfinite, losses)):
        return Result("failed", f"{text}: loss and weights stay finite. Try a smaller learning rate", figures)
    if losses[-1] > DIVERGED * max(losses[0], 1.0):
        return Result("failed", f"{text}: the loss grows beyond measure. Try a smaller learning rate", figures)
    trainable = {name: parameter for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not trainable:
        return Result("failed", f"{text}: no weight can be trained", figures)
    moved = sum(not torch.equal(parameter, before[name]) for name, parameter in trainable.items())
    figures |= {"moved": moved, "trainable": len(trainable)}
    if not moved:
        return Result("failed", f"{text}: none of {len(trainable)} weight tensors moved", figures)
    unused = dict.fromkeys(name_module(model, name) for name, weight in trainable.items() if weight.grad is None)
    if unused:
        return Result("warning", f"{text}; no part of the outputs: {', '.join(unused)}", figures)
    return Result("ok", f"{text}; {moved} of {len(trainable)} weight tensors moved", figures)
