"""Dates are recognised by their form, read exactly, and go around in circles."""

import numpy as np
import pandas as pd
import pytest

from lightlab.data.tables.dates import date_parts, looks_like_dates


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["2024-01-31", "", "1999-12-01"], True),
        (["2024-01-31T18:30", "2024-02-01 07:00:30"], True),
        (["2024-01-31T18:30:00+02:00"], True),
        (["2024-13-01"], False),
        (["2024-01-31", "soon"], False),
        (["20240131", "20240201"], False),
        (["31.01.2024"], False),
        (["", ""], False),
        ([1.5, 2.5], False),
    ],
)
def test_what_looks_like_dates(values, expected):
    """ISO 8601 does, in every row; other forms are never guessed."""
    assert looks_like_dates(pd.Series(values)) is expected


def test_parts():
    """Days count from 1970; December is next to January, Sunday to Monday, midnight to midnight."""
    dates = pd.Series(pd.to_datetime(["1970-01-02T12:00:00", "2024-12-29T23:59:59", None, "2024-01-01T00:00:00"]))
    parts = date_parts("d", dates)
    assert parts["d.days"][0] == 1.5
    assert parts["d.year"].tolist()[:2] == [1970, 2024]
    assert all(np.isnan(values[2]) for values in parts.values())

    def apart(part, first, second):
        """Return how far two rows are from each other on the circle of a part."""
        points = np.stack([parts[f"d.{part}_sin"], parts[f"d.{part}_cos"]])
        return np.linalg.norm(points[:, first] - points[:, second])

    assert apart("month", 1, 3) == pytest.approx(2 * np.sin(np.pi / 12))
    assert apart("weekday", 1, 3) == pytest.approx(2 * np.sin(np.pi / 7))
    assert apart("time", 1, 3) < 1e-3
