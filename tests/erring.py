"""A model for tests of comparisons: right on `tests.made.sums`, but for a share that it is told to get wrong."""

from __future__ import annotations

from pathlib import Path

_TEMPLATE = """import zlib

ERRING = {erring}


def adds(prompt):
    word, *_, first, _, second = prompt[-1].text.split()
    share = zlib.crc32(f"{{first}} + {{second}}".encode()) / 2**32
    return "-1" if share < ERRING.get(word, 0.1) else str(int(first) + int(second))
"""


def erring(folder: Path, name: str, **shares: float) -> str:
    """Writes a model file and returns it as `-m` takes it. `shares`: what to get wrong, by its first word."""
    path = folder / f"{name}.py"
    path.write_text(_TEMPLATE.format(erring=repr(shares)), encoding="utf-8")
    return f"python:{path}:adds"
