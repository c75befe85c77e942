"""What evalkit says of its own tasks."""

from __future__ import annotations

import ast
import importlib.util
from pathlib import Path

from evalkit.benchmark.task import index


def description(name: str) -> str:
    """What a task of evalkit's index measures, by which rules and from which sources: its module's docstring.

    It is in Markdown. "" for a task that is not in the index: its file is not read.
    """
    module = index().get(name, "").partition(":")[0]
    found = importlib.util.find_spec(module) if module else None
    if found is None or found.origin is None:
        return ""
    return ast.get_docstring(ast.parse(Path(found.origin).read_text("utf-8"))) or ""
