"""The types that augmentations annotate their parameters with; configs are held against them."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

Probability = Annotated[float, Field(ge=0, le=1)]
#: The largest angle of a turn, to either side.
Degrees = Annotated[float, Field(ge=0, le=180)]
#: What is seen where a sample was moved away: zeros, or its outermost pixels drawn out.
Fill = Literal["zeros", "edge"]


def _ordered(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] > limits[1]:
        raise PydanticCustomError("ordered", "Input should be [smallest, largest]")
    return limits


_Share = Annotated[float, Field(gt=0, le=1)]
#: The smallest and the largest share of the pixels: 0 < share ≤ 1.
Area = Annotated[tuple[_Share, _Share], AfterValidator(_ordered)]
_Ratio = Annotated[float, Field(gt=0)]
#: The smallest and the largest width of a box, divided by its height.
Ratio = Annotated[tuple[_Ratio, _Ratio], AfterValidator(_ordered)]
