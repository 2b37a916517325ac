"""The layers, a family a file; importing this registers them.

A layer is a function (or class) whose parameters are what a config may write, and which returns an
``nn.Module``. One that needs to know what comes in declares ``input_shape`` (a sample's shape, without the batch)
and is given it; one made of other layers declares ``build`` (see `lightlab.build.build_layers`); one that is for
words declares ``vocabulary_size`` (how many codes there are, ``None`` where the inputs are no text).

To add one: write it in the file of its family, register it with ``@LAYERS.register("name")``, declare with
``@expects`` which inputs it takes, and give it a docstring with an example; the contract test does the rest.
"""

from lightlab.layers import activation, composite, conv, dense, dropout, embedding, norm, pool, recurrent, reshape

__all__ = [
    "activation",
    "composite",
    "conv",
    "dense",
    "dropout",
    "embedding",
    "norm",
    "pool",
    "recurrent",
    "reshape",
]
