"""Runs are called like their config file, where it has a name."""

import os
from pathlib import Path

import pytest

from lightlab.training.run_names import UNNAMED, config_name


@pytest.mark.parametrize("file", ["houses.yaml", "63", "fd/63", "stdin.yaml"])
def test_files(file):
    """A file is one, whatever it is called."""
    Path(file).parent.mkdir(exist_ok=True)
    Path(file).write_text("data: {}")
    assert config_name(file) == Path(file).stem


def test_what_nobody_named():
    """A pipe, as of ``--config <(…)``, is known by a number that says nothing; and so is standard input."""
    read, write = os.pipe()
    os.mkfifo("pipe")
    names = {config_name(file) for file in (f"/dev/fd/{read}", f"/proc/self/fd/{read}", "/dev/stdin", "pipe")}
    os.close(read)
    os.close(write)
    assert names == {UNNAMED}
