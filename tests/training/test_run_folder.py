"""Run folders are claimed once, found again, and never overwritten."""

import csv
import json
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy

from lightlab import BundledData, Model
from lightlab.checkpoints import read_checkpoint
from lightlab.errors import RunError
from lightlab.training.history import History
from lightlab.training.options import CheckpointOptions
from lightlab.training.run_folder import RunFolder, environment
from lightlab.training.run_paths import check_run_folder, check_space, claim_run, find_run_checkpoint, versions

QUIET = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
WHOLE = {"config.yaml", "data.json", "environment.json", "history.csv", "checkpoints/last.ckpt"}


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
    Path("runs/a/version_12").mkdir()
    with pytest.raises(RunError) as caught:
        find_run_checkpoint(None, Path("runs"), "a")
    assert "runs/a/version_12 has no checkpoints/best.ckpt" in str(caught.value)
    assert "give --ckpt_path runs/a/version_10/checkpoints/best.ckpt" in str(caught.value)
    with pytest.raises(RunError, match=r"no checkpoints/last.ckpt of a run under runs/a/version_12\. Run"):
        find_run_checkpoint(None, Path("runs"), "a", "last.ckpt")
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


def test_claims_while_others_remove_the_folder_above():
    """A run that fails removes the folder above it if it is empty; one that starts at that moment does not mind."""
    ended = threading.Event()

    def remove():
        while not ended.is_set():
            shutil.rmtree("runs", ignore_errors=True)

    with ThreadPoolExecutor(1) as pool:
        removing = pool.submit(remove)
        try:
            for _ in range(200):
                assert claim_run(Path("runs"), "a").parent == Path("runs/a")
        finally:
            ended.set()
        removing.result()


@pytest.mark.parametrize("root", ["file", "file/below", "/proc/none", "link"])
def test_a_folder_that_can_not_be_is_known_before(root):
    """A check says so before anything is read, and leaves nothing."""
    Path("file").touch()
    Path("link").symlink_to("nowhere")
    with pytest.raises(RunError, match=f"{root}/a can't be: "):
        check_run_folder(Path(root), "a")
    check_run_folder(Path("runs/of/mine"), "a")
    assert {path.name for path in Path().iterdir()} == {"file", "link"}


def test_room_for_the_checkpoints():
    """What surely does not fit on the disk is refused, with both figures."""
    check_space(Path(), 1)
    with pytest.raises(RunError, match="take at least 1,000,000,000,000,000,000 bytes. The disk of . has "):
        check_space(Path(), 10**18)


class Do(Callback):
    """Does something when the third epoch begins."""

    def __init__(self, what):
        self.what = what

    def on_train_epoch_start(self, trainer, pl_module):
        """Do it."""
        if trainer.current_epoch == 2:
            self.what()


def train(what):
    """Train in a run folder, while something happens in the third epoch of four."""
    folder = RunFolder(Path("runs"), "wine", "text: 1\n", None)
    checkpoints = CheckpointOptions().build({"val/loss": "min"}, "val/loss")
    trainer = Trainer(max_epochs=4, callbacks=[folder, History(folder), Do(what), *checkpoints], **QUIET)
    trainer.fit(Model([{"dense": 4}], problem="multiclass"), datamodule=BundledData("wine", batch_size=64))


def left(name):
    """Return a run's files."""
    return {str(path.relative_to(f"runs/wine/{name}")) for path in Path(f"runs/wine/{name}").rglob("*.*")}


@pytest.mark.parametrize("gone", ["runs/wine/version_0", "runs", "runs/wine/version_0/config.yaml"])
def test_a_run_folder_that_is_deleted(gone):
    """Training stops and says so; what it has come to is in another folder, and can be gone on from."""
    path = Path(gone)
    with pytest.raises(RunError) as wrong:
        train(lambda: shutil.rmtree(path) if path.is_dir() else path.unlink())
    named = gone if gone != "runs" else "runs/wine/version_0"
    assert str(wrong.value) == (
        f"{named} is gone: it was deleted while training was under way, which stops. Go on from "
        "runs/wine/version_1/checkpoints/last.ckpt with: lightlab fit --config runs/wine/version_1/config.yaml "
        "--ckpt_path last"
    )
    assert left("version_1") == WHOLE
    assert Path("runs/wine/version_1/config.yaml").read_text() == "text: 1\n"
    assert read_checkpoint("runs/wine/version_1/checkpoints/last.ckpt")["epoch"] == 2
    with Path("runs/wine/version_1/history.csv").open(newline="") as stream:
        assert [row["epoch"] for row in csv.DictReader(stream)] == ["1", "2", "3"]


def test_checkpoints_that_are_deleted():
    """They are missed, and what was trained so far is kept in the same folder."""
    with pytest.raises(RunError, match="best.ckpt is gone: .* Go on from runs/wine/version_0/checkpoints/last.ckpt"):
        train(lambda: shutil.rmtree("runs/wine/version_0/checkpoints"))
    assert left("version_0") == WHOLE
    assert versions(Path("runs/wine")) == [0]


def test_a_run_folder_that_is_still_being_deleted(monkeypatch):
    """What was deleted of it while training was kept in it is written again."""
    save = Trainer.save_checkpoint

    def save_and_lose(trainer, path, *given, **options):
        save(trainer, path, *given, **options)
        if str(path).endswith("last.ckpt") and not lost:
            lost.append(path)
            for name in ("config.yaml", "environment.json", "data.json", "checkpoints/last.ckpt"):
                Path("runs/wine/version_0", name).unlink()

    def delete():
        shutil.rmtree("runs/wine/version_0/checkpoints")
        lost.clear()

    lost = [None]
    monkeypatch.setattr(Trainer, "save_checkpoint", save_and_lose)
    with pytest.raises(RunError, match="best.ckpt is gone: .* --config runs/wine/version_0/config.yaml "):
        train(delete)
    assert lost
    assert left("version_0") == WHOLE


def test_a_checkpoint_that_was_never_written(monkeypatch, capsys):
    """Where there is no room for the first one, nobody is said to have deleted it."""

    def fail(strategy, checkpoint, path, **options):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(SingleDeviceStrategy, "save_checkpoint", fail)
    with pytest.raises(OSError, match="No space left"):
        train(lambda: None)
    assert "is gone" not in capsys.readouterr().out


def test_a_run_folder_that_is_whole():
    """Nothing is said, and nothing is made anew."""
    train(lambda: None)
    assert left("version_0") == WHOLE | {"checkpoints/best.ckpt"}
    assert versions(Path("runs/wine")) == [0]


@pytest.mark.parametrize("root", ["mine", "made/for/this"])
def test_what_a_failed_run_leaves(root):
    """Folders that were there before it stay, and those that it made go."""

    class Failing(Callback):
        def on_train_start(self, trainer, pl_module):
            raise RunError("not today")

    Path("mine").mkdir()
    trainer = Trainer(
        max_epochs=1,
        callbacks=[RunFolder(Path(root), "wine", "text: 1\n", None), Failing()],
        enable_checkpointing=False,
        **QUIET,
    )
    with pytest.raises(RunError, match="not today"):
        trainer.fit(Model([{"dense": 4}], problem="multiclass"), BundledData("wine", batch_size=64))
    assert [path.name for path in Path().rglob("*")] == ["mine"]


def test_a_config_that_changes_while_processes_start():
    """Where another process has read another config, none trains, and nothing is left."""

    class Other(SingleDeviceStrategy):
        def broadcast(self, obj, src=0):
            return "text: 2\n" if obj == "text: 1\n" else obj

    folder = RunFolder(Path("runs"), "wine", "text: 1\n", None)
    trainer = Trainer(max_epochs=1, callbacks=[folder], strategy=Other("cpu"), **QUIET)
    with pytest.raises(RunError, match="All processes train by one config. That of wine was changed while they"):
        trainer.fit(Model([{"dense": 4}], problem="multiclass"), BundledData("wine", batch_size=64))
    assert not list(Path().iterdir())
