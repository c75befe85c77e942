"""Finds a function's source as a syntax tree, in its file or in the cell of a notebook that defines it."""

from __future__ import annotations

import ast
import functools
import linecache
from collections.abc import Mapping
from pathlib import Path
from types import FunctionType
from typing import TypeAlias

from evalkit.errors import UsageError

FunctionNode: TypeAlias = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda
SHARED = frozenset(("<string>", "<stdin>"))
"""File names that all code without a file shares: Python may keep the text of other code under them."""
PROMPTS = ("<ipython-input-", "<python-input-")
"""Beginnings of the file names of code that was typed at the prompt of IPython or of Python."""


def node_of(function: FunctionType) -> FunctionNode:
    """The node of the function in the syntax tree of its file, or of a notebook's cell.

    Raises `UsageError` if the source is not available.
    """
    code = function.__code__
    path = Path(code.co_filename)
    try:
        if path.is_file():
            functions = _functions_of(path, path.stat().st_mtime_ns)
        else:
            functions = _by_first_line(parsed(_typed(str(path))))
    except (OSError, SyntaxError, UnicodeDecodeError):
        raise _no_source(function.__module__) from None
    nodes = functions.get(code.co_firstlineno, [])
    if len(nodes) > 1:  # lambdas on the same line differ in the columns of their code
        columns = {column for _, _, column, _ in code.co_positions() if column is not None}
        nodes = [
            node
            for node in nodes
            if isinstance(node, ast.Lambda) == (code.co_name == "<lambda>") and _spans(node, columns)
        ] or nodes
        nodes = sorted(nodes, key=lambda node: (node.end_col_offset or 0) - node.col_offset)
    if not nodes:
        raise _no_source(function.__module__)
    return nodes[0]


@functools.lru_cache(maxsize=64)
def _functions_of(path: Path, changed: int) -> Mapping[int, list[FunctionNode]]:
    """The functions of a file by their first lines, cached because a digest needs many of them."""
    return _by_first_line(tree_of(path, changed))


def _by_first_line(tree: ast.Module) -> Mapping[int, list[FunctionNode]]:
    found: dict[int, list[FunctionNode]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            found.setdefault(_first_line(node), []).append(node)
    return found


def _first_line(node: FunctionNode) -> int:
    decorators = [] if isinstance(node, ast.Lambda) else node.decorator_list
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _spans(node: ast.expr | ast.stmt, columns: set[int]) -> bool:
    inside = [column for column in columns if column]
    return bool(inside) and all(node.col_offset <= column <= (node.end_col_offset or 0) for column in inside)


@functools.lru_cache(maxsize=64)
def tree_of(path: Path, changed: int = 0) -> ast.Module:
    """The syntax tree of a file. `changed`: its modification time, so that an edited file is read again."""
    return parsed(path.read_text("utf-8"))


def parsed(code: str | bytes) -> ast.Module:
    """`ast.parse`, where threads may parse at the same time."""
    try:
        return ast.parse(code)
    except SystemError:  # occasional in CPython before 3.11.10 and 3.12.5 (python/cpython#106905)
        return ast.parse(code)


def _typed(name: str) -> str:
    """The code that was typed under `name`, such as a cell of a notebook; "" if it is not available."""
    # For a relative path, `linecache` would read any file with that name on Python's path.
    known = name not in SHARED and (name.startswith("<") or Path(name).is_absolute())
    return "".join(linecache.getlines(name)) if known else ""


def _no_source(module: str) -> UsageError:
    return UsageError(
        f"no source file for module {module!r}: a signature needs one; move the code into a .py file"
    )
