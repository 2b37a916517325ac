"""Packages that run, which is what an import has them do, when something is asked for that is not there."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from threading import RLock
from types import ModuleType
from typing import Any, ClassVar, TypeGuard, Union

#: A thread waits for the one that runs an ``__init__``, which asks for what is not there yet itself.
_LOCK = RLock()


class Finder(MetaPathFinder):
    """Finds packages where they are found otherwise, and has them loaded without their ``__init__``."""

    def __init__(self, kinds: Mapping[str, type[DeferredPackage]]):
        self.kinds = dict(kinds)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a package is; ``None`` for what is no affair of ours."""
        if kind := self.kinds.get(fullname):
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, kind, self)
            return spec
        parent = sys.modules.get(fullname.rpartition(".")[0])
        return parent.find_submodule(fullname) if isinstance(parent, DeferredPackage) else None

    def leave_alone(self, kind: type[DeferredPackage]) -> None:
        """Have packages of a kind imported as if we were not there."""
        self.kinds = {name: other for name, other in self.kinds.items() if other is not kind}


class _Loader(Loader):
    def __init__(self, whole: Loader, kind: type[DeferredPackage], finder: Finder):
        self.whole, self.kind, self.finder = whole, kind, finder

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to Python."""

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.whole
        try:
            self.kind.prepare(module)
        except Exception:  # whatever it is that a release of tomorrow stumbles on
            self.finder.leave_alone(self.kind)
            for name in [name for name in sys.modules if name.startswith(f"{module.__name__}.")]:
                del sys.modules[name]
            self.whole.exec_module(module)
        else:
            module.__class__ = self.kind


class Late:
    """A name that others import from a package before they use it, which has the package run."""

    def __init__(self, package: str, name: str):
        self._package, self._name = package, name

    def _get(self) -> Any:
        package = import_module(self._package)
        run(package)
        return getattr(package, self._name)

    @property
    def _is_to_come(self) -> bool:
        return isinstance(sys.modules.get(self._package), DeferredPackage)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        """Call what has that name."""
        return self._get()(*arguments, **options)

    def __instancecheck__(self, instance: Any) -> bool:
        return isinstance(instance, self._get())

    def __subclasscheck__(self, subclass: type) -> bool:
        return issubclass(subclass, self._get())

    def __mro_entries__(self, bases: tuple[Any, ...]) -> tuple[Any, ...]:
        return (self._get(),)

    def __or__(self, other: Any) -> Any:
        return Union[self, other]  # noqa: UP007 - which `|` says of classes

    __ror__ = __or__

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and self._is_to_come:  # typing looks for many in what annotations name
            raise AttributeError(name)
        return getattr(self._get(), name)


class LateClass(Late):
    """The name of a class that is defined in the package: before that has run, nothing is an instance of it."""

    def __instancecheck__(self, instance: Any) -> bool:
        return not self._is_to_come and super().__instancecheck__(instance)

    def __subclasscheck__(self, subclass: type) -> bool:
        return not self._is_to_come and super().__subclasscheck__(subclass)


class DeferredPackage(ModuleType):
    """A module or package that has not run yet; it becomes one like others when it has.

    Python's own importlib.util.LazyLoader would run it at the first question for anything, such as the ``__path__``
    that an import of a submodule asks for.

    Attributes:
        late: names that others import from it before they use them.
    """

    late: ClassVar[Mapping[str, type[Late]]] = {}

    @classmethod
    def prepare(cls, package: ModuleType) -> None:
        """Give a package what it has from the start. Where this raises, the package is imported as ever."""
        for name, kind in cls.late.items():
            setattr(package, name, kind(package.__name__, name))

    def supply(self, name: str) -> None:
        """Bring what is asked for: run the package."""
        self.run()

    def run(self) -> None:
        """Run the package. Whatever it raises, it can run again."""
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        late = self.withdraw()
        self.__is_running__ = True
        try:
            self.__spec__.loader.exec_module(self)
        except BaseException:
            vars(self).update(late)
            raise
        finally:
            del self.__is_running__
        self.__class__ = ModuleType  # type: ignore[assignment]  # it is one again

    def withdraw(self) -> dict[str, Any]:
        """Take the late names away, which the package gives values, and return them."""
        return {name: vars(self).pop(name) for name in self.late if name in vars(self)}

    def find_submodule(self, fullname: str) -> ModuleSpec | None:
        """Return where a submodule is that is about to be imported, if it is not where all are.

        The package runs first, and has imported it by then, or not.
        """
        run(self)
        return _imported(sys.modules[fullname]) if fullname in sys.modules else None

    def __getattr__(self, name: str) -> Any:
        with _LOCK:
            if is_waiting(self) and name != "__path__":  # a package has one, and every import asks for it
                try:
                    self.supply(name)
                except AttributeError as cause:  # or it would seem that the name is what is missing
                    raise ImportError(f"{self.__name__} can't be imported: {cause}", name=self.__name__) from cause
        return ModuleType.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) or name.startswith("__")):  # submodules, and what the import system sets
            run(self)  # or it would write over it later
        ModuleType.__setattr__(self, name, value)


def run(package: ModuleType) -> None:
    """Run a package that waits for it; wait while another thread does."""
    with _LOCK:
        if is_waiting(package):
            package.run()


def is_waiting(package: ModuleType) -> TypeGuard[DeferredPackage]:
    """Return whether it is a package that has yet to run."""
    return isinstance(package, DeferredPackage) and "__is_running__" not in vars(package)


def _imported(module: ModuleType) -> ModuleSpec:
    """Have Python, which is about to load a module, take the one that is there."""
    spec = module.__spec__
    taken = ModuleSpec(module.__name__, _Imported(module, spec))
    vars(module)["__spec__"] = taken  # what Python goes by; torch's modules of settings let nobody set it otherwise
    return taken


class _Imported(Loader):
    def __init__(self, module: ModuleType, spec: ModuleSpec | None):
        self.module, self.spec = module, spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Take the module that is there."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Give it its own specification back."""
        vars(module)["__spec__"] = self.spec
