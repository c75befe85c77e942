"""Reads few-shot exemplars that papers fixed from the installed lm-eval package.

The files are read and never imported, because some of its modules download and run code on import.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from evalkit.data.base import DataOptions
from evalkit.data.inventory import note
from evalkit.errors import DataError
from evalkit.identity.source import parsed


def lm_eval_file(path: str) -> Path:
    """Returns a file below lm_eval/tasks/. Raises `DataError` if lm-eval is missing or has no such file."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        raise DataError("the exemplars are read from lm-eval, which is not installed: pip install lm-eval")
    file = Path(spec.submodule_search_locations[0], "tasks", path)
    if not file.is_file():
        raise DataError(
            f"lm-eval {version('lm-eval')} has no tasks/{path}: evalkit needs lm-eval 0.4.13 or a similar "
            "version"
        )
    return file


@dataclass(frozen=True, slots=True)
class LmEvalFiles:
    """Files below lm_eval/tasks/ that a task's prompts are made with, for `Task.reads`."""

    paths: tuple[str, ...]

    def note(self, options: DataOptions) -> None:
        """Lists the files in the inventory, and compares them with the lock. Raises `DataError`."""
        files = {f"lm_eval/tasks/{path}": lm_eval_file(path) for path in self.paths}
        note(options, "package", "lm-eval", files, revision=version("lm-eval"))


@functools.cache
def task_document(path: str) -> Any:
    """Returns an lm-eval task file as a document, without the files that it includes. Do not modify it."""
    import yaml

    return yaml.load(lm_eval_file(path).read_text("utf-8"), Loader=_Loader())  # noqa: S506 — a safe one


@functools.cache
def fewshot_samples(path: str) -> tuple[dict[str, str], ...]:
    """Returns `fewshot_config.samples` of an lm-eval task file, in order. Each sample is a dict of texts."""
    document = task_document(path)
    try:
        return tuple(dict(sample) for sample in document["fewshot_config"]["samples"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{lm_eval_file(path)} has no fewshot_config.samples ({error})") from None


def fewshot_description(path: str) -> str:
    """Returns the `description` of an lm-eval task file, the text before its examples; "" without one."""
    return str(task_document(path).get("description") or "")


@functools.cache
def returned_samples(path: str, function: str) -> tuple[dict[str, str], ...]:
    """Returns the literal list of dicts of texts that a function in a Python file of lm-eval returns."""
    for node in ast.walk(parsed(lm_eval_file(path).read_text("utf-8"))):
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
    """Returns a safe YAML loader that reads lm-eval's `!function` tags as plain text."""
    import yaml

    class Loader(yaml.CSafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: node.value)
    return Loader
