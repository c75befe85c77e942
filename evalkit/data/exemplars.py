"""Few-shot exemplars that papers fixed, read from the installed lm-eval package when they are needed.

They are read, never imported: some of its modules download and execute on import.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from pathlib import Path
from typing import Any

from evalkit.errors import DataError


def lm_eval_file(path: str) -> Path:
    """A file below lm_eval/tasks/. Raises `DataError` when lm-eval is missing or has no such file."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("the exemplars are read from lm-eval, which is not installed: pip install lm-eval")
    file = Path(spec.submodule_search_locations[0], "tasks", path)
    if not file.is_file():
        from importlib.metadata import version as installed

        version = installed("lm-eval")
        raise DataError(f"lm-eval {version} has no tasks/{path}: evalkit needs lm-eval 0.4.13 or one like it")
    return file


@functools.cache
def task_document(path: str) -> Any:
    """A task file of lm-eval's as it is written, without the files that it includes. Not to be changed."""
    import yaml

    return yaml.load(lm_eval_file(path).read_text("utf-8"), Loader=_Loader())  # noqa: S506 — a safe one


@functools.cache
def fewshot_samples(path: str) -> tuple[dict[str, str], ...]:
    """`fewshot_config.samples` of a task file of lm-eval's, in order, each a dict of texts."""
    document = task_document(path)
    try:
        return tuple(dict(sample) for sample in document["fewshot_config"]["samples"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{lm_eval_file(path)} has no fewshot_config.samples ({error})") from None


@functools.cache
def returned_samples(path: str, function: str) -> tuple[dict[str, str], ...]:
    """What a function of a Python file of lm-eval's returns: a list of dicts of texts, written out there."""
    for node in ast.walk(ast.parse(lm_eval_file(path).read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef) and node.name == function:
            try:
                (returned,) = node.body
                assert isinstance(returned, ast.Return)
                assert returned.value is not None
                return tuple(dict(sample) for sample in ast.literal_eval(returned.value))
            except (ValueError, TypeError, AssertionError):
                break
    raise DataError(f"{lm_eval_file(path)} has no function {function} that returns a list of samples")


@functools.cache
def _Loader() -> Any:  # noqa: N802 — returns a class
    """A safe YAML loader that takes lm-eval's `!function` tags for plain text."""
    import yaml

    class Loader(yaml.CSafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: node.value)
    return Loader
