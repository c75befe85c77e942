"""Names of tasks, as they are typed: of evalkit's index, of a task file, or of lm-evaluation-harness."""

from __future__ import annotations

import re
from pathlib import Path

LM_EVAL = "lm-eval:"
"""The beginning of a name of lm-evaluation-harness's tasks."""
_LM_EVAL_PROTOCOL = re.compile(r":(v\d[\w.+-]*|unversioned)$")


def is_lm_eval(name: str) -> bool:
    """Whether the name is one of lm-evaluation-harness's tasks. To build such a task runs code of lm-eval,
    or of the file that the name has, and reads the task's data."""
    return name.startswith(LM_EVAL)


def file_of(name: str) -> tuple[Path, str] | None:
    """(file, task in it or "") for `./file.py` or `./file.py:name`; None for a name in the index."""
    if name.endswith(".py"):
        return Path(name), ""
    path, mark, inside = name.partition(".py:")
    return (Path(f"{path}.py"), inside) if mark else None


def parse_spec(spec: str) -> tuple[str, str]:
    """`name:protocol` or `./file.py:name:protocol` → (the name for `load_task`, protocol or "")."""
    if is_lm_eval(spec):
        found = _LM_EVAL_PROTOCOL.search(spec)
        return (spec[: found.start()], found[1]) if found else (spec, "")
    if spec.endswith(".py"):
        return spec, ""
    path, mark, rest = spec.partition(".py:")
    name, _, protocol = (rest if mark else spec).partition(":")
    if mark:
        name = f"{path}.py:{name}" if name else f"{path}.py"
    return name, protocol
