"""What a model is held against: a linear model, trained beside it on the same batches."""

from __future__ import annotations

import torch

from lightlab.inspect.procedure.base import Subject
from lightlab.layers.parameters import Shape
from lightlab.module import Model
from lightlab.specs import parse_layers

#: Adam's rate for linear models: their loss is convex, so a large one does, and 200 steps get far.
RATE = 1e-2


def linear_model(subject: Subject) -> tuple[Model, torch.optim.Optimizer, str]:
    """Return a linear model of the same preprocessing and head, its optimizer, and what it is called.

    The head stands right on the flattened inputs. Of texts it stands on the mean of vectors of their words, as many
    numbers each as the head has outputs: that is a linear model of the shares of words.

    Args:
        subject: whose model has the head.
    """
    model = subject.fresh()
    if subject.spec.input.kind == "text":
        vectors = {"embedding": {"output_dim": model.head.linear.out_features, "init": "uniform"}}
        layers, name = [vectors, "sequence_avg_pool"], "a linear model of the words"
    else:
        shape: Shape = model.preprocess.output_shape
        layers, name = ["flatten"] if len(shape) > 1 else [], "a linear model"
    model = subject.fresh(layer_specs=parse_layers(layers, ("model", "layers")))
    return model, torch.optim.Adam(model.parameters(), RATE), name
