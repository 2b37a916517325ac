"""R15: steps that take more memory than there is."""

from __future__ import annotations

import re
from pathlib import Path

from fault_injection.base import Finding, Laboratory, fault

#: What needs more memory than a limit leaves: 768 rows (512 and half of them) are five times 60 MiB.
WIDE = """
seed_everything: 1
data: {{class_path: SyntheticData, init_args: {{shape: [16], rows: 24000, batch_size: {size}}}}}
model:
  problem: multiclass
  layers: [{{dense: {{units: 20000, activation: relu}}}}, {{dropout: 0.1}}]
trainer: {{max_steps: 3, accelerator: cpu, enable_progress_bar: false, num_sanity_val_steps: 0, limit_val_batches: 1}}
tensorboard: null
"""
#: The last step of the first epoch has 21 rows, for which a layer asks for 4 PiB.
LATE = """
seed_everything: 1
data: {class_path: SyntheticData, init_args: {shape: [8], rows: 190, batch_size: 16}}
model:
  problem: multiclass
  layers: [{dense: {units: 16, activation: relu}}, {dropout: 0.3}, hungry]
trainer: {max_epochs: 3, accelerator: cpu, enable_progress_bar: false}
tensorboard: null
"""
PLUGIN = """
import torch
from torch import nn
from lightlab import LAYERS

class Hungry(nn.Module):
    def forward(self, features):
        if self.training and len(features) > 16:
            torch.empty(2**50)
        return features

@LAYERS.register("hungry")
def hungry() -> nn.Module:
    return Hungry()
"""
#: Calls lightlab in a process that may take so many MiB more than it has when all is imported.
LIMITED = """
import os, resource, sys
import torch
import lightlab.cli, lightlab.commands.fit, lightlab.data.synthetic
torch.ones(2, 2, requires_grad=True).sum().backward()
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * os.sysconf("SC_PAGE_SIZE") + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (most, most))
sys.exit(lightlab.cli.main(sys.argv[2:]))
"""
#: A step of Lightning's own that takes too much, under the same limit.
STOCK = """
import os, resource, sys, warnings
from pathlib import Path
warnings.filterwarnings("ignore")
import torch
from torch import nn
from lightning import LightningModule, Trainer
from torch.utils.data import DataLoader, TensorDataset

class Net(LightningModule):
    def __init__(self):
        super().__init__()
        self.network = nn.Sequential(nn.Linear(16, 20000), nn.ReLU(), nn.Dropout(0.1), nn.Linear(20000, 3))

    def training_step(self, batch, index):
        return nn.functional.cross_entropy(self.network(batch[0]), batch[1])

    def configure_optimizers(self):
        return torch.optim.AdamW(self.parameters())

torch.ones(2, 2, requires_grad=True).sum().backward()
pages = int(open("/proc/self/statm").read().split()[0])
most = pages * os.sysconf("SC_PAGE_SIZE") + int(sys.argv[1]) * 2**20
resource.setrlimit(resource.RLIMIT_AS, (most, most))
loader = DataLoader(TensorDataset(torch.randn(24000, 16), torch.arange(24000) % 3), 4096)
quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False}
try:
    Trainer(max_steps=3, accelerator="cpu", **quiet).fit(Net(), loader)
except Exception as error:
    print(f"{type(error).__name__}, no size named, {len(list(Path().rglob('*.ckpt')))} checkpoints")
"""
#: MiB that the limited processes may take beside what is imported.
MEBIBYTES = 500


@fault("R15", "out of memory in a step, on the CPU", "an error with the size that fits; a checkpoint; auto finds one")
def out_of_memory(laboratory: Laboratory) -> Finding:
    """Give a process less memory than a step takes, and a layer that asks for more than there is, late."""
    found = [_late(laboratory), _found(laboratory), *([] if laboratory.quick else [_too_large(laboratory)])]
    apart = laboratory.folder / "stock"
    apart.mkdir()
    stock = laboratory.python(STOCK, str(MEBIBYTES), folder=apart).said.strip().splitlines()
    figures = "; ".join(figure for _, figure in found)
    return Finding(all(holds for holds, _ in found), figures, stock[-1] if stock else "nothing was said")


def _limited(laboratory: Laboratory, name: str, size: object) -> tuple[int, str]:
    """Call fit with a batch size in a process that has little memory; return its code, and what it said."""
    (laboratory.folder / f"{name}.yaml").write_text(WIDE.format(size=size), encoding="utf-8")
    done = laboratory.python(LIMITED, str(MEBIBYTES), "fit", "--config", f"{name}.yaml")
    return done.code, done.said


def _too_large(laboratory: Laboratory) -> tuple[bool, str]:
    """Train with a size that does not fit, and with the one that the error names."""
    code, said = _limited(laboratory, "large", 4096)
    fits = re.search(r"of 4096 rows .* (\d+) rows fit", said)
    if code != 2 or fits is None:
        return False, f"4096 rows: exit {code}: {said[-300:]}"
    code, said = _limited(laboratory, "named", fits[1])
    return code == 0, f"4096 rows: exit 2, {fits[1]} named, with which training ends with {code}"


def _found(laboratory: Laboratory) -> tuple[bool, str]:
    """Have the size found, and train with it written out: the weights are to be the same to the bit."""
    code, said = _limited(laboratory, "auto", "auto")
    size = re.search(r"batch_size: (\d+)", said)
    if code != 0 or size is None:
        return False, f"auto: exit {code}: {said[-300:]}"
    kept = (laboratory.folder / "runs/auto/version_0/config.yaml").read_text(encoding="utf-8")
    if laboratory.quick:
        return f"batch_size: {size[1]}\n" in kept, f"auto: {size[1]}, kept with the run"
    _limited(laboratory, "same", size[1])
    same = _weights(laboratory, "auto") == _weights(laboratory, "same")
    holds = same and f"batch_size: {size[1]}\n" in kept
    return holds, f"auto: {size[1]}, weights {'the same' if same else 'not the same'} as with {size[1]} written out"


def _weights(laboratory: Laboratory, name: str) -> str:
    """Return a hash of a run's last weights."""
    code = "import hashlib, sys, torch; from lightlab.checkpoints import read_checkpoint as read; "
    code += "weights = read(sys.argv[1])['state_dict'].values(); "
    code += "print(hashlib.sha256(b''.join(each.numpy().tobytes() for each in weights)).hexdigest())"
    return laboratory.python(code, f"runs/{name}/version_0/checkpoints/last.ckpt").said.strip()


def _late(laboratory: Laboratory) -> tuple[bool, str]:
    """Run out of memory in the eighth step; the state before it is kept, and training can go on from it."""
    (laboratory.folder / "late.yaml").write_text(LATE, encoding="utf-8")
    (laboratory.folder / "hungry_layer.py").write_text(PLUGIN, encoding="utf-8")
    done = laboratory.lightlab("fit", "--plugin", "hungry_layer", "--config", "late.yaml")
    kept = "runs/late/version_0/checkpoints/out_of_memory.ckpt"
    if done.code != 2 or "8 rows fit" not in done.said or not (laboratory.folder / kept).is_file():
        return False, f"in step 8: exit {done.code}: {done.said[-300:]}"
    if laboratory.quick:
        return True, "in step 8: exit 2, 8 rows named, the state before kept"
    plugin = Path(laboratory.folder / "hungry_layer.py")
    plugin.write_text(PLUGIN.replace("> 16", "> 10**9"), encoding="utf-8")
    resumed = laboratory.lightlab("fit", "--plugin", "hungry_layer", "--config", "late.yaml", "--ckpt_path", kept)
    figure = f"in step 8: exit 2, 8 rows named, the state before kept, with which training ends with {resumed.code}"
    return resumed.code == 0, figure
