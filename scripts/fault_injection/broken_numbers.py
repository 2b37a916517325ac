"""What R6 and R10 do in processes of their own, ``-m fault_injection.broken_numbers WHAT TIMES``; it prints counts."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import math
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

#: Batches of an epoch, and epochs.
BATCHES, EPOCHS = 16, 3
#: From one fault's step to the next one's: all steps come in turn.
STRIDE = 29
QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "log_every_n_steps": 1,
    "max_epochs": EPOCHS,
}


def faulty(steps: list[int], kind: str, value: str = "nan") -> Any:
    """Return a layer that passes on what arrives, and something else at some steps, forwards or backwards."""
    import torch

    class Faulty(torch.nn.Module):
        calls = 0

        def forward(self, inputs: torch.Tensor) -> torch.Tensor:
            self.calls += self.training
            if self.training and self.calls in steps:
                if kind == "loss":
                    return inputs * float(value)
                if inputs.requires_grad:
                    inputs.register_hook(lambda gradient: gradient * float(value))
            return inputs

    return Faulty()


def register() -> None:
    """Have configs know the layer."""
    from lightlab import LAYERS

    LAYERS.register("faulty")(faulty)


def count_files(folder: Path) -> dict[str, int]:
    """Count checkpoints, and those with a weight that is not finite."""
    import torch

    files = [torch.load(path, weights_only=True) for path in folder.rglob("*.ckpt")]
    bad = [any(not torch.isfinite(each).all() for each in file["state_dict"].values()) for file in files]
    return {"files": len(files), "broken": sum(bad)}


def keepers(folder: Path) -> list[Any]:
    """Return callbacks that keep weights whenever they can."""
    from lightning.pytorch.callbacks import ModelCheckpoint

    return [
        ModelCheckpoint(folder / "best", monitor="val/loss", filename="best"),
        ModelCheckpoint(folder / "steps", every_n_train_steps=9, save_top_k=-1, filename="{step}"),
        ModelCheckpoint(folder / "last", save_last=True, save_on_exception=True, filename="broken"),
    ]


def train(times: int) -> dict[str, int]:
    """Train lightlab's model with a fault at a step of its own each time; every fifth time leave it out, too."""
    from lightning import Trainer

    from lightlab import BundledData, Model
    from lightlab.errors import RunError
    from lightlab.training.execution import Execution
    from lightlab.training.finite import FiniteNumbers

    register()
    found: Counter[str] = Counter()
    for number in range(times):
        at, folder = number * STRIDE % (BATCHES * EPOCHS) + 1, Path(str(number))
        fault = {"steps": [at], "kind": ("loss", "gradient")[number % 2], "value": ("nan", "inf", "-inf")[number % 3]}
        layers = [{"dense": 8}, "batch_norm", {"faulty": fault}, "tanh"]
        ways = [[], [Execution(1, compile=False)], [Execution("auto", compile=False)]]
        for skips in (False, True)[: 1 + (number % 5 == 0)]:
            callbacks = [*ways[number % 3], *keepers(folder), *([FiniteNumbers("skip")] if skips else [])]
            trainer = Trainer(callbacks=callbacks, **QUIET)
            said = ""
            try:
                trainer.fit(Model(layers, problem="multiclass"), BundledData("wine", batch_size=8))
            except RunError as error:
                said = str(error)
            place = f"In step {at} (batch {(at - 1) % BATCHES + 1} of epoch {(at - 1) // BATCHES + 1})"
            if skips:
                left_out = next(each for each in trainer.callbacks if isinstance(each, FiniteNumbers)).skipped
                found.update(skips=1, skipped=int(not said and left_out == 1))
            else:
                found["stopped"] += place in said and "model.layers[2].faulty" in said
    return {"skips": 0, "skipped": 0, **found, **count_files(Path())}


def compiled(times: int) -> dict[str, int]:
    """Train with compiled steps until they diverge, and return whether the step is the one that single steps find."""
    from lightning import Trainer

    from lightlab import BundledData, Model
    from lightlab.errors import RunError
    from lightlab.training.execution import Execution

    said = []
    optimizer = {"class_path": "SGD", "init_args": {"lr": 0.9}}
    for way in (True, False):
        import lightning

        lightning.seed_everything(1, verbose=False)
        trainer = Trainer(callbacks=[Execution("auto", compile=way)], enable_checkpointing=False, **QUIET)
        model = Model([{"dense": 8}, {"dense": 8}], problem="regression", optimizer=optimizer)
        try:
            trainer.fit(model, BundledData("diabetes", batch_size=8))
        except RunError as error:
            said.append(str(error).split(" it is")[0])
    return {"same": int(len(said) == 2 and said[0] == said[1] and " In step " in said[0])}


def stock(times: int) -> dict[str, int]:
    """Train a module of Lightning's own with the same faults."""
    import torch
    from lightning import LightningModule, Trainer
    from lightning.pytorch.callbacks import EarlyStopping, ModelCheckpoint
    from torch.nn.functional import cross_entropy
    from torch.utils.data import DataLoader, TensorDataset

    class Net(LightningModule):
        def __init__(self, layer: torch.nn.Module) -> None:
            super().__init__()
            self.network = torch.nn.Sequential(torch.nn.Linear(13, 8), layer, torch.nn.Tanh(), torch.nn.Linear(8, 3))

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return cross_entropy(self.network(batch[0]), batch[1])

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("val_loss", cross_entropy(self.network(batch[0]), batch[1]))

        def configure_optimizers(self) -> Any:
            return torch.optim.AdamW(self.parameters())

    found: Counter[str] = Counter()
    for number in range(times):
        rows = TensorDataset(torch.randn(8 * BATCHES, 13), torch.randint(0, 3, (8 * BATCHES,)))
        folder = Path(str(number))
        best = ModelCheckpoint(folder, monitor="val_loss", filename="best")
        last = ModelCheckpoint(folder, filename="last")
        trainer = Trainer(callbacks=[best, last, EarlyStopping("val_loss")], **QUIET)
        layer = faulty([number * STRIDE % BATCHES + 1], ("loss", "gradient")[number % 2])
        trainer.fit(Net(layer), DataLoader(rows, 8), DataLoader(rows, 8))
        weights = torch.load(best.best_model_path, weights_only=False)["state_dict"]
        is_nan = any(not torch.isfinite(each).all() for each in weights.values())
        found.update(runs=1, finished=int(trainer.state.finished), best=int(is_nan))
    return {**found, **count_files(Path())}


def measure(problem: str, logits: Any, targets: Any) -> dict[str, float]:
    """Return the figures of an epoch."""
    from lightlab.metrics import EpochMetrics

    head = make_head(problem)
    kept = EpochMetrics(head, head.target.columns)
    kept.update(head.loss(logits, targets), logits, targets)
    return {name: float(value) for name, value in kept.compute().items() if name != "loss"}


def make_head(problem: str) -> Any:
    """Return a head for three columns, or as many classes as the problem takes."""
    from lightlab import TargetSpec
    from lightlab.registry import HEADS

    specs = {
        "binary": TargetSpec(("y",), ("a", "b"), (30, 70), rows=100),
        "multiclass": TargetSpec(("y",), tuple("abcdefghijkl"), (5,) * 12, rows=60),
        "multilabel": TargetSpec(("a", "b"), counts=(30, 70), rows=100),
        "regression": TargetSpec(("a", "b"), mean=(0.0, 1.0), std=(1.0, 2.0), rows=9),
        "bounded_regression": TargetSpec(("a", "b"), rows=9),
    }
    return HEADS.get(problem)(4, target=specs[problem])


def metrics(times: int) -> dict[str, int]:
    """Measure with every head what has no answer."""
    import torch

    from lightlab.registry import HEADS

    torch.manual_seed(0)
    found: Counter[str] = Counter()
    untold = {
        ("binary", 0.0): {"auroc", "f1", "precision", "recall"},
        ("binary", 1.0): {"auroc"},
        ("multilabel", 0.0): {"auroc_macro", "f1_macro", "f1/a", "f1/b"},
        ("multilabel", 1.0): {"auroc_macro"},
        ("regression", 0.3): {"r2"},
        ("bounded_regression", 0.3): {"r2"},
    }
    for problem in HEADS.names():
        head = make_head(problem)
        logits = torch.randn(20, head.linear.out_features)
        shape = (20,) if head.target.classes else (20, 2)
        targets = torch.arange(math.prod(shape)).reshape(shape) % 2
        targets = targets if head.target.classes else targets.float()
        for value in (math.nan, math.inf, -math.inf):
            broken = logits.clone()
            broken[7, 0] = value
            values = measure(problem, broken, targets)
            found.update(figures=len(values), strange=sum(map(math.isnan, values.values())))
        for (name, value), wanted in untold.items():
            if name == problem:
                values = measure(problem, logits, torch.full_like(targets, value))
                found.update(cases=len(wanted), untold=sum(math.isnan(values[each]) for each in wanted))
        if "r2" in values:
            found.update(cases=1, untold=int(math.isnan(measure(problem, logits[:1], targets[:1])["r2"])))
    return {**found, "watched": int(watch())}


def watch() -> bool:
    """Return whether a training that goes by a metric of one class ends in an error that names it."""
    from lightning import Callback, Trainer
    from lightning.pytorch.callbacks import EarlyStopping

    from lightlab import BundledData, Model
    from lightlab.errors import RunError

    class OneClass(Callback):
        def on_validation_batch_start(self, trainer: Any, model: Any, batch: Any, *others: Any) -> None:
            batch[1].zero_()

    callbacks = [EarlyStopping("val/auroc", mode="max"), OneClass()]
    trainer = Trainer(callbacks=callbacks, enable_checkpointing=False, **QUIET)
    try:
        trainer.fit(Model([{"dense": 4}], problem="binary"), BundledData("breast_cancer", batch_size=64))
    except RunError as error:
        return "goes by val/auroc" in str(error) and "all rows are of one class" in str(error)
    return False


def stock_metrics(times: int) -> dict[str, Any]:
    """Measure the same with torchmetrics, and stop early by it with Lightning."""
    import torch
    from lightning import LightningModule, Trainer
    from lightning.pytorch.callbacks import EarlyStopping
    from torch.utils.data import DataLoader, TensorDataset
    from torchmetrics import R2Score
    from torchmetrics.classification import BinaryAccuracy, BinaryAUROC

    rows = torch.randn(20, 1)
    accuracy = BinaryAccuracy()(torch.full((20,), torch.nan), torch.arange(20) % 2)
    auroc = BinaryAUROC()(torch.rand(20), torch.zeros(20, dtype=torch.long))
    r2 = R2Score()(torch.rand(20), torch.full((20,), 0.3))

    class Net(LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(1, 1)

        def training_step(self, batch: Any, index: int) -> torch.Tensor:
            return self.layer(batch[0]).square().mean()

        def validation_step(self, batch: Any, index: int) -> None:
            self.log("r2", R2Score()(batch[0][:2, 0], torch.full((2,), torch.nan)))

        def configure_optimizers(self) -> Any:
            return torch.optim.SGD(self.parameters(), lr=0.01)

    trainer = Trainer(callbacks=[EarlyStopping("r2", mode="max")], enable_checkpointing=False, **QUIET)
    loader = DataLoader(TensorDataset(rows), 10)
    trainer.fit(Net(), loader, loader)
    ended = f"finished after epoch {trainer.current_epoch} of {EPOCHS}, no error"
    return {"accuracy": float(accuracy), "auroc": float(auroc), "r2": float(r2), "stopping": ended}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.ERROR)
    with contextlib.redirect_stdout(io.StringIO()):
        counted = globals()[sys.argv[1]](int(sys.argv[2]))
    print(json.dumps(counted))
