"""A package that is put off: nobody can tell, but for the time, whoever asks it for whatever first."""

import pytest

INIT = """
print("runs")
import fake.part
from fake.part import function
class Kind: pass
value = 1
__all__ = ["value"]
"""
PART = "print('part')\ndef function(): return 2\nvalue = 3\n"
FILES = {"__init__": INIT, "part": PART}


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("import fake; print(type(fake).__name__)", "Fake"),
        ("import fake; print(fake.value, type(fake).__name__)", "runs part 1 module"),
        ("from fake import value; print(value)", "runs part 1"),
        ("from fake import *; print(value)", "runs part 1"),
        ("import fake.part; print(fake.part.value)", "runs part 3"),
        ("from fake.part import value; print(value)", "runs part 3"),
        ("from fake import part; print(part.value)", "runs part 3"),
        ("from fake import function; print(type(function).__name__)", "runs part function"),
        ("import fake; fake.value = 7; print(fake.value, fake.Kind.__name__)", "runs part 7 Kind"),
        ("import fake; print(hasattr(fake, 'absent'), hasattr(fake, 'absent'))", "runs part False False"),
        ("import fake; print('Kind' in dir(fake))", "runs part True"),
        ("import fake, importlib; fake.value = 2; importlib.reload(fake); print(fake.value)", "runs part runs 1"),
        (
            "import fake, unittest.mock as mock\nwith mock.patch('fake.function'): 1\nprint(fake.value)",
            "runs part 1",
        ),
    ],
)
def test_it_runs_at_the_first_question(code, output, fake):
    """It runs once, before anything that needs it, and not before."""
    assert fake(code, **FILES).split() == output.split()


@pytest.mark.parametrize(
    ("code", "output"),
    [
        ("print(isinstance(3, Kind), issubclass(int, Kind))", "False False"),
        ("print(isinstance('1', Kind | int), isinstance(1, int | Kind))", "False True"),
        ("from typing import Optional; Optional[Kind]; print('annotated')", "annotated"),
        ("print(function())", "runs part 2"),
        ("function.later = 1; import fake; fake.function.other = 2; print(function.other)", "runs part 2"),
        (
            "import fake; fake.value; print(isinstance(Kind(), Kind), isinstance(fake.Kind(), Kind))",
            "runs part True True",
        ),
        ("class Mine(Kind): pass\nprint(issubclass(Mine, Kind))", "runs part True"),
        ("import copy, fake; print(copy.deepcopy(function) is fake.function)", "runs part True"),
        ("import pickle, fake; print(pickle.loads(pickle.dumps(function)) is fake.function)", "runs part True"),
        ("import fake; print(fake.function is fake.part.function)", "runs part True"),
    ],
)
def test_a_friend_gets_names_before_it_runs(code, output, fake):
    """Who is known to import a name and use it seldom gets that at once; to use it has the package run."""
    assert fake(f"from friend import function, Kind\n{code}", **FILES).split() == output.split()


def test_its_submodules_are_the_ones_that_it_imports(fake):
    """A submodule that is asked for first is imported once, by the package, and is what it would be without us."""
    code = "import fake.part, sys; part = sys.modules['fake.part']; print(part is fake.part, part.__spec__.loader)"
    assert "runs\npart\nTrue <_frozen_importlib_external.SourceFileLoader" in fake(code, **FILES)


def test_submodules_that_it_does_not_import(fake):
    """They are imported after it."""
    assert fake("import fake.other", **FILES, other="print('other')") == "runs\npart\nother\n"


def test_threads_wait_for_one_another(fake):
    """Who asks first has it run; whoever asks meanwhile gets the same."""
    code = """
import fake
from threading import Barrier, Thread
start, got = Barrier(8), []
def ask(name):
    start.wait()
    got.append(getattr(fake, name).__class__.__name__)
threads = [Thread(target=ask, args=(name,)) for name in ["value", "part"] * 4]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(*sorted(got))
"""
    slowly = f"import time\ntime.sleep(0.2)\n{INIT}"
    assert fake(code, __init__=slowly, part=PART) == "runs\npart\nint int int int module module module module\n"


def test_threads_that_wait_for_one_another(fake):
    """One imports a submodule, the other has the package run, which imports that, too: none waits for ever."""
    code = """
import fake
from threading import Barrier, Thread
start = Barrier(2)
def ask(question):
    start.wait()
    try:
        exec(question)
    except ImportError as error:  # as Python's own: one of them is told, or gets what is there by now
        pass
    except RuntimeError as error:
        assert "deadlock" in str(error)
threads = [Thread(target=ask, args=(question,)) for question in ("import fake.part", "fake.value")]
[thread.start() for thread in threads]
[thread.join(60) for thread in threads]
print(*(thread.is_alive() for thread in threads))
"""
    slowly = "import time\ntime.sleep(0.2)\n"
    assert fake(code, __init__=slowly + INIT, part=slowly + PART).endswith("False False\n")


@pytest.mark.parametrize("error", ["AttributeError", "KeyError"])
def test_errors_of_its_own(error, fake):
    """What it raises is heard, which for hasattr an AttributeError would not be; and it can be asked again."""
    code = """
import fake
from friend import Kind
for name in ("value", "other"):
    try:
        hasattr(fake, name)
    except Exception as error:
        print(type(error).__name__, error)
print(isinstance(3, Kind))
"""
    heard = {"KeyError": "KeyError 'lost'", "AttributeError": "ImportError fake can't be imported: lost"}[error]
    assert fake(code, __init__=f"raise {error}('lost')") == f"{heard}\n{heard}\nFalse\n"


def test_what_it_no_longer_has(fake):
    """A late name that a release does not have is missed where it is used, and is no attribute of the package."""
    code = """
import fake
from friend import function
print(hasattr(fake, "value"), hasattr(fake, "function"))
try:
    function()
except AttributeError as error:
    print(error)
"""
    assert fake(code, __init__="value = 1") == "True False\nmodule 'fake' has no attribute 'function'\n"


def test_what_can_not_be_put_off(fake):
    """Where it can't be prepared it is imported as ever, and so is what is imported after."""
    code = """
Fake.prepare = classmethod(lambda cls, package: 1 / 0)
import fake
print(type(fake).__name__, finder.kinds)
"""
    assert fake(code, **FILES) == "runs\npart\nmodule {}\n"
