"""evalkit: evaluates any model on the benchmarks of the Gemini 1.0 report.

    import evalkit
    table = evalkit.run("fake/gold", "gsm8k:8-shot-cot", data="builtin")
    print(table)
    figures, samples = table.to_pandas(), table.samples()

The import is cheap: each module is loaded when something in it is first used.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # for type checkers; at run time `__getattr__` finds them
    from evalkit.benchmark.task import Task as Task
    from evalkit.benchmark.task import load_task as load_task
    from evalkit.benchmark.task import task as task
    from evalkit.engine.client import Stopped as Stopped
    from evalkit.engine.merge import merge as merge
    from evalkit.errors import EvalkitError as EvalkitError
    from evalkit.errors import StorageError as StorageError
    from evalkit.errors import UsageError as UsageError
    from evalkit.models import open_model as open_model
    from evalkit.models.python_given import as_model as as_model
    from evalkit.report.build import Page as Page
    from evalkit.report.build import render_capabilities as render_capabilities
    from evalkit.report.build import render_report as render_report
    from evalkit.report.grids import build_grids as build_grids
    from evalkit.report.load import load as load
    from evalkit.report.paper import load_tables as load_tables
    from evalkit.report.table import Table as Table
    from evalkit.report.table import build_table as build_table
    from evalkit.runfile.store import Store as Store
    from evalkit.session import evaluate as evaluate
    from evalkit.session import run as run

__version__ = "0.1.0"

_HOMES = {
    "evaluate": "evalkit.session",
    "run": "evalkit.session",
    "merge": "evalkit.engine.merge",
    "as_model": "evalkit.models.python_given",
    "open_model": "evalkit.models",
    "load_task": "evalkit.benchmark.task",
    "task": "evalkit.benchmark.task",
    "Task": "evalkit.benchmark.task",
    "Store": "evalkit.runfile.store",
    "Table": "evalkit.report.table",
    "load": "evalkit.report.load",
    "build_table": "evalkit.report.table",
    "build_grids": "evalkit.report.grids",
    "load_tables": "evalkit.report.paper",
    "render_capabilities": "evalkit.report.build",
    "render_report": "evalkit.report.build",
    "Page": "evalkit.report.build",
    "EvalkitError": "evalkit.errors",
    "StorageError": "evalkit.errors",
    "UsageError": "evalkit.errors",
    "Stopped": "evalkit.engine.client",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'evalkit' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
