"""Measures evalkit: `python -m bench [NAME…] [--quick] [--full] [--data FOLDER] [--json]`."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import platform
import sys
from collections.abc import Callable

from bench.rows import Row, say, table

MEASURES = (
    "startup", "engine_latency", "engine_cpu", "memory", "page", "pictures", "reopen", "replicas",
    "soak", "ceiling", "bootstrap", "sandbox", "spellings", "view", "waits",
)  # fmt: skip


def main() -> int:
    """Returns 0 if all binding budgets are kept, else 1."""
    parser = argparse.ArgumentParser(
        prog="python -m bench", description="Measures evalkit against its budgets."
    )
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"any of {', '.join(MEASURES)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="make fewer turns and shorter runs")
    parser.add_argument(
        "--full",
        action="store_true",
        help="make the long runs of `memory`, `replicas` and `soak` as long as a million requests",
    )
    parser.add_argument("--data", default="builtin", help="folder with the references of `spellings`")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    unknown = [name for name in options.names if name not in MEASURES]
    if unknown:
        parser.error(f"no measure {unknown[0]!r}: there are {', '.join(MEASURES)}")
    settings = {
        "memory": {"full": options.full},
        "replicas": {"full": options.full},
        "soak": {"full": options.full},
        "spellings": {"data": options.data},
    }
    rows: list[Row] = []
    for name in options.names or MEASURES:
        say(f"{name} …")
        measure: Callable[..., list[Row]] = importlib.import_module(f"bench.{name}").measure
        rows += measure(options.quick, **settings.get(name, {}))
    if options.json:
        print(json.dumps([row.as_json() for row in rows], indent=2, ensure_ascii=False))
    else:
        print(f"\nPython {platform.python_version()}, {os.cpu_count()} CPUs, load {_load()}\n")
        print(table(rows))
    return int(any(row.ok is False for row in rows))


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"


if __name__ == "__main__":
    sys.exit(main())
