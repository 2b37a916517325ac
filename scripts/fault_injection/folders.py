"""R3 and R14: folders that can't be written to, and what others do to those of a run while it trains."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from fault_injection.base import LIGHTLAB, LONGEST, Finding, Laboratory, fault

IRIS = Path(__file__).parents[2] / "configs" / "iris_mlp.yaml"
#: Who may do nothing, where we may do all.
NOBODY = 65534
#: Carries out several calls in one process, and others after becoming somebody else, who could not even import all that
#: there is; prints exit codes and what was said.
CALLS = """
import io, json, os, sys
from contextlib import redirect_stderr, redirect_stdout
from lightlab.cli import main
found = []
for calls, user in zip(json.loads(sys.argv[1]), (0, int(sys.argv[2]))):
    if user:
        os.setuid(user)
    for arguments in calls:
        said = io.StringIO()
        with redirect_stdout(said), redirect_stderr(said):
            code = main(arguments)
        found.append([code, said.getvalue()])
print(json.dumps(found))
"""
#: Trains where a checkpoint can't be kept; prints how many steps were taken.
STOCK = """
import sys, warnings, logging
warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
from lightning.pytorch import Trainer
from lightning.pytorch.demos.boring_classes import BoringModel
options = dict(max_epochs=1, limit_train_batches=4, limit_val_batches=1, logger=False, accelerator="cpu")
for place in sys.argv[1:]:
    trainer = Trainer(default_root_dir=place, enable_progress_bar=False, enable_model_summary=False, **options)
    try:
        trainer.fit(BoringModel())
        print("STOCK finished", trainer.global_step)
    except BaseException as error:
        print("STOCK failed", trainer.global_step, type(error).__name__)
"""

Call = list[str]


def carry_out(lab: Laboratory, calls: list[Call], of_others: Sequence[Call] = ()) -> list[tuple[int, str]]:
    """Carry out calls of lightlab's, one after the other; return for each its exit code, and what was said.

    Args:
        lab: where.
        calls: as who we are.
        of_others: as somebody who may do little.
    """
    user = NOBODY if os.geteuid() == 0 else 0
    finished = lab.python(CALLS, json.dumps([calls, list(of_others)]), str(user))
    return [(code, said) for code, said in json.loads(finished.said.splitlines()[-1])]


# R3


@contextmanager
def mounted(folder: Path, options: str, content: int = 0) -> Iterator[Path | None]:
    """Give a small disk; nothing where we may make none."""
    folder.mkdir()
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    make = [str(mount), "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    made = mount and unmount and not subprocess.run(make, capture_output=True).returncode
    if not made:
        yield None
        return
    try:
        with (folder / "filling").open("wb") as stream:
            for _ in range(content):
                stream.write(bytes(1024))
                stream.flush()
    except OSError:
        pass  # it is full, as it is meant to be
    if options:
        subprocess.run([str(mount), "-o", f"remount,{options}", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run([str(unmount), str(folder)], check=True)


@fault("R3", "output folder not writable: a file, below one, read-only, a full disk", "fails before data is read")
def unwritable(lab: Laboratory) -> Finding:
    """Train into folders that can't be written to, and write predictions, reports, … there.

    The data of the config is not there: who reads it first speaks of that.
    """
    config = {"data": {"class_path": "TableData", "init_args": {"path": "none.csv", "target": "y"}}}
    (lab.folder / "config.yaml").write_text(json.dumps({**config, "model": {"layers": [{"dense": 4}]}}))
    (lab.folder / "table.csv").write_text("a,b\n" + "".join(f"{row},{row % 2}\n" for row in range(40)))
    (lab.folder / "file").touch()
    closed = lab.folder / "closed"
    closed.mkdir(mode=0o555)
    lab.folder.chmod(0o755)
    lab.folder.parent.chmod(0o755)
    with ExitStack() as stack:
        disks = [
            stack.enter_context(mounted(lab.folder / "locked", "ro")),
            stack.enter_context(mounted(lab.folder / "full", "", content=2048)),
        ]
        places = [lab.folder / "file", lab.folder / "file" / "below", Path("/proc/none"), *filter(None, disks)]
        calls, of_others = _calls(*places), _calls(closed)
        answers = carry_out(lab, calls, of_others)
        stock = [line for line in lab.python(STOCK, *map(str, places)).said.splitlines() if line.startswith("STOCK")]
    found = list(zip([*calls, *of_others], answers, strict=True))
    wrong = [
        f"{' '.join(call)}: {answer[1].strip()[-200:]}" for call, answer in found if not _names_place(call, answer)
    ]
    left = sorted(path.name for path in lab.folder.rglob("*") if path.name.startswith(("version_", ".", "tmp")))
    figure = f"{len(found) - len(wrong)} of {len(found)} calls fail at once and name the folder"
    early, ended = (sum(word in line for line in stock) for word in ("failed 0", "finished"))
    before = f"{early} of {len(stock)} fail before the first step, {ended} finish"
    return Finding(not wrong and not left, "; ".join([figure, *wrong[:2], *left[:2]]), before)


def _calls(*places: Path) -> list[Call]:
    """Return calls that write into each place."""
    return [
        call
        for place in places
        for call in (
            ["fit", "--config", "config.yaml", f"--trainer.default_root_dir={place}"],
            ["init", "table.csv", "-o", str(place / "new.yaml")],
            ["compare", "none", "--chart", str(place / "new.png")],
        )
    ]


def _names_place(call: Call, answer: tuple[int, str]) -> bool:
    """Return whether a call failed in lightlab's own way for its place, before it looked for what else it needs."""
    code, said = answer
    place = call[-1].partition("=")[2] or call[-1]
    return code == 2 and place in said and "none.csv" not in said


# R14


@fault(
    "R14",
    "two runs at once with one name; a run folder, its checkpoints, its event files, the config deleted in mid-run; "
    "a clock set back; a read-only config",
    "no mixing, no loss, a clear error",
)
def surroundings(lab: Laboratory) -> Finding:
    """Start runs at once, and meddle with others in their middle."""
    shutil.copy(IRIS, lab.folder / "iris.yaml")
    trials = {
        **{
            f"{pairs} × 2 runs of {ranks} rank at once": _run_at_once(lab, pairs, ranks) for pairs, ranks in _pairs(lab)
        },
        **_meddle(lab),
    }
    wrong = [f"{name}: {why}" for name, why in trials.items() if why]
    figure = f"{len(trials) - len(wrong)} of {len(trials)} hold: {', '.join(trials)}"
    return Finding(not wrong, "; ".join([figure, *wrong]))


def _pairs(lab: Laboratory) -> list[tuple[int, int]]:
    return [(1, 1)] if lab.quick else [(4, 1), (1, 2)]


def _run_at_once(lab: Laboratory, pairs: int, ranks: int) -> str:
    """Start trainings of one name in pairs; return what is wrong with their folders."""
    folder = lab.folder / f"at_once_{ranks}"
    folder.mkdir()
    shutil.copy(IRIS, folder / "iris.yaml")
    devices = ["--trainer.accelerator", "cpu", "--trainer.devices", str(ranks)]
    devices += ["--trainer.strategy", "ddp"] if ranks > 1 else []
    for pair in range(pairs):
        both = [
            lab.start(*LIGHTLAB, "fit", "--config", "iris.yaml", "--trainer.max_epochs", "2", *devices,
                      "--seed_everything", str(2 * pair + number), folder=folder)
            for number in range(2)
        ]  # fmt: skip
        for process in both:
            said, _ = process.communicate(timeout=LONGEST)
            if process.returncode:
                return said.strip()[-300:]
    runs = sorted((folder / "runs" / "iris").iterdir())
    seeds = {yaml.safe_load((run / "config.yaml").read_text())["seed_everything"] for run in runs}
    if len(runs) != 2 * pairs or len(seeds) != 2 * pairs:
        return f"{len(runs)} folders of {len(seeds)} runs"
    return next((f"{run.name} is not whole" for run in runs if not _is_whole(run)), "")


def _is_whole(run: Path) -> bool:
    """Return whether a run has all of its files, and its figures are those of its own weights."""
    from lightlab.checkpoints import digests

    metrics = json.loads((run / "metrics.json").read_text())
    files = ("config.yaml", "environment.json", "data.json", "history.csv", "evaluation.json", "checkpoints/last.ckpt")
    own = digests(run / "checkpoints" / "best.ckpt")["sha256"] == metrics["sha256"]
    return own and all((run / file).is_file() for file in files) and len(_rows(run)) == 2


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "history.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def _meddle(lab: Laboratory) -> dict[str, str]:
    """Train while the surroundings change; return for each change what is wrong afterwards."""
    meddling = {
        "the run folder deleted": [("remove", "runs/0/version_0")],
        "its checkpoints deleted": [("remove", "runs/1/version_0/checkpoints")],
        "its event files deleted": [("remove", "runs/2/version_0/**/events.*")],
        "the clock set back, a read-only config changed": [("clock", ""), ("change", "3.yaml")],
        "the config deleted": [("remove", "4.yaml")],
    }
    chosen = dict(list(meddling.items())[: lab.times(len(meddling), 4)])
    calls = [_call_with(lab, str(number), changes) for number, changes in enumerate(chosen.values())]
    found: dict[str, str] = {}
    for number, (name, (code, said)) in enumerate(zip(chosen, carry_out(lab, calls), strict=True)):
        check = _is_gone if number < 2 else _is_done
        good = check(name, code, said, lab.folder / "runs" / str(number) / "version_0")
        found[name] = "" if good else f"exit code {code}: {said.strip()[-300:]}"
    return found


def _call_with(lab: Laboratory, name: str, changes: Sequence[tuple[str, str]]) -> Call:
    """Return the call of a training in whose middle something is changed."""
    shutil.copy(IRIS, lab.folder / f"{name}.yaml")
    (lab.folder / f"{name}.yaml").chmod(0o444)
    callbacks = [{"class_path": "Meddle", "init_args": {"what": what, "path": path}} for what, path in changes]
    call = ["fit", "--plugin", "fault_injection.meddling", "--config", f"{name}.yaml", "--trainer.max_epochs", "6"]
    return [*call, "--early_stopping", "null", "--compile", "false", "--trainer.callbacks", json.dumps(callbacks)]


def _is_gone(name: str, code: int, said: str, run: Path) -> bool:
    """Return whether a run whose folder is gone says so, and has kept what it was, to go on from."""
    from lightlab.checkpoints import read_checkpoint

    kept = run if run.is_dir() else run.with_name("version_1")
    last = read_checkpoint(kept / "checkpoints" / "last.ckpt")
    clear = code == 2 and "is gone: it was deleted while training was under way" in said
    return clear and last["epoch"] >= 3 and (kept / "config.yaml").is_file() and len(_rows(kept)) >= 3


def _is_done(name: str, code: int, said: str, run: Path) -> bool:
    """Return whether a run went on to its end, as it was meant to."""
    rows = _rows(run)
    seconds = [float(row["seconds"]) for row in rows]
    config = yaml.safe_load((run / "config.yaml").read_text())
    told = "was deleted" in said or "event files" not in name
    steady = seconds == sorted(seconds) and min(seconds) >= 0
    return code == 0 and told and steady and len(rows) == 6 and config["trainer"]["max_epochs"] == 6
