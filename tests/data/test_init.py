"""The package that gives sources their names: all of them are found, wherever they come from, and no base is."""

import subprocess
import sys
from pathlib import Path

import lightlab.data
from lightlab.data import sources

PLUGIN = """
from lightlab.data import Data
from lightlab.data.tables import table

class TableData(Data):
    pass

class Ledger(table.TableData):
    pass

class SealedLedger(Ledger):
    pass
"""


def printed(code):
    """Return the words that a process of its own prints."""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def test_own_sources_are_all_found():
    """Every name that the package gives is a source, but for what sources are made of; their bases are none."""
    own = {name: item for name, item in sources().items() if item.__module__.startswith("lightlab.")}
    assert sorted(own) == [name for name in lightlab.data.__all__ if name not in {"Data", "Rows", "sources"}]
    assert all(item is getattr(lightlab.data, name) for name, item in own.items())


def test_sources_of_plugins_are_found_after_the_own():
    """A class derived from any source is found, and does not take the place of one of lightlab's own."""
    Path("ledgers.py").write_text(PLUGIN)
    alone = printed("from lightlab.data import sources; print(*sources())")
    code = "import ledgers; from lightlab.data import sources; print(*sources(), sources()['TableData'].__module__)"
    assert printed(code) == [*alone, "Ledger", "SealedLedger", "lightlab.data.tables.table"]


def test_the_command_line_knows_all_sources_by_their_names():
    """What carries out the Trainer's verbs has imported every source: a config names them without their modules."""
    code = "import sys, lightlab.commands.trainer; print(*sys.modules)"
    assert set(lightlab.data._HOMES) <= set(printed(code))
