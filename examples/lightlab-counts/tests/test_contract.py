"""lightlab's contract, held against the parts of this package."""

import torch

from lightlab import TargetSpec
from lightlab.testing import AugmentationCase, HeadCase, LayerCase, parametrize_with_checks

CASES = [
    LayerCase("feature_gate", {"init": 1.0}),
    LayerCase("squareplus", 2.0),
    HeadCase("counts", TargetSpec(("visits",), mean=(2.0,), std=(1.5,)), torch.tensor([[0.0], [1.0], [5.0]])),
    AugmentationCase("random_gain", fits=["numbers", "vectors"], value=0.2, refused=1.0),
]


@parametrize_with_checks(CASES, "lightlab_counts")
def test_contract(check):
    """Each rule is a test; the last one is that no part of the package is without a case."""
    check()
