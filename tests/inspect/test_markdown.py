"""Names stand in Markdown as they are, whatever they look like."""

import html
import re

import markdown
import pytest
from markdown_it import MarkdownIt

from lightlab.inspect.evaluation import Mistake
from lightlab.inspect.markdown import escape, table
from lightlab.inspect.tensorboard.texts import mistakes_text

#: Python-Markdown, which TensorBoard has; and one that does as CommonMark and GitHub do.
READERS = [
    lambda text: markdown.markdown(text, extensions=["tables"]),
    MarkdownIt("commonmark").enable(["table", "strikethrough"]).render,
]
NAMES = [
    "__x__",
    "*x*",
    "a|b",
    "`x`",
    "[x](y)",
    "f1_macro",
    "<b>x</b>",
    "a < b",
    "~~x~~",
    "$x$",
    "a & b",
    "&lt;",
    "a\\b",
]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is(name, reader):
    """A reader of Markdown gives back the name, in a table as well, and no element comes of it."""
    shown = reader(table(["name"], [[escape(name)]], [False]))
    ((_, _, cell),) = re.findall(r"<td( style=\"(text-align: ?left);?\")?>(.*)</td>", shown)
    assert "<" not in cell
    assert html.unescape(cell) == name


def test_mistakes_of_classes_with_such_names():
    """The text for TensorBoard is one of these tables."""
    assert "| \\_\\_x\\_\\_ | &lt;b&gt; |" in mistakes_text([Mistake("1", 0.5, "__x__", "<b>")])
