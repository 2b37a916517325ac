"""The verbs, and what each does in a line."""

from __future__ import annotations

VERBS = {
    "fit": "train a model, then evaluate its best weights on the test split",
    "validate": "evaluate a trained model on the validation split",
    "test": "evaluate a trained model on the test split",
    "predict": "write a trained model's predictions to a file",
}
