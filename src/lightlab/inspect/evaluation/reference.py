"""Another kind of learner on the same rows: whether there is more to be learned than the network has."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from lightlab.data.base import Data
from lightlab.inspect.evaluation.describe import activate, predict_codes, true_codes
from lightlab.inspect.evaluation.look import Answers, look
from lightlab.inspect.evaluation.record import Reference
from lightlab.module import Model
from lightlab.registry import PROBLEMS

#: Rows that it learns from, and is asked; and trees: enough to tell, in a tenth of a second.
TRAIN_ROWS, ASKED_ROWS, TREES = 1000, 500, 30
#: Of more numbers a row, as large images have, trees on single ones say little, and take long.
MOST_NUMBERS = 4096


def find_reference(model: Model, data: Data, split: str) -> Reference | None:
    """Train extremely randomized trees (Geurts et al. 2006) on what the layers get, and ask both about other rows.

    Args:
        model: trained.
        data: connected to it.
        split: whose rows both are asked about; for ``train`` those that the trees have not learned from.

    Returns:
        both scores; ``None`` where trees can't take the inputs or targets, or rows are too few.
    """
    from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

    spec = model.data_spec
    assert spec is not None  # it is trained
    kind = PROBLEMS.get(spec.problem).target
    if spec.input.kind == "text" or kind == "labels" or np.prod(spec.input.shape) > MOST_NUMBERS:
        return None
    wanted = TRAIN_ROWS + (ASKED_ROWS if split == "train" else 0)
    learned = look(model, data, "train", wanted, kept=wanted)
    asked = look(model, data, split, ASKED_ROWS, kept=ASKED_ROWS) if split != "train" else learned
    if learned is None or asked is None:
        return None
    first = slice(len(learned) // 2) if split == "train" else slice(None)
    rest = slice(len(learned) // 2, None) if split == "train" else slice(None)
    trees: Any = ExtraTreesClassifier if kind == "class" else ExtraTreesRegressor
    inputs, targets = _numbers(model, learned, first)
    if len(inputs) < 20:
        return None
    other, true = _numbers(model, asked, rest)
    given = (
        trees(TREES, random_state=0, min_samples_leaf=1 if kind == "class" else 3).fit(inputs, targets).predict(other)
    )
    metric = "accuracy" if kind == "class" else "r2"
    score, network = _score(metric, true, given), _score(metric, true, _own(model, asked, rest))
    if not np.isfinite([score, network]).all():
        return None
    return Reference("extremely randomized trees", metric, score, network, len(inputs))


@torch.no_grad()
def _numbers(model: Model, answers: Answers, rows: slice) -> tuple[Any, Any]:
    """Return what the layers get of rows, (rows, numbers), and their targets: codes, or numbers."""
    inputs = model.preprocess(answers.first_inputs[rows].to(model.device)).flatten(1).cpu().double().numpy()
    targets = answers.targets[: len(answers.first_inputs)][rows]
    if model.head.target.classes:
        return inputs, true_codes(targets).numpy()
    numbers = targets.reshape(len(targets), -1).double().numpy()
    return inputs, numbers[:, 0] if numbers.shape[1] == 1 else numbers  # as scikit-learn has one target


def _own(model: Model, answers: Answers, rows: slice) -> Any:
    given = activate(model.head, answers.logits[rows])
    if model.head.target.classes:
        return predict_codes(model.head, given).numpy()
    return given.reshape(len(given), -1).double().numpy()


def _score(metric: str, true: Any, given: Any) -> float:
    """Return the share of right answers; or R², averaged over the columns that vary."""
    if metric == "accuracy":
        return float((true == given).mean())
    true, given = (np.reshape(values, (len(true), -1)) for values in (true, given))
    spread = ((true - true.mean(0)) ** 2).sum(0)
    varied = spread > 0
    left = ((true - given) ** 2).sum(0)
    return float((1 - left[varied] / spread[varied]).mean()) if varied.any() else 0.0
