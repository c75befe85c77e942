"""Few-shot exemplars that papers fixed, read from the installed lm-eval package when they are needed.

They are read, never imported: some of its modules download and execute on import.
"""

from __future__ import annotations

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
def fewshot_samples(path: str) -> tuple[dict[str, str], ...]:
    """`fewshot_config.samples` of a task file of lm-eval's, in order, each a dict of texts."""
    import yaml

    file = lm_eval_file(path)
    document: Any = yaml.load(file.read_text("utf-8"), Loader=_Loader())  # noqa: S506 — a safe one
    try:
        return tuple(dict(sample) for sample in document["fewshot_config"]["samples"])
    except (KeyError, TypeError) as error:
        raise DataError(f"{file} has no fewshot_config.samples ({error})") from None


@functools.cache
def _Loader() -> Any:  # noqa: N802 — returns a class
    """A safe YAML loader that takes lm-eval's `!function` tags for plain text."""
    import yaml

    class Loader(yaml.CSafeLoader):
        pass

    Loader.add_constructor("!function", lambda loader, node: node.value)
    return Loader
