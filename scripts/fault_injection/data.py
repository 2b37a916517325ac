"""R7, R8, R9: data that no network should be trained on, and trainings without what they need."""

from __future__ import annotations

import json
import sys

from fault_injection.base import Finding, Laboratory, fault

#: Stock Lightning on a table, with something done to it; it prints what came of it.
STOCK = """
import sys, warnings, logging
warnings.filterwarnings("ignore")
import torch
from torch import nn
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import EarlyStopping
from torch.utils.data import DataLoader, TensorDataset
for name in ("lightning.pytorch", "lightning.fabric"):
    logging.getLogger(name).setLevel(logging.ERROR)

class Net(LightningModule):
    def __init__(self, norm):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8) if norm else nn.ReLU(), nn.Linear(8, 3))

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.Adam(self.parameters())

def train(x, y, batch_size=20, norm=False, drop_last=False, callbacks=()):
    torch.manual_seed(0)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(max_epochs=2, accelerator="cpu", enable_checkpointing=False, callbacks=list(callbacks), **quiet)
    model, came = Net(norm), "finished"
    try:
        trainer.fit(model, DataLoader(TensorDataset(x, y), batch_size, drop_last=drop_last))
    except Exception as error:
        came = type(error).__name__
    finite = all(bool(each.isfinite().all()) for each in model.parameters())
    weights = "" if finite else ", weights NaN"
    return f"{came} after {trainer.global_step} steps{weights}"

x, y = torch.randn(61, 4, generator=torch.Generator().manual_seed(0)), torch.arange(61) % 3
"""
CALLS = {
    "R7": """
x[30, 2] = torch.nan
print("NaN in a column:", train(x, y), end="; ")
print("batch norm, a row left over:", train(torch.ones(61, 4), y, norm=True))
""",
    "R8": """
print("drop_last:", train(x, y, 100, drop_last=True), end="; ")
print("EarlyStopping, no validation:", train(x, y, callbacks=[EarlyStopping("val_loss")]))
""",
    "R9": """
y[45] = 7
print("class 7 of 3:", train(x, y))
""",
}


def _inject(laboratory: Laboratory, name: str, good: str) -> Finding:
    """Judge the cases of a fault, and have stock Lightning take its own."""
    judged = laboratory.run(sys.executable, "-m", "fault_injection.data_cases", name, str(laboratory.times(1, 3)))
    found: dict[str, str] = json.loads(judged.said.splitlines()[-1])
    bad = [f"{case}: {came}" for case, came in found.items() if came]
    stock = laboratory.python(STOCK + CALLS[name]).said.strip().splitlines()[-1]
    figure = f"{len(found) - len(bad)} of {len(found)} {good}{'; not ' if bad else ''}{'; not '.join(bad)}"
    return Finding(bool(found) and not bad, figure, stock)


@fault(
    "R7", "NaN, inf, constant and extreme numbers; one row and batch norm", "stated policy, or an error that names it"
)
def strange_numbers(laboratory: Laboratory) -> Finding:
    """Put what is no ordinary number into tables, arrays, streams, texts and samples; leave batch norm one row."""
    return _inject(laboratory, "R7", "named column or feature, or followed the stated policy")


@fault("R8", "an empty split, one class, no validation data, limits of 0", "an error before training")
def nothing_to_train_on(laboratory: Laboratory) -> Finding:
    """Call fit where something is missing that the training needs."""
    return _inject(laboratory, "R8", "are errors before training: exit 2, no run folder")


@fault(
    "R9", "a label unseen in training, out of range, with a fraction", "an error with label and count, before training"
)
def strange_labels(laboratory: Laboratory) -> Finding:
    """Put labels into targets that the model can't have learned; of samples that are made late, when they are made."""
    return _inject(laboratory, "R9", "are errors with label and count")
