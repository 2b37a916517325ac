"""A config file has nothing written outside the folder that one works in; the command line names any place."""

from pathlib import Path

import pytest

from lightlab.config.classes import ClassSpec
from lightlab.config.documents import COMMAND_LINE
from lightlab.config.places import find_strays

OUTSIDE = ["..", "../x", "a/../../x", "/x", "link/x", "a\0b"]
INSIDE = ["", ".", "a", "a/b", "a/../b", "..a"]


def strays(config, given=()):
    """Return the keys that are refused, where these come from the command line and all others from a file."""
    return [fault.key for fault in find_strays(config, lambda key: COMMAND_LINE if key in given else "c.yaml:1")]


def of_logger(**arguments):
    """Return a config with a logger."""
    return {"trainer": {"logger": [ClassSpec(class_path="lightning.X", init_args=arguments)]}}


@pytest.fixture(autouse=True)
def _link(tmp_path):
    Path("link").symlink_to(tmp_path.parent)


@pytest.mark.parametrize("path", [*OUTSIDE, *INSIDE])
def test_folders(path):
    """A path that leads out is refused wherever it is one, over links as well."""
    refused = path in OUTSIDE
    place = ("trainer", "logger", 0, "init_args", "save_dir")
    assert strays({"output": path}) == [("output",)] * refused
    assert strays(of_logger(save_dir=path)) == [place] * refused
    data = {"data": {"init_args": {"download": True, "root": path}}}
    assert strays(data) == [("data", "init_args", "root")] * refused
    assert strays({"data": {"init_args": {"root": path}}}) == []  # it is only read


@pytest.mark.parametrize("name", ["..", "../x", "a/../x", "/x", "\\x", "C:x", "a\nb", "a\x1bb"])
def test_names_that_lead_out(name):
    """What is called so in a folder would lie outside of it."""
    assert strays(of_logger(version=name)) == [("trainer", "logger", 0, "init_args", "version")]


def test_names():
    """Other names are fine, and what is no text is no path."""
    for name in ("a", "a/b", "{epoch}-{step}", "", None, 3):
        assert strays(of_logger(name=name)) == []


def test_what_is_nested():
    """Classes are looked through that stand in other classes' arguments."""
    inner = ClassSpec(class_path="lightning.Y", init_args={"dirpath": "/x"})
    place = ("trainer", "logger", 0, "init_args", "inner", "init_args", "dirpath")
    assert strays(of_logger(inner=inner)) == [place]


def test_the_command_line():
    """It names any place; and a root of the runs, below which a config may then write."""
    config = {"output": "/elsewhere/p.csv", "trainer": {"default_root_dir": "/elsewhere"}}
    assert strays({"output": "/x"}, [("output",)]) == []
    assert strays(config) == [("output",)]
    assert strays(config, [("trainer", "default_root_dir")]) == []


def test_what_is_said():
    """The rule, what was received, and what takes any."""
    (fault,) = find_strays({"output": "../p.csv"}, lambda key: "c.yaml:1")
    assert "below the folder that you work in" in fault.message
    assert "Received: '../p.csv'. On the command line --output takes any." in fault.message
