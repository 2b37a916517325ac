"""A number that is not finite: training stops at its step, says where it came from, and nothing of it is kept."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from lightning import Callback, Trainer
from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint, StochasticWeightAveraging
from torch import nn

from lightlab import BundledData, Model
from lightlab.checkpoints import read_checkpoint
from lightlab.errors import RunError
from lightlab.registry import LAYERS, import_plugin
from lightlab.training.execution import Execution
from lightlab.training.finite import MOST_IN_A_ROW, FiniteNumbers

#: Batches of an epoch of the trainings here.
BATCHES = 16
QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "log_every_n_steps": 1,
}
KINDS = ["loss", "gradient"]
#: What Lightning is left: nothing of ours in its loop, each step, some of them.
EXECUTIONS = [None, 1, "auto"]


class Faulty(nn.Module):
    """Passes on what arrives, but at some of its calls in training."""

    def __init__(self, steps, kind, value):
        super().__init__()
        self.steps, self.kind, self.value = steps, kind, value
        self.calls = 0

    def forward(self, inputs):
        """Give something else, or a gradient of something else."""
        self.calls += self.training
        if self.training and self.calls in self.steps:
            if self.kind == "loss":
                return inputs * self.value
            inputs.register_hook(lambda gradient: gradient * self.value)
        return inputs


class Marked(nn.Module):
    """Gives what has no finite loss, or no finite gradient, for rows whose first number is the one that it knows."""

    def __init__(self, number, kind):
        super().__init__()
        self.number, self.kind = number, kind
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        """Look for the row: only for that one the parameter counts."""
        is_marked = inputs[:, :1] == self.number
        if self.kind == "loss" or (self.kind == "evaluation" and not self.training):
            return torch.where(is_marked, torch.nan, inputs)
        if self.kind == "gradient" and not inputs.is_meta and bool(is_marked.any()):
            return inputs + torch.where(is_marked, self.weight.abs().sqrt(), 0.0)
        return inputs


@pytest.fixture(autouse=True)
def layers():
    """Layers at fault, for the length of a test."""

    @LAYERS.register("faulty")
    def faulty(steps: list[int], kind: str = "loss", value: str = "nan") -> nn.Module:
        """Fail at some steps."""
        return Faulty(steps, kind, float(value))

    @LAYERS.register("marked")
    def marked(number: float, kind: str) -> nn.Module:
        """Fail at a row."""
        return Marked(number, kind)

    yield
    for name in ("faulty", "marked"):
        del LAYERS._entries[name]


def network(**faulty):
    """Return layers of which the third is at fault."""
    return [{"dense": 8}, "batch_norm", {"faulty": faulty}, "tanh"]


def files():
    """Return all checkpoints that were written."""
    return [read_checkpoint(path) for path in Path().rglob("*.ckpt")]


def are_finite(checkpoint):
    """Return whether all weights of a checkpoint are finite."""
    return all(bool(torch.isfinite(each).all()) for each in checkpoint["state_dict"].values())


def keepers():
    """Return callbacks that keep weights whenever they can."""
    return [
        ModelCheckpoint("best", monitor="val/loss", filename="{epoch}"),
        ModelCheckpoint("steps", every_n_train_steps=2, save_top_k=-1, filename="{step}"),
        ModelCheckpoint("last", save_last=True, save_on_exception=True),
    ]


@pytest.mark.parametrize("steps", EXECUTIONS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("at", "value"), [(1, "nan"), (7, "inf"), (16, "nan"), (21, "-inf")])
def test_stops_at_the_step(train, steps, kind, at, value):
    """Loss or gradient, at any step, whoever takes it: that step, its batch and its layer are named."""
    with pytest.raises(RunError) as error:
        train(steps, layers=network(steps=[at], kind=kind, value=value), make_callbacks=keepers)
    epoch, batch = divmod(at - 1, BATCHES)
    assert f"In step {at} (batch {batch + 1} of epoch {epoch + 1})" in str(error.value)
    assert "model.layers[2].faulty" in str(error.value)
    assert all(map(are_finite, files()))
    best = list(Path("best").glob("*.ckpt"))
    assert len(best) == epoch
    assert (str(best[0]) in str(error.value)) if best else ("No weights of it are kept" in str(error.value))


def order(split):
    """Return the places of a split's rows in its first epoch's order, and their first numbers as layers get them."""
    data = BundledData("wine", batch_size=8)
    model = Model([{"dense": 2}], problem="multiclass")
    data.setup("fit")
    model.build(data.connect("multiclass"))
    batches = list(getattr(data, f"{split}_dataloader")())
    inputs, places = (torch.cat([each[part] for each in batches]) for part in (0, 2))
    return places.tolist(), model.preprocess(inputs)[:, 0].tolist()


def find_unique(split, start):
    """Return the first row of a split, from one on, whose first number no other has: when it comes, which it is, it."""
    places, numbers = order(split)
    everywhere = [number for name in ("train", "val") for number in order(name)[1]]
    turn = next(turn for turn in range(start, len(numbers)) if everywhere.count(numbers[turn]) == 1)
    return turn, places[turn], numbers[turn]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("steps", EXECUTIONS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_names_row_and_layer(train, steps, kind, accumulate):
    """A row that brings it about is named by its place; a gradient that no later loss shows is found all the same."""
    turn, place, number = find_unique("train", 41)
    layers = [{"marked": {"number": number, "kind": kind}}, {"dense": 8}]
    with pytest.raises(RunError) as error:
        train(steps, layers=layers, make_callbacks=keepers, accumulate_grad_batches=accumulate)
    batch = turn // 8 + 1
    step = -(-batch // accumulate)
    if kind == "loss":
        assert f"In step {step} (batch {batch} of epoch 1) it is nan, of 1 of 8 rows: {place} of" in str(error.value)
        assert "first layer to give such a number is model.layers[0].marked, whose input was finite" in str(error.value)
    else:
        assert f"In step {step} (batch {step * accumulate} of epoch 1) the loss is finite" in str(error.value)
        assert "gradient of network.0_marked.weight is not. It came up in model.layers[0].marked" in str(error.value)
    assert all(map(are_finite, files()))


@pytest.mark.parametrize("steps", [2, "auto"])
def test_steps_that_are_too_large(train, steps):
    """Where a training diverges, the learning rate is blamed, and a smaller one proposed."""
    optimizer = {"class_path": "SGD", "init_args": {"lr": 1e20}}
    rule = r"Likely reason: steps are too large .* Try a smaller learning rate than 1e\+20"
    with pytest.raises(RunError, match=rule):
        train(steps, layers=[{"dense": 8}, {"dense": 8}], optimizer=optimizer)


@pytest.mark.filterwarnings("ignore:The dirpath has changed")
def test_in_the_second_half_of_a_run_that_goes_on(train):
    """A run that goes on in the middle of an epoch counts as the whole would."""

    def keep(folder="kept"):
        return [ModelCheckpoint(folder, every_n_train_steps=20, save_top_k=-1, filename="{step}")]

    train("auto", layers=network(steps=[0]), make_callbacks=keep)
    with pytest.raises(RunError, match=r"In step 23 \(batch 7 of epoch 2\)"):
        train(
            "auto",
            layers=network(steps=[3], kind="gradient"),
            make_callbacks=lambda: keep("more"),
            ckpt_path="kept/step=20.ckpt",
        )


class AtBatch(Callback):
    """Does something before the first batch that it sees, and keeps the state behind the fourth."""

    def __init__(self, look=None):
        self.look = look

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        """Look, once."""
        if self.look is not None:
            self.look(pl_module.finite_numbers)
        self.look = None

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Keep it."""
        if trainer.current_epoch == 0 and batch_idx == 3:
            trainer.save_checkpoint("within.ckpt")


def test_leaves_out_a_step_that_goes_on(train, capsys):
    """The rest of a step of several batches can be left out as a whole one can."""

    def make():
        return [FiniteNumbers("skip"), AtBatch()]

    train(1, layers=network(steps=[0]), make_callbacks=make, accumulate_grad_batches=3, max_epochs=1)
    train(
        1,
        layers=network(steps=[1], kind="gradient"),
        make_callbacks=make,
        accumulate_grad_batches=3,
        max_epochs=1,
        ckpt_path="within.ckpt",
    )
    assert "1 of 6 steps were left out" in capsys.readouterr().out


@pytest.mark.parametrize(("before", "after"), [([], []), ([4], []), ([], [5]), ([2], []), ([4, 7], [])])
def test_checkpoint_within_a_step_that_may_be_left_out(train, differing, before, after):
    """It holds what is needed to take the step, or to leave it out, as if training had not been broken off.

    Its second step has the batches 4 to 6; calls of the layer are counted with those of looking for the fault.
    """

    def run(steps, **options):
        return train(
            1,
            layers=network(steps=steps, kind="loss"),
            make_callbacks=lambda: [FiniteNumbers("skip"), AtBatch()],
            **{"accumulate_grad_batches": 3, "max_epochs": 1, **options},
        )

    whole = run(before + after)
    rest = run([each - 4 for each in after], ckpt_path="within.ckpt")
    for each in (whole, rest):
        del each.checkpoint["hyper_parameters"]  # say when the layer fails
    assert differing(whole.checkpoint, rest.checkpoint) == []
    assert all(map(are_finite, files()))


def test_validates_within_a_step_that_is_left_out(train, capsys):
    """What a batch has done to running statistics is taken back at once: nothing that is validated goes by it."""
    done = train(
        1,
        layers=network(steps=[4], kind="loss"),
        make_callbacks=lambda: [FiniteNumbers("skip"), *keepers()],
        accumulate_grad_batches=3,
        max_epochs=1,
        val_check_interval=4,
    )
    assert "1 of 6 steps were left out" in capsys.readouterr().out
    assert all(map(are_finite, files()))
    assert all(torch.isfinite(torch.tensor(row["val/loss"])) for _, row in done.logged if "val/loss" in row)


def test_last_pass_of_averaged_weights_stops(train):
    """The pass for the statistics of batch norms has no steps that could be left out."""
    with pytest.raises(RunError, match=r"The training loss is a finite number. In step \d+ \(batch 8 of epoch 3\)"):
        train(
            1,
            layers=network(steps=[40], kind="loss"),
            make_callbacks=lambda: [FiniteNumbers("skip"), StochasticWeightAveraging(0.01)],
            max_epochs=2,
        )


def test_remembers_the_random_numbers_of_a_run_that_goes_on(train):
    """Steps of an epoch that was gone on with are taken again with the random numbers that they had."""
    train(1, make_callbacks=lambda: [AtBatch()], max_epochs=1)
    seen = []

    def look(numbers):
        seen.append(torch.equal(numbers._start._random[0][1], torch.get_rng_state()))

    train(1, make_callbacks=lambda: [AtBatch(look)], max_epochs=1, ckpt_path="within.ckpt", seed=2)
    assert seen == [True]


def test_compiled_steps(tmp_path, monkeypatch, capsys):
    """Of steps that were taken in one go, the first that was not right is found by taking them again."""
    turn, place, number = find_unique("train", 41)
    (tmp_path / "marks.py").write_text(
        "import torch\nfrom lightlab import LAYERS\n\n\nclass Marks(torch.nn.Module):\n    def forward(self, inputs):\n"
        f"        return torch.where(inputs[:, :1] == {number!r}, torch.nan, inputs)\n\n\n"
        "@LAYERS.register('marks')\ndef marks() -> torch.nn.Module:\n"
        '    """Mark a row."""\n    return Marks()\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    import_plugin("marks")
    execution = Execution(compile=True)
    trainer = Trainer(max_epochs=2, callbacks=[execution], enable_checkpointing=False, **QUIET)
    model = Model(["marks", {"dense": 8}], problem="multiclass")
    with pytest.raises(RunError) as error:
        trainer.fit(model, BundledData("wine", batch_size=8))
    assert "the layers alone" not in capsys.readouterr().out
    step = turn // 8 + 1
    said = f"In step {step} (batch {step} of epoch 1) it is nan, of 1 of 8 rows: {place} of train"
    assert said in str(error.value)
    assert "model.layers[0].marks" in str(error.value)


# Leaving steps out


class Watcher(Callback):
    """Keeps what a step can change: weights, buffers and the optimizer's state."""

    def __init__(self):
        self.states = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        """Keep it."""
        kept = pl_module.state_dict(), trainer.optimizers[0].state_dict()["state"]
        tensors = [*kept[0].values(), *(value for each in kept[1].values() for value in each.values())]
        self.states.append([each.clone() for each in tensors])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_leaves_steps_out(train, kind, accumulate, capsys, monkeypatch):
    """Weights, buffers and the optimizer's state are then as before the step; it is counted, and training goes on.

    None of its batches counts for a figure.
    """
    watcher, counted, keep = Watcher(), [], Model._keep
    monkeypatch.setattr(Model, "_keep", lambda *given: (counted.append(None), keep(*given)))
    again = 2 if kind == "gradient" else 1  # so often layers are called once more to see where the first came up
    done = train(
        "auto",
        layers=network(steps=[6, 20 + again], kind=kind),
        make_callbacks=lambda: [FiniteNumbers("skip"), watcher],
        accumulate_grad_batches=accumulate,
    )
    for call in (6, 20):
        last = -(-call // accumulate) * accumulate - 1
        before, after = watcher.states[last - accumulate], watcher.states[last]
        assert all(map(torch.equal, before, after))
        assert not all(map(torch.equal, after, watcher.states[last + accumulate]))
    printed = capsys.readouterr().out
    steps = 3 * BATCHES // accumulate
    assert f"non_finite: 2 of {steps} steps were left out." in printed
    assert "one step at a time (non_finite: skip looks at each)" in printed
    assert printed.count("a step is left out") == 2
    assert done.trainer.global_step == steps
    assert len(counted) == 3 * BATCHES - 2 * accumulate
    figures = [row["train/skipped"] for _, row in done.logged if "train/skipped" in row]
    assert figures == [1.0, 2.0, 2.0]
    assert are_finite(done.checkpoint)
    assert all(torch.isfinite(torch.tensor(row["train/loss"])) for _, row in done.logged if "train/loss" in row)


@pytest.mark.parametrize("kind", KINDS)
def test_gives_up(train, kind):
    """A network that gives no finite number any more is not waited for."""
    layers = network(steps=list(range(5, 99)), kind=kind)
    with pytest.raises(RunError, match=rf"^{MOST_IN_A_ROW} steps in a row were left out .* In step 14 "):
        train("auto", layers=layers, make_callbacks=lambda: [FiniteNumbers("skip"), *keepers()])
    assert all(map(are_finite, files()))


# What is evaluated and watched


def test_validation_loss():
    """A row of the validation split that has no finite loss ends the training, by its place; nothing is called best."""
    _, place, number = find_unique("val", 3)
    watching = [ModelCheckpoint("best", monitor="val/loss"), EarlyStopping("val/loss")]
    trainer = Trainer(max_epochs=2, callbacks=watching, num_sanity_val_steps=0, **QUIET)
    model = Model([{"marked": {"number": number, "kind": "evaluation"}}, {"dense": 4}], problem="multiclass")
    with pytest.raises(RunError) as error:
        trainer.fit(model, BundledData("wine", batch_size=8))
    said = f"After epoch 1 val/loss is nan, of 1 of 27 rows: {place} of val, counted from 0."
    assert said in str(error.value)
    assert "The first layer to give such a number is model.layers[0].marked" in str(error.value)
    assert files() == []


class OneClass(Callback):
    """Has the validation split be of one class."""

    def on_validation_batch_start(self, trainer, pl_module, batch, batch_idx, dataloader_idx=0):
        """Change its targets."""
        batch[1].zero_()


@pytest.mark.parametrize("watches", [EarlyStopping, ModelCheckpoint])
def test_what_is_watched(watches):
    """A metric that cannot be told is no reason to stop, or to call weights the best: an error says why."""
    watcher = watches(monitor="val/auroc", mode="max")
    keeps = watches is ModelCheckpoint
    trainer = Trainer(max_epochs=3, callbacks=[watcher, OneClass()], enable_checkpointing=keeps, **QUIET)
    model = Model([{"dense": 4}], problem="binary")
    rule = (
        f"{watches.__name__} goes by val/auroc, which has to be a number. After epoch 1 it is nan: all rows are of one"
    )
    with pytest.raises(RunError, match=re.escape(rule)):
        trainer.fit(model, BundledData("breast_cancer", batch_size=64))
    assert files() == []


# What is written


class Mask(nn.Module):
    """Keeps what is not finite on purpose, as masks of attention are."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))

    def forward(self, inputs):
        """Pass it on."""
        return inputs


def test_no_such_checkpoint_is_written(train, layers):
    """Weights that are not finite are never written, whoever asks for it, in whatever state; masks may be infinite."""
    LAYERS.register("mask")(_mask)
    try:
        done = train("auto", layers=["mask", {"dense": 4}])
    finally:
        del LAYERS._entries["mask"]
    model = done.trainer.lightning_module
    for name, each in [*model.named_parameters(), ("head.class_weight", model.head.class_weight)]:
        kept = each.detach().clone()
        with torch.no_grad():
            each.flatten()[0] = torch.nan
        with pytest.raises(RunError, match=f"A checkpoint holds finite numbers. None is written, since {name}"):
            done.trainer.save_checkpoint("broken.ckpt")
        with torch.no_grad():
            each.copy_(kept)
    assert not Path("broken.ckpt").exists()
    done.trainer.save_checkpoint("whole.ckpt")
    assert read_checkpoint("whole.ckpt")["state_dict"]["network.0_mask.mask"][1] == -torch.inf


def _mask() -> nn.Module:
    """Keep a mask."""
    return Mask()


def fit_with(plugin):
    """Train as c.yaml says, with a plugin, in processes of their own; return what came of it."""
    call = [Path(sys.executable).with_name("lightlab"), "fit", "--plugin", plugin, "--config", "c.yaml"]
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=120)


PLUGIN = """\
import os, torch
from lightlab import LAYERS


class Faulty(torch.nn.Module):
    calls = 0

    def forward(self, inputs):
        self.calls += self.training
        if self.training and self.calls == 19 and os.environ.get("LOCAL_RANK", "0") == "1":
            {deed}
        return inputs


@LAYERS.register("faulty_on_two")
def faulty_on_two() -> torch.nn.Module:
    \"\"\"Fail in the second process.\"\"\"
    return Faulty()
"""
DEEDS = {
    "loss": "return inputs * float('nan')",
    "gradient": "inputs.register_hook(lambda gradient: gradient * float('inf'))",
}


SPOIL = """\
from lightning.pytorch import Callback


class Spoil(Callback):
    def on_train_batch_end(self, trainer, model, *given):
        if trainer.global_rank == 1 and trainer.global_step == 3:
            model.get_buffer("network.1_batch_norm.running_mean").fill_(float("nan"))
"""


@pytest.mark.xdist_group("distributed")
def test_checkpoint_of_two_processes():
    """Where the weights of one process alone are broken, none waits for the other."""
    Path("spoil.py").write_text(SPOIL)
    Path("c.yaml").write_text(
        "seed_everything: 1\ndata: {class_path: BundledData, init_args: {name: wine, batch_size: 16}}\n"
        "model: {layers: [{dense: 8}, batch_norm]}\ntensorboard: null\nrank_timeout: 30\n"
        "trainer: {max_epochs: 2, accelerator: cpu, devices: 2, strategy: ddp, callbacks: [{class_path: spoil.Spoil},\n"
        "  {class_path: ModelCheckpoint, init_args: {every_n_train_steps: 1, save_top_k: -1}}]}\n"
    )
    done = fit_with("spoil")
    assert done.returncode == 2
    said = "Training goes by finite numbers. In step 3 (batch 3 of epoch 1) or before it came to others, in weights of"
    assert f"{said} network.1_batch_norm.running_mean" in done.stderr
    assert all(map(are_finite, files()))


@pytest.mark.xdist_group("distributed")
@pytest.mark.parametrize("kind", KINDS)
def test_two_processes(kind):
    """What one process meets stops both at that step, with one account of it."""
    Path("on_two.py").write_text(PLUGIN.format(deed=DEEDS[kind]))
    Path("c.yaml").write_text(
        "seed_everything: 1\ndata: {class_path: BundledData, init_args: {name: wine, batch_size: 8}}\n"
        "model: {problem: multiclass, layers: [{dense: 8}, faulty_on_two, {dense: 4}]}\ntensorboard: null\n"
        "trainer: {max_epochs: 3, accelerator: cpu, devices: 2, strategy: ddp}\n"
    )
    done = fit_with("on_two")
    assert done.returncode == 2
    assert done.stderr.count("In step 19 (batch 3 of epoch 2)") == 1
    assert "model.layers[1].faulty_on_two" in done.stderr
    assert all(map(are_finite, files()))


ROWS = """\
import os, torch
from lightlab import LAYERS


class Root(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, inputs):
        is_odd = inputs[:, :1] > 3
        if inputs.is_meta or not bool(is_odd.any()):
            return inputs + 0 * self.weight
        open("odd" + os.environ.get("LOCAL_RANK", "0"), "w").close()
        return inputs + torch.where(is_odd, self.weight.abs().sqrt(), 0 * self.weight)


@LAYERS.register("root")
def root() -> torch.nn.Module:
    \"\"\"Give rows with a large number a gradient that is not finite.\"\"\"
    return Root()
"""


@pytest.mark.xdist_group("distributed")
@pytest.mark.parametrize("policy", ["stop", "skip"])
def test_row_of_one_process(policy):
    """A row whose gradient is not finite is named where the second process alone has it."""
    Path("rows.py").write_text(ROWS)
    table = [f"{100 if row == 20 else row % 3},{row % 2}" for row in range(48)]
    Path("train.csv").write_text("\n".join(["x,y", *table]))
    Path("val.csv").write_text("x,y\n1,0\n2,1\n")
    Path("c.yaml").write_text(
        f"seed_everything: 1\nnon_finite: {policy}\ndata: {{class_path: TableData, init_args: "
        "{train_path: train.csv, val_path: val.csv, test_path: val.csv, target: y, batch_size: 8}}\n"
        "model: {problem: binary, layers: [root, {dense: 4}]}\ntensorboard: null\n"
        "trainer: {max_epochs: 1, accelerator: cpu, devices: 2, strategy: ddp}\n"
    )
    done = fit_with("rows")
    assert done.returncode == (2 if policy == "stop" else 0)
    assert Path("odd1").exists()
    assert policy == "skip" or not Path("odd0").exists()  # what goes on is evaluated by the first
    said = done.stderr if policy == "stop" else done.stdout
    assert "gradient of network.0_root.weight is not. It came up in model.layers[0].root. It comes of 1 of 4" in said
    assert "rows: 20 of train, counted from 0." in said
    assert all(map(are_finite, files()))
