"""triton, of which torch's counter of FLOPs takes one class: to know triton's functions from torch's."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import ClassVar

from lightlab.deferred.package import DeferredPackage, LateClass, is_waiting, run

#: Each imports the next.
PARTS = ("triton", "triton.runtime", "triton.runtime.jit")


class DeferredTriton(DeferredPackage):
    """One of its modules on the way to that class, before they have run: an eighth of a second, and 70 MiB."""

    late: ClassVar = {"JITFunction": LateClass}

    @classmethod
    def prepare(cls, package: ModuleType) -> None:
        """Give the last its late name, unless the others run, which take the class itself."""
        if package.__name__ == PARTS[-1] and is_waiting(sys.modules[PARTS[0]]):
            super().prepare(package)

    def run(self) -> None:
        """Run all of them, in their order."""
        for name in PARTS:
            if isinstance(part := sys.modules.get(name), DeferredTriton):
                part.withdraw()
        first = sys.modules[PARTS[0]]
        if self is not first:
            run(first)
        if is_waiting(self):
            super().run()
