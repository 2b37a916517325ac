import inspect
import itertools
import math
import subprocess
import sys

import pytest
import torch
from lightning import Callback, Trainer
from torch import nn, optim
from torch.optim import lr_scheduler as schedules
from torch.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook

from lightlab import BundledData, ConfigError, Model
from lightlab.checkpoints import read_checkpoint, write_checkpoint
from lightlab.commands.quiet import silence
from lightlab.optim import FUSED_ON, OPTIMIZERS, SCHEDULERS, bare, parse_optimizer, parse_scheduler

OPTIMIZER, SCHEDULER = ("model", "optimizer"), ("model", "lr_scheduler")
RATE, STEPS, EPOCHS = 0.1, 60, 12
#: SequentialLR hands over by `step(epoch)`, of which torch itself warns.
uses_sequential = pytest.mark.filterwarnings("ignore:.*epoch parameter in `scheduler.step")
#: What each scheduler must be given.
NEEDED = {
    "CyclicLR": {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 5},
    "CosineAnnealingWarmRestarts": {"T_0": 4},
    "ExponentialLR": {"gamma": 0.9},
    "MultiStepLR": {"milestones": [3, 7]},
    "OneCycleLR": {"max_lr": 0.5},
    "StepLR": {"step_size": 3, "gamma": 0.5},
}


def parameters(*shapes):
    return [nn.Parameter(torch.ones(shape)) for shape in shapes or ((2, 3), (3,))]


def length(interval):
    return STEPS if interval == "step" else EPOCHS


def build(config, monitor="val/loss", mode="min", known_length=length):
    optimizer = optim.SGD(parameters(), lr=RATE, momentum=0.9)
    return parse_scheduler(config, SCHEDULER).build(optimizer, known_length, monitor, mode)


def rates(entries, moves, metrics=None):
    """Return the learning rate at the start and after each move, as Lightning moves on."""
    optimizer = entries[0]["scheduler"].optimizer
    found = [optimizer.param_groups[0]["lr"]]
    for move in range(moves):
        optimizer.step()
        for entry in entries:
            watched = [metrics[move]] if "monitor" in entry else []
            entry["scheduler"].step(*watched)
        found.append(optimizer.param_groups[0]["lr"])
    return found


def assert_kept(state):
    """See to it that a state comes out of a checkpoint as it went in, to the type."""
    parts = {"state_dict": {}, "hyper_parameters": {}, "data_spec": {}}
    write_checkpoint({**parts, "state": state}, "state.ckpt")
    assert str(read_checkpoint("state.ckpt")["state"]) == str(state)


def half_cosine(share):
    """Return what falls from 1 to 0 along half a cosine, as ``share`` goes from 0 to 1."""
    return (1 + math.cos(math.pi * share)) / 2


def approx(values):
    return pytest.approx(list(values), rel=1e-6, abs=1e-12)


def faults(parse, config, key):
    with pytest.raises(ConfigError) as caught:
        parse(config, key)
    return [str(fault) for fault in caught.value.faults]


def test_every_optimizer_and_scheduler_of_torch_is_there():
    """All classes of torch.optim, SparseAdam aside; of the schedulers all but those made of functions or others."""
    in_torch = {name for name, item in vars(optim).items() if isinstance(item, type) and name != "Optimizer"}
    assert OPTIMIZERS.keys() == {name for name in in_torch if issubclass(getattr(optim, name), optim.Optimizer)} - {
        "SparseAdam"
    }
    assert {"SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Muon", "LBFGS"} <= OPTIMIZERS.keys()
    in_torch = {
        name for name, item in vars(schedules).items() if isinstance(item, type) and name.endswith(("LR", "eau"))
    }
    unwritable = {"LRScheduler", "_LRScheduler", "LambdaLR", "MultiplicativeLR", "SequentialLR"}
    assert SCHEDULERS.keys() >= in_torch - unwritable
    assert not SCHEDULERS.keys() & {*unwritable, "ChainedScheduler"}
    assert "CosineAnnealingWarmRestarts" in SCHEDULERS


@pytest.mark.parametrize("name", sorted(OPTIMIZERS))
def test_every_optimizer_builds_and_steps(name):
    """Each builds by its short name with its rate, and a step lowers a loss, where it takes such parameters."""
    shapes = [(2, 3)] if name == "Muon" else [(2, 3), (3,)]
    weights = parameters(*shapes)
    optimizer = parse_optimizer({"class_path": name, "init_args": {"lr": 0.01}}, OPTIMIZER).build(weights)
    assert isinstance(optimizer, getattr(optim, name))
    assert optimizer.param_groups[0]["lr"] == 0.01

    def closure():
        optimizer.zero_grad()
        loss = sum((weight**2).sum() for weight in weights)
        loss.backward()
        if name == "SparseAdam":
            for weight in weights:
                weight.grad = weight.grad.to_sparse()
        return loss

    before = closure().item()
    optimizer.step(closure)
    assert closure().item() < before
    assert_kept(optimizer.state_dict())


def test_muon_says_what_it_takes():
    """Muon is for matrices: what torch says of other parameters is in the message."""
    with pytest.raises(ConfigError, match="model.optimizer: Muon can't be built: .*2D") as caught:
        parse_optimizer("Muon", OPTIMIZER).build(parameters())
    assert isinstance(caught.value.__cause__, ValueError)


@pytest.mark.parametrize(
    ("config", "name", "arguments"),
    [
        ("SGD", "SGD", {}),
        ({"class_path": "SGD"}, "SGD", {}),
        ({"class_path": "SGD", "init_args": None}, "SGD", {}),
        ({"class_path": "SGD", "init_args": {"lr": 0.1, "maximize": True}}, "SGD", {"lr": 0.1, "maximize": True}),
        ({"class_path": "SGD", "init_args": {"lr": 0.1, "momentum": 0.5}, "lr": 1}, "SGD", {"lr": 1, "momentum": 0.5}),
        ({"class_path": "SGD", "lr": 0.2}, "SGD", {"lr": 0.2}),
        ({"class_path": "Adam", "betas": [0.5, 0.9]}, "Adam", {"betas": (0.5, 0.9)}),
        ({"lr": 0.2}, "AdamW", {"lr": 0.2}),
    ],
)
def test_optimizer_configs(config, name, arguments):
    """A name; a class_path with init_args; arguments beside it, which win; arguments alone, for the default."""
    spec = parse_optimizer(config, OPTIMIZER)
    assert (spec.name, dict(spec.arguments)) == (name, arguments)
    groups = spec.build(parameters()).param_groups[0]
    assert {key: groups[key] for key in arguments} == arguments


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("adamw", ["model.optimizer.class_path: No optimizer is called 'adamw'. Did you mean AdamW?"]),
        (
            "Lion2",
            ["model.optimizer.class_path: No optimizer is called 'Lion2'. There are: ASGD, Adad"],
        ),
        (3, ["model.optimizer: optimizer is a name, or has a class_path and init_args. Received: 3."]),
        ({"class_path": 3}, ["model.optimizer: optimizer is a name, or has a class_path and init_args."]),
        (
            {"class_path": "SGD", "init_args": [1]},
            ["model.optimizer.init_args: init_args are 'argument: value' pairs."],
        ),
        (
            {"class_path": "AdamW", "init_args": {"lr": "1e-3", "wd": 0.1, "betas": [0.9]}},
            [
                "model.optimizer.init_args.lr: AdamW's lr must be a valid number. Received: '1e-3'.",
                "model.optimizer.init_args.betas: AdamW's betas",
                "model.optimizer.init_args.wd: AdamW has no parameter 'wd'. It takes lr, betas, ",
            ],
        ),
        ({"class_path": "SGD", "params": []}, ["model.optimizer.init_args.params: SGD has no parameter 'params'."]),
    ],
)
def test_optimizer_faults(config, expected):
    """All faults at once, each with its place and the nearest right thing."""
    found = faults(parse_optimizer, config, OPTIMIZER)
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


def test_values_that_torch_refuses():
    """What only torch can judge is an error with torch's words, and its place."""
    with pytest.raises(
        ConfigError, match="model.optimizer.init_args.lr: SGD's lr must be greater than or equal to 0. Received: -1"
    ):
        parse_optimizer({"class_path": "SGD", "lr": -1}, OPTIMIZER).build(parameters())
    with pytest.raises(ConfigError, match="model.lr_scheduler: CyclicLR can't be built: "):
        parse_scheduler({"class_path": "CyclicLR", **NEEDED["CyclicLR"]}, SCHEDULER).build(
            optim.Rprop(parameters()), length, "val/loss", "min"
        )


@pytest.mark.parametrize("name", sorted(SCHEDULERS))
def test_every_scheduler_builds_and_moves(name):
    """Each builds by its short name, from what it needs alone, and is torch's own."""
    (entry,) = build({"class_path": name, "init_args": NEEDED.get(name, {})})
    assert type(entry["scheduler"]) is getattr(schedules, name)
    assert entry["interval"] == ("step" if name in ("OneCycleLR", "CyclicLR") else "epoch")
    moves = rates([entry], 10, [1.0] * 10)
    assert all(rate >= 0 for rate in moves)
    assert len(set(moves)) > 1 or name == "ReduceLROnPlateau"
    needed = {
        parameter
        for parameter, value in inspect.signature(SCHEDULERS[name]).parameters.items()
        if value.default is value.empty
    }
    assert needed - {"optimizer", "T_max"} <= NEEDED.get(name, {}).keys()
    assert_kept(entry["scheduler"].state_dict())


@pytest.mark.parametrize(
    ("config", "attribute", "value"),
    [
        ("CosineAnnealingLR", "T_max", EPOCHS),
        ({"class_path": "CosineAnnealingLR", "interval": "step"}, "T_max", STEPS),
        ({"class_path": "CosineAnnealingLR", "T_max": 5}, "T_max", 5),
        ("PolynomialLR", "total_iters", EPOCHS),
        ({"class_path": "PolynomialLR", "init_args": {"total_iters": 5}}, "total_iters", 5),
        ({"class_path": "OneCycleLR", "max_lr": 0.5}, "total_steps", STEPS),
        ({"class_path": "OneCycleLR", "max_lr": 0.5, "interval": "epoch"}, "total_steps", EPOCHS),
        ({"class_path": "OneCycleLR", "max_lr": 0.5, "epochs": 3, "steps_per_epoch": 7}, "total_steps", 21),
        ({"class_path": "OneCycleLR", "max_lr": 0.5, "total_steps": 9}, "total_steps", 9),
    ],
)
def test_length_of_the_training(config, attribute, value):
    """What is over with the training has its length from there, in steps or epochs, unless it is given."""
    (entry,) = build(config)
    assert getattr(entry["scheduler"], attribute) == value


def test_length_is_asked_for_only_where_it_is_needed():
    """A schedule that has a length of its own does not ask: a training without end can have it."""

    def endless(interval):
        raise AssertionError("asked")

    for config in (
        {"class_path": "StepLR", "step_size": 3},
        {"class_path": "CosineAnnealingLR", "T_max": 5},
        {"warmup": 3},
    ):
        assert len(build(config, known_length=endless)) == 1


def test_cosine():
    """The rate falls along half a cosine, to zero at the end of the training."""
    expected = [RATE * half_cosine(epoch / EPOCHS) for epoch in range(EPOCHS + 1)]
    assert rates(build("CosineAnnealingLR"), EPOCHS) == approx(expected)


@uses_sequential
@pytest.mark.parametrize(("interval", "total"), [("step", STEPS), ("epoch", EPOCHS)])
def test_warmup_and_cosine(interval, total):
    """n moves from RATE / (n + 1) up to RATE in a line, then half a cosine over what is left, to zero at the end."""
    warmup = 4
    entries = build({"class_path": "CosineAnnealingLR", "warmup": warmup, "interval": interval})
    assert [entry["interval"] for entry in entries] == [interval]
    rise = [RATE * (move + 1) / (warmup + 1) for move in range(warmup)]
    fall = [RATE * half_cosine(move / (total - warmup)) for move in range(total - warmup + 1)]
    assert rates(entries, total) == approx(rise + fall)


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_warmup_alone(interval):
    """The rate rises in a line, and then stays."""
    entries = build({"warmup": 3, "interval": interval})
    assert [entry["interval"] for entry in entries] == [interval]
    assert rates(entries, 6) == approx(RATE * share for share in (1 / 4, 2 / 4, 3 / 4, 1, 1, 1, 1))


@uses_sequential
@pytest.mark.parametrize("name", sorted(SCHEDULERS.keys() - {"ReduceLROnPlateau"}))
def test_schedule_after_a_warmup_is_the_schedule(name):
    """After a warm-up comes the schedule that there would be without it, over as much shorter a training."""
    config = {"class_path": name, "init_args": NEEDED.get(name, {})}
    plain = rates(build(config, known_length=lambda interval: 20), 20)
    warm = rates(build({**config, "warmup": 5}, known_length=lambda interval: 25), 25)
    assert warm[5:] == approx(plain)
    assert all(after > before for before, after in itertools.pairwise(warm[:5]))


def test_warmup_as_long_as_the_training():
    """A warm-up that outlasts the training leaves a schedule of one move."""
    (entry,) = build({"class_path": "CosineAnnealingLR", "warmup": EPOCHS + 5})
    assert rates([entry], EPOCHS) == approx(RATE * (move + 1) / (EPOCHS + 6) for move in range(EPOCHS + 1))


@pytest.mark.parametrize(("mode", "watched"), [("min", [3, 2, 2, 2, 1, 1, 1]), ("max", [1, 2, 2, 2, 3, 3, 3])])
def test_plateau(mode, watched):
    """The rate is cut when what the problem watches gets no better, by the problem's own sense of better."""
    config = {"class_path": "ReduceLROnPlateau", "init_args": {"patience": 1, "factor": 0.5}}
    (entry,) = build(config, monitor="val/score", mode=mode)
    assert (entry["monitor"], entry["interval"]) == ("val/score", "epoch")
    assert rates([entry], 7, watched) == approx(RATE * cut for cut in (1, 1, 1, 1, 0.5, 0.5, 0.5, 0.25))


def test_plateau_that_watches_something_else():
    """monitor and mode in the config beat the problem's."""
    (entry,) = build({"class_path": "ReduceLROnPlateau", "mode": "max", "monitor": "val/f1"})
    assert entry["monitor"] == "val/f1"
    assert entry["scheduler"].mode == "max"


@pytest.mark.parametrize(("monitor", "frequency"), [("val/loss", 3), ("train/loss", 1)])
def test_plateau_moves_where_it_sees_something_new(monitor, frequency):
    """Where few epochs are validated, what watches a validation moves on after these alone."""
    optimizer = optim.SGD(parameters(), lr=RATE)
    spec = parse_scheduler({"class_path": "ReduceLROnPlateau", "monitor": monitor}, SCHEDULER)
    (entry,) = spec.build(optimizer, length, "val/loss", "min", every=3)
    assert entry["frequency"] == frequency


@pytest.mark.parametrize("name", ["monitor", "interval", "warmup"])
def test_what_stands_beside_class_path(name):
    """Where it is given to the scheduler, the message says where it stands."""
    with pytest.raises(ConfigError, match=f"It stands beside class_path: model.lr_scheduler.{name}."):
        parse_scheduler({"class_path": "ReduceLROnPlateau", "init_args": {name: 1}}, ("model", "lr_scheduler"))


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_warmup_and_plateau(interval):
    """The warm-up moves by its interval, the plateau by epochs, which is when there are metrics; cuts stay."""
    config = {"class_path": "ReduceLROnPlateau", "init_args": {"patience": 2, "factor": 0.1}}
    entries = build({**config, "warmup": 2, "interval": interval})
    assert [(entry["interval"], "monitor" in entry) for entry in entries] == [(interval, False), ("epoch", True)]
    expected = [RATE / 3, 2 * RATE / 3, RATE, RATE, RATE, RATE / 10, RATE / 10, RATE / 10]
    assert rates(entries, 7, [3, 2, 2, 2, 2, 1, 1]) == approx(expected)


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        (
            "StepLr",
            ["model.lr_scheduler.class_path: No learning-rate scheduler is called 'StepLr'. Did you mean StepLR"],
        ),
        ("LambdaLR", ["model.lr_scheduler.class_path: No learning-rate scheduler is called 'LambdaLR'."]),
        ("StepLR", ["model.lr_scheduler.init_args: StepLR needs 'step_size'."]),
        ({}, ["model.lr_scheduler: lr_scheduler has a class_path, or warmup: N, or both. Received neither."]),
        ({"interval": "step"}, ["model.lr_scheduler: lr_scheduler has a class_path, or warmup: N, or both."]),
        ({"warmup": 0}, ["model.lr_scheduler: lr_scheduler has a class_path, or warmup: N, or both."]),
        ([1], ["model.lr_scheduler: lr_scheduler is a name, or has a class_path and init_args. Received: [1]."]),
        (
            {"warmup": 2, "gamma": 0.1},
            ["model.lr_scheduler: lr_scheduler is a name, or has a class_path and init_args."],
        ),
        (
            {"class_path": "StepLR", "init_args": {"gamma": "x"}, "interval": "week", "warmup": -1, "monitor": 3},
            [
                "model.lr_scheduler.interval: lr_scheduler's interval must be 'step' or 'epoch'. Received: 'week'.",
                "model.lr_scheduler.warmup: lr_scheduler's warmup must be greater than or equal to 0. Received: -1.",
                "model.lr_scheduler.monitor: lr_scheduler's monitor must be a valid string. Received: 3.",
                "model.lr_scheduler.init_args: StepLR needs 'step_size'.",
                "model.lr_scheduler.init_args.gamma: StepLR's gamma must be a valid number. Received: 'x'.",
            ],
        ),
        (
            {"class_path": "OneCycleLR", "warmup": True},
            ["model.lr_scheduler.warmup: ", "model.lr_scheduler.init_args: OneC"],
        ),
    ],
)
def test_scheduler_faults(config, expected):
    """All faults at once, of the schedule and of what stands beside it, each with its place."""
    found = faults(parse_scheduler, config, SCHEDULER)
    assert len(found) == len(expected)
    assert all(text.startswith(start) for text, start in zip(found, expected, strict=True))


@pytest.mark.parametrize(
    ("scheduler", "used"),
    [
        ({"class_path": "ReduceLROnPlateau", "warmup": 3, "interval": "step"}, [1 / 4, 2 / 4, 3 / 4, 1, 1, 1]),
        ({"class_path": "CosineAnnealingLR", "interval": "step"}, [half_cosine(n / 6) for n in range(6)]),
        # Up from max_lr / 25 over three tenths of the steps, of which the first is one; then down, almost to nothing.
        (
            {"class_path": "OneCycleLR", "max_lr": 0.25},
            [1, *(25 * half_cosine((n - 0.8) / 4.2) for n in range(1, 5)), 1e-4],
        ),
        ({"class_path": "StepLR", "step_size": 1}, [1, 1, 1, 0.1, 0.1, 0.1]),
        ({"warmup": 19}, [1 / 20] * 3 + [2 / 20] * 3),
    ],
)
def test_in_a_training(scheduler, used):
    """The Trainer takes optimizer and schedules as they are, and moves them on as they ask: the rate of each step."""
    silence()
    found = []

    class Watch(Callback):
        def on_train_batch_start(self, trainer, *_):
            found.append(trainer.optimizers[0].param_groups[0]["lr"])

    model = Model([], "multiclass", optimizer={"class_path": "SGD", "lr": 0.01}, lr_scheduler=scheduler)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(max_epochs=2, accelerator="cpu", num_sanity_val_steps=0, callbacks=[Watch()], **quiet)
    trainer.fit(model, BundledData("iris", batch_size=35))
    assert found == pytest.approx([0.01 * share for share in used], rel=1e-3)


def test_a_path_in_torch_is_a_name_too():
    """torch.optim.AdamW and torch.optim.lr_scheduler.StepLR are AdamW and StepLR."""
    assert parse_optimizer("torch.optim.AdamW", OPTIMIZER) == parse_optimizer("AdamW", OPTIMIZER)
    path = {"class_path": "torch.optim.lr_scheduler.StepLR", "init_args": {"step_size": 2}}
    assert parse_scheduler(path, SCHEDULER).name == "StepLR"


def gradients(name):
    """Return weights, and the gradients of some steps; Muon takes matrices alone."""
    generator = torch.Generator().manual_seed(3)
    shapes = [(4, 3)] if name == "Muon" else [(4, 3), (3,)]
    weights = [torch.randn(shape, generator=generator) for shape in shapes]
    return weights, [[torch.randn(shape, generator=generator) for shape in shapes] for _ in range(5)]


def stepped(optimizer, weights, steps):
    """Return weights and state after some steps with given gradients, each of them asked for by a closure."""
    for grads in steps:

        def closure(grads=grads):
            assert torch.is_grad_enabled()
            optimizer.zero_grad()
            assert all(weight.grad is None for weight in weights)
            for weight, grad in zip(weights, grads, strict=True):
                weight.grad = grad.clone()
            return torch.stack([weight.detach().square().sum() for weight in weights]).sum()

        optimizer.step(closure)
    return [weight.detach() for weight in weights], optimizer.state_dict()


@pytest.mark.parametrize(
    ("name", "options"),
    [
        (name, options)
        for name, kind in sorted(OPTIMIZERS.items())
        for options in ({}, {"foreach": True}, {"fused": True}, {"weight_decay": 0.1}, {"maximize": True})
        if options.keys() <= inspect.signature(kind).parameters.keys() and ("fused" not in options or name in FUSED_ON)
    ],
)
def test_an_optimizer_is_torchs_own(name, options):
    """Weights and state are those of torch's own class, wrapped as it is, to the bit; and its state goes both ways."""
    start, steps = gradients(name)
    spec = parse_optimizer({"class_path": name, "init_args": {"lr": 0.01, **options}}, OPTIMIZER)
    found = []
    for make in (getattr(optim, name), bare(name)):
        weights = [nn.Parameter(weight.clone()) for weight in start]
        optimizer = make(weights, **spec.arguments)
        values, state = stepped(optimizer, weights, steps)
        again = [nn.Parameter(weight.clone()) for weight in values]
        other = (bare(name) if make is not bare(name) else getattr(optim, name))(again, **spec.arguments)
        other.load_state_dict(state)
        found.append((values, state, *stepped(other, again, steps)))
    torch.testing.assert_close(found[0], found[1], rtol=0, atol=0, equal_nan=True)
    assert isinstance(optimizer, getattr(optim, name))
    assert not torch.equal(found[1][0][0], start[0])


@pytest.mark.parametrize("name", ["Adam", "AdamW", "SGD", "Adagrad"])
def test_one_kernel_a_step(name):
    """Where torch has one kernel for a step it is taken, unless the config says something of it."""
    spec = parse_optimizer(name, OPTIMIZER)
    assert spec.build(parameters()).param_groups[0]["fused"] is True
    assert not spec.build(parameters(), fuse=False).param_groups[0]["fused"]
    for given in ({"fused": False}, {"foreach": True}, {"foreach": False}, {"differentiable": True}):
        told = parse_optimizer({"class_path": name, "init_args": given}, OPTIMIZER)
        assert not told.build(parameters()).param_groups[0]["fused"]


def test_optimizers_that_have_a_kernel():
    """All that torch has one for on a CPU are known, and no others."""
    fused = set()
    for name, kind in OPTIMIZERS.items():
        weight = nn.Parameter(torch.ones(2, 2))
        if "fused" in inspect.signature(kind).parameters:
            try:
                kind([weight], fused=True)
            except (RuntimeError, ValueError, NotImplementedError):
                continue
            fused.add(name)
    assert fused == {name for name, devices in FUSED_ON.items() if "cpu" in devices}


def test_step_hooks_are_called():
    """What is to be called before and after each step is, once, whether torch has wrapped its own class yet or not."""
    called = []
    optim.AdamW(parameters())  # wraps it
    for kind in (bare("AdamW"), bare.__wrapped__("AdamW")):
        weights = parameters()
        optimizer = kind(weights)
        optimizer.register_step_pre_hook(lambda *given: called.append("before"))
        optimizer.register_step_post_hook(lambda *given: called.append("after"))
        for weight in weights:
            weight.grad = torch.ones_like(weight)
        optimizer.step()
        assert called == ["before", "after"]
        called.clear()


def test_step_hooks_of_all_optimizers_are_called():
    """So are those that are to be called around the steps of every optimizer."""
    called = []
    optimizer = bare("AdamW")(parameters())
    handles = [
        register_optimizer_step_pre_hook(lambda *given: called.append("before")),
        register_optimizer_step_post_hook(lambda *given: called.append("after")),
    ]
    try:
        optimizer.step()
    finally:
        for handle in handles:
            handle.remove()
    assert called == ["before", "after"]


PROGRAM = """
import sys
import torch
from torch import nn
from lightlab.optim import parse_optimizer

weights = [nn.Parameter(torch.ones(2))]
optimizer = parse_optimizer("AdamW", ("model", "optimizer")).build(weights)
weights[0].grad = torch.ones(2)
optimizer.step()
optimizer.zero_grad()
optimizer.load_state_dict(optimizer.state_dict())
print("torch._dynamo" in sys.modules)
called = []
optimizer.register_step_post_hook(lambda *given: called.append("after"))
optimizer.step()
print(called)
"""


def test_building_and_stepping_import_no_compiler():
    """torch._dynamo, whose import takes a second, is not needed to train; a hook is called even so."""
    result = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["False", "['after']"]
