"""The report as a page: one file, which asks nothing of the network and runs nothing."""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined

from lightlab.inspect.figures import metric_charts, training_charts
from lightlab.inspect.report import pictures, tables
from lightlab.inspect.report.content import read_content
from lightlab.inspect.run import Run


def render_html(run: Run) -> str:
    """Return the report of a run as HTML.

    Raises:
        RunError: a file of the run can't be read.
    """
    environment = Environment(
        loader=PackageLoader("lightlab.inspect.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(number=tables.number, percent=tables.percent)
    content = read_content(run)
    history, best = content.history, content.best_epoch
    return environment.get_template("report.html").render(
        content=content,
        tables=tables,
        pictures=pictures,
        curves=pictures.of_history(history, metric_charts(history), best),
        course=pictures.of_history(history, training_charts(history), None),
    )
