"""Packages that run, which is what an import has them do, when something is asked for that is not there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import _bootstrap, import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any, ClassVar, TypeGuard, Union

#: Python's own, of one module: threads that import it wait for one another, and are told where they would for ever.
lock: Any = vars(_bootstrap)["_ModuleLockManager"]


class Finder(MetaPathFinder):
    """Finds packages where they are found otherwise, and has them wait.

    Args:
        kinds: of the packages that are put off, by name.
    """

    def __init__(self, kinds: Mapping[str, type[DeferredPackage]]):
        self.kinds = dict(kinds)

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return where a package is; ``None`` for what is no affair of ours."""
        if fullname in sys.modules:  # it is imported anew
            return None
        if kind := self.kinds.get(fullname):
            spec = PathFinder.find_spec(fullname, path, target)
            if spec is not None and spec.loader is not None:
                spec.loader = _Loader(spec.loader, kind, self)
            return spec
        parent = sys.modules.get(fullname.rpartition(".")[0])
        if not (isinstance(parent, DeferredPackage) and is_waiting(parent) and parent.runs_first):
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:  # Python holds a lock here, and so nothing is run yet
            spec.loader = _SubmoduleLoader(spec.loader, parent)
        return spec

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

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)


class _SubmoduleLoader(Loader):
    """Loads a submodule after its package has run, which may have imported it by then."""

    def __init__(self, whole: Loader, package: DeferredPackage):
        self.whole, self.package = whole, package
        self.own: ModuleSpec | None = None

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Take the module that is there, if one is."""
        ensure_run(self.package)
        if module := sys.modules.get(spec.name):
            self.own = module.__spec__
            return module
        return self.whole.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run it, unless it has run; then it gets its own specification back."""
        if self.own is not None:
            vars(module)["__spec__"] = self.own  # torch's modules of settings let nobody set it otherwise
            return
        assert module.__spec__ is not None
        module.__spec__.loader = module.__loader__ = self.whole
        self.whole.exec_module(module)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)


class Late:
    """A name that others import from a package before they use it, which has the package run."""

    def __init__(self, package: str, name: str):
        self._package, self._name = package, name

    def _get(self) -> Any:
        return _look_up(self._package, self._name)

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

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return _look_up, (self._package, self._name)

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
        late: names that some import before they use them.
        askers: those, by how their modules' names begin: they get late names. Everybody else has the package run.
        runs_first: whether it runs before a submodule is imported.
    """

    late: ClassVar[Mapping[str, Callable[[str, str], Any]]] = {}
    askers: ClassVar[tuple[str, ...]] = ()
    runs_first: ClassVar = True

    @classmethod
    def prepare(cls, package: ModuleType) -> None:
        """Give a package what it has from the start. Where this raises, the package is imported as ever."""

    def supply(self, name: str) -> None:
        """Bring what is asked for: run the package."""
        self.run()

    def run(self) -> None:
        """Run the package, after the one that it is in. Whatever it raises, it can run again."""
        parent = sys.modules.get(self.__name__.rpartition(".")[0])
        if parent is not None and is_waiting(parent):
            ensure_run(parent)
        if not is_waiting(self):  # the parent has run it
            return
        assert self.__spec__ is not None
        assert self.__spec__.loader is not None
        self.__is_running__ = True
        try:
            self.__spec__.loader.exec_module(self)
            self.settle()
        finally:
            del self.__is_running__
        self.__class__ = ModuleType  # type: ignore[assignment]  # it is one again

    def settle(self) -> None:
        """Do what was waiting for the package to run."""

    def __getattr__(self, name: str) -> Any:
        if name in self.late and _asker().startswith(self.askers) and is_waiting(self):
            return self.late[name](self.__name__, name)
        with lock(self.__name__):
            if is_waiting(self) and name != "__path__":  # a package has one, and every import asks for it
                try:
                    self.supply(name)
                except AttributeError as cause:  # or it would seem that the name is what is missing
                    raise ImportError(f"{self.__name__} can't be imported: {cause}", name=self.__name__) from cause
        return ModuleType.__getattribute__(self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        if not (isinstance(value, ModuleType) or name.startswith("__")):  # submodules, and what the import system sets
            ensure_run(self)  # or it would write over it later
        ModuleType.__setattr__(self, name, value)

    def __dir__(self) -> list[str]:
        ensure_run(self)
        return list(ModuleType.__dir__(self))


def _look_up(package: str, name: str) -> Any:
    module = import_module(package)
    ensure_run(module)
    return getattr(module, name)


def ensure_run(package: ModuleType) -> None:
    """Run a package that waits for it; wait while another thread does."""
    with lock(package.__name__):
        if is_waiting(package):
            package.run()


def is_waiting(package: ModuleType) -> TypeGuard[DeferredPackage]:
    """Return whether it is a package that has yet to run."""
    return isinstance(package, DeferredPackage) and "__is_running__" not in vars(package)


def _asker() -> str:
    """Return the name of the module that asks a package for something, or imports that from it."""
    frame = sys._getframe(2)
    while frame.f_globals.get("__name__") == "importlib._bootstrap" and frame.f_back:
        frame = frame.f_back
    return str(frame.f_globals.get("__name__"))
