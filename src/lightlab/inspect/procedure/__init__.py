"""The procedure of the course: steps that show, before a training, whether a config's data and model can work.

It follows Karpathy's "A Recipe for Training Neural Networks" (2019) and the checks of Keras courses: look at the data,
predict on random tensors, compare the loss at the start with chance, overfit one batch, look at gradients, and beat
simple baselines.
"""

from lightlab.inspect.procedure.run import Procedure, run_procedure

__all__ = ["Procedure", "run_procedure"]
