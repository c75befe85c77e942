"""The limits of programs, and their results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

Value: TypeAlias = Any
"""What a program returned, as plain data: None, bool, int, float, complex, str, bytes, list, tuple, dict,
set, frozenset, range, Fraction, Decimal, deque, bytearray, numpy arrays of numbers, and iterators (their
items, at most 65536). numpy's numbers become Python's, and instances of subclasses their plain base class;
anything else becomes an `evalkit.sandbox.Opaque`, which is equal to nothing."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one program may use. human-eval at 6d43fb9 has only one limit, 3.0 s of wall time."""

    cpu_seconds: float = 3.0
    """CPU time of the program and its tests together; in a session, of each process of a command."""
    wall_seconds: float = 30.0
    """Wall time in which the program could run: waiting for a CPU does not count. It is generous, because it
    should end programs that sleep or wait, and not slow ones."""
    memory_megabytes: int = 4096
    """Memory of the program, which is one process; its tests may use as much. In a session, of all processes
    together."""
    scratch_megabytes: int = 64
    """Size of the files in /tmp and /dev/shm together."""
    output_megabytes: int = 8
    """Size of standard output, and also of standard error, if they are kept."""


DEFAULT = Limits()


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception of the program: the name of its class, and its text of at most 1000 characters.

    `Timeout` means that a limit on time ended the program before it had an answer, `Ended` that it ended in
    any other way.
    """

    type: str
    message: str


EndedBy: TypeAlias = Literal[
    "itself", "cpu_seconds", "wall_seconds", "memory_megabytes", "output_megabytes", "compiler"
]


@dataclass(frozen=True, slots=True)
class Ran:
    """What a program, or a command of a session, did."""

    stdout: str
    """Standard output, decoded as UTF-8 with U+FFFD for invalid bytes."""
    stderr: str
    status: int
    """The exit status, or minus the signal's number if a signal ended it."""
    seconds: float
    """CPU time, including the processes that it waited for."""
    ended: EndedBy = "itself"
    """What ended it: `itself`, the name of one of the `Limits`, or `compiler` if the program did not compile;
    then it never ran, and `stderr` is the compiler's."""
