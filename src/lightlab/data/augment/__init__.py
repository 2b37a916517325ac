"""Augmentations, a family a file; importing this registers them."""

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
