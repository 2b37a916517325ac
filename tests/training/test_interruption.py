"""Trainings that are told to end: what is kept of them, what is said, and that they can be gone on with."""

import contextlib
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
from lightning import Callback, Trainer
from lightning.fabric.plugins.environments import SLURMEnvironment
from torch import distributed

from lightlab import cli, interruption
from lightlab.checkpoints import read_checkpoint
from lightlab.cli import main
from lightlab.interruption import Interrupted, listening
from lightlab.training.interruption import Interruption, SignalConnector

CONFIG = """\
seed_everything: 1
data: {class_path: BundledData, init_args: {name: wine, batch_size: 8, eval_batch_size: 8}}
model: {problem: multiclass, layers: [{dense: {units: 8, activation: relu}}, {dropout: 0.3}]}
compile: false
trainer: {max_epochs: 3, accelerator: cpu, callbacks: [{class_path: strike.Strike}]}
"""
#: Sends this process a signal where the environment says: after so many batches, or in a hook.
STRIKE = """\
import os
import signal

from lightning.pytorch import Callback

PLACES = ("setup", "on_sanity_check_start", "on_fit_start", "on_train_start", "on_train_epoch_end",
          "on_validation_batch_end", "on_save_checkpoint", "on_train_end", "on_test_start", "on_predict_start")


class Strike(Callback):
    def __init__(self):
        name, self.place, times = os.environ.get("STRIKE", "SIGTERM nowhere 1").split()
        self.signal, self.times = getattr(signal, name), int(times)

    def reach(self, place):
        self.times -= place == self.place
        if place == self.place and self.times == 0:
            os.kill(os.getpid(), self.signal)

    def batches_until_due(self, trainer):
        pass

    def see_batches(self, trainer, batches):
        for _ in batches:
            self.reach("batch")

    def on_train_batch_end(self, *given):
        self.reach("batch")


def hook(place):
    return lambda self, trainer, *given, **named: self.reach(place) if not trainer.sanity_checking else None


for place in PLACES:
    setattr(Strike, place, hook(place))
Strike.on_sanity_check_start = lambda self, *given: self.reach("on_sanity_check_start")
"""


@pytest.fixture(autouse=True)
def _hears_its_terminal_go():
    """Have SIGHUP do what it does by default, also where all this runs under nohup, which switches it off."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def fit(monkeypatch, capfd):
    """Return a function that trains until a signal comes, and returns the exit code, and what is said of errors."""
    Path("wine.yaml").write_text(CONFIG)
    Path("strike.py").write_text(STRIKE)
    monkeypatch.syspath_prepend(os.getcwd())
    monkeypatch.delitem(sys.modules, "strike", raising=False)

    def fit(strike="SIGTERM nowhere 1", *options, verb="fit"):
        monkeypatch.setenv("STRIKE", strike)
        capfd.readouterr()
        code = main([verb, "--config", "wine.yaml", "--plugin", "strike", *options])
        return code, capfd.readouterr().err

    return fit


def go_on(said):
    """Carry out the command that is said to go on."""
    _, command = said.strip().split("Go on with: lightlab ")
    return main(shlex.split(command))


def learned(run):
    """Return weights and moments that a run ended with."""
    stored = read_checkpoint(Path("runs/wine") / run / "checkpoints" / "last.ckpt")
    return stored["state_dict"], stored["optimizer_states"], stored["global_step"]


def history(run):
    """Return the curves of a run, without what is measured of the machine."""
    table = pd.read_csv(Path("runs/wine") / run / "history.csv")
    return table.drop(columns=["seconds", "epoch_seconds", "samples_per_second", "memory_mib"])


@pytest.mark.parametrize(
    ("strike", "steps"),
    [
        ("SIGTERM batch 5", 5),
        ("SIGINT batch 20", 20),
        ("SIGHUP batch 7", 7),
        ("SIGTERM on_validation_batch_end 2", 16),
        ("SIGINT on_validation_batch_end 6", 32),
        ("SIGTERM on_save_checkpoint 1", 16),
        ("SIGTERM on_train_epoch_end 2", 32),
    ],
)
def test_training_is_gone_on_with(fit, strike, steps, differing, monkeypatch):
    """Wherever the signal comes, all steps are kept, a line says how to go on, and all is as if it had not come."""
    assert fit() == (0, "")
    code, said = fit(strike)
    name = strike.split()[0]
    assert code == 128 + signal.Signals[name].value
    last = "runs/wine/version_1/checkpoints/last.ckpt"
    assert said == (
        f"lightlab: interrupted by {name}: {last} keeps all {steps} steps. Go on with: lightlab fit --config "
        "runs/wine/version_1/config.yaml --ckpt_path last --plugin strike\n"
    )
    assert read_checkpoint(last)["global_step"] == steps
    assert not [file for file in Path("runs").rglob("*") if file.name.startswith(".")]
    monkeypatch.delenv("STRIKE")
    assert go_on(said) == 0
    assert differing(learned("version_2"), learned("version_0")) == []
    pd.testing.assert_frame_equal(history("version_2"), history("version_0"), check_exact=True)


@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_gradients_that_wait_for_others_are_kept(fit, differing, monkeypatch, policy):
    """Training ends within a step of several batches, whose gradients are kept, and what may yet be left out."""
    every = ("--trainer.accumulate_grad_batches", "3", "--non_finite", policy)
    assert fit("SIGTERM nowhere 1", *every)[0] == 0
    code, said = fit("SIGTERM batch 7", *every)
    assert code == 143
    assert "keeps all 2 steps" in said
    monkeypatch.delenv("STRIKE")
    assert go_on(said) == 0
    assert differing(learned("version_2"), learned("version_0")) == []
    pd.testing.assert_frame_equal(history("version_2"), history("version_0"), check_exact=True)


@pytest.mark.parametrize("strike", ["SIGTERM batch 36", "SIGTERM on_validation_batch_end 9"])
def test_pass_for_averaged_weights_begins_anew(fit, strike, differing, monkeypatch):
    """What batch norms learn of averaged weights, after the last epoch, is in no checkpoint while they do."""
    text = CONFIG.replace("layers: [", "layers: [batch_norm, ", 1)
    strikes = "callbacks: [{class_path: StochasticWeightAveraging, init_args: {swa_lrs: 0.01}}, "
    Path("wine.yaml").write_text(text.replace("callbacks: [", strikes, 1))
    short = ("--trainer.max_epochs", "2")
    assert fit("SIGTERM nowhere 1", *short)[0] == 0
    code, said = fit(strike, *short)
    assert code == 143
    assert "keeps all 32 steps" in said
    monkeypatch.delenv("STRIKE")
    assert go_on(said) == 0
    assert differing(learned("version_2")[0], learned("version_0")[0]) == []


def test_nobody_waits_for_a_step_that_is_being_compiled(fit, differing, monkeypatch):
    """Told to end while a step is being compiled, a training ends then, with all as it was before."""
    in_worker = "import sys\nif sys.argv[0].endswith('worker.py'):\n"
    deed = "    signal.alarm(60)\n    os.kill(os.getppid(), signal.SIGTERM)\n    signal.pause()\n"
    augmented = ("--data.init_args.augment", "[{gaussian_noise: 0.1}]")
    assert fit("SIGTERM nowhere 1", *augmented) == (0, "")
    Path("strike.py").write_text(STRIKE + in_worker + deed)
    code, said = fit("SIGTERM nowhere 1", *augmented, "--compile", "true")
    assert code == 143
    assert "keeps all" in said
    assert read_checkpoint("runs/wine/version_1/checkpoints/last.ckpt")["global_step"] < 16
    assert fit("SIGTERM nowhere 1", *augmented, "--ckpt_path", "last") == (0, "")
    assert differing(learned("version_2"), learned("version_0")) == []


def test_several_processes_ask_again_after_the_first_batch():
    """Before it nobody knows how long one takes: long ones would be waited for by the dozen."""
    several = SimpleNamespace(world_size=2, strategy=SimpleNamespace(root_device=torch.device("cpu")))
    asked = Interruption(None)
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    try:
        with listening():
            asked.on_validation_start(several, None)
            assert not asked.is_due(several)
            interruption.request(signal.SIGTERM)
            assert asked.is_due(several)
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("place", ["setup", "on_fit_start", "on_sanity_check_start", "on_train_start"])
def test_nothing_is_left_before_the_first_step(fit, place):
    """Where no step was taken there is no folder either, and the exit code is the same."""
    code, said = fit(f"SIGINT {place} 1")
    assert (code, said) == (130, "lightlab: interrupted by SIGINT: no step was taken, and nothing is kept.\n")
    assert not Path("runs").exists()


def test_resumed_training_that_takes_no_step(fit):
    """Where one is gone on with and ended before a step of its own, the run before it is still the last."""
    assert fit("SIGTERM batch 20")[0] == 143
    code, said = fit("SIGTERM on_train_start 1", "--ckpt_path", "last")
    assert (code, said) == (143, "lightlab: interrupted by SIGTERM: no step was taken, and nothing is kept.\n")
    assert [run.name for run in Path("runs/wine").iterdir()] == ["version_0"]


@pytest.mark.parametrize("place", ["on_train_end", "on_test_start"])
def test_training_that_is_complete(fit, place, monkeypatch):
    """Where only the evaluation is missing, the line says so, and names the command for it."""
    code, said = fit(f"SIGTERM {place} 1")
    assert code == 143
    assert said.startswith("lightlab: interrupted by SIGTERM: training is complete, and runs/wine/version_0 has its")
    monkeypatch.delenv("STRIKE")
    assert go_on(said) == 0


def test_interrupted_run_can_be_looked_at(fit, capfd):
    """What there is of it can be reported and compared."""
    assert fit("SIGTERM batch 40")[0] == 143
    assert list(history("version_0").epoch) == [1, 2, 3]
    assert main(["report", "runs/wine", "-o", "report.html"]) == 0
    assert main(["compare", "runs/wine"]) == 0
    assert "version_0" in capfd.readouterr().out


def test_other_verbs(fit):
    """A prediction that is ended leaves no file, nor half of one."""
    assert fit()[0] == 0
    code, said = fit("SIGINT on_predict_start 1", "--output", "new.csv", verb="predict")
    assert (code, said) == (130, "lightlab: interrupted by SIGINT.\n")
    assert not [file for file in Path().iterdir() if "new.csv" in file.name]


def test_signals_of_a_process():
    """A process that is told to end, by any signal, or by both in a row as launchers do, says so in one line."""
    code = (
        "import os, signal, sys, time; from lightlab import cli, interruption\n"
        "def strike(rest):\n"
        "    signals = [getattr(signal, name) for name in sys.argv[1].split()]\n"
        "    try:\n        os.kill(os.getpid(), signals[0])\n    finally:\n"
        "        [os.kill(os.getpid(), each) for each in signals[1:]]\n"
        "cli._answer = strike\nsys.exit(cli.main([]))"
    )
    for signals, expected in (("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129), ("SIGINT SIGTERM", 130)):
        ended = subprocess.run([sys.executable, "-c", code, signals], capture_output=True, text=True, check=False)
        assert (ended.returncode, ended.stdout) == (expected, "")
        assert ended.stderr == f"lightlab: interrupted by {signals.split()[0]}.\n"


def test_process_that_outlives_its_terminal():
    """Where SIGHUP is ignored, as it is with nohup, nothing is heard of it, and that stays so."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with listening():
            os.kill(os.getpid(), signal.SIGHUP)
            assert interruption.requested() == 0
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("becomes", ["pass", "raise ImportError('cannot load module more than once per process')"])
def test_signal_lost_in_an_import(becomes, capsys, monkeypatch):
    """A process that is told to end while it imports ends so, whatever the import makes of it."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "lost", raising=False)
    struck = "import signal\ntry:\n    signal.raise_signal(signal.SIGINT)\nexcept BaseException:\n"
    Path("lost.py").write_text(f"{struck}    {becomes}\n")
    assert main(["list", "--plugin", "lost"]) == 130
    assert capsys.readouterr() == ("", "lightlab: interrupted by SIGINT.\n")


def test_signal_lost_in_a_verb(capsys, monkeypatch):
    """A signal that a verb has not noticed is not forgotten at its end, nor remembered in the next call."""

    def run(arguments, plugins):
        with contextlib.suppress(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        return 0

    with monkeypatch.context() as patched:
        patched.setattr(cli, "_run", run)
        assert main(["list"]) == 143
    assert main(["list", "layers"]) == 0


@pytest.mark.parametrize("rank", ["1", "2"])
def test_launcher_is_gone(rank):
    """A process whose launcher is gone ends, even before it has imported what it needs; one of them says why."""
    code = "import os, time\nassert 'LIGHTLAB_LAUNCHER' not in os.environ  # what this one starts has another\n"
    Path("long_import.py").write_text(f"{code}time.sleep(1000)\n")
    command = [sys.executable, "-c", "from lightlab import cli; cli.entry_point()", "list", "--plugin", "long_import"]
    environment = os.environ | {interruption.LAUNCHER: str(os.getppid()), "LOCAL_RANK": rank}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=60)
    said = "lightlab: error: rank 0, which has launched rank 1, is gone: it was killed, or it crashed.\n"
    assert (ended.returncode, ended.stderr) == (1, said if rank == "1" else "")


def test_another_signal_ends_at_once(monkeypatch):
    """One that comes later than the wish it would repeat does not wait for anything."""
    ended = []
    monkeypatch.setattr(interruption, "ONE_WISH", -1.0)
    monkeypatch.setattr(os, "_exit", ended.append)
    with listening():
        interruption.hold()
        interruption.before_the_end(lambda: ended.append("children"))
        os.kill(os.getpid(), signal.SIGINT)
        assert ended == []
        assert interruption.requested() == signal.SIGINT
        os.kill(os.getpid(), signal.SIGTERM)
        assert ended == ["children", 143]
        with pytest.raises(Interrupted):
            interruption.release()


def test_forked_processes_leave_it_to_their_parent():
    """A signal to all processes, as a terminal sends it, does not end those that read data ahead."""
    with listening():
        child = os.fork()
        if child == 0:
            with contextlib.suppress(BaseException):
                os.kill(os.getpid(), signal.SIGINT)  # before it has begun
                interruption.leave_to_parent()
                for number in interruption.SIGNALS:
                    os.kill(os.getpid(), number)
                os._exit(7)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


#: A process whose loader has workers that stay.
READS_AHEAD = """\
from torch.utils.data import DataLoader
from lightlab.interruption import leave_to_parent

options = {"num_workers": 2, "persistent_workers": True, "worker_init_fn": leave_to_parent}
print(*next(iter(loader := DataLoader(list(range(8)), **options))).tolist())
"""


def test_workers_end_with_their_parent():
    """Those that stay over epochs are ended by the process that they work for, once it is done."""
    done = subprocess.run([sys.executable, "-c", READS_AHEAD], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "0\n"


def test_preemption_stays_lightnings(monkeypatch):
    """The signal by which SLURM asks for a checkpoint goes to Lightning; SIGTERM comes back to lightlab."""
    trainer = Trainer(accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False)
    monkeypatch.setattr(trainer._accelerator_connector, "cluster_environment", SLURMEnvironment())
    connector = SignalConnector(trainer)
    with listening():
        connector.register_signal_handlers()
        handlers = signal.getsignal(signal.SIGUSR1).signal_handlers
        assert [each.__func__.__name__ for each in handlers] == ["_slurm_sigusr_handler_fn"]
        assert signal.getsignal(signal.SIGTERM) is interruption._hear
        connector.teardown()
    assert signal.getsignal(signal.SIGTERM) is not interruption._hear


def test_nothing_is_done_without_the_command_line(train):
    """A training of one's own, by Lightning's Trainer, is ended by whatever its process does."""

    class Ends(Callback):
        """Stands for a handler of one's own."""

        def on_train_batch_end(self, trainer, *given):
            if trainer.global_step == 3:
                raise SystemExit(5)

    with pytest.raises(SystemExit, match="5"):
        train("auto", make_callbacks=lambda: [Ends()])
    assert torch.is_grad_enabled()
