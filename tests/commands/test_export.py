"""lightlab export: what it writes, and that the other verbs take it like a checkpoint."""

from pathlib import Path

import pytest
import torch

from lightlab.checkpoints import read_checkpoint, write_checkpoint
from lightlab.cli import WRONG_INPUT, main

CONFIG = """\
data: {class_path: BundledData, init_args: {name: wine, batch_size: 64}}
model: {problem: multiclass, layers: [{dense: 4}, batch_norm]}
trainer: {max_epochs: 2, accelerator: cpu, enable_progress_bar: false}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with two runs of a config."""
    folder = tmp_path_factory.mktemp("trained")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("wine.yaml").write_text(CONFIG)
        for _ in range(2):
            assert main(["fit", "--config", "wine.yaml"]) == 0
    return folder


@pytest.fixture
def run(trained):
    """The first run; what is written goes to the test's own folder."""
    return trained / "runs/wine/version_0"


def test_the_same_model_for_every_verb(run, trained, capsys):
    """Predictions are the same to the byte, figures and summary too, as those of the checkpoint."""
    assert main(["export", str(run)]) == 0
    assert capsys.readouterr().out == "model.safetensors\n"
    said = {}
    for path in ("model.safetensors", str(run / "checkpoints/best.ckpt")):
        for verb in ("test", "validate"):
            assert main([verb, "--config", str(trained / "wine.yaml"), "--ckpt_path", path]) == 0
        assert main(["summary", path]) == 0
        said[path] = capsys.readouterr().out.replace(path, "")
        predict = ["predict", "--config", str(trained / "wine.yaml"), "--ckpt_path", path]
        assert main([*predict, "--output", f"{Path(path).name}.csv"]) == 0
        capsys.readouterr()
    assert len(set(said.values())) == 1
    first, second = (Path(name).read_bytes() for name in ("model.safetensors.csv", "best.ckpt.csv"))
    assert first == second


def test_where_it_comes_from_and_goes_to(run, trained, capsys):
    """It takes a run, the latest of several, or a checkpoint, and writes where it is told."""
    assert main(["export", str(trained / "runs/wine"), "-o", "latest.safetensors"]) == 0
    assert "this is of the latest" in capsys.readouterr().err
    assert main(["export", str(run / "checkpoints/last.ckpt"), "-o", "last.safetensors"]) == 0
    assert read_checkpoint("last.safetensors")["epoch"] == 1
    assert main(["export", "last.safetensors", "-o", "again.safetensors"]) == 0
    assert Path("again.safetensors").stat().st_size == Path("last.safetensors").stat().st_size


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "RUN|CHECKPOINT"),
        (["no.ckpt"], "There is none at no.ckpt"),
        (["."], "A run is a folder with"),
        (["RUN", "-o", "a.onnx"], "ends in .safetensors. Received: a.onnx"),
        (["RUN", "-o", "no/such/a.safetensors"], "The weights can't be written to no/such/a.safetensors"),
        (["file", "-o", "a.safetensors"], "file can't be read as a checkpoint"),
    ],
)
def test_what_is_refused(run, arguments, message, capsys):
    """Each fault is said, and nothing is written."""
    Path("file").write_text("text")
    assert main(["export", *(str(run) if each == "RUN" else each for each in arguments)]) == WRONG_INPUT
    assert message in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_weights_that_are_no_model_s(run, capsys):
    """Names that share the numbers of one are many times the file when each gets its own: none is written."""
    checkpoint = read_checkpoint(run / "checkpoints/best.ckpt")
    shared = torch.zeros(300_000)
    weights = checkpoint["state_dict"] | {f"w{number}": shared for number in range(300)}
    write_checkpoint({**checkpoint, "state_dict": weights}, "evil.ckpt")
    assert main(["export", "evil.ckpt"]) == WRONG_INPUT
    assert "300 differ, the first w0" in capsys.readouterr().err
    assert [path.name for path in Path().iterdir()] == ["evil.ckpt"]


def test_training_does_not_go_on_from_weights_alone(run, trained, capsys):
    """An export has no state of the optimizer, and fit says so before it makes a run."""
    assert main(["export", str(run)]) == 0
    fit = ["fit", "--config", str(trained / "wine.yaml"), "--ckpt_path", "model.safetensors"]
    assert main([*fit, "--trainer.max_epochs", "9"]) == WRONG_INPUT
    assert "it has no loops, optimizer_states, lr_schedulers" in capsys.readouterr().err
    assert not Path("runs").exists()
