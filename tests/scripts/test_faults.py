"""The table of faults: what is injected, what is printed, and how the command ends."""

import re
import subprocess
import sys
from pathlib import Path

SCRIPTS = Path(__file__).parents[2] / "scripts"
#: Runs the program with one more fault, which does harm.
HARMFUL = """
import runpy, sys
sys.path.insert(0, sys.argv[1])
from fault_injection import base

@base.fault("R99", "nothing", "something")
def harm(laboratory):
    return base.Finding(False, "1 of 2")

sys.argv = ["faults", "R99"]
runpy.run_path(f"{sys.path[0]}/faults", run_name="__main__")
"""


def run(*command):
    """Run a program to its end."""
    return subprocess.run([sys.executable, *command], capture_output=True, text=True, check=False)


def test_a_row_of_the_table(tmp_path):
    """Bits of checkpoints are flipped: lightlab refuses every one, stock Lightning does not; the page is filled in."""
    page = tmp_path / "page.md"
    page.write_text("# Faults\n")
    done = run(SCRIPTS / "faults", "--quick", "R11", "--write", page)
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if line.startswith("| R11 ")]
    lightlab, stock = row.split(" | ")[3:5]
    refused, tried = map(int, re.findall(r"(\d+) of (\d+) refused", lightlab)[0])
    assert refused == tried > 0
    refused, tried = map(int, re.findall(r"(\d+) of (\d+) refused", stock)[0])
    assert refused < tried
    assert row in page.read_text()


def test_harm_is_an_exit_code():
    """A fault that does harm is marked in the table, and the exit code is 1."""
    done = run("-c", HARMFUL, str(SCRIPTS))
    assert done.returncode == 1
    assert "| R99 | nothing | something | **does not hold** 1 of 2 | – |" in done.stdout


def test_unknown_faults():
    """They are refused with those that there are."""
    done = run(SCRIPTS / "faults", "R0")
    assert done.returncode == 2
    assert "R1, R2" in done.stderr
    assert "Received: R0" in done.stderr
