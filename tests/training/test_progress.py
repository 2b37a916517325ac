"""In a terminal there is a bar; elsewhere there is a line an epoch (tests/commands/test_trainer.py)."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

CONFIG = """\
data: {class_path: SyntheticData, init_args: {shape: [4], rows: 20000, batch_size: 8}}
model: {problem: multiclass, layers: [{dense: 4}]}
trainer: {max_epochs: 1, accelerator: cpu}
"""


def screen(*options):
    """Train in a real terminal, and return what it showed."""
    Path("c.yaml").write_text(CONFIG)
    controller, terminal = pty.openpty()
    program = Path(sys.executable).with_name("lightlab")
    environment = {**os.environ, "COLUMNS": "150", "TERM": "xterm"}
    process = subprocess.Popen(
        [program, "fit", "--config", "c.yaml", *options], stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    shown = b""
    while True:
        try:
            part = os.read(controller, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(controller)
    assert process.wait() == 0, shown.decode()
    return shown.decode()


def test_bar_in_a_terminal():
    """In a real terminal the bar shows epoch, batches, loss and the monitored metric, and goes when training ends."""
    text = screen()
    assert "epoch 1/1" in text
    assert "/1750" in text
    assert "loss " in text
    assert "\r\nepochs      1 (best: 1)" in text


def test_bar_of_an_epoch_that_is_gone_on_with():
    """The bar goes on from where the epoch was."""
    screen("--trainer.max_steps=1000")
    text = screen("--ckpt_path", "last")
    counts = [int(count) for count in re.findall(r"(\d+)/1750", text)]
    assert counts
    assert min(counts) >= 1000
    assert "epoch 1/1" in text
