"""Steps are compiled beside the training, which goes on all the same where that fails; nothing is left behind."""

import contextlib
import io
import os
import sys
import tempfile

import pandas as pd
import pytest
import torch
from lightning import Callback, Trainer, seed_everything
from torch.utils.data import DataLoader, TensorDataset

from lightlab import LAYERS, BundledData, Model, registry
from lightlab.cli import main
from lightlab.registry import import_plugin
from lightlab.training import compilation
from lightlab.training.execution import Execution

pytestmark = pytest.mark.xdist_group("compiled")

CONFIG = """\
seed_everything: 1
data:
  class_path: BundledData
  init_args: {name: wine, batch_size: 12}
model:
  problem: multiclass
  layers:
    - dense: {units: 8, activation: relu, l2: 1.0e-3}
    - batch_norm
    - twofold
    - dropout: 0.2
  optimizer: {class_path: AdamW, init_args: {lr: 1.0e-2}}
  lr_scheduler: {class_path: CosineAnnealingLR, interval: step}
early_stopping: null
trainer: {max_epochs: 3, accelerator: cpu, gradient_clip_val: 1.0}
"""
PLUGIN = """
from torch import nn
from lightlab import LAYERS

@LAYERS.register("twofold")
def twofold() -> nn.Module:
    class Twofold(nn.Module):
        def forward(self, inputs):
            return 2 * inputs
    return Twofold()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files that is the test's own."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@contextlib.contextmanager
def plugin(folder, name, source):
    """Have a module that can be imported, and forget it and its layers afterwards."""
    known = dict(LAYERS._entries)
    (folder / f"{name}.py").write_text(source)
    sys.path.insert(0, str(folder))
    try:
        yield name
    finally:
        sys.path.remove(str(folder))
        sys.modules.pop(name, None)
        registry._plugins.discard(name)
        LAYERS._entries.clear()
        LAYERS._entries.update(known)


class Run:
    """A run by ``lightlab fit``: what it printed, and what it left."""

    def __init__(self, folder, *arguments):
        printed = io.StringIO()
        before = set(folder.glob("runs/*/*"))
        with contextlib.redirect_stdout(printed), contextlib.chdir(folder):
            assert main(["fit", "--config", "wine.yaml", *arguments]) == 0
        self.printed = printed.getvalue()
        (run,) = set(folder.glob("runs/*/*")) - before
        self.history = pd.read_csv(run / "history.csv")
        self.weights = Model.load(run / "checkpoints" / "last.ckpt").state_dict()


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs with compiled steps, two at once, and one without; and what is left in the temporary folder."""
    folder = tmp_path_factory.mktemp("runs")
    temporary = folder / "temporary"
    temporary.mkdir()
    (folder / "wine.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch, plugin(folder, "my_layer", PLUGIN) as name:
        patch.setattr(compilation, "STEPS", (2,))  # as many as are compiled by default take long
        patch.setenv("TMPDIR", str(temporary))
        patch.setattr(tempfile, "tempdir", str(temporary))
        patch.setenv("TORCHINDUCTOR_CACHE_DIR", str(folder / "cache"))
        call = folder, "--plugin", name, "--compile"
        return Run(*call, "true"), Run(*call, "true"), Run(*call, "false"), sorted(temporary.iterdir())


def test_compiled_run_equals_an_eager_one(runs):
    """The same steps, metrics and weights up to rounding, with dropout, batch norm, a schedule and a plugin's layer."""
    compiled, _, eager, _ = runs
    assert "compile: one moment" in compiled.printed
    assert compiled.printed.count("compile:") == 1  # nothing stood in the way
    measured = [name for name in eager.history if "/" in name] + ["epoch", "step", "learning_rate", "gradient_norm"]
    pd.testing.assert_frame_equal(compiled.history[measured], eager.history[measured], rtol=1e-3)
    torch.testing.assert_close(compiled.weights, eager.weights, rtol=1e-3, atol=1e-5)
    assert any(not torch.equal(compiled.weights[name], value) for name, value in eager.weights.items())


def test_same_run_twice(runs):
    """With compiled steps the same run gives the same weights, to the bit."""
    one, other, *_ = runs
    assert all(torch.equal(one.weights[name], value) for name, value in other.weights.items())


def test_nothing_is_left(runs):
    """Neither the package nor what its loader has unpacked stays in the temporary folder."""
    assert runs[-1] == []


def fit(execution, *callbacks, epochs=2, pairs=False, optimizer="AdamW", **options):
    """Train a model with nothing between its data and its head, and return the Trainer."""
    quiet = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    trainer = Trainer(accelerator="cpu", max_epochs=epochs, callbacks=[execution, *callbacks], **quiet | options)
    data, model = BundledData("digits", batch_size=64), Model(["flatten"], "multiclass", optimizer=optimizer)
    if pairs:
        model.build(data.connect("multiclass"))
        loaders = (DataLoader(TensorDataset(*data._encoded[split]), batch_size=64) for split in ("train", "val"))
        trainer.fit(model, *loaders)
    else:
        trainer.fit(model, data)
    return trainer


def test_short_run_starts_nothing(temporary):
    """By default a training of a second has no process beside it."""
    execution = Execution()
    fit(execution, epochs=1)
    assert execution.compilation._process is None
    assert list(temporary.iterdir()) == []


@pytest.fixture
def at_once(monkeypatch):
    """Have the process started as soon as it can be, whether it pays or not."""
    for name, value in (("LEAST_LEFT", 0.0), ("LOOK_SECONDS", 0.0), ("LONGEST_STEP", 9.0)):
        monkeypatch.setattr(compilation, name, value)


class Raises(Callback):
    """Ends a training after its first epoch."""

    def __init__(self, error):
        self.error = error

    def on_train_epoch_end(self, trainer, pl_module):
        if self.error is not None:
            raise self.error


@pytest.mark.parametrize("error", [None, RuntimeError("broken"), KeyboardInterrupt()], ids=str)
def test_process_ends_with_the_training(temporary, at_once, error):
    """However a training ends before its steps are compiled: the process is gone then, and so is its folder."""
    execution = Execution()
    with contextlib.nullcontext() if error is None else pytest.raises((RuntimeError, SystemExit, KeyboardInterrupt)):
        fit(execution, Raises(error), epochs=1)
    process = execution.compilation._process
    assert process.returncode is not None
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    assert list(temporary.iterdir()) == []


def test_folder_is_private(temporary, at_once):
    """Nobody else can look into the folder, or put another package there."""
    seen = []

    class Looks(Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            seen.extend(oct(path.stat().st_mode & 0o777) for path in temporary.glob("lightlab-*"))

    fit(Execution(), Looks(), epochs=1)
    assert seen == ["0o700"]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")  # depends on the machine's cores
def test_pairs(at_once):
    """A loader of one's own gives pairs of inputs and targets: steps are compiled for these, too."""
    execution = Execution()
    fit(execution, epochs=1, pairs=True)
    assert execution.compilation._process is not None


def test_layers_alone_are_resumed_exactly(tmp_path, temporary):
    """Layers that are compiled alone draw torch's own numbers, and stay in one piece where histograms look at them."""
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    every = "callbacks: [{class_path: ModelCheckpoint, init_args: {every_n_train_steps: 1, save_top_k: -1}}]"
    text = CONFIG.replace("gradient_clip_val: 1.0", f"accumulate_grad_batches: 2, {every}").replace(
        "    - twofold\n", ""
    )
    (tmp_path / "wine.yaml").write_text(text)
    whole = Run(tmp_path, "--compile", "true")
    assert "compile: the layers alone" in whole.printed
    assert not torch._dynamo.utils.counters["graph_break"]
    for step in (2, 4, 8):
        (file,) = tmp_path.glob(f"runs/wine/version_0/checkpoints/*step={step}*.ckpt")
        again = Run(tmp_path, "--compile", "true", "--ckpt_path", str(file))
        assert all(torch.equal(again.weights[name], value) for name, value in whole.weights.items())
    plain = Run(tmp_path, "--compile", "false")
    torch.testing.assert_close(whole.weights, plain.weights, rtol=1e-3, atol=1e-5)  # with the same dropout


class Here(Execution):
    """Compiles in the training's own process, as is done for GPUs."""

    def on_train_start(self, *given):
        super().on_train_start(*given)
        self.compilation.is_beside = False


def test_in_the_training_s_process(temporary, monkeypatch, capsys):
    """Without a process beside it a training waits, and comes to what it comes to without, up to rounding."""
    monkeypatch.setattr(compilation, "STEPS", (2,))
    weights = {}
    for way in (Here(compile=True), Execution(compile=False)):
        seed_everything(1)
        weights[way] = fit(way).lightning_module.state_dict()
        if way.compilation:
            assert way.compilation.state == "compiled"
            assert way.compilation._process is None
    assert capsys.readouterr().out.count("compile: one moment") == 1
    one, other = weights.values()
    torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_what_can_not_be_compiled_in_the_training_s_process(temporary, capsys):
    """The reason is said once, and all steps are taken without."""
    trainer = fit(Here(compile=True), optimizer="Adafactor")
    assert capsys.readouterr().out.count("compile: the layers alone, since") == 1
    assert trainer.global_step == 2 * trainer.num_training_batches


IN_WORKER = "import os, sys\nif sys.argv[0].endswith('worker.py'):\n    "


@pytest.mark.parametrize(
    ("deed", "reason"),
    [
        ("os.kill(os.getpid(), 9)", "has died"),
        ("open(sys.argv[1] + '/step.pt2', 'wb').write(b'garbage')\n    os._exit(0)", "can't be loaded"),
    ],
)
def test_worker_that_fails(tmp_path, temporary, capsys, deed, reason):
    """The reason is said once, and all steps are taken without."""
    with plugin(tmp_path, "deeds", IN_WORKER + deed + "\n") as name:
        import_plugin(name)
        trainer = fit(Execution(compile=True))
    printed = capsys.readouterr().out
    assert printed.count(reason) == 1
    assert trainer.global_step == 2 * trainer.num_training_batches
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"accumulate_grad_batches": 2}, "gradients are accumulated"),
        ({"precision": "64-true"}, "precision 64-true"),
    ],
)
def test_training_that_can_not_be_compiled(capsys, options, reason):
    """Where it is known beforehand that steps can't be compiled as a whole, no process is started, and this is said."""
    execution = Execution(compile=True)
    trainer = fit(execution, epochs=1, **options)
    assert capsys.readouterr().out.count(reason) == 1
    assert execution.compilation is None
    assert trainer.current_epoch == 1


def test_no_room_for_temporary_files(temporary, monkeypatch, capsys):
    """Where nothing can be written, training goes on without."""
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "absent"))
    trainer = fit(Execution(compile=True))
    assert trainer.global_step == 2 * trainer.num_training_batches
    assert "compile:" in capsys.readouterr().out
