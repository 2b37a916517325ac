"""The types that layers annotate their parameters with; configs are held against them."""

from __future__ import annotations

from enum import Enum
from typing import Annotated, Any, Literal

from pydantic import Field

#: The shape of one sample: without the batch.
Shape = tuple[int, ...]


class Nested(Enum):
    """What a parameter holds that is itself written in the style of layers."""

    LAYERS = "a list of layers"
    BRANCHES = "a list of lists of layers"
    ACTIVATION = "an activation"


#: A list of layers, as in a config.
Layers = Annotated[list[Any], Nested.LAYERS]
#: Lists of layers side by side.
Branches = Annotated[list[list[Any]], Nested.BRANCHES]
#: An activation: ``relu``, or ``{leaky_relu: {negative_slope: 0.2}}``.
Activation = Annotated[str | dict[str, Any], Nested.ACTIVATION]

#: The largest size of a dimension that is told from a slip.
MOST = 2**31 - 1
PositiveInt = Annotated[int, Field(gt=0, le=MOST)]
#: One size for all dimensions, or one for each.
Sizes = PositiveInt | list[PositiveInt]
#: A share that leaves something over: 0 ≤ rate < 1.
Rate = Annotated[float, Field(ge=0, lt=1)]
NonNegative = Annotated[float, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
Padding = Literal["valid", "same"]
Initializer = Literal[
    "he_normal",
    "he_uniform",
    "glorot_normal",
    "glorot_uniform",
    "lecun_normal",
    "lecun_uniform",
    "orthogonal",
    "normal",
    "uniform",
    "zeros",
    "ones",
]
