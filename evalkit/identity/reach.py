"""A digest over everything that a user's function reaches, for code without a declared version.

It covers the function itself, what it closes over, its defaults, and whatever global names it uses: other
functions, classes and constants of the user's own modules, from there on in the same way. What comes from
evalkit counts by its declared version, what comes from an installed distribution by that distribution's
version, and the standard library not at all.

Source enters as a syntax tree without comments, docstrings and annotations, in which local names are numbers
and global ones stand for what they are. So it makes no difference how a helper is called, in which of the
user's files it lies, or in what order a file imports; a changed constant or operator does.
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
from typing import TypeAlias

from evalkit.errors import UsageError
from evalkit.identity.declared import code_identity, declared, version_of

_DIGITS = 8
_MOST = 10_000
"""Objects that are looked at: what people write comes nowhere near, a library's insides may."""
_STANDARD = "python"
_PLAIN = (str, bool, int, float, complex, bytes, type(None), type(Ellipsis), BuiltinFunctionType)
_NO_PART = frozenset(
    ("__module__", "__qualname__", "__doc__", "__dict__", "__weakref__", "__annotations__", "__slots__")
    + ("__firstlineno__", "__static_attributes__", "__orig_bases__", "__parameters__", "__match_args__")
    + ("__dataclass_fields__", "__dataclass_params__", "__abstractmethods__", "_abc_impl", "__hash__")
    + ("_is_protocol", "_is_runtime_protocol", "__protocol_attrs__", "__non_callable_proto_members__")
)
"""What Python keeps in a class besides what its author wrote; it differs between versions."""
_Function: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
_NOT_READ = frozenset(("annotation", "returns", "type_comment", "type_params", "type_ignores", "kind", "ctx"))
_SKIPPED = frozenset(("__name__", "__file__", "__doc__", "__spec__", "__package__", "__loader__"))


def reach_digest(thing: object) -> str:
    """8 hex digits. Raises `UsageError` for code without a source file."""
    state = hashlib.sha256()
    for part in _Walk().parts(thing):
        state.update(part.encode("utf-8", "surrogatepass") + b"\0")
    return state.hexdigest()[:_DIGITS]


class _Walk:
    """One digest: functions, classes and objects are described once, a second mention refers to the first."""

    def __init__(self) -> None:
        self._seen: dict[int, int] = {}
        self._kept: list[object] = []
        """Keeps what was seen alive, so that no other object gets its `id`."""

    def parts(self, thing: object) -> Iterator[str]:
        """What `thing` is, in texts. Equal constants need not be one object, so each is spelled out."""
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
            thing = inspect.unwrap(thing)  # a cache round a function
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
            # What is asked for itself is described, wherever it comes from.
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
        node = _node_of(function)
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
        """What a name stands for; of a module of the user's own, what is used of it."""
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
            if isinstance(written, FunctionType) and written.__code__.co_filename.startswith("<"):
                continue  # by `dataclass` and the like, from the fields
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
            yield from self._all(one for pair in thing.items() for one in pair)
        elif isinstance(thing, set | frozenset):
            yield from sorted("\1".join(self.parts(one)) for one in thing)
        elif isinstance(thing, list | tuple | deque):
            yield from self._all(thing)
        elif isinstance(thing, re.Pattern):
            yield f"{thing.pattern!r}/{thing.flags}"
        elif isinstance(thing, PurePath):
            yield thing.name  # its folder is the machine's
        elif hasattr(thing, "tobytes"):
            yield hashlib.sha256(thing.tobytes()).hexdigest()
        elif _foreign(type(thing).__module__) == _STANDARD:
            shown = repr(thing)
            yield "" if " at 0x" in shown else shown
        else:
            yield from self.parts(type(thing))
            yield from self._all(one for _, one in sorted(_state(thing).items()))


def _home(thing: FunctionType | type | ModuleType) -> str:
    """The module that it is written in; `functools.wraps` gives a wrapper another one's `__module__`."""
    if isinstance(thing, FunctionType):
        return str(thing.__globals__.get("__name__", ""))
    return thing.__name__ if isinstance(thing, ModuleType) else thing.__module__


def _state(thing: object) -> dict[str, object]:
    """An object's attributes, in slots too."""
    slots = [name for kind in type(thing).__mro__ for name in getattr(kind, "__slots__", ())]
    found = {name: getattr(thing, name) for name in slots if hasattr(thing, name) and name[:2] != "__"}
    return {**found, **getattr(thing, "__dict__", {})}


class _Names:
    """A function's tree as text: local names by number, global ones as places that others fill in."""

    def __init__(self, code: CodeType) -> None:
        self._local: set[str] = set()
        self._collect(code)
        self._numbers: dict[str, int] = {}
        self._attributes: dict[str, set[str]] = {}
        self.met: list[str] = []
        """Names that are not local, in the order in which they are met."""

    def _collect(self, code: CodeType) -> None:
        self._local |= {*code.co_varnames, *code.co_cellvars}
        for inner in code.co_consts:
            if isinstance(inner, CodeType):
                self._collect(inner)

    def attributes(self, name: str) -> frozenset[str]:
        """What is taken from `name` by a dot; empty where it is also used on its own."""
        found = self._attributes.get(name, set())
        return frozenset() if "" in found else frozenset(found)

    def tree(self, node: ast.AST, *, outermost: bool = False) -> Iterator[str]:
        """Python versions differ in fields that are empty where nobody uses them: these are left out.

        What decorates the outermost function has been at work already: it is in the object.
        """
        if isinstance(node, ast.Name):
            yield self._name(node.id, "")
            return
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield f"{self._name(node.value.id, node.attr)}.{node.attr}"
            return
        yield type(node).__name__
        if isinstance(node, ast.Import | ast.ImportFrom):  # what is imported counts, not from where
            yield from (self._name(alias.asname or alias.name, "") for alias in node.names)
            return
        for name, value in _fields(node):
            if name == "decorator_list" and outermost:
                continue
            if name == "arg" and isinstance(node, ast.arg):
                yield self._name(node.arg, "")
                continue
            yield f".{name}"
            for one in value if isinstance(value, list) else [value]:
                if isinstance(one, ast.AST):
                    yield from self.tree(one)
                else:
                    yield f"{type(one).__name__}:{one!r}"
        yield "end"

    def _name(self, name: str, attribute: str) -> str:
        if name in self._local:
            return f"local:{self._numbers.setdefault(name, len(self._numbers))}"
        self._attributes.setdefault(name, set()).add(attribute)
        if name not in self.met:
            self.met.append(name)
        return f"name:{self.met.index(name)}" if not hasattr(builtins, name) else f"builtin:{name}"


def _fields(node: ast.AST) -> Iterator[tuple[str, object]]:
    """What a node says: without names of functions and classes, annotations and docstrings."""
    for name, value in ast.iter_fields(node):
        if name in _NOT_READ or value in (None, []):
            continue
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            if name == "name":
                continue
            if name == "body" and ast.get_docstring(node, clean=False) is not None:
                value = value[1:]
        yield name, value


def _node_of(function: FunctionType) -> _Function:
    """The function's own part of its file's tree."""
    code = function.__code__
    path = Path(code.co_filename)
    try:
        found = _functions_of(path, path.stat().st_mtime_ns).get(code.co_firstlineno, [])
    except (OSError, SyntaxError, UnicodeDecodeError):
        raise _no_source(function.__module__) from None
    if len(found) > 1:  # lambdas of one line: by the columns of what they compute
        columns = {column for _, _, column, _ in code.co_positions() if column is not None}
        found = [
            node
            for node in found
            if isinstance(node, ast.Lambda) == (code.co_name == "<lambda>") and _spans(node, columns)
        ] or found
        found.sort(key=lambda node: (node.end_col_offset or 0) - node.col_offset)
    if not found:
        raise _no_source(function.__module__)
    return found[0]


@functools.lru_cache(maxsize=64)
def _functions_of(path: Path, changed: int) -> Mapping[int, list[_Function]]:
    """The functions of a file by their first lines: a digest asks a file for one after the other."""
    found: dict[int, list[_Function]] = {}
    for node in ast.walk(tree_of(path, changed)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            found.setdefault(_first_line(node), []).append(node)
    return found


def _first_line(node: _Function) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(one.lineno for one in decorators)])


def _spans(node: ast.expr | ast.stmt, columns: set[int]) -> bool:
    inside = [column for column in columns if column]
    return bool(inside) and all(node.col_offset <= column <= (node.end_col_offset or 0) for column in inside)


@functools.lru_cache(maxsize=64)
def tree_of(path: Path, changed: int = 0) -> ast.Module:
    """The syntax tree of a file; `changed`: when, so that a file that was edited is read again."""
    text = path.read_text("utf-8")
    try:
        return ast.parse(text)
    except SystemError:  # CPython before 3.11.10 and 3.12.5, now and then (python/cpython#106905)
        return ast.parse(text)


def _no_source(module: str) -> UsageError:
    return UsageError(
        f"no source file for module {module!r}: a signature needs one; put the code in a .py file"
    )


def _imports(node: ast.AST, package: str) -> Iterator[object]:
    """What a function imports for itself, as far as it can be had.

    Of what is installed the name and the version: to import it, such as torch, may take seconds.
    """
    for one in ast.walk(node):
        if isinstance(one, ast.ImportFrom):
            name = "." * one.level + (one.module or "")
            if (installed := _installed(name)) is not None:
                yield from (f"{installed}:{name}.{alias.name}" for alias in one.names)
                continue
            try:
                found = importlib.import_module(name, package or None)
            except ImportError:
                continue
            yield from (getattr(found, alias.name, None) for alias in one.names)
        elif isinstance(one, ast.Import):
            for alias in one.names:
                if (installed := _installed(alias.name)) is not None:
                    yield f"{installed}:{alias.name}"
                    continue
                try:
                    yield importlib.import_module(alias.name)
                except ImportError:
                    continue


def _installed(module: str) -> str | None:
    """The distribution, with its version, that has a module, known without importing it; else None."""
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names or top in ("", "evalkit"):
        return None
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # of a module that somebody made by hand
        return None
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    return _distribution(top, places)


def _foreign(module: str | None) -> str | None:
    """`python`, `evalkit`, or a distribution with its version; None for a module of the user's own."""
    top = (module or "").partition(".")[0]
    if top in sys.stdlib_module_names or top == "builtins":
        return _STANDARD
    if top == "evalkit":
        return top
    return _distribution(top, [getattr(sys.modules.get(module or ""), "__file__", None)])


def _distribution(top: str, places: Iterable[str | None]) -> str | None:
    """What is installed as `top`, with its version; None where `places` are no folders of installed code."""
    if not any({"site-packages", "dist-packages"} & {*Path(place).parts} for place in places if place):
        return None
    names = _distributions().get(top, [])
    return ", ".join(f"{name} {version_of(name)}" for name in sorted(set(names))) or top


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()
