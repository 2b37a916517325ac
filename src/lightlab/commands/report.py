"""``lightlab report``: a run as a page, or as a model card."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lightlab.commands.options import OptionParser
from lightlab.errors import RunError, sentences
from lightlab.terminal import say

if TYPE_CHECKING:
    from lightlab.inspect.run import Run

#: What a file with a form ends in, its usual ending first.
ENDINGS = {"html": (".html", ".htm"), "markdown": (".md", ".markdown")}

PARSER = OptionParser(
    "report",
    usage="lightlab report RUN [--format html|markdown] [-o FILE]",
    description="""Write all that is known of a run into one file: a verdict on the training, metrics, curves, what is
taken for what, the worst mistakes, layers before and after, data, config, environment, and the checkpoint's hashes. As
a page, which needs no network; or in Markdown as a model card.

  RUN  a run folder, such as runs/digits_cnn/version_0; of a folder with several runs of a config, the latest""",
)
PARSER.add_argument("run", metavar="RUN", help="the folder")
PARSER.add_argument("--format", choices=tuple(ENDINGS), help="html, the default, or markdown; follows from FILE, too")
PARSER.add_argument(
    "-o",
    "--output",
    metavar="FILE",
    help="the file; by default report.html or report.md in the run folder; - prints it",
)


def run(arguments: list[str]) -> None:
    """Write the report of a run, and say where.

    Raises:
        LightlabError: the run can't be read, or the file can't be written.
    """
    options = PARSER.parse_args(arguments)
    form = _form(options.format, options.output)
    found = _find(options.run)

    from lightlab.commands.quiet import silence
    from lightlab.files import check_output, write_text
    from lightlab.inspect.report import render_html, render_markdown
    from lightlab.training.run_names import confined

    silence()
    output = Path(options.output) if options.output else confined(found.path / f"report{ENDINGS[form][0]}", found.path)
    if options.output != "-":
        check_output(output, "report")
    text = render_html(found) if form == "html" else render_markdown(found)
    if options.output == "-":
        say(text, end="")
        return
    write_text(text, output, "report")
    say(output)


def _form(form: str | None, output: str | None) -> str:
    """Return the form that is asked for, by name or by the ending of the file.

    Raises:
        RunError: name and ending contradict each other, or the ending is another.
    """
    if output in (None, "-"):
        return form or "html"
    ending = Path(str(output)).suffix.lower()
    meant = next((name for name, endings in ENDINGS.items() if ending in endings), None)
    if meant is None or form not in (None, meant):
        wanted = [form] if form else list(ENDINGS)
        rule = " or ".join(f"{' or '.join(ENDINGS[name])} ({name})" for name in wanted)
        raise RunError(f"A report's file ends in {rule}. Received: {output}.")
    return meant


def _find(path: str) -> Run:
    """Return the run that a folder is, or the latest of a config's below it.

    Raises:
        RunError: there is none, or there are several configs'.
    """
    from lightlab.inspect.run import find_latest_run

    if Path(path).is_file():
        folder = next((str(parent) for parent in Path(path).parents if (parent / "config.yaml").is_file()), "")
        near = f"Did you mean {folder}?" if folder else ""
        raise RunError(sentences(f"A report is of a run folder. Received the file {path}.", near))
    return find_latest_run(path, "A report")
