"""Finds all identities that evalkit declares."""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path

from evalkit.identity.declared import Declared, declared
from evalkit.identity.source import tree_of

ROOT = Path(__file__).parents[2]


@functools.cache
def identities() -> dict[str, tuple[Declared, object]]:
    """The declared identities by name, each with its function or class. Imports their modules."""
    found: dict[str, tuple[Declared, object]] = {}
    for module in sorted(names()):
        for thing in vars(importlib.import_module(module)).values():
            if callable(thing) and getattr(thing, "__module__", "") == module:
                known = declared(thing)
                if known is not None:
                    found[known.name] = (known, thing)
    return found


def names() -> dict[str, list[str]]:
    """The declared names by module, read from the source without importing anything."""
    found: dict[str, list[str]] = {}
    for module, path in modules():
        text = path.read_text("utf-8")
        if "@versioned(" in text:
            found[module] = list(_declared_in(tree_of(path)))
    return found


def modules() -> Iterator[tuple[str, Path]]:
    """Yields evalkit's modules (name, file) in the source tree."""
    for path in sorted((ROOT / "evalkit").rglob("*.py")):
        yield ".".join(path.relative_to(ROOT).with_suffix("").parts), path
    for path in sorted((ROOT / "tasks").rglob("*.py")):
        yield "evalkit." + ".".join(path.relative_to(ROOT).with_suffix("").parts), path


def _declared_in(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        for mark in getattr(node, "decorator_list", ()):
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name) and mark.func.id == "versioned":
                yield ast.literal_eval(mark.args[0])
