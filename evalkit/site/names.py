"""Names of runs and benchmarks for addresses and files: safe in a URL and on every file system."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePosixPath

_LONGEST = 40
_PLAIN = re.compile(r"(?!(?:con|prn|aux|nul|com\d|lpt\d)$)[a-z0-9]+(?:[-_][a-z0-9]+)*")
"""Names that need no digest; not those of devices, which Windows refuses as files."""
_DIGEST = re.compile(r"-[0-9a-f]{16}$")


def run_name(file: str, more: str = "") -> str:
    """`gsm8k-1f2e3d4c`: the name of a run whose file is at `file` in its folder, by this alone.

    So it stays when runs are added. `more`: tells two folders apart that both have a file there.
    """
    return f"{_slug(PurePosixPath(file).stem, 'run')}-{_digest(more + file)[:8]}"


def benchmark_name(task: str) -> str:
    """The name of a benchmark's page: the task's own if that is safe, else with a digest."""
    if len(task) <= _LONGEST and _PLAIN.fullmatch(task) and not _DIGEST.search(task):
        return task
    return f"{_slug(task, 'task')}-{_digest(task)[:16]}"


def _slug(text: str, empty: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower())[:_LONGEST].strip("-") or empty


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
