"""A system-call filter that forbids new processes and lets threads be.

A process limit (RLIMIT_NPROC) does not bind root, and user id 65534 inside a namespace that root made is
root outside: there a fork bomb would run. human-eval at 6d43fb9 forbids processes too (`os.fork = None`).
"""

from __future__ import annotations

import platform
import struct
from dataclasses import dataclass

from evalkit.errors import UsageError

# <linux/bpf_common.h>, <linux/seccomp.h>
_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_THREAD = 0x00010000
_EPERM, _ENOSYS = 1, 38
_CLONE3 = 435


@dataclass(frozen=True, slots=True)
class _Machine:
    audit: int
    clone: int
    forks: tuple[int, ...] = ()


_MACHINES = {
    "x86_64": _Machine(audit=0xC000003E, clone=56, forks=(57, 58)),
    "aarch64": _Machine(audit=0xC00000B7, clone=220),
}


def no_new_processes(machine: str = "") -> bytes:
    """The filter as an array of `struct sock_filter`, for `bwrap --seccomp`.

    fork, vfork and clone without CLONE_THREAD give EPERM; clone3, whose flags a filter cannot see, gives
    ENOSYS, at which libc falls back to clone. A call of another architecture's numbering kills.
    Raises `UsageError` on a machine whose numbers are not known here.
    """
    name = machine or platform.machine()
    if name not in _MACHINES:
        raise UsageError(f"the sandbox knows {' and '.join(_MACHINES)}, not {name}")
    known = _MACHINES[name]
    refused = [(call, _EPERM) for call in known.forks] + [(_CLONE3, _ENOSYS)]
    program = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, known.audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    for call, errno in refused:
        program += [(_JUMP_EQUAL, 0, 1, call), (_RETURN, 0, 0, _ERRNO | errno)]
    program += [
        (_JUMP_EQUAL, 0, 3, known.clone),
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        (_JUMP_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    if name == "x86_64":
        # The x32 numbering has the same audit value and bit 30 set.
        program[4:4] = [(_JUMP_ANY_BIT, 0, 1, 0x40000000), (_RETURN, 0, 0, _KILL)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
