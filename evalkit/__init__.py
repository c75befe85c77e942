"""evalkit: evaluates any model on the benchmarks of the Gemini 1.0 report.

    import evalkit
    table = evalkit.run("fake/gold", "gsm8k:8-shot-cot", data="builtin")
    print(table.cells[0].value)

Importing it costs next to nothing: what is used is loaded when it is used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers; at run time `__getattr__` finds them
    from evalkit.benchmark.task import Task as Task
    from evalkit.benchmark.task import load_task as load_task
    from evalkit.benchmark.task import task as task
    from evalkit.errors import EvalkitError as EvalkitError
    from evalkit.errors import UsageError as UsageError
    from evalkit.models import open_model as open_model
    from evalkit.report.table import Table as Table
    from evalkit.report.table import build_table as build_table
    from evalkit.runfile.store import Store as Store
    from evalkit.session import evaluate as evaluate
    from evalkit.session import run as run

__version__ = "0.1.0"

_HOMES = {
    "evaluate": "evalkit.session",
    "run": "evalkit.session",
    "load_task": "evalkit.benchmark.task",
    "task": "evalkit.benchmark.task",
    "Task": "evalkit.benchmark.task",
    "open_model": "evalkit.models",
    "Store": "evalkit.runfile.store",
    "Table": "evalkit.report.table",
    "build_table": "evalkit.report.table",
    "EvalkitError": "evalkit.errors",
    "UsageError": "evalkit.errors",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
