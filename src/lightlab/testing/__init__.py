"""The contracts that lightlab holds its own parts to, for the tests of whoever adds parts.

A case says how a part is tried; it has a check for each rule. In a test file of pytest's::

    from lightlab.testing import LayerCase, parametrize_with_checks

    @parametrize_with_checks([LayerCase("feature_gate")], "lightlab_counts")
    def test_contract(check):
        check()

Each check is a test of its own, and a failure states the rule and what was received. pytest is needed for
`parametrize_with_checks` only; anywhere else: ``for check in LayerCase("feature_gate").checks(): check()``.
"""

from lightlab.testing.augmentations import KINDS, AugmentationCase
from lightlab.testing.checks import Case, Check, check_coverage, parametrize_with_checks
from lightlab.testing.heads import HeadCase
from lightlab.testing.layers import LayerCase

__all__ = [
    "KINDS",
    "AugmentationCase",
    "Case",
    "Check",
    "HeadCase",
    "LayerCase",
    "check_coverage",
    "parametrize_with_checks",
]
