"""The data source."""

from lightlab_counts import VisitsData


def test_rows():
    """There are as many rows as asked for, the same every time, and counts for targets."""
    rows, again = (VisitsData(rows=50).load("fit")["all"] for _ in range(2))
    assert len(rows) == 50
    assert rows.inputs.equals(again.inputs)
    assert rows.targets.equals(again.targets)
    assert (rows.targets["visits"] >= 0).all()
