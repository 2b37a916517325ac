"""What SECURITY.md promises, beside what `tests/conf/test_canary.py` and the tests of checkpoints hold it to."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import torch

from lightlab.checkpoints import read_checkpoint, write_checkpoint
from lightlab.cli import main
from lightlab.config.check import check_config
from lightlab.config.defaults import config_text, with_defaults
from lightlab.config.sources import Sources
from lightlab.errors import ConfigError, RunError
from lightlab.terminal import printable
from lightlab.training.run_folder import environment
from lightlab.training.run_paths import check_run_folder, claim_run, find_run_checkpoint

CONFIG = """\
seed_everything: 1
data: {class_path: BundledData, init_args: {name: iris}}
model: {problem: multiclass, layers: [{dense: 4}]}
trainer: {max_epochs: 2, accelerator: cpu, logger: false}
"""
#: What a name or a text must not do to a terminal: set its title, clear it, turn the direction of writing.
STEERING = "\x1b]0;yours\x07\x1b[2J\u202e"


def everything_below(folder):
    """Return each file below a folder, with what it holds."""
    return {path: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


# Names and paths


BAD_NAMES = [
    "", ".", "..", "../up", "/up", "a/b", "a\\b", ".hidden", "-x", "~", "~root", "a\0b", "a\nb", "a\x1bb", "a\u202eb",
    "C:x", "$HOME", "a*", "con", "NUL.x", "com1", "a ", "a.", " a", "x" * 201, "ä" * 101, "a\udcff",
]  # fmt: skip


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_name_that_could_lead_out_is_refused(name):
    """A run is claimed and looked for below its root, or not at all; the message can be printed."""
    for ask in (claim_run, lambda root, name: find_run_checkpoint(None, root, name)):
        with pytest.raises(RunError) as error:
            ask(Path("runs"), name)
        assert printable(error.value) == str(error.value)
    assert not any(Path().iterdir())


@pytest.mark.parametrize("name", ["digits_cnn", "my model (2)", "größe", "_x", "v1.2", "a-b", "模型", "x" * 200])
def test_a_usual_name_is_taken(name):
    """Spaces, dots and letters of any language are parts of names."""
    assert claim_run(Path("runs"), name) == Path("runs", name, "version_0")


@pytest.mark.parametrize("file", ["...yaml", "-x.yaml", "a\nb.yaml", "$HOME.yaml", f"{'x' * 240}.yaml"])
def test_a_config_of_such_a_name_begins_no_run(file, capsys):
    """Its file can be read; no folder is made for it, in the root or outside."""
    Path("here").mkdir()
    Path("here", file).write_text(CONFIG)
    assert main(["fit", "--config", f"here/{file}"]) == 2
    assert "A run is called like its config file" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["here"]


def test_links_do_not_lead_out_of_the_root():
    """The root may be a link; what lies in it may not lead elsewhere, to write there or to find a checkpoint."""
    for folder in ("elsewhere/version_0/checkpoints", "disk"):
        Path(folder).mkdir(parents=True)
    Path("elsewhere/version_0/checkpoints/best.ckpt").touch()
    before = sorted(Path("elsewhere").rglob("*"))
    Path("runs").symlink_to("disk")
    assert claim_run(Path("runs"), "a") == Path("runs/a/version_0")
    Path("disk/b").symlink_to("../elsewhere")
    Path("disk/c").mkdir()
    Path("disk/c/version_3").symlink_to(Path("elsewhere/version_0").resolve())
    Path("disk/circle").symlink_to("circle")
    for name in ("b", "circle"):
        with pytest.raises(RunError, match="lies below"):
            claim_run(Path("runs"), name)
    for name in ("b", "c", "circle"):
        with pytest.raises(RunError, match="lies below"):
            find_run_checkpoint(None, Path("runs"), name)
    assert claim_run(Path("runs"), "c") == Path("runs/c/version_4")
    assert sorted(Path("elsewhere").rglob("*")) == before


@pytest.mark.parametrize("root", ["a\0b", "$HOME/x", "~/x", "a/$USER", "s3://x", "file:///x"])
def test_a_root_that_is_no_plain_path_is_an_error(root):
    """TensorBoard's writer would fill in variables and the home folder, and a part of the run would lie elsewhere."""
    for ask in (claim_run, check_run_folder):
        with pytest.raises(RunError, match=r"trainer\.default_root_dir|embedded null byte"):
            ask(Path(root), "name")
    assert not any(Path().iterdir())


#: What the Trainer's options could have written elsewhere.
CALLBACK = "{{class_path: ModelCheckpoint, init_args: {{{}}}}}"
STRAYS = [
    *(
        f"callbacks: [{CALLBACK.format(each)}]"
        for each in (
            "dirpath: ../up", "dirpath: /up", "dirpath: link", "dirpath: link/x", "dirpath: ~/up", 'dirpath: "a\\0b"',
            "dirpath: $HOME", "dirpath: 'file:///up'", "dirpath: 's3://up'", "dirpath: circle",
            "filename: ../up", "filename: /up", "filename: 'a/../../up'", "filename: 'a\\..\\up'", 'filename: "a\\nb"',
            "filename: '{val/mae_../../x}'", "filename: '~x'",
        )
    ),
    "callbacks: [{class_path: OnExceptionCheckpoint, init_args: {dirpath: ../up}}]",
    "callbacks: {class_path: OnExceptionCheckpoint, init_args: {dirpath: ok, filename: ../up}}",
    "logger: {class_path: CSVLogger, init_args: {save_dir: ../up}}",
    "logger: {class_path: CSVLogger, init_args: {save_dir: ok, name: ../../up}}",
    "logger: {class_path: CSVLogger, init_args: {save_dir: ok, version: ../../up}}",
    "logger: [{class_path: TensorBoardLogger, init_args: {save_dir: ok, sub_dir: $SECRET}}]",
    "logger: {class_path: TensorBoardLogger, init_args: {save_dir: $SECRET}}",
    "profiler: {class_path: SimpleProfiler, init_args: {dirpath: ../up, filename: x}}",
    "profiler: {class_path: SimpleProfiler, init_args: {filename: ../up}}",
]  # fmt: skip


@pytest.fixture
def links():
    """A link that leads out of the folder one works in, and one in a circle."""
    Path("link").symlink_to("/")
    Path("circle").symlink_to("circle")


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("stray", STRAYS)
def test_a_config_file_has_nothing_written_elsewhere(stray):
    """Not above the folder one works in, by links, variables, addresses or names; all of it is a fault with a line."""
    Path("a.yaml").write_text(CONFIG.replace("logger: false", stray))
    with pytest.raises(ConfigError, match=r"a\.yaml:4: trainer\..* A config file has things written below"):
        check_config(Sources(["a.yaml"], []))


@pytest.mark.usefixtures("links")
@pytest.mark.parametrize("path", ["../up.csv", "/up.csv", "link/up.csv", "~/up.csv"])
def test_predictions_and_downloads_go_nowhere_else(path):
    """What predict writes, and what torchvision downloads, are named by a config as well."""
    Path("a.yaml").write_text(f"{CONFIG}output: {path}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml:5: output: A config file"):
        check_config(Sources(["a.yaml"], []))
    data = f"{{class_path: TorchvisionData, init_args: {{name: MNIST, root: {path}, download: true}}}}"
    Path("b.yaml").write_text(CONFIG.replace("{class_path: BundledData, init_args: {name: iris}}", data))
    with pytest.raises(ConfigError, match=r"b\.yaml:2: data\.init_args\.root: A config file"):
        check_config(Sources(["b.yaml"], []))


def test_the_command_line_names_any_place():
    """Whoever calls may have things written elsewhere; and a config below the folder one works in."""
    root = Path("..", "disk").resolve()
    fine = ["dirpath: ok/x", "dirpath: .", "filename: '{epoch:02d}-{val/loss:.2f}'", "filename: ''"]
    for each in fine:
        callbacks = f"callbacks: [{CALLBACK.format(each)}], default_root_dir: {root}"
        Path("a.yaml").write_text(CONFIG.replace("logger: false", callbacks))
        check_config(Sources(["a.yaml"], ["--trainer.callbacks.dirpath=/elsewhere"]))
        check_config(Sources(["a.yaml"], ["--output", "../up.csv"]))
        check_config(Sources(["a.yaml"], []))


def test_a_file_can_t_open_a_folder_to_itself():
    """Below the runs' root a config has things written only where the command line says what that is."""
    root = Path("..", "disk").resolve()
    callbacks = f"callbacks: [{CALLBACK.format(f'dirpath: {root}/x')}], default_root_dir: {root}"
    Path("a.yaml").write_text(CONFIG.replace("logger: false", callbacks))
    with pytest.raises(
        ConfigError, match=r"a\.yaml:4: trainer\.callbacks.*\.dirpath: A config file has things written"
    ):
        check_config(Sources(["a.yaml"], []))
    check_config(Sources(["a.yaml"], [f"--trainer.default_root_dir={root}"]))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder of a run that was trained in a folder of its own."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "a.yaml").write_text(CONFIG)
    code = "import sys; from lightlab.cli import main; sys.exit(main(['fit', '--config', 'a.yaml']))"
    result = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return folder / "runs/a/version_0"


@pytest.mark.parametrize("beside", [True, False])
def test_a_checkpoint_has_no_file_copied_removed_or_overwritten(trained, beside):
    """Of the paths in a checkpoint's states only names count: files elsewhere stay as they are, and are not read."""
    Path("victims").mkdir()
    victims = [Path("victims", name).resolve() for name in ("best.ckpt", "thesis.ckpt", "key.txt")]
    write_checkpoint({**read_checkpoint(trained / "checkpoints/best.ckpt"), "whose": "another's"}, victims[0])
    for victim in victims[1:]:
        victim.write_bytes(b"precious")
    before = everything_below("victims")
    shutil.copytree(trained, "runs/b/version_0")
    evil = Path("runs/b/version_0/checkpoints/evil.ckpt")
    if not beside:
        Path("runs/b/version_0/checkpoints/best.ckpt").unlink()
    checkpoint = read_checkpoint(trained / "checkpoints/last.ckpt")
    (state,) = (state for state in checkpoint["callbacks"].values() if state.get("monitor") == "val/loss")
    score = torch.tensor(-1e9)  # better than all to come
    state |= {"dirpath": "runs/b/version_1/checkpoints", "best_model_path": str(victims[0])}
    state |= {"kth_best_model_path": str(victims[1]), "last_model_path": str(victims[2])}
    state |= {"best_k_models": {str(victim): score for victim in victims}, "kth_value": score}
    state |= {"best_model_score": score, "current_score": score}
    write_checkpoint(checkpoint, evil)
    Path("b.yaml").write_text(CONFIG.replace("max_epochs: 2", "max_epochs: 4"))
    assert main(["fit", "--config", "b.yaml", "--ckpt_path", str(evil)]) in (0, 2)  # it may lose its own best
    assert everything_below("victims") == before
    assert not {*everything_below("runs").values()} & {*before.values()}
    assert {path.name for path in Path().iterdir()} == {"b.yaml", "runs", "victims"}


@pytest.mark.parametrize(("verb", "file"), [("report", "report.html"), ("predict", "predictions.csv")])
def test_a_run_folder_of_a_stranger_leads_no_writing_out(trained, verb, file, capsys):
    """What is written into a run folder by default does not follow a link that lies there."""
    Path("victim").write_text("precious")
    run = Path(shutil.copytree(trained, "runs/a/version_0"))
    (run / file).symlink_to(Path("victim").resolve())
    assert main([verb, *([str(run)] if verb == "report" else ["--config", str(run / "config.yaml")])]) == 2
    assert "lies below" in capsys.readouterr().err
    assert Path("victim").read_text() == "precious"


# What is said


def test_no_text_steers_a_terminal():
    """All that does is shown in the way of JSON; ends of lines, tabs and letters of any language stay."""
    assert printable(STEERING) == "\\u001b]0;yours\\u0007\\u001b[2J\\u202e"
    assert printable("a\tß\n模型 🙂 −") == "a\tß\n模型 🙂 −"
    assert printable("\x9b1m\r\x7f\udcff") == "\\u009b1m\\u000d\\u007f\\udcff"


@pytest.fixture
def steering_table():
    """A table whose columns, labels and texts steer a terminal, and are HTML, and a config for it."""
    count = 60
    labels = [f"{STEERING}<script>alert(1)</script>", "b"]
    frame = pd.DataFrame(
        {f"x{STEERING}<img src=x onerror=alert(1)>": np.arange(count) % 7.0, "y": np.arange(count) % 5.0}
    )
    frame[f"label{STEERING}"] = [labels[row % 2] for row in range(count)]
    frame[f"word{STEERING}"] = [f"{STEERING}{row % 3}" for row in range(count)]
    frame.to_csv("t.csv", index=False)
    target = f"label{STEERING}".encode("unicode_escape").decode()
    data = f'{{class_path: TableData, init_args: {{path: t.csv, target: "{target}"}}}}'
    Path("t.yaml").write_text(CONFIG.replace("{class_path: BundledData, init_args: {name: iris}}", data))


@pytest.mark.usefixtures("steering_table")
def test_names_in_data_are_shown_and_do_nothing(capsys):
    """Every verb that says names of columns and labels says them so that they can be printed; pages escape them."""
    fit = ["fit", "--config", "t.yaml", "--trainer.logger=true", "--tensorboard.images=false"]
    run = "runs/t/version_0"
    calls = [
        ["init", "t.csv", "--target", f"label{STEERING}", "-o", "made.yaml"],
        ["data", "t.yaml"],
        ["check", "t.yaml", "--keep-going"],
        fit,
        ["test", "--config", "t.yaml"],
        ["report", run],
        ["report", run, "--format", "markdown", "-o", "-"],
        ["summary", "t.yaml"],
        ["compare", run],
        ["compare", run, "--format", "csv"],
        ["fit", "--config", "t.yaml", "--data.target", f"lable{STEERING}"],
        ["fit", "--config", "t.yaml", f"--{STEERING}=1"],
        ["fit", "--config", f"{STEERING}.yaml"],
        [STEERING],
    ]
    for call in calls:
        main(call)
        said = capsys.readouterr()
        assert printable(said.out + said.err) == said.out + said.err, call
        assert said.out + said.err, call
    page = Path(run, "report.html").read_text()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;alert(1)" in page


# Secrets


def test_nothing_of_the_environment_reaches_a_run(tmp_path):
    """Secrets in variables and in git's address, the user's name and home are in no file of a run, and in no output."""
    canary = "canary-5ecret"
    folder = tmp_path / canary / "work"
    folder.mkdir(parents=True)
    git = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "remote", "add", "origin", f"https://{canary}:{canary}@host.example/x.git"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", canary], check=True)
    (folder / "a.yaml").write_text(CONFIG.replace(", logger: false", ""))
    names = [
        "AWS_SECRET_ACCESS_KEY",
        "HF_TOKEN",
        "WANDB_API_KEY",
        "USER",
        "LOGNAME",
        "HOME",
        "HTTPS_PROXY",
        "LIGHTLAB_X",
        "PL_X",
    ]
    variables = {**os.environ, **dict.fromkeys(names, canary), "HTTPS_PROXY": f"http://{canary}@127.0.0.1:9"}
    fit, address = ["fit", "--config", "a.yaml"], f"https://me:{canary}@host.example/x"
    wrong = ["--model.optimizer.lr", "wrong"], ["--ckpt_path", address], ["--data.path", address]
    code = "import json, sys; from lightlab.cli import main; print([main(each) for each in json.loads(sys.argv[1])])"
    calls = [sys.executable, "-c", code, json.dumps([fit, *([*fit, *options] for options in wrong)])]
    result = subprocess.run(calls, cwd=folder, env=variables, capture_output=True, text=True, check=False)
    assert "[0, 2, 2, 2]" in result.stdout
    assert canary not in result.stdout + result.stderr
    files = everything_below(folder / "runs")
    assert {path.name for path in files} >= {"best.ckpt", "config.yaml", "environment.json", "metrics.json"}
    assert {path.name: canary.encode() in content for path, content in files.items()} == {
        path.name: False for path in files
    }


def test_a_config_is_kept_without_its_secrets():
    """Keys of services and logins in addresses go to those who need them, and into no file of the run."""
    canary = "canary-5ecret"
    uri = f"https://me:{canary}@host.example"
    comet = f"{{class_path: CometLogger, init_args: {{api_key: {canary}}}}}"
    mlflow = f"{{class_path: MLFlowLogger, init_args: {{tracking_uri: '{uri}'}}}}"
    Path("a.yaml").write_text(CONFIG.replace("logger: false", f"logger: [{comet}, {mlflow}]"))
    config = check_config(Sources(["a.yaml"], []))
    assert str(with_defaults(config)).count(canary) == 2
    text = config_text(config)
    assert canary not in text
    assert "https://***@host.example" in text


def test_git_starts_no_program_of_a_repository(tmp_path, monkeypatch):
    """A folder may bring a repository whose settings name programs; the commit is read without starting any."""
    script = tmp_path / "script"
    script.write_text(f"#!/bin/sh\ntouch {tmp_path}/sang\ncat\n")
    script.chmod(0o755)
    Path("a.txt").write_text("a")
    Path(".gitattributes").write_text("*.txt filter=evil\n")
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b"]
    for words in (["init", "-q"], ["add", "a.txt", ".gitattributes"], ["commit", "-q", "-m", "a"]):
        subprocess.run([*git, *words], check=True)
    assert not environment()["git_changed"]
    for setting in ("core.fsmonitor", "filter.evil.clean", "filter.evil.process"):
        subprocess.run([*git, "config", setting, str(script)], check=True)
    subprocess.run([*git, "config", "filter.evil.required", "true"], check=True)
    os.utime("a.txt", (0, 0))
    found = environment()
    assert not (tmp_path / "sang").exists()
    assert len(found["git_commit"]) == 40
    assert not found["git_changed"]
    Path("a.txt").write_text("b")
    assert environment()["git_changed"]
    assert not (tmp_path / "sang").exists()


# Data of strangers


@pytest.mark.parametrize("kind", ["external storage", "virtual", "external link", "soft link"])
def test_an_hdf5_file_reads_no_other_file(kind, capsys):
    """An array that lies in another file, whatever the way there, is refused or not seen."""
    Path("secret.bin").write_bytes(np.arange(40, dtype="<f8").tobytes())
    with h5py.File("other.h5", "w") as other:
        other["x"] = np.zeros((10, 4))
    with h5py.File("a.h5", "w") as file:
        file["targets"] = np.arange(10) % 2
        if kind == "external storage":
            file.create_dataset("inputs", (10, 4), "<f8", external=[("secret.bin", 0, 320)])
        elif kind == "virtual":
            layout = h5py.VirtualLayout((10, 4), "f8")
            layout[:] = h5py.VirtualSource("other.h5", "x", (10, 4))
            file.create_virtual_dataset("inputs", layout)
        else:
            file["inputs"] = (
                h5py.ExternalLink("other.h5", "x") if kind == "external link" else h5py.SoftLink("/nowhere")
            )
    data = "{class_path: ArrayData, init_args: {path: a.h5, inputs: inputs, targets: targets}}"
    Path("a.yaml").write_text(CONFIG.replace("{class_path: BundledData, init_args: {name: iris}}", data))
    assert main(["fit", "--config", "a.yaml"]) == 2
    assert "inputs" in capsys.readouterr().err
    assert not Path("runs").exists()


# The tests themselves

ATTEMPTS = [
    "create_connection(('192.0.2.1', 9), timeout=1)",
    "create_connection(('host.example', 9), timeout=1)",
    "socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'', ('192.0.2.1', 9))",
    "socket(socket.AF_INET6).connect(('2001:db8::1', 9))",
    "gethostbyname('host.example')",
]


def test_the_tests_reach_this_machine_only():
    """Their own process gets no further, by an address or by a name."""
    with socket.socket() as end, pytest.raises(RuntimeError, match="Tests reach this machine only"):
        end.connect(("192.0.2.1", 9))
    with pytest.raises(RuntimeError, match=r"Tests reach this machine only.*host\.example"):
        socket.getaddrinfo("host.example", 9)


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_what_the_tests_start_reaches_this_machine_only(attempt):
    """A process that a test starts gets no further either, even if nothing is imported from its own folder."""
    code = f"import socket; socket.{attempt}"
    result = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=False)
    assert "Tests reach this machine only" in result.stderr


def test_the_tests_reach_this_machine():
    """Loopback, by address and by name, and sockets that are files stay open: processes and pages need them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            socket.create_connection((host, port)).close()
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind("end")
        server.listen()
        client.connect("end")
