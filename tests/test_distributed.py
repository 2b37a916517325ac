"""Two real processes train and evaluate as one does."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightlab.cli import main

# One after the other: two pairs of processes that look for a free port at once may find the same.
pytestmark = pytest.mark.xdist_group("distributed")

PROGRAM = Path(sys.executable).with_name("lightlab")
OVERLAY = Path(__file__).parent.parent / "configs" / "overlays" / "ddp.yaml"
TWO = ["--config", str(OVERLAY), "--trainer.accelerator", "cpu", "--trainer.devices", "2"]
CONFIG = """\
seed_everything: 1
data:
  class_path: BundledData
  init_args: {name: wine, batch_size: 21}
model:
  problem: multiclass
  layers:
    - dense: {units: 8, activation: relu, l2: 1.0e-3}
  optimizer: {class_path: AdamW, init_args: {lr: 1.0e-2}}
early_stopping: {patience: 3}
trainer: {max_epochs: 3, accelerator: cpu}
"""


def on_two(*arguments):
    """Run the program on two processes, and return what it prints."""
    result = subprocess.run([PROGRAM, *arguments, *TWO], capture_output=True, text=True, check=False, timeout=300)
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def figures(version):
    """Return the metrics of a run, of both splits."""
    outcome = json.loads(Path(f"runs/wine/version_{version}/metrics.json").read_text())
    return {**outcome["validation"], **outcome["test"]}


@pytest.fixture
def config():
    """A config in the test's folder."""
    Path("wine.yaml").write_text(CONFIG)
    return "wine.yaml"


def test_two_processes_equal_one(config, capsys):
    """Training, best weights, evaluation and predictions are those of one process: each row counts once."""
    assert main(["fit", "--config", config]) == 0
    printed = on_two("fit", "--config", config)
    assert printed.count("epoch 3/3") == printed.count("sha256") == 1
    assert "on 2 × CPU" in printed
    assert "data in memory, gradients in shared memory\n" in printed
    assert sorted(path.name for path in Path("runs/wine").iterdir()) == ["version_0", "version_1"]
    assert figures(1) == pytest.approx(figures(0), abs=1e-6)

    checkpoint = ["--ckpt_path", "runs/wine/version_0/checkpoints/best.ckpt"]
    capsys.readouterr()
    assert main(["test", "--config", config, *checkpoint]) == 0
    assert on_two("test", "--config", config, *checkpoint) == capsys.readouterr().out
    assert main(["predict", "--config", config, *checkpoint, "--output", "one.csv"]) == 0
    on_two("predict", "--config", config, *checkpoint, "--output", "two.csv")
    one, two = pd.read_csv("one.csv"), pd.read_csv("two.csv")
    pd.testing.assert_frame_equal(one, two, rtol=1e-5)
    assert one.id.is_unique


def test_what_is_seen_is_of_all_processes(config):
    """One process writes, and what it writes is what one process alone sees: curves, activations, evaluation."""
    subprocess.run([PROGRAM, "fit", "--config", config], capture_output=True, check=True)
    on_two("fit", "--config", config)
    alone, together = Path("runs/wine/version_0"), Path("runs/wine/version_1")
    files = [sorted(file.parent.relative_to(run) for file in run.rglob("events.out*")) for run in (alone, together)]
    assert files[0] == files[1]
    columns = ["epoch", "step", "train/loss", "val/loss", "train/accuracy", "gradient_norm", "learning_rate"]
    one, two = (pd.read_csv(run / "history.csv") for run in (alone, together))
    pd.testing.assert_frame_equal(one[columns], two[columns], rtol=1e-4)
    assert (two.memory_mib > 1.5 * one.memory_mib).all()
    read = [EventAccumulator(str(run), size_guidance={"histograms": 0}).Reload() for run in (alone, together)]
    tags = read[0].Tags()["histograms"]
    assert tags == read[1].Tags()["histograms"]
    for tag in tags:
        for mine, theirs in zip(*(events.Histograms(tag) for events in read), strict=True):
            assert mine.histogram_value.num == theirs.histogram_value.num, tag
            assert mine.histogram_value.sum == pytest.approx(theirs.histogram_value.sum, rel=1e-3, abs=1e-3), tag
    seen = [json.loads((run / "evaluation.json").read_text()) for run in (alone, together)]
    for split in ("val", "test"):
        mine, theirs = (evaluation["splits"][split] for evaluation in seen)
        assert mine["confusions"] == theirs["confusions"]
        assert mine["loss"] == pytest.approx(theirs["loss"], rel=1e-4)


def test_gradients_are_averaged_in_somebody_elses_way(config):
    """A communication hook of one's own stays, as gloo's, which gives the same to the bit; so does a limit of time,
    with which executions are shorter than an epoch.
    """
    Path(config).write_text(CONFIG.replace("batch_size: 21", "batch_size: 2"))
    on_two("fit", "--config", config)
    Path("own_way.py").write_text(
        "from lightning.pytorch import Callback\n"
        "from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook\n"
        "\n\nclass OwnWay(Callback):\n"
        '    """Average gradients in a way of its own."""\n\n'
        "    def on_fit_start(self, trainer, pl_module):\n"
        "        trainer.strategy.model.register_comm_hook(None, allreduce_hook)\n"
        "        print('stays where it is averaged:', trainer.strategy.model.gradient_as_bucket_view)\n"
    )
    own_way = ["--plugin", "own_way", "--trainer.callbacks", "own_way.OwnWay", "--trainer.max_time", "00:01:00:00"]
    printed = on_two("fit", "--config", config, *own_way)
    assert "data in memory\n" in printed
    assert "stays where it is averaged: True" in printed
    assert figures(1) == figures(0)


def test_step_that_is_left_out(config):
    """What is said of it is what the process has seen whose loss it was; it counts for no figure, of either."""
    Path("odd.py").write_text(
        "import os\nimport torch\nfrom lightlab import LAYERS\n\n\nclass Odd(torch.nn.Module):\n    calls = 0\n\n"
        "    def forward(self, inputs):\n        self.calls += self.training\n"
        "        second = self.training and self.calls == 2 and os.environ.get('LOCAL_RANK') == '1'\n"
        "        return inputs * float('nan') if second else inputs\n\n\n"
        "@LAYERS.register('odd')\ndef odd() -> torch.nn.Module:\n"
        '    """Fail once, in the second process."""\n    return Odd()\n'
    )
    Path(config).write_text(CONFIG.replace("  layers:\n", "  layers:\n    - odd\n") + "non_finite: skip\n")
    printed = on_two("fit", "--config", config, "--plugin", "odd")
    assert (
        "a step is left out. The training loss is a finite number. In step 2 (batch 2 of epoch 1) it is nan" in printed
    )
    assert "the loss is finite" not in printed


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says which cores a process has")
def test_each_process_has_cores_of_its_own(config, monkeypatch):
    """On the CPU no two share one, as long as there are enough: in training, and in the test that follows it."""
    Path("cores.py").write_text(
        "import os\nfrom pathlib import Path\nfrom lightning.pytorch import Callback\n\n\nclass Cores(Callback):\n"
        "    def on_train_end(self, trainer, module):\n"
        "        cores = ' '.join(map(str, os.sched_getaffinity(0)))\n"
        "        Path(f'{trainer.state.fn.value}_{trainer.global_rank}').write_text(cores)\n\n"
        "    on_test_end = on_train_end\n"
    )
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    all_cores = os.sched_getaffinity(0)
    on_two("fit", "--config", config, "--plugin", "cores", "--trainer.callbacks", "cores.Cores")
    for verb in ("fit", "test"):
        mine, theirs = (set(map(int, Path(f"{verb}_{rank}").read_text().split())) for rank in range(2))
        assert mine | theirs == all_cores
        assert mine.isdisjoint(theirs) or len(all_cores) < 2


def test_fewer_rows_than_processes(config):
    """A validation set of one row and a test set of three give on two processes what they give on one."""
    table = pd.DataFrame({"x": range(20), "z": [3, 1] * 10, "y": ["a", "b"] * 10})
    table.to_csv("train.csv", index=False)
    table[:1].to_csv("val.csv", index=False)
    table[:3].to_csv("test.csv", index=False)
    paths = "{train_path: train.csv, val_path: val.csv, test_path: test.csv, target: y, batch_size: 8}"
    text = CONFIG.replace("BundledData", "TableData").replace("{name: wine, batch_size: 21}", paths)
    Path(config).write_text(text.replace("problem: multiclass", "problem: binary"))
    assert main(["fit", "--config", config]) == 0
    on_two("fit", "--config", config)
    assert figures(1) == pytest.approx(figures(0), abs=1e-6, nan_ok=True)


def test_balanced_training_on_two_processes(config):
    """Rows drawn so that classes come equally often are the same ones on any number of processes."""
    text = Path(config).read_text().replace("batch_size: 21", "batch_size: 21, balanced: true")
    Path(config).write_text(text)
    assert main(["fit", "--config", config]) == 0
    on_two("fit", "--config", config)
    assert figures(1) == pytest.approx(figures(0), abs=1e-6)


#: Has a process do something, by its rank, in the third epoch.
TROUBLE = """
import os
import signal
import time

from lightning.pytorch import Callback

TROUBLES = {
    "fails": lambda: {}["row 7"],
    "is killed": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "stops": lambda: os.kill(os.getpid(), signal.SIGSTOP),
    "waits": lambda: time.sleep(1000),
    "ends": lambda: os.kill(os.getpid(), signal.SIGTERM),
}


class Trouble(Callback):
    def on_train_epoch_start(self, trainer, module):
        rank, trouble = os.environ.get("TROUBLE", "9 ends").split(" ", 1)
        if trainer.current_epoch == 2 and trainer.global_rank == int(rank):
            act = TROUBLES[trouble.removesuffix(" in a step")]
            if trouble.endswith(" in a step"):
                module.head.register_forward_pre_hook(lambda *values: act())
            else:
                act()
"""


def in_trouble(config, trouble):
    """Train on two processes, of which one gets into trouble; return how that ends, once neither says any more."""
    Path("trouble.py").write_text(TROUBLE)
    command = [PROGRAM, "fit", "--config", config, "--plugin", "trouble", *TWO, "--trainer.max_epochs", "200"]
    command += ["--trainer.callbacks", "trouble.Trouble", "--early_stopping", "null", "--rank_timeout", "6"]
    environment = os.environ | {"TROUBLE": trouble}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert "Traceback" not in ended.stderr
    return ended.returncode, ended.stderr


@pytest.mark.parametrize(
    ("trouble", "code", "said"),
    [
        ("1 is killed", 1, "error: rank 1 was ended by SIGKILL, as the system does where memory is short;"),
        ("0 is killed", -signal.SIGKILL, "error: rank 0, which has launched rank 1, is gone:"),
        ("1 stops", 1, "error: rank 1 has given no sign of life for 6 s:"),
        ("0 stops", -signal.SIGKILL, "error: rank 0 has given no sign of life for 6 s:"),
        ("1 waits", 2, "error: All processes step together. rank 1 did not come along,"),
        (
            "1 waits in a step",
            2,
            "rank 1 did not come along, and the others have waited: Timed out after 6 s of waiting",
        ),
        ("1 is killed in a step", 1, "error: rank 1 was ended by SIGKILL, as the system does where memory is short;"),
    ],
)
def test_one_is_lost(config, trouble, code, said):
    """Where one of two processes is lost, the other ends, too, and one line says which, and why."""
    ended, lines = in_trouble(config, trouble)
    assert ended == code
    assert said in lines
    assert lines.count("error:") == 1
    assert Path("runs/wine/version_0/checkpoints/last.ckpt").is_file()


def test_one_fails(config):
    """Where one of two processes fails, its message is said, once, and the rank; the other ends with it."""
    ended, lines = in_trouble(config, "1 fails")
    assert ended == 1
    assert lines.count("KeyError: 'row 7'") == 1
    assert re.search("rank 1 has ended with exit code 1, and all others with it", lines)


def test_one_is_told_to_end(config):
    """Where one of two processes is told to end, both do, at the same step, and can be gone on with."""
    ended, lines = in_trouble(config, "1 ends")
    assert (ended, lines.count("lightlab: interrupted by SIGTERM")) == (143, 1)
    assert "last.ckpt keeps all 12 steps. Go on with: lightlab fit --config runs/wine/version_0/config.yaml" in lines
    printed = on_two("fit", "--config", config, "--ckpt_path", "last", "--trainer.max_epochs", "4")
    assert "epoch 4/4" in printed
