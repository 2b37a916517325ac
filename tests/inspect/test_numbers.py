"""Numbers in few digits."""

import pytest

from lightlab.inspect.numbers import figure


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.00012346, "0.0001235"), (5.0, "5"), (1234.5678, "1235"), (98765.4, "98,765"), (1e20, "1e+20"), (None, "-")],
)
def test_figures(value, text):
    """Four digits, and thousands where a number is large."""
    assert figure(value) == text
