"""System-call filters: which calls are forbidden inside the sandbox.

There are two filters. `system_filter` applies to everything in the sandbox, including its server.
`program_filter` applies, in addition, to programs and checkers: it forbids new processes but allows threads,
whose number a resource limit (RLIMIT_NPROC) bounds. human-eval at 6d43fb9 forbids processes too
(`os.fork = None`).

The files that a program sees are this machine's own, mounted read-only. A read-only mount still allows locks,
leases and watches on them, so the filter deals with these.
"""

from __future__ import annotations

import platform
import struct
from collections.abc import Sequence

from evalkit.errors import UsageError

# <linux/bpf_common.h>, <linux/seccomp.h>
_LOAD, _JUMP_EQUAL, _JUMP_FROM, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NUMBER, _ARCHITECTURE, _FIRST_ARGUMENT, _SECOND_ARGUMENT = 0, 4, 16, 24  # offsets in struct seccomp_data
_CLONE_THREAD = 0x00010000
_CLONE_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET; NEWTIME is not a flag of clone."""
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_EPERM, _ENOTTY, _ENOSYS = 1, 25, 38
_DONE = _ERRNO | 0
"""The call succeeds without being made."""
_X32 = 0x40000000
"""The bit that is set in x32 call numbers; x32 has the same audit value as x86_64."""

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""(column in the tables below, AUDIT_ARCH_… of <linux/audit.h>) by machine."""

_Instruction = tuple[int, int, int, int]
_Calls = dict[str, tuple[int | None, int | None]]

# From <asm/unistd_64.h> and <asm-generic/unistd.h>, Linux 6.18. None: the machine does not have this call.
_CLONE, _CLONE3, _SOCKET, _FCNTL, _IOCTL = (56, 220), 435, (41, 198), (72, 25), (16, 29)
_PRLIMIT = 302, 261
_FOR_NOBODY: _Calls = {
    # other processes' memory and descriptors
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    # memory to which no limit applies, and objects that outlive a process
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
_WATCHES: _Calls = {
    # which of this machine's files are in use, or in memory
    "inotify_init": (253, None), "inotify_init1": (294, 26), "cachestat": (451, 451),
    # where on this machine they lie
    "statmount": (457, 457), "listmount": (458, 458), "open_tree_attr": (467, 467),
}  # fmt: skip
_IN_VAIN: _Calls = {
    # A program is alone: no other process waits for its locks or holds any, and its files end with it.
    "flock": (73, 32), "sync": (162, 81), "syncfs": (306, 267), "fadvise64": (221, 223),
    # One that chose to be slow would wait for a CPU, which does not count towards its wall time.
    "setpriority": (141, 140), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "sched_setattr": (314, 274),
}  # fmt: skip

# <fcntl.h>, <linux/fcntl.h>, <asm-generic/ioctls.h>
_LOCKS = (6, 7, 37, 38)
"""F_SETLK, F_SETLKW, F_OFD_SETLK and F_OFD_SETLKW. sqlite3 and dbm lock their files."""
_LINUX_SPECIFIC = 1024
"""From this number on, fcntl's commands are leases, watches, hints about a file and the size of pipes."""
_HARMLESS = (1030, 1032)
"""The exceptions to that: F_DUPFD_CLOEXEC and F_GETPIPE_SZ."""
_REQUESTS = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
"""TCGETS, TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX and FIOCLEX, which concern the descriptor, not the file."""


def system_filter(machine: str = "") -> bytes:
    """The filter that forbids (EPERM) the calls that neither the server nor a program needs.

    It is an array of `struct sock_filter`. Like `program_filter`, this raises `UsageError` on a machine whose
    call numbers are not known here.
    """
    column, audit = _machine(machine)
    return _assemble([
        *_guard(column, audit),
        *_answer(_numbers(column, _FOR_NOBODY), _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ])  # fmt: skip


def program_filter(machine: str = "", *, sandboxed: bool = True, processes: bool = False) -> bytes:
    """The filter that forbids new processes, namespaces, mounts and most sockets.

    fork, vfork and clone without CLONE_THREAD fail with EPERM. clone3, whose flags a filter cannot see, fails
    with ENOSYS, after which libc uses clone. Sockets of the local and the internet families are allowed,
    because a network namespace confines them. It does not confine others, such as vsock, which reaches the
    host of a virtual machine. A call with the numbering of another architecture kills the process.

    `sandboxed`: the program is alone in a process namespace, and its files are its own /tmp and this
    machine's. Then locks succeed without being taken, which makes no difference to a program that is alone,
    and leases, watches and ioctl requests to files are refused. Otherwise there are other processes, so
    signals are refused and locks are taken. `processes`: new processes are allowed; namespaces are not, nor
    is changing the limits of other processes.
    """
    column, audit = _machine(machine)
    refused = {**_FOR_THE_SERVER, **(_WATCHES if sandboxed else _SIGNALS)}
    if processes:
        del refused["fork"], refused["vfork"]
    code = [*_guard(column, audit), *_answer(_numbers(column, refused), _ERRNO | _EPERM)]
    if sandboxed:
        code += _answer(_numbers(column, _IN_VAIN), _DONE)
        code += _at_call(_FCNTL[column], _SECOND_ARGUMENT, [
            *_answer(_LOCKS, _DONE),
            *_answer(_HARMLESS, _ALLOW),
            (_JUMP_FROM, 0, 1, _LINUX_SPECIFIC),
            (_RETURN, 0, 0, _ERRNO | _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ])  # fmt: skip
        code += _at_call(_IOCTL[column], _SECOND_ARGUMENT, [
            *_answer(_REQUESTS, _ALLOW),
            (_RETURN, 0, 0, _ERRNO | _ENOTTY),
        ])  # fmt: skip
    code += _answer((_CLONE3,), _ERRNO | _ENOSYS)
    code += _at_call(_SOCKET[column], _FIRST_ARGUMENT, [
        *_answer((_AF_UNIX, _AF_INET, _AF_INET6), _ALLOW),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
    ])  # fmt: skip
    code += _at_call(_CLONE[column], _FIRST_ARGUMENT, [
        (_JUMP_ANY_BIT, 0, 1, _CLONE_NAMESPACES) if processes else (_JUMP_ANY_BIT, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _ERRNO | _EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ])  # fmt: skip
    if processes:
        code += _at_call(_PRLIMIT[column], _FIRST_ARGUMENT, [
            (_JUMP_EQUAL, 1, 0, 0),
            (_RETURN, 0, 0, _ERRNO | _EPERM),
            (_RETURN, 0, 0, _ALLOW),
        ])  # fmt: skip
    return _assemble([*code, (_RETURN, 0, 0, _ALLOW)])


def _machine(name: str) -> tuple[int, int]:
    name = name or platform.machine()
    if name not in _MACHINES:
        raise UsageError(f"the sandbox supports {' and '.join(_MACHINES)}, not {name}")
    return _MACHINES[name]


def _guard(column: int, audit: int) -> list[_Instruction]:
    """Kills the process at a call of another architecture; leaves the call's number in the accumulator."""
    code: list[_Instruction] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_JUMP_EQUAL, 1, 0, audit),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
    ]
    if column == 0:
        code += [(_JUMP_ANY_BIT, 0, 1, _X32), (_RETURN, 0, 0, _KILL)]
    return code


def _numbers(column: int, calls: _Calls) -> list[int]:
    return sorted(number for row in calls.values() if (number := row[column]) is not None)


def _answer(values: Sequence[int], answer: int) -> list[_Instruction]:
    """Returns `answer` if the accumulator is one of `values`: one comparison for each, all jump to it."""
    jumps: list[_Instruction] = [
        (_JUMP_EQUAL, len(values) - at - 1, 0, value) for at, value in enumerate(values)
    ]
    # If the last comparison fails, it jumps over the answer.
    *others, (operation, _, _, last) = jumps
    return [*others, (operation, 0, 1, last), (_RETURN, 0, 0, answer)]


def _at_call(number: int, argument: int, code: list[_Instruction]) -> list[_Instruction]:
    """Runs `code` at call `number`, with the lower half of the argument in the accumulator.

    `code` has to end with a return.
    """
    return [(_JUMP_EQUAL, 0, len(code) + 1, number), (_LOAD, 0, 0, argument), *code]


def _assemble(program: list[_Instruction]) -> bytes:
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
