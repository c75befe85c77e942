"""A digest of everything that a user's function reaches, for code without a declared version.

It covers the function itself, its closure, its defaults, and the global names that it uses: functions,
classes and constants of the user's own modules, and recursively what these use. Code of evalkit enters with
its declared version, code of an installed distribution with that distribution's version, and the standard
library not at all.

Source code enters as a syntax tree without comments, docstrings and annotations. Local names are replaced by
numbers, and global names by the digest of their values. So the digest does not depend on the name of a helper
function, on which of the user's files contains it, or on the order of imports; it does depend on every
constant and operator.
"""

from __future__ import annotations

import ast
import builtins
import functools
import hashlib
import importlib
import importlib.metadata
import importlib.util
import inspect
import re
import sys
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePath
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GetSetDescriptorType,
    MemberDescriptorType,
    MethodType,
    ModuleType,
)

from evalkit.identity.declared import code_identity, declared, version_of
from evalkit.identity.source import PROMPTS, node_of

_DIGITS = 8
_MOST = 10_000
"""The most objects that are visited: a user's code has far fewer, but the internals of a library may not."""
_STANDARD = "python"
_PLAIN = (str, bool, int, float, complex, bytes, type(None), type(Ellipsis), BuiltinFunctionType)
_NO_PART = frozenset(
    ("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__slots__")
    + ("__firstlineno__", "__static_attributes__", "__orig_bases__", "__parameters__", "__match_args__")
    + ("__dataclass_fields__", "__dataclass_params__", "__abstractmethods__", "_abc_impl", "__hash__")
    + ("_is_protocol", "_is_runtime_protocol", "__protocol_attrs__", "__non_callable_proto_members__")
)
"""Attributes that Python adds to a class; they differ between versions of Python."""
_NOT_READ = frozenset(("annotation", "returns", "type_comment", "type_params", "type_ignores", "kind", "ctx"))
_SKIPPED = frozenset(("__name__", "__file__", "__doc__", "__spec__", "__package__", "__loader__"))


def reach_digest(thing: object) -> str:
    """The digest of `thing` as 8 hex digits. Raises `UsageError` for code without a source file."""
    state = hashlib.sha256()
    for part in _Walk().parts(thing):
        state.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return state.hexdigest()[:_DIGITS]


class _Walk:
    """The walk for one digest. It describes each function, class and object once, and then refers to it."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []
        """The visited objects, kept alive so that no other object gets the same `id`."""

    def parts(self, thing: object) -> Iterator[str]:
        """Describes `thing` as texts. Equal constants may be different objects, so each is written out."""
        if isinstance(thing, _PLAIN):
            yield f"{type(thing).__name__}:{thing!r}"
        elif isinstance(thing, tuple | frozenset):
            yield from self._value(thing)
        elif id(thing) in self._seen:
            yield f"again:{self._seen[id(thing)]}"
        elif len(self._seen) >= _MOST:
            yield "…"
        else:
            self._seen[id(thing)] = len(self._seen)
            self._kept.append(thing)
            yield from self._described(thing)

    def _described(self, thing: object) -> Iterator[str]:
        if callable(thing) and not isinstance(thing, type | FunctionType):
            thing = inspect.unwrap(thing)  # such as a function with a cache
        if declared(thing) is not None:
            yield f"declared:{code_identity(thing)}"
        elif isinstance(thing, functools.partial):
            yield "partial"
            yield from self._all([thing.func, thing.args, dict(sorted(thing.keywords.items()))])
        elif isinstance(thing, MethodType):
            yield "method"
            yield from self._all([thing.__func__, thing.__self__])
        elif isinstance(thing, FunctionType | type | ModuleType):
            name = _home(thing)
            foreign = _foreign(name)
            # The object whose digest is requested is described even if it is not the user's.
            if foreign is not None and (len(self._seen) > 1 or isinstance(thing, ModuleType)):
                yield f"{foreign}:{getattr(thing, '__qualname__', name)}"
            elif isinstance(thing, FunctionType):
                yield from self._function(thing)
            elif isinstance(thing, type):
                yield from self._class(thing)
            else:
                yield from self._module(thing)
        else:
            yield from self._value(thing)

    def _all(self, things: Iterable[object]) -> Iterator[str]:
        for thing in things:
            yield from self.parts(thing)

    def _function(self, function: FunctionType) -> Iterator[str]:
        node = node_of(function)
        names = _Names(function.__code__)
        yield from names.tree(node, outermost=True)
        yield from self._all([function.__defaults__ or (), dict(function.__kwdefaults__ or {})])
        closed = inspect.getclosurevars(function).nonlocals
        for name in names.met:
            if name in closed:
                yield from self._reached(closed[name], names.attributes(name))
            elif name in function.__globals__ and name not in _SKIPPED:
                yield from self._reached(function.__globals__[name], names.attributes(name))
        for imported in _imports(node, function.__globals__.get("__package__") or ""):
            yield from self.parts(imported)

    def _reached(self, thing: object, attributes: frozenset[str]) -> Iterator[str]:
        """Describes the value of a name; of a module of the user, only the attributes that are used."""
        if isinstance(thing, ModuleType) and _foreign(thing.__name__) is None and attributes:
            yield from self._all(getattr(thing, attribute, None) for attribute in sorted(attributes))
        else:
            yield from self.parts(thing)

    def _class(self, kind: type) -> Iterator[str]:
        yield "class"
        yield from self._all(base for base in kind.__bases__ if base is not object)
        for name, value in sorted(vars(kind).items()):
            inner = value.__func__ if isinstance(value, staticmethod | classmethod) else value
            if name in _NO_PART or isinstance(inner, MemberDescriptorType | GetSetDescriptorType):
                continue
            written = inspect.unwrap(inner) if isinstance(inner, FunctionType) else None
            if isinstance(written, FunctionType) and _generated(written):
                continue
            yield f"attribute:{name}"
            if isinstance(inner, property):
                yield from self._all((inner.fget, inner.fset, inner.fdel))
            else:
                yield from self.parts(inner)

    def _module(self, module: ModuleType) -> Iterator[str]:
        yield "module"
        for name, value in sorted(vars(module).items()):
            if not name.startswith("__"):
                yield name
                yield from self.parts(value)

    def _value(self, thing: object) -> Iterator[str]:
        yield type(thing).__qualname__
        if isinstance(thing, Mapping):
            yield from self._all(part for pair in thing.items() for part in pair)
        elif isinstance(thing, set | frozenset):
            yield from sorted("\1".join(self.parts(item)) for item in thing)
        elif isinstance(thing, list | tuple | deque):
            yield from self._all(thing)
        elif isinstance(thing, re.Pattern):
            yield f"{thing.pattern!r}/{thing.flags}"
        elif isinstance(thing, PurePath):
            yield thing.name  # its folder depends on the machine
        elif hasattr(thing, "tobytes"):
            yield hashlib.sha256(thing.tobytes()).hexdigest()
        elif _foreign(type(thing).__module__) == _STANDARD:
            shown = repr(thing)
            yield "" if " at 0x" in shown else shown
        else:
            yield from self.parts(type(thing))
            yield from self._all(value for _, value in sorted(_state(thing).items()))


def _generated(function: FunctionType) -> bool:
    """Whether `dataclass` and the like made it, from the fields: always a special method, in no file.

    So is what a person typed at no prompt, but for `__call__` and what has another name.
    """
    file, name = function.__code__.co_filename, function.__name__
    special = name[:2] == name[-2:] == "__" and name != "__call__"
    return special and file.startswith("<") and not file.startswith(PROMPTS)


def _home(thing: FunctionType | type | ModuleType) -> str:
    """The module that defines `thing`. A wrapper made with `functools.wraps` has another `__module__`."""
    if isinstance(thing, FunctionType):
        return str(thing.__globals__.get("__name__", ""))
    return thing.__name__ if isinstance(thing, ModuleType) else thing.__module__


def _state(thing: object) -> dict[str, object]:
    """The attributes of an object, including those in slots."""
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    found = {name: getattr(thing, name) for name in slots if hasattr(thing, name) and name[:2] != "__"}
    return {**found, **getattr(thing, "__dict__", {})}


class _Names:
    """Writes the syntax tree of a function as texts, with numbers for local names and for global names."""

    def __init__(self, code: CodeType) -> None:
        self._local: set[str] = set()
        self._collect(code)
        self._numbers: dict[str, int] = {}
        self._attributes: dict[str, set[str]] = {}
        self.met: list[str] = []
        """The names that are not local, in the order of their first occurrence."""

    def _collect(self, code: CodeType) -> None:
        self._local |= {*code.co_varnames, *code.co_cellvars}
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                self._collect(inner)

    def attributes(self, name: str) -> frozenset[str]:
        """The attributes of `name` that the function uses; empty if it also uses `name` itself."""
        found = self._attributes.get(name, set())
        return frozenset() if "" in found else frozenset(found)

    def tree(self, node: ast.AST, *, outermost: bool = False) -> Iterator[str]:
        """Writes the tree of `node`, without empty fields, which differ between versions of Python.

        The decorators of the outermost function are left out: the object already shows their effect.
        """
        if isinstance(node, ast.Name):
            yield self._name(node.id, "")
            return
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{self._name(node.value.id, node.attr)}.{node.attr}"
            return
        yield type(node).__name__
        if isinstance(node, ast.Import | ast.ImportFrom):  # only what is imported counts, not its module
            yield from (self._name(alias.asname or alias.name, "") for alias in node.names)
            return
        for name, value in _fields(node):
            if name == "decorator_list" and outermost:
                continue
            if name == "arg" and isinstance(node, ast.arg):
                yield self._name(node.arg, "")
                continue
            yield f".{name}"
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, ast.AST):
                    yield from self.tree(item)
                else:
                    yield f"{type(item).__name__}:{item!r}"
        yield "end"

    def _name(self, name: str, attribute: str) -> str:
        if name in self._local:
            return f"local:{self._numbers.setdefault(name, len(self._numbers))}"
        self._attributes.setdefault(name, set()).add(attribute)
        if name not in self.met:
            self.met.append(name)
        return f"name:{self.met.index(name)}" if not hasattr(builtins, name) else f"builtin:{name}"


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    """The fields of a node, without the names of functions and classes, annotations and docstrings."""
    for name, value in ast.iter_fields(node):
        if name in _NOT_READ or value in (None, []):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if name == "name":
                continue
            if name == "body" and ast.get_docstring(node, clean=False) is not None:
                value = value[1:]
        yield name, value


def _imports(node: ast.AST, package: str) -> Iterator[object]:
    """What the body of a function imports, as far as it can be imported.

    For installed modules it gives the name and the version instead, because importing a module such as torch
    may take seconds.
    """
    for statement in ast.walk(node):
        if isinstance(statement, ast.ImportFrom):
            name = "." * statement.level + (statement.module or "")
            if (installed := _installed(name)) is not None:
                yield from (f"{installed}:{name}.{alias.name}" for alias in statement.names)
                continue
            try:
                module = importlib.import_module(name, package or None)
            except ImportError:
                continue
            yield from (getattr(module, alias.name, None) for alias in statement.names)
        elif isinstance(statement, ast.Import):
            for alias in statement.names:
                if (installed := _installed(alias.name)) is not None:
                    yield f"{installed}:{alias.name}"
                    continue
                try:
                    yield importlib.import_module(alias.name)
                except ImportError:
                    continue


def _installed(module: str) -> str | None:
    """The distribution that provides `module`, with its version, without importing it; None if none does."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("", "evalkit"):
        return None
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module that was created without a spec
        return None
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    return _distribution(top, places)


def _foreign(module: str | None) -> str | None:
    """`python`, `evalkit`, or a distribution with its version; None for one of the user's own modules."""
    top = (module or "").partition(".")[0]
    if top in sys.stdlib_module_names or top == "builtins":
        return _STANDARD
    if top == "evalkit":
        return top
    if top == "__main__":  # the user's, even where an installed program runs it, as a notebook's kernel does
        return None
    return _distribution(top, [getattr(sys.modules.get(module or ""), "__file__", None)])


def _distribution(top: str, places: Iterable[str | None]) -> str | None:
    """The distribution of the module `top`, with its version; None if no place holds installed code."""
    if not any({"site-packages", "dist-packages"} & {*Path(place).parts} for place in places if place):
        return None
    names = distributions().get(top, [])
    return ", ".join(f"{name} {version_of(name)}" for name in sorted(set(names))) or top


@functools.cache
def distributions() -> Mapping[str, list[str]]:
    """The distributions that install each top-level module."""
    return importlib.metadata.packages_distributions()
