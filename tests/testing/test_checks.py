"""Cases and checks: ids, messages, random numbers, and that no part escapes."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from lightlab import ACTIVATIONS, AUGMENTATIONS, HEADS, LAYERS, Problem, RegistryError, TargetSpec, register_problem
from lightlab.data.augment import Change
from lightlab.heads import Head
from lightlab.testing import AugmentationCase, Case, Check, HeadCase, LayerCase, check_coverage, parametrize_with_checks


class OwnCase(Case):
    registry = LAYERS
    name = "dense"


def test_requirement_is_said_with_what_was_received():
    """A rule that holds is silent; one that does not is an AssertionError, whether it is a bool or a tensor."""
    OwnCase().require(torch.tensor(True), "Two is even.", 2)
    with pytest.raises(AssertionError, match=r"^layer dense: Three is even\. Received: 3\.$"):
        OwnCase().require(False, "Three is even.", 3)
    with pytest.raises(AssertionError, match="Received: 3"):
        OwnCase().require(torch.tensor(False), "Three is even.", 3)


def test_check_has_random_numbers_of_its_own():
    """A check draws the same numbers every time, and the caller's generator is where it was."""
    drawn = []
    check = Check("random", lambda: drawn.append(torch.rand(3).tolist()))
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first = torch.rand(1)
    check()
    check()
    assert drawn[0] == drawn[1]
    assert torch.equal(torch.cat([first, torch.rand(1)]), expected)


def test_check_is_named_after_part_rule_and_what_it_is_tried_on():
    """The id shows in pytest what is tried."""

    def is_fine(case, number):
        raise AssertionError(f"{case.name} {number}")

    check = OwnCase().check(is_fine, 3, on="three")
    assert check.id == "dense-is_fine-three"
    assert OwnCase().check(is_fine, 3).id == "dense-is_fine"
    with pytest.raises(AssertionError, match=r"^dense 3$"):
        check()


def test_unknown_name_is_answered_with_the_nearest():
    """A case of a part that nobody registers is an error with what is near."""
    with pytest.raises(RegistryError, match="No layer is called 'dence'. Did you mean dense?"):
        list(LayerCase("dence").checks())


def test_no_part_escapes():
    """Every layer, activation, head, problem and augmentation of a module needs a case, and of no other module."""
    for registry in (ACTIVATIONS, LAYERS):
        registry.add("my_relu", nn.ReLU, provider="mine.layers")
    LAYERS.add("my_layer", nn.ReLU, provider="mine")
    HEADS.add("my_problem", Head, provider="mine.heads")
    AUGMENTATIONS.add("my_change", Change, provider="mine")
    LAYERS.add("other", nn.ReLU, provider="mineral")
    head = HeadCase("my_problem", TargetSpec(("y",)), torch.zeros(1, 1))
    rule = "Each part that mine registers has a case. Without one: "
    missing = "layer my_layer, layer my_relu, activation my_relu, head my_problem, augmentation my_change."
    with pytest.raises(AssertionError, match=f"^{re.escape(rule + missing)}$"):
        check_coverage([LayerCase("dense"), LayerCase("my_change")], "mine")
    with pytest.raises(AssertionError, match=r"Without one: layer my_layer\."):
        check_coverage([LayerCase("my_relu"), head, AugmentationCase("my_change", [])], "mine")
    check_coverage([LayerCase("my_relu")], "mine.layers")


def test_problem_needs_the_case_of_its_head():
    """A row of the table of problems without a head can't go unnoticed."""
    register_problem(Problem("alone", "numbers", "1 number", ("mse",), "a number", ("mse",)))
    with pytest.raises(AssertionError, match="Without one: problem alone"):
        check_coverage([], __name__)


def test_module_that_registers_nothing():
    """A misspelt module is no module without gaps."""
    with pytest.raises(AssertionError, match=r"lightlab_count registers layers, .+\. None is\."):
        check_coverage([], "lightlab_count")


def test_decorator_runs_each_check_once():
    """pytest is given every check under its id, and one that no part is without a case."""
    mark = parametrize_with_checks([LayerCase("flatten"), LayerCase("dense", 3)], "lightlab.layers").mark
    assert mark.args[0] == "check"
    parameters = mark.args[1]
    assert [parameter.id for parameter in parameters][-1] == "lightlab.layers-every_part_has_a_case"
    expected = [check.id for case in (LayerCase("flatten"), LayerCase("dense", 3)) for check in case.checks()]
    assert [parameter.id for parameter in parameters][:-1] == expected
    with pytest.raises(AssertionError, match="Without one: .*layer conv2d"):
        parameters[-1].values[0]()


TESTED = '''
from torch import nn
from lightlab import LAYERS

@LAYERS.register("double")
def double() -> nn.Module:
    """Double everything.

    Input shape: any. Output shape: the same.

    Example:
        >>> double()(torch.ones(1))
        tensor([2.])
    """
    return nn.Linear(2, 2)
'''
TESTS = """
from lightlab.testing import LayerCase, parametrize_with_checks

@parametrize_with_checks([LayerCase("double", shapes=[(2,)])], "doubling")
def test_contract(check):
    check()
"""


def test_pytest_shows_every_rule_as_a_test(tmp_path):
    """A module that is not installed is tested from beside it, and each rule that it breaks is a failure of its own."""
    Path("doubling.py").write_text(TESTED)
    Path("test_doubling.py").write_text(TESTS)
    call = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "test_doubling.py"]
    said = subprocess.run(call, cwd=tmp_path, capture_output=True, text=True, check=False).stdout
    assert "test_contract[double-gradient_flows-2] PASSED" in said
    assert "test_contract[double-example_runs] FAILED" in said
    assert "AssertionError: layer double: The docstring's example gives what it says. Received: " in said
    assert "NameError: name 'torch' is not defined" in said
    assert "test_contract[doubling-every_part_has_a_case] PASSED" in said
    assert "1 failed, 8 passed" in said


def test_neither_lightlab_nor_testing_imports_pytest():
    """`import lightlab` does not bring lightlab.testing, and that works where there is no pytest."""
    code = (
        "import sys, lightlab, lightlab.cli; assert 'lightlab.testing' not in sys.modules; "
        "sys.modules['pytest'] = None; "
        "from lightlab.testing import LayerCase; [check() for check in LayerCase('dense', 3).checks()]"
    )
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stderr
