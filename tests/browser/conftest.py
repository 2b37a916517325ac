"""Pages that reach this machine alone, and TensorBoard as people start it."""

import json
import re
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

#: What a page may ask for.
OWN = re.compile(r"(http://(localhost|127\.0\.0\.1)[:/]|file:|data:|blob:|about:)")
#: How long anything is waited for, in seconds.
PATIENCE = 60


@pytest.fixture
def page(browser):
    """A new page. It fails the test if it asks for anything from elsewhere, or if a script of its own fails."""
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.set_default_timeout(PATIENCE * 1000)
    faults = []

    def pass_on(route):
        if OWN.match(route.request.url):
            route.continue_()
        else:
            faults.append(f"asked for {route.request.url}")
            route.abort()

    page.route("**/*", pass_on)
    page.on("pageerror", lambda error: faults.append(str(error)))
    yield page
    page.close()
    assert not faults


@dataclass
class TensorBoard:
    """A TensorBoard that runs, and the data that its pages are made of."""

    process: subprocess.Popen
    url: str

    def open(self, page, dashboard):
        """Open a dashboard in a page."""
        page.goto(f"{self.url}#{dashboard}")

    def get(self, path, **query):
        """Return what it answers: plain data, or bytes where that is none."""
        return self._ask(f"{path}?{urllib.parse.urlencode(query)}")

    def post(self, path, body):
        """Return what it answers to a question in JSON."""
        return self._ask(path, json.dumps(body).encode())

    def _ask(self, path, body=None):
        request = urllib.request.Request(f"{self.url}data/{path}", body, {"Content-Type": "application/json"})
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=PATIENCE) as answer:
            content = answer.read()
        return json.loads(content) if "json" in answer.headers["Content-Type"] else content

    def wait_for(self, is_there):
        """Ask until it is there: TensorBoard reads files in the background."""
        end = time.monotonic() + PATIENCE
        while True:
            with suppress(urllib.error.URLError, KeyError):
                if is_there(self):
                    return
            assert time.monotonic() < end, "TensorBoard shows nothing of what is waited for."
            _pause(self.process)

    def addresses(self):
        """Return the addresses that its port listens on, in the kernel's own words."""
        port = f"{urllib.parse.urlparse(self.url).port:04X}"
        tables = [table for table in (Path("/proc/net/tcp"), Path("/proc/net/tcp6")) if table.exists()]
        lines = [line.split() for table in tables for line in table.read_text().splitlines()[1:]]
        listening = "0A"
        return {line[1].split(":")[0] for line in lines if line[1].endswith(f":{port}") and line[3] == listening}


def _pause(process):
    """Wait a moment for a process, which is not to end."""
    with suppress(subprocess.TimeoutExpired):
        raise AssertionError(f"TensorBoard ended: {process.wait(0.05)}")


@pytest.fixture(scope="session")
def start_tensorboard(tmp_path_factory):
    """A function that starts TensorBoard for a folder, as people do; all of them end with the tests."""
    started = []

    def start(logdir):
        log = tmp_path_factory.mktemp("tensorboard") / "log"
        call = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--port", "0"]
        with log.open("w") as stream:
            process = subprocess.Popen(call, stderr=stream, stdout=subprocess.DEVNULL)
        started.append(process)
        end = time.monotonic() + PATIENCE
        while not (said := re.search(r"TensorBoard \S+ at (http://\S+)", log.read_text())):
            assert time.monotonic() < end, log.read_text()
            _pause(process)
        return TensorBoard(process, said[1])

    yield start
    for process in started:
        process.terminate()
    for process in started:
        process.wait(PATIENCE)
