"""``lightlab compare``: runs beside each other."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lightlab.commands.options import OptionParser
from lightlab.terminal import say, show

if TYPE_CHECKING:
    from lightlab.inspect.compare import Comparison

FORMATS = ("text", "markdown", "csv", "json")

PARSER = OptionParser(
    "compare",
    usage="lightlab compare RUN [RUN …] [--sort METRIC] [--format text|markdown|csv|json] [-o FILE] [--chart FILE]",
    description="""Show what differs in the configs of runs, and what came of it: metrics of the best weights, the best
of each marked, the verdict of the doctor, and a chart of the curves. Runs that differ in nothing but seeds are also
averaged.

  RUN  a run folder, such as runs/digits_cnn/version_0, or a folder with several: runs/digits_cnn, runs""",
)
PARSER.add_argument("runs", metavar="RUN", nargs="+", help="the runs to compare")
PARSER.add_argument(
    "--sort", metavar="METRIC", help="what has the best run come first: val/loss, test/accuracy, seconds, …"
)
PARSER.add_argument("--format", choices=FORMATS, default="text", help="text to read, or for documents and tools")
PARSER.add_argument("-o", "--output", metavar="FILE", help="write the table there instead of printing it")
PARSER.add_argument(
    "--chart",
    metavar="FILE",
    default="compare.png",
    help="the curves: a .png, .svg or .pdf, or none; by default compare.png in this folder",
)


def run(arguments: list[str]) -> None:
    """Read runs, print what differs and what came of it, and draw their curves.

    Raises:
        LightlabError: something given is wrong, or a run can't be read.
    """
    options = PARSER.parse_args(arguments)

    from lightlab.files import check_output, write_text
    from lightlab.inspect.compare import compare

    if options.output:
        check_output(Path(options.output), "comparison")
    if options.chart != "none":
        check_output(Path(options.chart), "chart")
    comparison = compare(options.runs, options.sort)
    text = _write(comparison, options.format, to_file=bool(options.output))
    chart = None if options.chart == "none" else _draw(comparison, Path(options.chart))
    if options.output:
        write_text(f"{text}\n", Path(options.output), "comparison")
    elif options.format == "text":
        show(text)  # the best cells stand out in a terminal
    else:
        say(text)
    if chart:  # tools that read the table don't read this
        say(f"chart: {chart}", is_error=options.format != "text")


def _write(comparison: Comparison, form: str, to_file: bool) -> str:
    if form == "text":
        from lightlab.inspect.compare.text import as_text

        width = None if to_file else shutil.get_terminal_size().columns
        return as_text(comparison, width, colours=not to_file and sys.stdout.isatty())

    from lightlab.inspect.compare import export

    return {"markdown": export.as_markdown, "csv": export.as_csv, "json": export.as_json}[form](comparison)


def _draw(comparison: Comparison, path: Path) -> Path | None:
    """Write the chart, and return where it is; ``None`` where no run has an epoch to draw."""
    from lightlab.inspect.compare.chart import draw_comparison, write_chart

    if not any(row.epochs for row in comparison.rows):
        return None
    write_chart(draw_comparison(comparison), path)
    return path
