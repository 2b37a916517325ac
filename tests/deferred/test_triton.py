"""triton is put off, and is whole once anybody asks for it."""

import pytest

pytest.importorskip("triton", reason="triton comes with torch on Linux only")


def test_flops_are_counted_without(deferred):
    """torch's counter only asks whether a function is one of triton's."""
    code = """
import sys, torch
from torch.utils.flop_counter import FlopCounterMode, register_flop_formula
with FlopCounterMode(display=False) as counter:
    torch.ones(2, 3) @ torch.ones(3, 4)
print(counter.get_total_flops(), "triton._C.libtriton" in sys.modules)
try:
    register_flop_formula("none")(print)
except ValueError as error:
    print("none" in str(error))
"""
    assert deferred(code) == "48 False\nTrue\n"


@pytest.mark.parametrize(
    "first",
    [
        "import triton; triton.jit",
        "import triton.language",
        "import triton.runtime.jit; triton.runtime.jit.KernelInterface",
        "from triton.runtime import autotune",
        "from triton.runtime.driver import driver",
        "from triton.runtime.jit import JITFunction; JITFunction.run",
        "from triton import JITFunction",
    ],
)
def test_whatever_comes_first(first, deferred):
    """There is one class of that name, by whichever door."""
    code = f"""
from torch.utils.flop_counter import _JITFunction as late
{first}
import triton, triton.runtime.jit
print(triton.JITFunction is triton.runtime.JITFunction is triton.runtime.jit.JITFunction, type(triton.runtime).__name__)
print(isinstance(triton.jit(triton.compile), late), isinstance(1, late))
"""
    assert deferred(code) == "True module\nTrue False\n"
