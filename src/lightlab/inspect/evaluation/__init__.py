"""What a trained model makes of its data: figures kept with the run, for TensorBoard, reports and the doctor."""

from __future__ import annotations

from lightlab.inspect.evaluation.record import (
    Calibration,
    Confusion,
    Curve,
    Evaluation,
    Histogram,
    LayerRecord,
    Mistake,
    Reference,
    Residuals,
    SampleLoss,
    SplitRecord,
    read_evaluation,
)

__all__ = [
    "Calibration",
    "Confusion",
    "Curve",
    "Evaluation",
    "Histogram",
    "LayerRecord",
    "Mistake",
    "Reference",
    "Residuals",
    "SampleLoss",
    "SplitRecord",
    "read_evaluation",
]
