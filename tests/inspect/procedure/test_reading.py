"""The data is read, layers fit it, the head can learn its targets; rows that come in order are found."""

import pytest

from lightlab import BundledData, ConfigError, SyntheticData, TargetError
from lightlab.data import IterableData
from lightlab.inspect.procedure.reading import check_data, check_shapes, check_targets


def test_data(run_step):
    """Problem, rows and shape."""
    found = run_step(check_data, data=BundledData("wine"))
    assert (found.verdict, found.text) == ("ok", "multiclass, rows: train 124, val 27, test 27; inputs (13)")
    assert found.figures["rows"] == {"train": 124, "val": 27, "test": 27}


def test_what_a_source_says(run_step, capsys):
    """Its warnings are part of the result, and are not printed beside it."""
    found = run_step(check_data, data=BundledData("iris", seed=7))
    assert found.verdict == "warning"
    assert any(line.startswith("warning: 1 of 22 rows of test also stand in train") for line in found.lines)
    assert capsys.readouterr().out == ""


def test_data_that_was_read_before(make_subject, capsys):
    """What the source found then is still said."""
    data = BundledData("iris", seed=7)
    data.connect("multiclass")
    found = check_data(make_subject(data=data, problem="multiclass"))
    assert found.lines[0].startswith("warning: 1 of 22 rows")


def ordered(rows=300):
    """Samples of one class, then samples of the next."""
    for row in range(rows):
        yield [float(row % 7), row / rows], "first" if row < rows // 2 else "second"


@pytest.mark.parametrize(("buffer", "verdict"), [(1, "warning"), (300, "ok")])
def test_rows_in_order(buffer, verdict, run_step):
    """Samples that come by class are found, unless they are shuffled."""
    found = run_step(check_data, data=IterableData(ordered, shuffle_buffer=buffer, batch_size=16))
    assert found.verdict == verdict
    assert any("rows come in order" in line for line in found.lines) == (verdict == "warning")


def test_rare_class_is_no_order(run_step, make_table):
    """Batches of one class are no wonder where nearly all rows are of it."""
    data = make_table(lambda inputs, generator: ["rare" if value > 2.4 else "often" for value in inputs[:, 0]])
    assert not any("in order" in line for line in run_step(check_data, data=data).lines)


def test_shapes(run_step):
    """Parameters, and what reaches the head; a layer that does not fit is an error with its key."""
    assert run_step(check_shapes).text == "131 parameters; (16) reaches the head, which gives 3"
    with pytest.raises(ConfigError, match=r"model.layers\[0\].conv2d: conv2d needs rank 4"):
        run_step(check_shapes, [{"conv2d": {"filters": 4, "kernel_size": 3}}])


def test_targets(run_step):
    """The head says what it can learn; what it can't is an error that names the row."""
    data = SyntheticData([3], "regression", rows=100)
    assert run_step(check_targets, data=data).text == "the head can learn all. Targets are finite numbers."
    with pytest.raises(TargetError, match="within model.head's low and high"):
        run_step(check_targets, data=SyntheticData([3], "regression", rows=100), problem="bounded_regression")
