"""Finds the top-level definitions of evalkit's modules that the declared identities reach."""

from __future__ import annotations

import ast
import functools
from collections import defaultdict, deque
from collections.abc import Iterator
from typing import NamedTuple

from evalkit.identity.source import tree_of
from tools.golden.found import modules
from tools.house import imported_from

ROOMS = (
    "evalkit.scoring",
    "evalkit.metrics",
    "evalkit.benchmark.prompt_tokens",
    "evalkit.benchmark.readers",
    "evalkit.benchmark.solvers",
    "evalkit.tasks",
)


class Place(NamedTuple):
    """A top-level name of a module."""

    module: str
    name: str


@functools.cache
def trees() -> dict[str, ast.Module]:
    """The syntax trees of the modules in `ROOMS`."""
    return {name: tree_of(path) for name, path in modules() if name.startswith(ROOMS)}


@functools.cache
def identities() -> dict[Place, frozenset[str]]:
    """The declared identities that reach each definition."""
    edges = {place: set(_used(place, node)) for place, node in definitions().items()}
    found: dict[Place, set[str]] = defaultdict(set)
    for place, node in definitions().items():
        name = _declared(node)
        if name is None:
            continue
        queue, seen = deque([place]), {place}
        while queue:
            at = queue.popleft()
            found[at].add(name)
            for other in edges[at] - seen:
                seen.add(other)
                queue.append(other)
    return {place: frozenset(names) for place, names in found.items()}


@functools.cache
def definitions() -> dict[Place, ast.stmt]:
    """The functions, classes and assigned names at the top level of the modules."""
    found: dict[Place, ast.stmt] = {}
    for module, tree in trees().items():
        for node in tree.body:
            for name in _named(node):
                found[Place(module, name)] = node
    return found


def _named(node: ast.stmt) -> Iterator[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Assign | ast.AnnAssign):
        for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
            yield from (one.id for one in ast.walk(target) if isinstance(one, ast.Name))


def _declared(node: ast.stmt) -> str | None:
    for mark in getattr(node, "decorator_list", ()):
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "versioned":
            return str(ast.literal_eval(mark.args[0]))
    return None


def _used(place: Place, node: ast.stmt) -> Iterator[Place]:
    imported = _imported(place.module)
    for one in ast.walk(node):
        if isinstance(one, ast.Name):
            yield from _resolved(Place(place.module, one.id), imported)
        elif isinstance(one, ast.Attribute) and isinstance(one.value, ast.Name):
            base = imported.get(one.value.id)
            if base is not None:
                yield from _resolved(Place(f"{base.module}.{base.name}", one.attr), {})


def _resolved(place: Place, imported: dict[str, Place]) -> Iterator[Place]:
    place = imported.get(place.name, place)
    if place.module.startswith("evalkit.api"):
        return  # tasks only name the metrics and solvers that they import from there
    if place not in definitions():  # re-exported by a package
        place = _imported(place.module).get(place.name, place)
    if place in definitions():
        yield place


@functools.cache
def _imported(module: str) -> dict[str, Place]:
    """The local names that a module imports from evalkit, also in functions."""
    if module not in trees():
        return {}
    package = module.rpartition(".")[0]
    return {
        alias.asname or alias.name: Place(source, alias.name)
        for node in ast.walk(trees()[module])
        if isinstance(node, ast.ImportFrom) and (source := imported_from(node, package)).startswith("evalkit")
        for alias in node.names
    }
