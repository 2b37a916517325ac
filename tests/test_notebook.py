"""The example notebook: committed without outputs, and run from its first cell to its last."""

import json
import os
import signal
import sys
import tempfile
import urllib.request
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from tensorboard import manager

from lightlab import Run

NOTEBOOK = Path(__file__).parents[1] / "examples" / "digits.ipynb"
#: Seconds that a cell may take on a busy machine.
LONGEST = 300


@pytest.fixture
def notebook():
    """Return the notebook, which is valid."""
    found = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(found)
    return found


@pytest.fixture
def kernel(tmp_path, monkeypatch):
    """Return the name of a kernel of this Python, with the programs beside it first; it leaves nothing behind.

    What Jupyter and IPython keep for a person, such as kernels and the history of what was typed, lies in the test's
    folder; so does what TensorBoard knows of its processes.
    """
    for name in ("JUPYTER_DATA_DIR", "JUPYTER_CONFIG_DIR", "JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "TMPDIR"):
        (tmp_path / "own" / name).mkdir(parents=True)
        monkeypatch.setenv(name, str(tmp_path / "own" / name))
    monkeypatch.setattr(tempfile, "tempdir", os.environ["TMPDIR"])
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    folder = tmp_path / "own" / "JUPYTER_DATA_DIR" / "kernels" / "this"
    folder.mkdir(parents=True)
    spec = {"argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], "display_name": "this"}
    (folder / "kernel.json").write_text(json.dumps({**spec, "language": "python"}))
    return "this"


@pytest.fixture
def boards(kernel):
    """Return what lists the TensorBoards of the notebook; they are ended with the test."""
    yield manager.get_all
    for board in manager.get_all():
        with suppress(ProcessLookupError):  # it has ended with its kernel
            os.kill(board.pid, signal.SIGTERM)


def images(notebook):
    """Return for each cell that shows an image its source."""
    return [
        cell.source
        for cell in notebook.cells
        if cell.cell_type == "code" and any("image/png" in output.get("data", {}) for output in cell.outputs)
    ]


def text(notebook, start):
    """Return what the cell that starts so writes and shows."""
    cell = next(cell for cell in notebook.cells if cell.source.startswith(start))
    return "".join(output.get("text") or str(output.get("data")) for output in cell.outputs)


def runs_of(board):
    """Return the runs that a TensorBoard answers with."""
    directly = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with directly.open(f"http://localhost:{board.port}/data/runs", timeout=60) as response:
        return json.loads(response.read())


def test_without_outputs(notebook):
    """What is committed is what was written, not what one machine made of it."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert (cell.outputs, cell.execution_count) == ([], None)


def test_every_cell_runs(notebook, kernel, boards, tmp_path):
    """In an empty folder no cell fails; plots are images, TensorBoard answers, figures are those of the runs."""
    folder = tmp_path / "course"
    folder.mkdir()
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=LONGEST, kernel_name=kernel, resources=resources)
    with client.setup_kernel():
        for place, cell in enumerate(notebook.cells):
            client.execute_cell(cell, place)
        (board,) = boards()
        assert {"digits/version_0", "digits/version_1"} <= set(runs_of(board))
    assert [source.splitlines()[-1] for source in images(notebook)] == [
        "run.plot()",
        'run.plot("accuracy")',
        'Image("compare.png")',
    ]
    first, second = (Run(folder / "runs" / "digits" / f"version_{version}") for version in range(2))
    assert second.config["model"]["optimizer"]["init_args"]["lr"] == 0.01
    assert first.diagnosis.summary().split(":")[0] in text(notebook, "from lightlab import Run")
    accuracy = second.outcome.test["test/accuracy"]
    assert f"{accuracy:.4f}*" in text(notebook, "!lightlab compare")
    assert f"{round(accuracy * 270)} of 270 digits are right" in text(notebook, "from lightlab import BundledData")
    assert (second.path / "report.html").is_file()
