"""Fixtures for all tests."""

import os
import runpy
import shutil
import sys
from pathlib import Path

import pytest

import lightlab.data

# Two test processes share the machine's cores; torch's own threads would fight over them.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests reach this machine only, and so does all that they start.
NO_NETWORK = Path(__file__).parent / "tests" / "no_network"
collect_ignore = [str(NO_NETWORK)]
if str(NO_NETWORK) not in sys.path:  # it is there in a process that the tests have started
    runpy.run_path(str(NO_NETWORK / "sitecustomize.py"))
    sys.path.append(str(NO_NETWORK))
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(NO_NETWORK), os.environ.get("PYTHONPATH")]))

# A module that pytest imports for its doctests before its package does would be there twice, and each of its classes.
for _name in lightlab.data.__all__:
    getattr(lightlab.data, _name)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Run every test in a folder of its own: what it writes stays there."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture(autouse=True)
def no_plugins_left():
    """Forget the plugins that a test has named: a config may then name what only plugins could bring."""
    from lightlab import registry
    from lightlab.config.sections import trainer_signature

    plugins, named = set(registry._plugins), dict(registry._named)
    yield
    if plugins != registry._plugins or named != registry._named:
        for kept, before in ((registry._plugins, plugins), (registry._named, named)):
            kept.clear()
            kept.update(before)
        trainer_signature.cache_clear()


@pytest.fixture(autouse=True)
def names_in_doctests(doctest_namespace):
    """What the examples in docstrings use without importing it."""
    import torch
    from torch import nn

    doctest_namespace["torch"] = torch
    doctest_namespace["nn"] = nn


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, as the machine has it. CI has to have it; elsewhere tests that need it are skipped."""
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("There is no chromium on this machine.")
    # No sandbox, since tests may run as root; and WebGL without a GPU.
    flags = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=60_000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=flags)
        yield browser
        browser.close()
