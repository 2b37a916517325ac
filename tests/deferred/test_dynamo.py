"""torch._dynamo is put off, and does the same once it has run."""


def test_nothing_needs_it_that_does_not_compile(deferred):
    """Optimizers, Lightning, and what torch keeps from being traced do without."""
    code = """
import sys, torch, lightning.pytorch
from lightning.fabric.wrappers import OptimizedModule, _unwrap_compiled
layer = torch.nn.Linear(2, 1)
optimizer = torch.optim.Adam(layer.parameters())
torch.compiler.disable(layer.forward.__func__)(layer, torch.ones(3, 2)).sum().backward()
optimizer.zero_grad()
_unwrap_compiled(layer)
print(isinstance(layer, OptimizedModule), "torch._dynamo.eval_frame" in sys.modules)
"""
    assert deferred(code) == "False False\n"


def test_what_was_not_to_be_traced_is_not(deferred):
    """A function for which tracing was off before it could be on runs as it is; the others are traced."""
    code = """
import torch
from lightning.fabric.wrappers import OptimizedModule

@torch.compiler.disable
def apart(x):
    "Says whether it is traced."
    print("apart", torch.compiler.is_compiling())
    return x + 1

@torch.compiler.disable(recursive=False)
def alone(x):
    print("alone", torch.compiler.is_compiling())
    return x

@torch.compile(backend="eager")
def whole(x):
    return alone(apart(x * 2)) * torch.compiler.is_compiling()

print(apart.__doc__, apart(torch.ones(1)).item())
print(whole(torch.ones(1)).item())
compiled = torch.compile(torch.nn.Linear(1, 1), backend="eager")
print(isinstance(compiled, OptimizedModule), issubclass(type(compiled), OptimizedModule))
print(isinstance(torch.nn.Linear(1, 1), OptimizedModule))
"""
    said = "Says whether it is traced. 2.0\napart False\nalone False\n3.0\nTrue True\nFalse\n"
    assert deferred(code).replace("apart False\nSays", "Says", 1) == said


def test_its_submodules(deferred):
    """Settings that are made by whichever door are those that it goes by."""
    code = """
import torch
import torch._dynamo.config as config
config.suppress_errors = True
from torch import _dynamo
print(type(_dynamo).__name__, torch._dynamo.config.suppress_errors, torch._dynamo.config is config)
"""
    assert deferred(code) == "module True True\n"


def test_disable_by_the_name_of_ones_own(deferred):
    """Whoever takes the package's own ``disable`` has that."""
    code = """
import torch
from torch._dynamo import disable
torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1))

@disable
def apart(x):
    print(torch.compiler.is_compiling())
    return x

torch.compile(lambda x: apart(x) + 1, backend="eager")(torch.ones(1))
print(type(disable).__name__)
"""
    assert deferred(code) == "False\nfunction\n"
