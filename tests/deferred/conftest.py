"""A Python of its own for each test: what is imported here is imported already."""

import os
import subprocess
import sys

import pytest

DEFER = "from lightlab.deferred import defer_imports; defer_imports()\n"
#: Puts off a package that a test has made, of which another, a friend, takes names.
FAKE = """
import sys
sys.path.insert(0, '.')
from lightlab.deferred.package import DeferredPackage, Finder, Late, LateClass

class Fake(DeferredPackage):
    late = {"function": Late, "Kind": LateClass}
    askers = ("friend",)

finder = Finder({"fake": Fake})
sys.meta_path.insert(0, finder)
"""


@pytest.fixture(scope="session")
def said():
    """Run code in a Python for which nothing is imported yet, and return what it prints."""

    def run(code, *arguments, cwd=None, threads="1"):
        call = [sys.executable, "-c", code, *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": threads}
        done = subprocess.run(call, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


@pytest.fixture(scope="session")
def deferred(said):
    """Likewise, where imports are put off as the command has them put off."""
    return lambda code, **options: said(DEFER + code, **options)


@pytest.fixture
def fake(said, tmp_path):
    """Likewise, where a package that is called fake is put off; it is made of the files that are given."""

    def run(code, **files):
        (tmp_path / "friend.py").write_text("from fake import function, Kind")
        for name, text in files.items():
            path = tmp_path / "fake" / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return said(FAKE + code, cwd=tmp_path)

    return run
