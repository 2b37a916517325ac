"""A process ends at once when its work is done, and leaves nothing out that has to be done before."""

import gzip
import os
import subprocess
import sys

import pytest

#: Output waits in Python until it is flushed, as it does when it is not shown but read.
BUFFERED = {**os.environ, "PYTHONUNBUFFERED": ""}
ENDING = """
import atexit, sys, threading
from lightlab.process_end import run_to_the_end

class Part:
    def __del__(self):
        print("taken apart")

part = Part()

def finish_late():
    threading.main_thread().join()
    print("thread")

def main():
    threading.Thread(target=finish_late).start()
    atexit.register(print, "at exit")
    print("main")
    return EXIT

if WATCHED:
    atexit.register(print, "watcher")
run_to_the_end(main)
"""


@pytest.mark.parametrize(
    ("watched", "ended", "last", "code"),
    [
        (False, "3", [], 3),
        (True, "3", ["watcher", "taken apart"], 3),
        (False, "sys.exit(4)", ["taken apart"], 4),
        (False, "1 / 0", ["taken apart"], 1),
    ],
)
def test_the_end_of_the_process(watched, ended, last, code):
    """Threads and what is to be done at exit are waited for and all output is written; then the process is gone.

    Unless somebody watches it from outside, or an exception ended the call: then Python ends it in its own way.
    """
    program = ENDING.replace("WATCHED", str(watched)).replace("EXIT", ended)
    call = [sys.executable, "-c", program]
    result = subprocess.run(call, capture_output=True, text=True, check=False, env=BUFFERED)
    assert result.stdout.splitlines() == ["main", "thread", "at exit", *last]
    assert "atexit callback" not in result.stderr
    assert result.returncode == code


def test_a_reader_that_has_gone():
    """Output that nobody reads any more is lost as quietly as before."""
    program = "from lightlab.process_end import run_to_the_end; run_to_the_end(lambda: print('x' * 10) or 0)"
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=BUFFERED
    )
    process.stdout.close()
    with process.stderr as errors:
        assert b"BrokenPipeError" in errors.read()
    assert process.wait() == 120  # Python's own


def test_files_that_nobody_closes(tmp_path):
    """What was written to a file is in it, as a callback's of one's own, which is there to the end."""
    program = """
import gc, gzip
from lightlab.process_end import run_to_the_end

class Callback:
    def __init__(self):
        self.text, self.bytes = open("text", "w"), open("bytes", "wb")
        self.closed, self.packed = open("closed", "w"), gzip.open("packed", "wt")

callback = Callback()
gc.freeze()

def main():
    callback.later = open("later", "w")
    for file in (callback.text, callback.later, callback.closed, callback.packed):
        file.write("line")
    callback.bytes.write(b"line")
    callback.closed.close()
    return 0

run_to_the_end(main)
"""
    subprocess.run([sys.executable, "-c", program], check=True, cwd=tmp_path)
    for name in ("text", "bytes", "later", "closed"):
        assert (tmp_path / name).read_text() == "line"
    assert gzip.decompress((tmp_path / "packed").read_bytes()) == b"line"


def test_no_output():
    """A process whose output is closed ends as quietly, and as quickly."""
    program = """
import sys
from lightlab.process_end import run_to_the_end
sys.stdout = None
class Part:
    def __del__(self):
        sys.stderr.write("taken apart")
part = Part()
run_to_the_end(lambda: 5)
"""
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (5, "")


def test_our_programs_end_at_once():
    """Nothing that they import at their start has something to do at the end, which would leave the end to Python."""
    code = "import atexit, lightlab.cli, lightlab.compiled.worker; print(atexit._ncallbacks())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "0\n"
