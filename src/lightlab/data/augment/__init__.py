"""What changes the batches of the train split at random, a family a file; importing this registers them.

All work on the whole batch, where it lies, with random numbers of their own for every sample. They are torch's own
operations, not a library's (`scripts/bench_augment`, 256 images of 32 × 32, one CPU thread; flip, padded crop and
erasing): 3.4 ms; kornia 0.9 takes 6.0 ms, adds 31 MB, and its TrivialAugment draws one operation for the batch;
torchvision v2 takes 15.2 ms a sample at a time, and given a batch it draws one set of random numbers for all of it.
Its autocontrast and equalize, which have no random numbers, are used.

To add one: write it in the file of its family as a `Change` (its ``change`` takes and returns a batch of samples) or
a `Mix`, register it with ``@AUGMENTATIONS.register("name")``, say in ``needs`` which inputs it fits, and give it a
docstring with an example; the contract test does the rest. A plain ``nn.Module``, tensor to tensor, will do as well.
"""

from lightlab.data.augment import colour, erasing, geometry, mix, noise, policy
from lightlab.data.augment.base import Augment, Augmentation, Change, Mix, parse_augment

__all__ = [
    "Augment",
    "Augmentation",
    "Change",
    "Mix",
    "colour",
    "erasing",
    "geometry",
    "mix",
    "noise",
    "parse_augment",
    "policy",
]
