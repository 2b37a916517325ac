"""What of Lightning's and torch's own talk is kept from the reader, and why."""

from __future__ import annotations

import logging
import threading
import warnings

#: Each is true of every lightlab run, or said better by lightlab.
KNOWN_NOISE = (
    ".*does not have many workers.*",  # rows are in memory: workers would slow it down
    ".*is smaller than the logging interval.*",  # figures are logged once an epoch
    ".*recommended to use `self.log.*sync_dist=True.*",  # EpochMetrics sums over the processes itself
    ".*isinstance\\(treespec, LeafSpec\\).*",  # Lightning's own use of torch
    ".*Checkpoint directory .* exists and is not empty.*",  # run folders are new
    ".*GPU available but not used.*",  # a person who says `accelerator: cpu` means it
    ".*epoch parameter in `scheduler.step\\(\\)`.*",  # torch's own SequentialLR
    ".*Total length of `list` across ranks is zero.*",  # a split that a config leaves out
    ".*The dirpath has changed from.*",  # a resumed run has a folder of its own; see training/resume.py
    ".*No seed found.*",  # one is chosen, and kept in config.yaml
    ".*when using `ckpt_path`, callbacks used to create the checkpoint.*",  # they only matter in fit
)


def silence() -> None:
    """Hush tips and known noise; warnings that are not known stay."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for message in KNOWN_NOISE:
        warnings.filterwarnings("ignore", message=message)
    if threading.excepthook is threading.__excepthook__:  # somebody else's stays
        threading.excepthook = _say_of_thread


def _say_of_thread(found: threading.ExceptHookArgs) -> None:
    """Say what a thread has died of, but for TensorBoard's: what they raise is raised again where they are used."""
    if type(found.thread).__name__ != "_AsyncWriterThread":
        threading.__excepthook__(found)
