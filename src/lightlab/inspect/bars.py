"""Curves as a line of letters."""

from __future__ import annotations

import math
from collections.abc import Sequence

#: From low to high.
BARS = "▁▂▃▄▅▆▇█"


def draw_bars(values: Sequence[float], most: int) -> str:
    """Return a curve as a line of bars, from the lowest value to the highest; ``?`` stands for what is no number.

    >>> draw_bars([2.0, 1.0, 0.5, 0.25, 0.2, 0.3], most=12)
    '█▄▂▁▁▁'

    Args:
        values: of the curve; of many some are drawn, the first and the last among them.
        most: bars.
    """
    count = min(len(values), most)
    shown = [values[round(place * (len(values) - 1) / max(count - 1, 1))] for place in range(count)]
    known = [value for value in shown if math.isfinite(value)]
    low, high = min(known, default=0.0), max(known, default=0.0)
    step = (high - low) / (len(BARS) - 1) or 1.0
    return "".join(BARS[round((value - low) / step)] if math.isfinite(value) else "?" for value in shown)
