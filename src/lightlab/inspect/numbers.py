"""Numbers, as sentences have them."""

from __future__ import annotations

import math
from typing import Any


def short(value: float) -> str:
    """Return a number in few digits: two decimals, or two digits where these would not show it.

    >>> short(2.3026), short(0.0345), short(0.00001234), short(12345.0), short(0.0)
    ('2.30', '0.035', '1.2e-05', '1.23e+04', '0')
    """
    if abs(value) < 0.1:
        return f"{value:.2g}"
    if abs(value) < 1000:
        return f"{value:.2f}" if abs(value) < 100 else f"{value:.0f}"
    return f"{value:.2e}"


def finite(value: Any) -> Any:
    """Return plain data in which None stands for numbers that are none."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
