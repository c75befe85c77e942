"""System-call filters: what nothing inside the sandbox may ask of the kernel.

Two filters are laid one over the other. `system_filter` binds everything in the sandbox, its server too.
`program_filter` binds programs and judges: it forbids new processes and lets threads be. A process limit
(RLIMIT_NPROC) would not do, for it does not bind root, and the sandbox's user is root outside when root
started it. human-eval at 6d43fb9 forbids processes too (`os.fork = None`).
"""

from __future__ import annotations

import platform
import struct

from evalkit.errors import UsageError

# <linux/bpf_common.h>, <linux/seccomp.h>
_LOAD, _JUMP_EQUAL, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT = 0, 4, 16  # offsets in struct seccomp_data
_CLONE_THREAD = 0x00010000
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_EPERM, _ENOSYS = 1, 38
_X32 = 0x40000000
"""Set in x32 call numbers, whose audit value is that of x86_64."""

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column in the tables below, and <linux/audit.h>'s AUDIT_ARCH_…"""

_Instruction = tuple[int, int, int, int]
_Calls = dict[str, tuple[int | None, int | None]]

# <asm/unistd_64.h> and <asm-generic/unistd.h>, Linux 6.1. None: that machine has no such call.
_CLONE, _CLONE3, _SOCKET = (56, 220), 435, (41, 198)
_FOR_NOBODY: _Calls = {
    # other processes' memory and descriptors
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    # memory that no limit counts, and what outlives a process
    "memfd_create": (319, 279), "memfd_secret": (447, 447), "userfaultfd": (323, 282),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197),
    "semget": (64, 190), "semctl": (66, 191), "semop": (65, 193), "semtimedop": (220, 192),
    "msgget": (68, 186), "msgctl": (71, 187), "msgsnd": (69, 189), "msgrcv": (70, 188), "mq_open": (240, 180),
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    # large parts of the kernel that no program here needs
    "bpf": (321, 280), "perf_event_open": (298, 241), "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "fanotify_init": (300, 262),
    "open_by_handle_at": (304, 265), "lookup_dcookie": (212, 18), "personality": (135, 92),
    # the machine itself
    "acct": (163, 89), "syslog": (103, 116), "reboot": (169, 142), "vhangup": (153, 58),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "init_module": (175, 105),
    "finit_module": (313, 273), "delete_module": (176, 106), "swapon": (167, 224), "swapoff": (168, 225),
    "quotactl": (179, 60), "quotactl_fd": (443, 443), "settimeofday": (164, 170),
    "clock_settime": (227, 112), "adjtimex": (159, 171), "clock_adjtime": (305, 266),
    "sethostname": (170, 161), "setdomainname": (171, 162),
}  # fmt: skip
_FOR_THE_SERVER: _Calls = {
    "fork": (57, None), "vfork": (58, None),
    "unshare": (272, 97), "setns": (308, 268), "pidfd_open": (434, 434), "chroot": (161, 51),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "move_mount": (429, 429),
    "open_tree": (428, 428), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442),
    "ioperm": (173, None), "iopl": (172, None), "modify_ldt": (154, None),
}  # fmt: skip
_SIGNALS: _Calls = {
    "kill": (62, 129), "tkill": (200, 130), "tgkill": (234, 131),
    "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
}  # fmt: skip


def system_filter(machine: str = "") -> bytes:
    """Forbids (EPERM) what neither the server nor a program needs, as an array of `struct sock_filter`.

    Raises `UsageError` on a machine whose numbers are not known here, as `program_filter` does.
    """
    column, audit = _machine(machine)
    return _assemble(_guard(column, audit) + _refuse(column, _FOR_NOBODY) + [(_RETURN, 0, 0, _ALLOW)])


def program_filter(machine: str = "", *, signals: bool = True) -> bytes:
    """Forbids new processes, namespaces, mounts and most sockets; without `signals`, sending signals as well.

    fork, vfork and clone without CLONE_THREAD give EPERM; clone3, whose flags a filter cannot see, gives
    ENOSYS, at which libc falls back to clone. Sockets may be of the local and the internet families, which
    a network namespace confines; others, such as vsock, which reaches a virtual machine's host, it does not.
    A call of another architecture's numbering kills.
    """
    column, audit = _machine(machine)
    refused = _FOR_THE_SERVER if signals else {**_FOR_THE_SERVER, **_SIGNALS}
    return _assemble(
        [
            *_guard(column, audit),
            *_refuse(column, refused),
            (_JUMP_EQUAL, 0, 1, _CLONE3),
            (_RETURN, 0, 0, _ERRNO | _ENOSYS),
            (_JUMP_EQUAL, 0, 6, _SOCKET[column]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_JUMP_EQUAL, 2, 0, _AF_UNIX),
            (_JUMP_EQUAL, 1, 0, _AF_INET),
            (_JUMP_EQUAL, 0, 1, _AF_INET6),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, _ERRNO | _EPERM),
            (_JUMP_EQUAL, 0, 3, _CLONE[column]),
            (_LOAD, 0, 0, _FIRST_ARGUMENT),
            (_JUMP_ANY_BIT, 1, 0, _CLONE_THREAD),
            (_RETURN, 0, 0, _ERRNO | _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ]
    )


def _machine(name: str) -> tuple[int, int]:
    name = name or platform.machine()
    if name not in _MACHINES:
        raise UsageError(f"the sandbox knows {' and '.join(_MACHINES)}, not {name}")
    return _MACHINES[name]


def _guard(column: int, audit: int) -> list[_Instruction]:
    """Kills at another architecture's call; leaves the number in the accumulator."""
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if column == 0:
        code += [(_JUMP_ANY_BIT, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    return code


def _refuse(column: int, calls: _Calls) -> list[_Instruction]:
    """One comparison a call, all of them jumping to one answer."""
    numbers = sorted(number for row in calls.values() if (number := row[column]) is not None)
    jumps: list[_Instruction] = [
        (_JUMP_EQUAL, len(numbers) - at - 1, 0, number) for at, number in enumerate(numbers)
    ]
    # The last comparison that fails steps over the answer.
    *others, (operation, _, _, last) = jumps
    return [*others, (operation, 0, 1, last), (_RETURN, 0, 0, _ERRNO | _EPERM)]


def _assemble(program: list[_Instruction]) -> bytes:
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
