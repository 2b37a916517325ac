"""Curves in a line of letters."""

import math

import pytest

from lightlab.inspect.bars import draw_bars


@pytest.mark.parametrize(
    ("values", "bars"),
    [([], ""), ([1.0], "▁"), ([2.0, 2.0], "▁▁"), ([0.0, 7.0], "▁█"), ([3.0, math.nan, math.inf, 1.0], "█??▁")],
)
def test_bars(values, bars):
    """A curve stands in a line from its lowest value to its highest, whatever is in it."""
    assert draw_bars(values, 12) == bars


def test_long_curves_are_thinned():
    """The first and the last value of a long curve are there."""
    bars = draw_bars([float(value) for value in range(1000)], 12)
    assert (len(bars), bars[0], bars[-1]) == (12, "▁", "█")
