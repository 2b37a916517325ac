"""Signatures read from source files: nothing of what is asked about is imported, and nothing of it runs.

``import lightning`` takes longer than all else that a question about a config needs; and a config that names a class
must not bring code to run. So the Trainer, callbacks, loggers and data sources are looked up in their source: names
are followed through imports, annotations become types, and a class in an annotation becomes a `Reference` to it.
"""

from __future__ import annotations

import ast
import builtins
import copy
import importlib
import importlib.util
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from pydantic import Field
from pydantic_core import core_schema

from lightlab.signatures.signature import REQUIRED, Parameter, Signature, checkable, describe_parameters

#: What annotations are made of: these are light, and taken as they are.
TAKEN = frozenset({"collections", "datetime", "os", "pathlib", "pydantic", "types", "typing", "typing_extensions"})


#: What annotations are written with.
ANNOTATIONS = (
    ast.Name, ast.Attribute, ast.Subscript, ast.Slice, ast.Tuple, ast.List, ast.Constant, ast.BinOp, ast.UnaryOp,
    ast.operator, ast.unaryop, ast.expr_context, ast.keyword,
)  # fmt: skip


class Code(str):
    """A default that only code can write."""


class Reference(type):
    """A class that was found in an annotation, and not imported.

    Attributes:
        path: its module and name.
    """

    path: str

    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> core_schema.CoreSchema:
        """A config names the class: by a name alone, or by ``class_path`` and ``init_args``."""
        named = core_schema.union_schema([core_schema.str_schema(), core_schema.dict_schema()])
        return core_schema.with_default_schema(named, metadata={"reference": cls.path})


@cache
def reference(path: str) -> Reference:
    """Return the reference to a class, the same one each time."""
    made = Reference(path.rsplit(".", 1)[-1], (), {})
    made.path = path
    return made


class Module:
    """A module as text.

    Args:
        name: its dotted name.
        file: where it lies.
    """

    def __init__(self, name: str, file: Path) -> None:
        self.name = name
        self.is_package = file.name == "__init__.py"
        self.tree = ast.parse(file.read_bytes())

    @cached_property
    def definitions(self) -> dict[str, tuple[ast.stmt, str]]:
        """The statement that gives each name, and, for an import, what the name is called where it comes from."""
        found: dict[str, tuple[ast.stmt, str]] = {}
        for statement in _top_level(self.tree.body):
            if isinstance(statement, ast.ClassDef | ast.FunctionDef):
                found.setdefault(statement.name, (statement, statement.name))
            elif isinstance(statement, ast.ImportFrom | ast.Import):
                for alias in statement.names:
                    found.setdefault(alias.asname or alias.name.split(".")[0], (statement, alias.name))
            elif isinstance(statement, ast.Assign | ast.AnnAssign) and statement.value is not None:
                targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, (statement, target.id))
        return found

    @property
    def exported(self) -> list[str]:
        """What the module's ``__all__`` lists."""
        statement, _ = self.definitions.get("__all__", (None, ""))
        value = getattr(statement, "value", None)
        return [str(name) for name in ast.literal_eval(value)] if value is not None else []

    def origin(self, statement: ast.ImportFrom) -> str:
        """Return the module that an import takes names from."""
        if not statement.level:
            return statement.module or ""
        parts = self.name.split(".")
        above = parts[: len(parts) - statement.level + (1 if self.is_package else 0)]
        return ".".join([*above, *([statement.module] if statement.module else [])])

    def resolve(self, name: str) -> Any:
        """Return what a name stands for in an annotation: a type, or a `Reference`; ``Any`` for what can't be told."""
        if name not in self.definitions:
            return getattr(builtins, name, Any)
        statement, original = self.definitions[name]
        if isinstance(statement, ast.ClassDef):
            return reference(f"{self.name}.{name}")
        if isinstance(statement, ast.ImportFrom):
            return _resolve_in(self.origin(statement), original)
        if isinstance(statement, ast.Import):
            return _Path(original if original.split(".")[0] != name else name)
        if isinstance(statement, ast.Assign | ast.AnnAssign):
            return self.evaluate(statement.value)
        return Any

    def evaluate(self, annotation: ast.expr | None) -> Any:
        """Return the type that an annotation writes; ``Any`` where it can't be told."""
        if annotation is None:
            return Any
        try:
            unquoted = _Unquoted().visit(copy.deepcopy(annotation))
            if not all(self.is_harmless(node) for node in ast.walk(unquoted)):
                return Any
            code = compile(ast.fix_missing_locations(ast.Expression(unquoted)), self.name, "eval")
            return eval(code, {"__builtins__": {}}, _Scope(self))  # noqa: S307 - code that is installed, its calls left out
        except Exception:
            return Any

    def is_harmless(self, node: ast.AST) -> bool:
        """Return whether a part of an annotation does nothing when it is evaluated, or makes a field of pydantic's."""
        if isinstance(node, ast.Call):
            return isinstance(node.func, ast.Name) and self.resolve(node.func.id) is Field
        return isinstance(node, ANNOTATIONS)

    def find_class(self, name: str) -> tuple[Module, ast.ClassDef] | None:
        """Return the class that a name stands for, and the module that defines it."""
        found = self.resolve(name)
        if not isinstance(found, Reference):
            return None
        home, _, own = found.path.rpartition(".")
        module = read_module(home)
        statement = module.definitions[own][0] if module and own in module.definitions else None
        return (module, statement) if module and isinstance(statement, ast.ClassDef) else None


class _Scope(Mapping[str, Any]):
    """The names of a module, for annotations."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def __getitem__(self, name: str) -> Any:
        return self.module.resolve(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.module.definitions)

    def __len__(self) -> int:
        return len(self.module.definitions)


class _Path:
    """An imported module in an annotation, as in ``torch.device``."""

    def __init__(self, name: str) -> None:
        self.__name = name

    def __getattr__(self, name: str) -> Any:
        found = _resolve_in(self.__name, name)
        return _Path(f"{self.__name}.{name}") if found is Any else found


class _Unquoted(ast.NodeTransformer):
    """Annotations in quotation marks, as code; the texts of a Literal, and what stands beside a type, stay."""

    def visit_Subscript(self, node: ast.Subscript) -> ast.AST:
        name = ast.unparse(node.value).rpartition(".")[-1]
        if name == "Annotated" and isinstance(node.slice, ast.Tuple):
            node.slice.elts[0] = self.visit(node.slice.elts[0])
        return node if name in ("Annotated", "Literal") else self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        return self.visit(ast.parse(node.value, mode="eval").body) if isinstance(node.value, str) else node


def _top_level(statements: list[ast.stmt]) -> Iterator[ast.stmt]:
    """Return a module's statements, those for the type checker and those that are tried included."""
    for statement in statements:
        yield statement
        if isinstance(statement, ast.If | ast.Try):
            yield from _top_level([*statement.body, *statement.orelse])


def _resolve_in(module: str, name: str) -> Any:
    if module.split(".")[0] in TAKEN:
        return getattr(importlib.import_module(module), name, Any)
    found = read_module(module)
    if found is not None and name in found.definitions:
        return found.resolve(name)
    return _Path(f"{module}.{name}") if read_module(f"{module}.{name}") else Any


@cache
def read_module(name: str) -> Module | None:
    """Return a module as text, without importing it; ``None`` where there is no source of it."""
    file = _find_file(name) if all(part.isidentifier() for part in name.split(".")) else None
    try:
        return Module(name, file) if file and file.suffix == ".py" else None
    except SyntaxError:
        return None


def _find_file(name: str) -> Path | None:
    if loaded := getattr(sys.modules.get(name), "__file__", None):
        return Path(loaded)
    top, *rest = name.split(".")
    try:
        spec = importlib.util.find_spec(top)  # of a top-level name, this imports nothing
    except (ImportError, ValueError):
        return None
    if spec is None or (rest and not spec.submodule_search_locations):
        return None
    if not rest:
        return Path(spec.origin) if spec.origin else None
    for folder in spec.submodule_search_locations or ():
        stem = Path(folder, *rest)
        for file in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")):
            if file.is_file():
                return file
    return None


def ancestors(path: str) -> list[tuple[Module, ast.ClassDef]]:
    """Return a class and those that it derives from, in the order in which Python asks them, as far as there is source.

    Args:
        path: module and name.
    """
    return list(_ancestors(path))


def _ancestors(path: str) -> Iterator[tuple[Module, ast.ClassDef]]:
    module_name, _, name = path.rpartition(".")
    module = read_module(module_name)
    found = module.find_class(name) if module else None
    if found is None:
        return
    yield found
    bases = map(found[0].evaluate, found[1].bases)
    line = [each for base in bases if isinstance(base, Reference) for each in ancestors(base.path)]
    # A base of several comes after all of them.
    yield from (each for index, each in enumerate(line) if each not in line[index + 1 :])


@cache
def read_signature(path: str) -> Signature | None:
    """Return the signature of a class from its source.

    Args:
        path: module and name; the module may be a package that only passes the class on.

    Returns:
        ``None`` where there is no source, or where a decorator writes the constructor, as that of dataclasses does.
    """
    signature: Signature | None = None
    settled: set[str] = set()  # names that are taken, or that a constructor gives its base itself
    by_place = 0
    for module, statement in _ancestors(path):
        init = _constructor(statement)
        docstrings = [ast.get_docstring(each) or "" for each in (statement, init) if each]
        signature = signature or Signature(statement.name, module.name, docstring=next(filter(None, docstrings), ""))
        if init is None:
            if statement.decorator_list:
                return None
            continue
        own = list(_parameters(module, init, describe_parameters(*docstrings)))
        settled.update(parameter.name for parameter in own[:by_place])
        added = tuple(parameter for parameter in own if parameter.name not in settled)
        parameters, open_ended = (*signature.parameters, *added), init.args.kwarg is not None
        signature = replace(signature, parameters=parameters, open_ended=open_ended)
        call = _call_that_passes_on(init)
        if call is None:
            break
        settled.update(parameter.name for parameter in own)
        settled.update(keyword.arg for keyword in call.keywords if keyword.arg)
        by_place = sum(not isinstance(argument, ast.Starred) for argument in call.args)
    return signature


def _constructor(statement: ast.ClassDef) -> ast.FunctionDef | None:
    parts = (part for part in statement.body if isinstance(part, ast.FunctionDef) and part.name == "__init__")
    return next(parts, None)


def _call_that_passes_on(init: ast.FunctionDef) -> ast.Call | None:
    """Return the call by which a constructor gives what it does not know to that of its base, if it does."""
    for node in ast.walk(init):
        if (
            isinstance(node, ast.Call)
            and ast.unparse(node.func) == "super().__init__"
            and any(keyword.arg is None for keyword in node.keywords)
        ):
            return node
    return None


def _parameters(module: Module, init: ast.FunctionDef, descriptions: dict[str, str]) -> Iterator[Parameter]:
    arguments = [*init.args.posonlyargs, *init.args.args][1:]
    defaults: list[ast.expr | None] = [None] * (len(arguments) - len(init.args.defaults))
    defaults += init.args.defaults[-len(arguments) :] if arguments else []
    pairs = [*zip(arguments, defaults, strict=True), *zip(init.args.kwonlyargs, init.args.kw_defaults, strict=True)]
    for argument, default in pairs:
        kind = module.evaluate(argument.annotation)
        may_be_none = isinstance(default, ast.Constant) and default.value is None
        yield Parameter(
            argument.arg,
            checkable(typing.Union[kind, None] if may_be_none else kind),  # noqa: UP007 - not all kinds know |
            ast.unparse(argument.annotation) if argument.annotation else "",
            REQUIRED if default is None else _value(default),
            descriptions.get(argument.arg, ""),
        )


def _value(default: ast.expr) -> Any:
    """Return a default; as `Code` where it is no plain value."""
    try:
        return ast.literal_eval(default)
    except ValueError:
        return Code(ast.unparse(default))
