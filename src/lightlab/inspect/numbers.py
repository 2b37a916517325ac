"""Numbers, as sentences and tables have them."""

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


def figure(value: float | None, none: str = "-") -> str:
    """Return a number in four digits, or more where it is large.

    >>> figure(3.14159), figure(123456.7), figure(12.0), figure(None)
    ('3.142', '123,457', '12', '-')

    Args:
        value: the number.
        none: stands for one that there is not.
    """
    if value is None:
        return none
    return f"{value:,.0f}" if 1e4 <= abs(value) < 1e12 else f"{value:.4g}"


def percentage(share: float | None, none: str = "-") -> str:
    """Return a share in percent; ``none`` for one that there is not.

    >>> percentage(0.256)
    '25.6%'
    """
    return none if share is None else f"{share:.1%}"


def finite(value: Any) -> Any:
    """Return plain data in which None stands for numbers that are none."""
    if isinstance(value, dict):
        return {name: finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
