"""Run folders are claimed once, found again, and never overwritten."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from lightlab.errors import RunError
from lightlab.training.run_folder import environment
from lightlab.training.run_paths import claim_run, find_run_checkpoint, versions


def test_versions_count_up():
    """Each claim makes the next folder, also after gaps, and past nine."""
    Path("runs/a/version_9").mkdir(parents=True)
    Path("runs/a/version_x").mkdir()
    assert claim_run(Path("runs"), "a") == Path("runs/a/version_10")
    assert claim_run(Path("runs"), "b") == Path("runs/b/version_0")
    assert versions(Path("runs/a")) == [9, 10]


def test_claims_at_once_get_folders_of_their_own():
    """Of many claims at the same moment no two get the same folder."""
    with ThreadPoolExecutor(8) as pool:
        claimed = list(pool.map(lambda _: claim_run(Path("runs"), "a"), range(40)))
    assert len(set(claimed)) == 40


def test_folder_that_can_t_be_made():
    """A root that is a file is named."""
    Path("runs").touch()
    with pytest.raises(RunError, match="runs/a can't be"):
        claim_run(Path("runs"), "a")


def test_the_latest_run_that_has_the_checkpoint():
    """The newest run is taken, by number and not by text; one without the checkpoint is not passed over in silence."""
    for number in (2, 10):
        Path(f"runs/a/version_{number}/checkpoints").mkdir(parents=True)
        Path(f"runs/a/version_{number}/checkpoints/best.ckpt").touch()
    assert find_run_checkpoint(None, Path("runs"), "a") == Path("runs/a/version_10/checkpoints/best.ckpt")
    Path("runs/a/version_11").mkdir()
    with pytest.raises(RunError, match="no checkpoints/best.ckpt of a run under runs/a/version_11"):
        find_run_checkpoint(None, Path("runs"), "a")
    with pytest.raises(RunError, match="no checkpoints/last.ckpt of a run under runs/a/version_2"):
        find_run_checkpoint(Path("runs/a/version_2"), Path("runs"), "a", "last.ckpt")
    with pytest.raises(RunError, match="under runs/b. Run 'lightlab fit'"):
        find_run_checkpoint(None, Path("runs"), "b")


def test_environment_has_the_git_commit():
    """In a git checkout the commit is kept, and whether files were changed; elsewhere there is none."""
    assert environment()["git_commit"] is None
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.org"]
    Path("file").write_text("a")
    for arguments in (["init", "-q"], ["add", "file"], [*identity, "commit", "-q", "-m", "m"]):
        subprocess.run(["git", *arguments], check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
    assert (environment()["git_commit"], environment()["git_changed"]) == (head, False)
    Path("file").write_text("b")
    assert environment()["git_changed"] is True
    assert environment()["python"] == sys.version.split()[0]
    json.dumps(environment())
