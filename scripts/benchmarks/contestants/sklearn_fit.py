"""scikit-learn's MLP; it keeps the training loss, and accuracy of a validation only."""

from __future__ import annotations

import time
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from benchmarks.jobs import Job, Outcome, take_part


def fit(job: Job) -> Outcome:
    inputs, targets = (np.load(Path(job.data) / f"train_{what}.npy") for what in ("inputs", "targets"))
    task = job.task
    model = MLPClassifier(
        task.units,
        alpha=0,
        batch_size=task.batch_size,
        max_iter=job.epochs,
        n_iter_no_change=job.epochs + 1,
        early_stopping=job.validate,
        validation_fraction=task.val_rows / task.rows,
        random_state=job.seed,
    )
    warnings.simplefilter("ignore", ConvergenceWarning)  # so many epochs are asked for
    start = time.perf_counter()
    model.fit(inputs, targets)
    epoch = (time.perf_counter() - start) / model.n_iter_
    accuracy = float(model.validation_scores_[-1]) if job.validate else None
    return Outcome([epoch] * model.n_iter_, accuracy)


if __name__ == "__main__":
    take_part(fit)
