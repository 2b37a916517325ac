"""The command imports what it uses."""

#: When the command ends, prints whether there were trees, and what was imported that a training does without.
CALL = """
import atexit, sys
HEAVY = {"torchvision", "scipy.signal", "scipy.stats._stats_py", "scipy.interpolate._bsplines",
         "torchmetrics.functional.image", "torch._dynamo.eval_frame", "torch._inductor", "triton._C.libtriton",
         "matplotlib.pyplot"}
atexit.register(lambda: print("sklearn.ensemble" in sys.modules, HEAVY & sys.modules.keys()))
from lightlab.cli import entry_point
entry_point()
"""


def test_a_training_imports_what_it_uses(said, tmp_path):
    """A table is trained on, and the doctor asks his trees about it, with next to nothing imported in vain."""
    rows = "".join(f"{number},{number * number % 7 > 2:d}\n" for number in range(100))
    (tmp_path / "t.csv").write_text(f"x,y\n{rows}")
    (tmp_path / "c.yaml").write_text(
        "data: {class_path: TableData, init_args: {path: t.csv, target: y}}\n"
        "model: {layers: [], problem: binary}\ntrainer: {max_epochs: 1}\n"
    )
    assert said(CALL, "fit", "--config", "c.yaml", cwd=tmp_path).endswith("\nTrue set()\n")


def test_what_is_imported_stays(said):
    """A package that is imported already, as in a notebook, is left as it is."""
    code = (
        "import torchmetrics, torch._dynamo\nfrom lightlab.deferred import defer_imports; defer_imports()\n"
        "import torchmetrics.functional; from torch._dynamo import OptimizedModule\n"
        "print(type(torchmetrics).__name__, type(torchmetrics.functional).__name__, type(OptimizedModule).__name__)"
    )
    assert said(code) == "module module type\n"
