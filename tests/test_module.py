"""The model trains with an ordinary Trainer, and opens from its checkpoint alone."""

import pytest
import torch
from lightning import Trainer
from torch import distributed, nn
from torch.utils.data import DataLoader, TensorDataset

from lightlab.batch import Mixed
from lightlab.checkpoints import read_checkpoint
from lightlab.data import BundledData, SyntheticData
from lightlab.data_spec import DataSpec, InputSpec, TargetSpec
from lightlab.errors import CheckpointError, ConfigError, DataError, ShapeError
from lightlab.module import Model

DENSE = [{"dense": {"units": 8, "activation": "relu"}}]


def trainer(**options):
    """Return an ordinary Trainer that says nothing."""
    quiet = {
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    return Trainer(accelerator="cpu", **{**quiet, "max_epochs": 2, **options})


@pytest.fixture
def fitted(tmp_path):
    """A model that was trained on wine, its data, and its checkpoint."""
    data, model = BundledData("wine", batch_size=16), Model(DENSE, "multiclass", optimizer={"lr": 0.01})
    fitting = trainer(max_epochs=5)
    fitting.fit(model, data)
    fitting.save_checkpoint(tmp_path / "wine.ckpt")
    return model, data, tmp_path / "wine.ckpt"


def test_opens_from_its_checkpoint_alone(fitted):
    """The loaded model predicts raw rows as the trained one does."""
    model, data, path = fitted
    loaded = Model.load(path)
    inputs = next(iter(data.test_dataloader())).inputs
    assert loaded.predict(inputs) == model.predict(inputs)
    assert loaded.data_spec == model.data_spec
    assert not loaded.training


def test_checkpoint_is_plain_data(fitted):
    """What it was made from and what it reached stand in the checkpoint."""
    checkpoint = read_checkpoint(fitted[2])
    assert checkpoint["hyper_parameters"]["layers"] == DENSE
    assert checkpoint["metrics"]["val/accuracy"] > 0.5


def test_lightning_s_own_loading_works(fitted):
    """A Trainer tests by a checkpoint's path, and Lightning's load_from_checkpoint opens it."""
    model, data, path = fitted
    assert Model.load_from_checkpoint(path).data_spec == model.data_spec
    (figures,) = trainer().test(Model(DENSE, "multiclass"), data, ckpt_path=path, verbose=False)
    (expected,) = trainer().test(model, data, verbose=False)
    assert figures == pytest.approx(expected)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (
            Model([{"dense": 9}], "multiclass"),
            r"differ, the first head\.linear\.weight: \(3, 8\) in the checkpoint, \(3, 9\)",
        ),
        (Model(DENSE, "regression"), "for one problem, here multiclass. Received: problem regression"),
    ],
)
def test_checkpoint_of_another_model(fitted, other, message):
    """Layers or a problem that are not the checkpoint's are refused."""
    with pytest.raises(CheckpointError, match=message):
        other.on_load_checkpoint(read_checkpoint(fitted[2]))


def test_loss_falls_and_metrics_are_logged(fitted):
    """Training and validation have the loss and the metrics of the problem."""
    model, data, _ = fitted
    training = trainer(max_epochs=10)
    training.fit(model, data)
    logged = {name: float(value) for name, value in training.callback_metrics.items()}
    names = {f"{split}/{name}" for split in ("train", "val") for name in ("loss", "accuracy", "f1_macro")}
    assert logged.keys() == names
    assert logged["train/loss"] < 1.0 < torch.tensor(3.0).log()


def test_train_loss_is_the_mean_over_the_rows():
    """With a learning rate of nought, the logged loss equals the loss over all rows at once."""
    data = BundledData("wine", batch_size=16)
    model = Model(DENSE, "multiclass", optimizer={"class_path": "SGD", "init_args": {"lr": 0.0}})
    training = trainer(max_epochs=1)
    training.fit(model, data)
    inputs, targets = data._encoded["train"]
    with torch.no_grad():
        expected = model.head.loss(model(inputs), targets).mean()
    assert training.callback_metrics["train/loss"] == pytest.approx(expected.item(), rel=1e-5)


def test_mixed_samples_count_for_both_targets():
    """Where a batch was mixed, the loss is that of each row's own target and its partner's, by their shares."""
    data = BundledData("iris", batch_size=16)
    model = Model(DENSE, "multiclass")
    model.build(data.connect("multiclass"))
    model.trainer = trainer(max_epochs=1)
    batch = next(iter(data.train_dataloader()))
    partner, weight = torch.arange(16).flip(0), torch.linspace(0, 1, 16)
    loss = model.training_step(batch._replace(mixed=Mixed(partner, weight)), 0)
    logits = model(batch.inputs)
    own, other = (model.head.loss(logits, targets) for targets in (batch.targets, batch.targets[partner]))
    assert loss.item() == pytest.approx((weight * own + (1 - weight) * other).mean().item())
    assert loss.item() != pytest.approx(own.mean().item())


def test_penalty_is_part_of_the_objective_and_has_its_own_curve():
    """A large penalty shrinks the kernel; it is logged beside the loss."""
    data = BundledData("wine", batch_size=124)
    norms = {}
    for l2 in (0.0, 10.0):
        torch.manual_seed(0)
        model = Model([{"dense": {"units": 8, "l2": l2}}], "multiclass", optimizer={"lr": 0.01})
        training = trainer(max_epochs=30)
        training.fit(model, data)
        norms[l2] = model.network[0].weight.norm().item()
        assert ("train/penalty" in training.callback_metrics) == (l2 > 0)
    assert norms[10.0] < 0.5 * norms[0.0]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")  # depends on the machine's cores
def test_processes_exchange_what_layers_change_alone(tmp_path):
    """At each step DDP brings the buffers of layers into line, as batch norm's; all others are alike, and stay out."""
    model = Model(["batch_norm", {"dense": 4}])
    data = BundledData("iris")
    data.setup("fit")
    model.build(data.connect(None, None))
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/meeting", rank=0, world_size=1)
    try:
        buffers = nn.parallel.DistributedDataParallel(model).modules_buffers
    finally:
        distributed.destroy_process_group()
    own = dict(model.network.named_buffers())
    assert {"running_mean", "running_var"} <= {name.rsplit(".", 1)[-1] for name in own}
    assert {id(each) for each in buffers} == {id(each) for each in own.values()}


def test_loader_of_one_s_own():
    """Pairs of inputs and targets from an ordinary DataLoader train a model that was built by hand."""
    spec = DataSpec("binary", InputSpec((4,), (0.0,) * 4, (1.0,) * 4), TargetSpec(("y",), ("no", "yes"), (50, 50)))
    model = Model(DENSE, optimizer={"lr": 0.05})
    model.build(spec)
    inputs = torch.randn(100, 4)
    loader = DataLoader(TensorDataset(inputs, (inputs[:, 0] > 0).long()), batch_size=20)
    training = trainer(max_epochs=20)
    training.fit(model, loader, loader)
    assert training.callback_metrics["train/accuracy"] > 0.9


def test_model_that_was_not_built():
    """Without data or a checkpoint there is no network, and this is said."""
    with pytest.raises(DataError, match="from a checkpoint, or, for loaders"):
        Model(DENSE).metric_modes()


def test_all_faults_at_once():
    """Everything that is wrong with the arguments is reported together, by key."""
    with pytest.raises(ConfigError) as caught:
        Model([{"dense": "8"}, "rel"], "binry", {"x": 1}, {"class_path": "Adm"}, {"interval": "hour"})
    places = [".".join(map(str, fault.key[1:3])) for fault in caught.value.faults]
    assert places == ["layers.0", "layers.1", "optimizer.class_path", "lr_scheduler.interval", "problem"]


@pytest.mark.parametrize(
    ("layers", "head", "error", "message"),
    [
        (
            [{"dense": {"units": 3, "activation": "softmax"}}],
            None,
            ConfigError,
            r"model\.layers\[0\]\.dense\.activation: The head is not",
        ),
        ([{"dense": 8}, "softmax"], None, ConfigError, r"model\.layers\[1\]: The head is not written"),
        ([{"reshape": [13, 1]}], None, ShapeError, r"head needs rank 2 .*Received: \(batch, 13, 1\).*Add flatten"),
        ([{"conv2d": {"filters": 2, "kernel_size": 1}}], None, ShapeError, "conv2d needs rank 4"),
        (
            DENSE,
            {"class_weight": {"a": 1.0}},
            ConfigError,
            r"model\.head: class_weight is 'balanced', or a positive weight",
        ),
    ],
)
def test_contradictions_show_when_the_data_is_known(layers, head, error, message):
    """Layers that don't fit the data or the head are errors by key, before a step."""
    with pytest.raises(error, match=message):
        trainer().fit(Model(layers, "multiclass", head), BundledData("wine"))


@pytest.mark.parametrize("problem", ["binary", "multiclass", "multilabel", "regression", "bounded_regression"])
def test_every_problem_learns(problem):
    """Each problem type learns what there is to learn in synthetic data."""
    torch.manual_seed(0)
    data = SyntheticData(
        [6], problem, rows=400, noise=0.0, batch_size=32, outputs=3 if problem == "multilabel" else None
    )
    model = Model([{"dense": {"units": 16, "activation": "tanh"}}], problem, optimizer={"lr": 0.02})
    training = trainer(max_epochs=25)
    training.fit(model, data)
    figures = {name: float(value) for name, value in training.callback_metrics.items()}
    assert figures.get("val/r2", figures.get("val/accuracy")) > 0.85


@pytest.mark.parametrize(("monitor", "mode"), [("val/accuracy", "max"), ("val/loss", "min"), (None, "min")])
def test_plateau_watches_the_metric_the_right_way_round(fitted, monitor, mode):
    """ReduceLROnPlateau takes more accuracy for progress, and less loss."""
    model = Model(DENSE, "multiclass", lr_scheduler={"class_path": "ReduceLROnPlateau", "monitor": monitor})
    model.build(fitted[0].data_spec)
    _, (entry,) = model.configure_optimizers()
    assert (entry["scheduler"].mode, entry["monitor"]) == (mode, monitor or "val/loss")
