"""What is kept of a run beside its curves: ``evaluation.json``, plain data that needs neither model nor data."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from lightlab.data.finding import DataFinding
from lightlab.errors import RunError, first_misfit
from lightlab.files import write_text
from lightlab.inspect.numbers import finite

#: A number; ``None`` in the file where it is none, as JSON has no NaN.
Number = float | None


@dataclass(frozen=True)
class Histogram:
    """How often numbers occur.

    Attributes:
        edges: of the bins, one more than there are bins.
        counts: of each bin.
    """

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class Curve:
    """A curve through points.

    Attributes:
        x: (points,): false positive rate, or recall.
        y: (points,): true positive rate, or precision.
        area: under the ROC curve; or the average precision.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    area: float


@dataclass(frozen=True)
class Confusion:
    """Rows by class and prediction.

    Attributes:
        title: the label that it is of; empty for a problem with one target.
        classes: the names.
        counts: a row for each true class, a column for each predicted one.
    """

    title: str
    classes: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities hold what they promise, in bins of probability, those without rows left out.

    Attributes:
        confidence: the mean probability of what was predicted, for each bin.
        accuracy: how often that was right, for each bin.
        rows: of each bin.
        error: the mean difference of the two, weighted by rows (expected calibration error, Guo et al. 2017).
    """

    confidence: tuple[float, ...]
    accuracy: tuple[float, ...]
    rows: tuple[int, ...]
    error: float


@dataclass(frozen=True)
class Residuals:
    """Predicted numbers against true ones, in the target's own units.

    Attributes:
        target: the column.
        true: of a sample of the rows.
        predicted: of the same rows.
        histogram: of predicted − true, over all rows.
        mean: of predicted − true.
        std: of predicted − true.
    """

    target: str
    true: tuple[float, ...]
    predicted: tuple[float, ...]
    histogram: Histogram
    mean: float
    std: float


@dataclass(frozen=True)
class Mistake:
    """One of the rows with the largest losses.

    Attributes:
        row: what people call it.
        loss: of the row.
        true: the target, in words.
        predicted: likewise.
        probability: of what was predicted; ``None`` where there are none.
        image: a PNG in base64; ``None`` where inputs are no images.
        values: what the row holds, by column; empty where inputs are no table.
    """

    row: str
    loss: Number
    true: str
    predicted: str
    probability: float | None = None
    image: str | None = None
    values: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class SplitRecord:
    """A split, seen by the best weights.

    Attributes:
        rows: how many were looked at.
        loss: the mean.
        confusions: of problems with classes, one; of labels one each; empty where there are very many classes.
        confused: true class, predicted class and rows of the pairs that are taken for each other most often.
        roc: for each class or label.
        precision_recall: for each class or label.
        calibration: of the predicted class; ``None`` for numbers.
        residuals: for each target column that is a number, of the first 20.
        mistakes: the worst first; of the validation split only, since who looks at test rows learns from them.
    """

    rows: int
    loss: Number
    confusions: tuple[Confusion, ...] = ()
    confused: tuple[tuple[str, str, int], ...] = ()
    roc: dict[str, Curve] = field(default_factory=dict)
    precision_recall: dict[str, Curve] = field(default_factory=dict)
    calibration: Calibration | None = None
    residuals: tuple[Residuals, ...] = ()
    mistakes: tuple[Mistake, ...] = ()


@dataclass(frozen=True)
class SampleLoss:
    """The mean loss of a sample of a split in evaluation mode: no dropout, no augmentation, no penalty.

    So train and validation can be held against each other.

    Attributes:
        rows: of the sample.
        best: with the best weights.
        last: with the weights that training ended with.
        error: the standard error of ``best``, which chance alone makes of the choice of rows.
        constant: of the best constant answer, as the train split has it: what is had without looking at the inputs.
        floor: of the best answer to each row: 0 in general; above it with label smoothing, below it for densities.
    """

    rows: int
    best: Number
    last: Number
    error: Number
    constant: Number
    floor: Number


@dataclass(frozen=True)
class LayerRecord:
    """A layer that has weights, or an activation that may be dead.

    Attributes:
        name: as TensorBoard has it: ``0_conv2d``, ``3_residual/1_dense``, ``head``.
        key: where the config has it: ``model.layers[0].conv2d``.
        parameters: how many.
        before: its weights when training began; ``None`` where it has none.
        after: the best weights.
        first_gradient: the norm of its gradient over that of its weights, the mean of what was seen in the first
            epoch; ``None`` where none was seen.
        last_gradient: of the last epoch.
        dead: the share of units that are zero for all rows of a sample, with the last weights; ``None`` for what can't.
    """

    name: str
    key: str
    parameters: int = 0
    before: Histogram | None = None
    after: Histogram | None = None
    first_gradient: Number = None
    last_gradient: Number = None
    dead: float | None = None


@dataclass(frozen=True)
class Reference:
    """What another kind of learner makes of the same rows; looked at only where the network seems to learn too little.

    Attributes:
        name: in words: ``extremely randomized trees``.
        metric: ``accuracy`` or ``r2``.
        score: its own, on rows of the validation split.
        network: the network's, on the same rows.
        rows: how many it learned from.
    """

    name: str
    metric: str
    score: float
    network: float
    rows: int


@dataclass(frozen=True)
class Evaluation:
    """What is kept.

    Attributes:
        problem: the type.
        classes: the names; empty for other problems.
        targets: the target columns.
        monitor: the metric that says which weights are best.
        mode: whether less or more of it is better.
        splits: val and test, as far as there are any.
        samples: train and val.
        layers: in the order of their use.
        findings: what was found in the data that may spoil a training.
        reference: ``None`` where the network learned well.
    """

    problem: str
    classes: tuple[str, ...]
    targets: tuple[str, ...]
    monitor: str
    mode: str
    splits: dict[str, SplitRecord]
    samples: dict[str, SampleLoss]
    layers: tuple[LayerRecord, ...]
    findings: tuple[DataFinding, ...] = ()
    reference: Reference | None = None

    def write(self, path: Path) -> None:
        """Write the file, all of it or nothing.

        Raises:
            RunError: it can't be written.
            ValueError: a figure is no finite number that has to be one; then nothing is written.
        """
        values = finite(_adapter().dump_python(self))
        _adapter().validate_python(values)  # what can't be read back is of no use to anyone
        write_text(json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n", path, "evaluation")


def read_evaluation(path: Path) -> Evaluation:
    """Read what `Evaluation.write` wrote.

    Raises:
        RunError: it can't be read, or is something else.
    """
    try:
        return _adapter().validate_json(path.read_bytes())
    except (OSError, ValidationError) as cause:
        reason = first_misfit(cause) if isinstance(cause, ValidationError) else cause
        raise RunError(f"{path} can't be read as the evaluation of a run: {reason}.") from cause


@cache
def _adapter() -> TypeAdapter[Evaluation]:
    return TypeAdapter(Evaluation)
