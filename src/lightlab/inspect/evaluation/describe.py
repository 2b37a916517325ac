"""From a model's answers to what is kept of a split, by the kind of its target."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from lightlab.data.base import Data
from lightlab.data_spec import DataSpec
from lightlab.heads.base import Head
from lightlab.inspect.evaluation.curves import (
    MOST_CLASSES,
    MOST_CURVES,
    calibrate,
    compare_numbers,
    confuse,
    find_confused,
    precision_recall,
    roc,
)
from lightlab.inspect.evaluation.look import Answers
from lightlab.inspect.evaluation.record import Curve, Mistake, SplitRecord
from lightlab.inspect.pictures import draw_inputs
from lightlab.registry import PROBLEMS


def describe_split(head: Head, spec: DataSpec, answers: Answers, mistakes: tuple[Mistake, ...] = ()) -> SplitRecord:
    """Return what is kept of a split.

    Args:
        head: of the model.
        spec: what it knows of the data.
        answers: the model's.
        mistakes: the worst of them.
    """
    given = activate(head, answers.logits)
    finite = torch.isfinite(given).reshape(len(given), -1).all(1)
    describe = {"class": _classes, "labels": _labels, "numbers": _numbers}[PROBLEMS.get(spec.problem).target]
    figures = describe(head, spec, answers.targets[finite], given[finite]) if bool(finite.any()) else {}
    return SplitRecord(len(answers), float(answers.losses.double().mean()), mistakes=mistakes, **figures)


def activate(head: Head, logits: Tensor) -> Tensor:
    """Return what the head makes of logits that lie on the CPU, (rows, …), there."""
    with torch.no_grad():
        return head.activate(logits.to(head.linear.weight.device)).float().cpu()


def _classes(head: Head, spec: DataSpec, targets: Tensor, given: Tensor) -> dict[str, Any]:
    names = spec.target.classes
    true = true_codes(targets)
    predicted = predict_codes(head, given)
    chances = torch.stack([1 - given, given], 1) if given.ndim == 1 else given
    # Of two classes one curve says it all: that of the second is the first's, seen from the other side.
    shown = [1] if given.ndim == 1 else range(len(names)) if len(names) <= MOST_CURVES else []
    return {
        "confusions": (confuse("", names, true, predicted),) if len(names) <= MOST_CLASSES else (),
        "confused": find_confused(names, true, predicted),
        "roc": _curves(roc, {names[code]: (chances[:, code], true == code) for code in shown}),
        "precision_recall": _curves(
            precision_recall, {names[code]: (chances[:, code], true == code) for code in shown}
        ),
        "calibration": calibrate(chances.gather(1, predicted[:, None])[:, 0], predicted == true),
    }


def _labels(head: Head, spec: DataSpec, targets: Tensor, given: Tensor) -> dict[str, Any]:
    names = spec.target.columns
    predicted = predict_codes(head, given)
    true = targets.long()
    columns = range(len(names)) if len(names) <= MOST_CURVES else []
    scored = {names[place]: (given[:, place], true[:, place]) for place in columns}
    return {
        "confusions": tuple(
            confuse(names[place], ("no", "yes"), true[:, place], predicted[:, place]) for place in columns
        ),
        "roc": _curves(roc, scored),
        "precision_recall": _curves(precision_recall, scored),
        "calibration": calibrate(
            torch.where(predicted == 1, given, 1 - given).flatten(), (predicted == true).flatten()
        ),
    }


def _numbers(head: Head, spec: DataSpec, targets: Tensor, given: Tensor) -> dict[str, Any]:
    names = spec.target.columns[:MOST_CURVES]
    columns = zip(names, targets.reshape(len(targets), -1).T, given.reshape(len(given), -1).T, strict=False)
    return {"residuals": tuple(compare_numbers(name, true, predicted) for name, true, predicted in columns)}


def _curves(
    draw: Callable[[Tensor, Tensor], Curve | None], scored: dict[str, tuple[Tensor, Tensor]]
) -> dict[str, Curve]:
    curves = {name: draw(scores, holds.long()) for name, (scores, holds) in scored.items()}
    return {name: curve for name, curve in curves.items() if curve is not None}


def true_codes(targets: Tensor) -> Tensor:
    """Return the class of each row, (rows,), of codes or of shares."""
    return (targets.argmax(1) if targets.ndim == 2 else targets).long()


def predict_codes(head: Head, given: Tensor) -> Tensor:
    """Return the class that is predicted of each row, (rows,), or 0 and 1 of each label, (rows, labels).

    Args:
        head: says above which probability a class or label is predicted.
        given: probabilities, as its ``activate`` returns them.
    """
    threshold = getattr(head, "threshold", None)
    return given.argmax(1) if threshold is None else (given > threshold).long()


# Mistakes


def describe_mistakes(head: Head, spec: DataSpec, data: Data, split: str, answers: Answers) -> tuple[Mistake, ...]:
    """Return the rows with the largest losses that were answered wrongly; of numbers all are, more or less.

    Args:
        head: of the model.
        spec: what it knows of the data.
        data: names the rows.
        split: that the answers are of.
        answers: with the worst.
    """
    chosen = answers.worst
    if not len(chosen):
        return ()
    given = activate(head, answers.logits[chosen])
    true = answers.targets[chosen]
    words = _WORDS[PROBLEMS.get(spec.problem).target](head, spec, true, given)
    _, names = data.name_rows(split, answers.places[chosen].numpy())
    images = draw_inputs(answers.worst_inputs, spec.input)
    values = tell_inputs(answers.worst_inputs, spec)
    found = [
        Mistake(str(name), float(answers.losses[place]), *said, image, held)
        for name, place, said, image, held in zip(names, chosen.tolist(), words, images, values, strict=True)
    ]
    return tuple(mistake for mistake in found if mistake.true != mistake.predicted)


def _class_words(head: Head, spec: DataSpec, targets: Tensor, given: Tensor) -> list[tuple[str, str, float | None]]:
    names, predicted = spec.target.classes, predict_codes(head, given)
    chances = torch.stack([1 - given, given], 1) if given.ndim == 1 else given
    chosen = chances.gather(1, predicted[:, None])[:, 0].tolist()
    pairs = zip(true_codes(targets).tolist(), predicted.tolist(), chosen, strict=True)
    return [(names[true], names[code], chance) for true, code, chance in pairs]


def _label_words(head: Head, spec: DataSpec, targets: Tensor, given: Tensor) -> list[tuple[str, str, float | None]]:
    def words(row: Sequence[int]) -> str:
        return ", ".join(name for name, holds in zip(spec.target.columns, row, strict=True) if holds) or "none"

    pairs = zip(targets.long().tolist(), predict_codes(head, given).tolist(), strict=True)
    return [(words(true), words(predicted), None) for true, predicted in pairs]


def _number_words(head: Head, spec: DataSpec, targets: Tensor, given: Tensor) -> list[tuple[str, str, float | None]]:
    def words(row: Sequence[float]) -> str:
        return ", ".join(f"{value:.6g}" for value in row)

    rows = zip(targets.reshape(len(targets), -1).tolist(), given.reshape(len(given), -1).tolist(), strict=True)
    return [(words(true), words(predicted), None) for true, predicted in rows]


_WORDS: dict[str, Callable[..., list[tuple[str, str, float | None]]]] = {
    "class": _class_words,
    "labels": _label_words,
    "numbers": _number_words,
}


def tell_inputs(inputs: Tensor, spec: DataSpec) -> list[dict[str, str]]:
    """Return what rows hold in words: the columns of tables, the words of texts; nothing of other inputs.

    Args:
        inputs: (rows, …), as the loaders give them.
        spec: what is known of the data.
    """
    given = spec.input
    if given.kind == "text":
        joint = " " if given.tokens == "words" else ""
        return [
            {given.text or "text": joint.join(given.vocabulary[code] for code in row if code)}
            for row in inputs.tolist()
        ]
    if given.kind != "table":
        return [{} for _ in inputs]
    return [
        {
            **{name: _number(value) for name, value in zip(given.columns, row, strict=False)},
            **{
                name: categories[int(code)] if code >= 0 else "not seen in training"
                for (name, categories), code in zip(given.categories.items(), row[len(given.columns) :], strict=True)
            },
        }
        for row in inputs.tolist()
    ]


def _number(value: float) -> str:
    return "missing" if math.isnan(value) else f"{value:.6g}"


def tell_answers(head: Head, spec: DataSpec, data: Data, split: str, answers: Answers) -> dict[str, list[str]]:
    """Return what is known of the rows whose features were kept, by column: what is true, what is predicted, the row.

    Args:
        head: of the model.
        spec: what it knows of the data.
        data: names the rows.
        split: that the answers are of.
        answers: with features.
    """
    count = len(answers.features)
    _, names = data.name_rows(split, answers.places[:count].numpy())
    given = activate(head, answers.logits[:count])
    words = _WORDS[PROBLEMS.get(spec.problem).target](head, spec, answers.targets[:count], given)
    return {
        "true": [true for true, _, _ in words],
        "predicted": [predicted for _, predicted, _ in words],
        "row": [str(name) for name in names],
    }
