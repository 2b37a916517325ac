"""What passes from data to model: plain data, which goes into the checkpoint and rebuilds the model alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from pydantic import TypeAdapter, ValidationError

from lightlab.errors import CheckpointError, first_misfit

#: How inputs are normalised: to mean 0 and variance 1, to the range 0 to 1, or not at all.
Normalize = Literal["standard", "min_max", "none"]


#: What a sample is: a row of columns, an array of numbers, an image (channels, height, width), or codes of words.
InputKind = Literal["table", "array", "image", "text"]
#: What a text is cut into.
Tokens = Literal["words", "characters"]


@dataclass(frozen=True)
class InputSpec:
    """What comes in, and what was learned about it from the train split.

    Attributes:
        shape: of one sample as the loaders give it, without the batch. A table's columns are one dimension:
            the numeric ones first, then the categorical ones as codes.
        offset: subtracted from each numeric column, or each channel.
        scale: what the difference is divided by.
        columns: the names of a table's numeric columns, parts of dates included; empty for other inputs.
        categories: for each categorical column the values of the train split; a code is a place in this list, and
            −1 stands for every value that is not in it.
        kind: what a sample is.
        high: the largest value that a pixel can have; 0 where the input is no image.
        dates: for each column of dates the form they are written in, or ``ISO8601``.
        fill: for each numeric column what stands for a missing number; empty where a missing one is an error.
        indicators: the numeric columns with a feature that says whether the number was missing.
        embeddings: for each categorical column that becomes a learned vector, its length; the others are one-hot.
        vocabulary: the words or characters of a text, in the order of their codes; the first two, ``""`` and
            ``[UNK]``, stand for padding and for all that training has not.
        tokens: what a text is cut into; ``None`` where the input is no text.
        lower: whether a text is put in lower case first.
        text: the column that texts stand in.
    """

    shape: tuple[int, ...]
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    columns: tuple[str, ...] = ()
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    kind: InputKind = "array"
    high: float = 0.0
    dates: dict[str, str] = field(default_factory=dict)
    fill: tuple[float, ...] = ()
    indicators: tuple[str, ...] = ()
    embeddings: dict[str, int] = field(default_factory=dict)
    vocabulary: tuple[str, ...] = ()
    tokens: Tokens | None = None
    lower: bool = True
    text: str = ""

    def __post_init__(self) -> None:
        if (self.columns or self.categories) and self.kind != "table":
            raise ValueError(f"Only a table has columns. Received: columns and kind={self.kind!r}.")


@dataclass(frozen=True)
class TargetSpec:
    """What is to be predicted, and what was learned about it from the train split.

    Attributes:
        columns: the names of the target columns; for problems of labels, those of the labels.
        classes: the names of the classes, in the order of their codes; empty for other problems.
        counts: rows of each class, or rows with each label, in the train split.
        mean: of each number.
        std: of each number, 1 where it is constant.
        rows: number of rows of the train split.
    """

    columns: tuple[str, ...]
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    rows: int = 0


@dataclass(frozen=True)
class DataSpec:
    """All that a model knows of its data.

    Attributes:
        problem: the problem type, given or inferred.
        input: what comes in.
        target: what is to be predicted.
    """

    problem: str
    input: InputSpec
    target: TargetSpec

    def to_dict(self) -> dict[str, Any]:
        """Return dictionaries, tuples, numbers and text only."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Any) -> DataSpec:
        """Read back what `to_dict` returned.

        Raises:
            CheckpointError: the values are not of that form.
        """
        try:
            return TypeAdapter(cls).validate_python(values)
        except ValidationError as error:
            raise CheckpointError(
                f"A checkpoint's data_spec has the form of lightlab.DataSpec: {first_misfit(error)}."
            ) from error
