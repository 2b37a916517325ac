"""Names stand in Markdown as they are, whatever they look like."""

import markdown as reader
import pytest

from lightlab.inspect.evaluation import Mistake
from lightlab.inspect.markdown import escape, table
from lightlab.inspect.tensorboard.texts import mistakes_text


@pytest.mark.parametrize("name", ["__x__", "*x*", "a|b", "`x`", "[x](y)", "f1_macro"])
def test_a_name_is_shown_as_it_is(name):
    """A reader of Markdown gives back the name, in a table as well, and no element comes of it."""
    shown = reader.markdown(table(["name"], [[escape(name)]], [False]), extensions=["tables"])
    assert f'<td style="text-align: left;">{name}</td>' in shown


def test_mistakes_of_classes_with_such_names():
    """The text for TensorBoard is one of these tables."""
    assert "| \\_\\_x\\_\\_ | \\<b\\> |" in mistakes_text([Mistake("1", 0.5, "__x__", "<b>")])
