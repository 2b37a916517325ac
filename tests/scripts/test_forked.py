"""Programs in forked processes: they see, say and come to what they do in processes that Python has started."""

import os
import signal
import subprocess
import sys

import pytest

from fault_injection.forked import Forked

PROGRAM = """
import os, sys, tempfile
import beside
print("to be seen", file=sys.stderr, flush=True)
print(__name__, sys.argv[1:], os.getcwd(), os.environ["WHO"], tempfile.gettempdir(), beside.VALUE)
print(os.getsid(0) == os.getpid())
sys.exit(3)
"""


@pytest.mark.parametrize("form", [["-c", PROGRAM], ["-m", "program"], ["program.py"]])
def test_a_program(form, tmp_path):
    """Names, arguments, folder, environment, modules beside it, output and exit code are the same."""
    (tmp_path / "program.py").write_text(PROGRAM)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "beside.py").write_text("VALUE = 5")
    environment = {**os.environ, "WHO": "me", "TMPDIR": str(tmp_path), "PYTHONPATH": str(tmp_path / "elsewhere")}
    command = [sys.executable, *form, "a", "b"]
    both = {"cwd": tmp_path, "env": environment, "stderr": subprocess.STDOUT, "start_new_session": True}
    started = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False, **both)
    forked = Forked([*form, "a", "b"], tmp_path, environment)
    said, _ = forked.communicate(120)
    assert said == started.stdout
    assert "to be seen\n__main__ ['a', 'b'] " in said
    assert forked.returncode == forked.poll() == started.returncode == 3


def test_ends_of_all_kinds(tmp_path):
    """A signal is a code below 0; an error has its traceback in the output; who does not end in time is waited for."""
    killed = Forked(["-c", "import os; os.kill(os.getpid(), 9)"], tmp_path, os.environ)
    assert killed.wait(120) == -signal.SIGKILL
    failed = Forked(["-c", "1 / 0"], tmp_path, os.environ, said=tmp_path / "said")
    assert "ZeroDivisionError" in failed.communicate(120)[0]
    assert failed.returncode == 1
    assert "ZeroDivisionError" in (tmp_path / "said").read_text()
    endless = Forked(["-c", "import signal; signal.pause()"], tmp_path, os.environ)
    with pytest.raises(subprocess.TimeoutExpired):
        endless.wait(0.0)
    assert endless.poll() is None
    os.kill(endless.pid, signal.SIGTERM)
    assert endless.wait(120) == -signal.SIGTERM
