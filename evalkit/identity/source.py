"""A function's source as a syntax tree, from its file or from the notebook's cell that it was typed in."""

from __future__ import annotations

import ast
import functools
import linecache
from pathlib import Path
from types import FunctionType

from evalkit.errors import UsageError

SHARED = frozenset(("<string>", "<stdin>"))
"""Names that whatever is typed without a file may have: what is kept under them may be another text."""
PROMPTS = ("<ipython-input-", "<python-input-")
"""How the names of what is typed at IPython's and at Python's own prompt begin."""


def node_of(function: FunctionType) -> ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda:
    """The function's own part of its file's tree, or of a notebook's cell.

    Raises `UsageError` where nobody kept what was typed.
    """
    code = function.__code__
    path = Path(code.co_filename)
    try:
        tree = tree_of(path, path.stat().st_mtime_ns) if path.is_file() else ast.parse(_typed(str(path)))
    except (OSError, SyntaxError, UnicodeDecodeError):
        raise _no_source(function.__module__) from None
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        and _first_line(node) == code.co_firstlineno
    ]
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


def _first_line(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> int:
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


def _typed(name: str) -> str:
    """What was typed under `name`, as a notebook keeps each of its cells; "" where nobody kept it."""
    # For a relative path `linecache` would take any file of that name on Python's path.
    known = name not in SHARED and (name.startswith("<") or Path(name).is_absolute())
    return "".join(linecache.getlines(name)) if known else ""


def _no_source(module: str) -> UsageError:
    return UsageError(
        f"no source file for module {module!r}: a signature needs one; put the code in a .py file"
    )
