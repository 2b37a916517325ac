import pytest

from lightlab import errors
from lightlab.errors import (
    ConfigError,
    DataError,
    Fault,
    LightlabError,
    ShapeError,
    collect,
    did_you_mean,
    format_key,
    sentences,
)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((), ""),
        (("model",), "model"),
        (("model", "layers", 2, "dense", "units"), "model.layers[2].dense.units"),
        (("layers", 0, 1, "nn.Linear"), "layers[0][1].nn.Linear"),
    ],
)
def test_format_key(key, text):
    """A key is written as people do: names by points, places in brackets."""
    assert format_key(key) == text


@pytest.mark.parametrize(
    ("name", "known", "question"),
    [
        ("dens", ["dense", "relu"], "Did you mean dense?"),
        ("ReLU", ["relu", "relu6", "tanh"], "Did you mean relu?"),
        ("adamw", ["AdamW"], "Did you mean AdamW?"),
        ("xyz", ["dense"], ""),
        ("dense", [], ""),
        (5, ["dense"], ""),
    ],
)
def test_did_you_mean(name, known, question):
    """What comes nearest, the nearest first, whatever the case; nothing where nothing is near."""
    assert did_you_mean(name, known) == question


def test_sentences():
    """Parts that are empty leave no trace."""
    assert sentences("One.", "", "Two.", "") == "One. Two."


def test_config_error_holds_every_fault():
    """All faults are there in order, and in the text a line each."""
    error = ConfigError([Fault(("a", 0), "first."), Fault((), "second.")])
    assert [fault.message for fault in error.faults] == ["first.", "second."]
    assert str(error) == "a[0]: first.\nsecond."
    assert str(ShapeError.at(("b",), "third.")) == "b: third."
    assert isinstance(ShapeError.at(("b",), "third."), ShapeError)


def test_collect():
    """The faults of config errors are gathered; any other error passes."""
    faults = [Fault((), "before.")]
    with collect(faults):
        raise ShapeError([Fault(("a",), "one."), Fault(("b",), "two.")])
    with collect(faults):
        pass
    assert [fault.message for fault in faults] == ["before.", "one.", "two."]
    with pytest.raises(ValueError, match="other"), collect(faults):
        raise ValueError("other")


def test_tree():
    """The tree in the docstring is the tree of the classes."""
    above, drawn = {0: LightlabError}, {"LightlabError"}
    for line in errors.__doc__.splitlines():
        if "── " in line:
            branch, text = line.split("── ")
            name, depth = text.split()[0], len(branch) // 4
            above[depth] = getattr(errors, name)
            drawn.add(name)
            assert above[depth].__base__ is above[depth - 1], name
    assert drawn == {
        name for name, item in vars(errors).items() if isinstance(item, type) and issubclass(item, Exception)
    }


def test_data_errors_know_what_each_message_is_about():
    """Also where a message has line breaks of its own, as names of columns may."""
    error = DataError(["There are: a\u2028b.", "Two\nlines."], about=["x", "y"])
    assert error.messages == [("There are: a\u2028b.", "x"), ("Two\nlines.", "y")]
    assert str(error) == "There are: a\u2028b.\nTwo\nlines."
    assert DataError("One\nmessage.").messages == [("One\nmessage.", None)]
