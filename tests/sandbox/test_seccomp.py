"""The system-call filters, run instruction by instruction as the kernel would."""

from __future__ import annotations

import struct
from collections.abc import Callable

import pytest

from evalkit.errors import UsageError
from evalkit.sandbox.seccomp import program_filter, system_filter

X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003  # AUDIT_ARCH_… of <linux/audit.h>
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
DONE, ENOTTY = 0x00050000, 0x00050019  # not made, but 0 is what it returns
X32 = 0x40000000
CLONE_VM, CLONE_VFORK, CLONE_THREAD, CLONE_NEWUSER = 0x100, 0x4000, 0x10000, 0x10000000
SIGCHLD = 17
NAMESPACES = (0x20000, 0x2000000, 0x4000000, 0x8000000, 0x10000000, 0x20000000, 0x40000000)
PTHREAD = 0x3D0F00  # what pthread_create passes: CLONE_VM | … | CLONE_THREAD | …


def verdict(machine: str, audit: int, number: int, *arguments: int) -> int:
    return run(program_filter(machine), audit, number, *arguments)


def run(code: bytes, audit: int, number: int, *arguments: int) -> int:
    """What a filter returns for one call: the classic BPF of `<linux/filter.h>`, as far as it is used."""
    program = [struct.unpack_from("<HBBI", code, at) for at in range(0, len(code), 8)]
    # struct seccomp_data: int nr; __u32 arch; __u64 instruction_pointer; __u64 args[6]
    data = struct.pack("<iIQ6Q", number, audit, 0, *arguments, *[0] * (6 - len(arguments)))
    accumulator = at = 0
    while True:
        operation, if_true, if_false, operand = program[at]
        at += 1
        if operation == 0x20:  # BPF_LD | BPF_W | BPF_ABS
            (accumulator,) = struct.unpack_from("<I", data, operand)
        elif operation == 0x15:  # BPF_JMP | BPF_JEQ | BPF_K
            at += if_true if accumulator == operand else if_false
        elif operation == 0x35:  # BPF_JMP | BPF_JGE | BPF_K
            at += if_true if accumulator >= operand else if_false
        elif operation == 0x45:  # BPF_JMP | BPF_JSET | BPF_K
            at += if_true if accumulator & operand else if_false
        elif operation == 0x06:  # BPF_RET | BPF_K
            return int(operand)
        else:
            raise AssertionError(f"instruction {operation:#x}")


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (57, (), EPERM),  # fork
        (58, (), EPERM),  # vfork
        (56, (SIGCHLD,), EPERM),  # clone, as fork
        (56, (CLONE_VM | CLONE_VFORK | SIGCHLD,), EPERM),  # clone, as posix_spawn
        (56, (CLONE_NEWUSER | SIGCHLD,), EPERM),
        (56, (0, CLONE_THREAD), EPERM),  # the flag in another argument
        (56, (CLONE_THREAD << 32,), EPERM),  # the flag in the upper half, which the kernel drops
        (56, (PTHREAD,), ALLOW),
        (56, (CLONE_THREAD,), ALLOW),
        (435, (), ENOSYS),  # clone3
        (435, (PTHREAD,), ENOSYS),
        (0, (), ALLOW),  # read
        (59, (), ALLOW),  # execve
        (272, (), EPERM),  # unshare
        (308, (), EPERM),  # setns
        (165, (), EPERM),  # mount
        (166, (), EPERM),  # umount2
        (442, (), EPERM),  # mount_setattr, the highest
        (443, (), ALLOW),
        (161, (), EPERM),  # chroot
        (41, (1,), ALLOW),  # socket, AF_UNIX
        (41, (2,), ALLOW),  # AF_INET
        (41, (10,), ALLOW),  # AF_INET6
        (41, (40,), EPERM),  # AF_VSOCK
        (41, (16,), EPERM),  # AF_NETLINK
        (41, (38,), EPERM),  # AF_ALG
        (41, (0,), EPERM),
        (62, (), ALLOW),  # kill: its process namespace holds nobody else
        (220, (SIGCHLD,), ALLOW),  # aarch64's clone is semtimedop here
        (X32 | 57, (), KILL),
        (X32 | 56, (PTHREAD,), KILL),
        (X32, (), KILL),
        (-1, (), KILL),
    ],
)
def test_x86_64(number: int, arguments: tuple[int, ...], expected: int) -> None:
    assert verdict("x86_64", X86_64, number, *arguments) == expected


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (220, (SIGCHLD,), EPERM),  # clone, which is all the forking there is
        (220, (CLONE_VM | CLONE_VFORK | SIGCHLD,), EPERM),
        (220, (PTHREAD,), ALLOW),
        (435, (), ENOSYS),
        (97, (), EPERM),  # unshare
        (268, (), EPERM),  # setns
        (40, (), EPERM),  # mount
        (39, (), EPERM),  # umount2
        (63, (), ALLOW),  # read
        (198, (1,), ALLOW),  # socket, AF_UNIX
        (198, (40,), EPERM),  # AF_VSOCK
        (129, (), ALLOW),  # kill
        (221, (), ALLOW),  # execve
        (57, (), ALLOW),  # close, not fork
        (56, (SIGCHLD,), ALLOW),  # openat, not clone
        (-1, (), ALLOW),  # no x32 here; the kernel refuses it itself
    ],
)
def test_aarch64(number: int, arguments: tuple[int, ...], expected: int) -> None:
    assert verdict("aarch64", AARCH64, number, *arguments) == expected


# fcntl's commands, the same on both machines.
LOCKS = (6, 7, 37, 38)  # F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW
LEASES = (
    1024,
    1026,
    1031,
    1036,
    1038,
    1040,
    0xFFFFFFFF,
)  # F_SETLEASE, F_NOTIFY, F_SETPIPE_SZ, F_SET_RW_HINT, …
OTHERS = (
    0,
    1,
    2,
    3,
    4,
    5,
    8,
    36,
    1023,
    1030,
    1032,
)  # F_DUPFD … F_GETLK, F_SETOWN, …, F_DUPFD_CLOEXEC, F_GETPIPE_SZ
TERMINAL = (0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)  # TCGETS, …, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
FILE = (0x40086602, 0x401C5820, 0x40806685, 0x5412, 0)  # FS_IOC_SETFLAGS, …, FS_IOC_ENABLE_VERITY, TIOCSTI


@pytest.mark.parametrize(
    ("machine", "audit", "fcntl", "ioctl", "in_vain", "watches"),
    [
        # flock, sync, syncfs, fadvise64, setpriority, sched_setparam, sched_setscheduler, sched_setattr;
        # inotify_init, inotify_init1, cachestat, statmount, listmount
        ("x86_64", X86_64, 72, 16, (73, 162, 306, 221, 141, 142, 144, 314), (253, 294, 451, 457, 458)),
        ("aarch64", AARCH64, 25, 29, (32, 81, 267, 223, 140, 118, 119, 274), (26, 451, 457, 458)),
    ],
)
def test_no_locks_leases_or_watches_on_files_of_this_machine(
    machine: str, audit: int, fcntl: int, ioctl: int, in_vain: tuple[int, ...], watches: tuple[int, ...]
) -> None:
    high = 1 << 32  # the kernel drops the upper half of a command
    for code, locks in ((program_filter(machine), DONE), (program_filter(machine, sandboxed=False), ALLOW)):
        refused, tty = (EPERM, ENOTTY) if locks == DONE else (ALLOW, ALLOW)
        assert {run(code, audit, number) for number in in_vain} == {locks}
        assert {run(code, audit, fcntl, 3, command) for command in LOCKS} == {locks}
        assert {run(code, audit, fcntl, 3, command | high) for command in LOCKS} == {locks}
        assert {run(code, audit, fcntl, 3, command) for command in LEASES} == {refused}
        assert {run(code, audit, fcntl, 6, command) for command in OTHERS} == {ALLOW}
        assert {run(code, audit, ioctl, 3, request) for request in TERMINAL} == {ALLOW}
        assert {run(code, audit, ioctl, 3, request) for request in FILE} == {tty}
        assert {run(code, audit, number) for number in watches} == {refused}


@pytest.mark.parametrize(
    ("machine", "audit", "refused", "allowed"),
    [
        # ptrace, process_vm_writev, memfd_create, shmget, keyctl, bpf, perf_event_open, io_uring_setup,
        # acct, kexec_load, quotactl_fd, process_mrelease (the highest)
        (
            "x86_64", X86_64, (101, 311, 319, 29, 250, 321, 298, 425, 163, 246, 443, 448),
            (0, 57, 56, 165, 308, 435),
        ),
        (
            "aarch64", AARCH64, (117, 271, 279, 194, 219, 280, 241, 425, 89, 104, 443, 448),
            (63, 220, 40, 268, 435),
        ),
    ],
)  # fmt: skip
def test_what_nobody_may(
    machine: str, audit: int, refused: tuple[int, ...], allowed: tuple[int, ...]
) -> None:
    code = system_filter(machine)
    assert {run(code, audit, number) for number in refused} == {EPERM}
    assert {run(code, audit, number) for number in allowed} == {ALLOW}  # the server needs these


def test_no_signals_where_no_namespace_hides_other_processes() -> None:
    with_signals, without = program_filter("x86_64"), program_filter("x86_64", sandboxed=False)
    for number in (62, 200, 234, 129, 297):  # kill, tkill, tgkill, rt_sigqueueinfo, rt_tgsigqueueinfo
        assert run(with_signals, X86_64, number) == ALLOW
        assert run(without, X86_64, number) == EPERM
    assert run(without, X86_64, 57) == EPERM
    assert run(without, X86_64, 56, PTHREAD) == ALLOW


@pytest.mark.parametrize(
    ("machine", "others"), [("x86_64", (I386, AARCH64, 0)), ("aarch64", (X86_64, I386, 0))]
)
def test_calls_of_another_architecture_kill(machine: str, others: tuple[int, ...]) -> None:
    for audit in others:
        for number in (0, 2, 56, 120, 220, 435):
            assert verdict(machine, audit, number, PTHREAD) == KILL
            assert run(system_filter(machine), audit, number) == KILL


FILTERS = [
    make(machine)
    for machine in ("x86_64", "aarch64")
    for make in (system_filter, program_filter, lambda name: program_filter(name, sandboxed=False))
]


@pytest.mark.parametrize("code", FILTERS, ids=range(len(FILTERS)))
def test_the_layout_is_an_array_of_eight_bytes_with_jumps_inside_it(code: bytes) -> None:
    program = [struct.unpack_from("<HBBI", code, at) for at in range(0, len(code), 8)]
    assert len(code) == 8 * len(program)
    assert len(program) < 4096  # BPF_MAXINSNS
    assert program[0] == (0x20, 0, 0, 4)  # the architecture comes first
    assert program[-1][0] == 0x06  # no way off the end
    for at, (operation, if_true, if_false, _) in enumerate(program):
        if operation != 0x06:
            assert at + 1 + max(if_true, if_false) < len(program)


@pytest.mark.parametrize("make", [system_filter, program_filter])
def test_a_machine_whose_numbers_nobody_wrote_down(make: Callable[[str], bytes]) -> None:
    with pytest.raises(UsageError, match="the sandbox supports x86_64 and aarch64, not riscv64"):
        make("riscv64")


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (57, (), ALLOW),  # fork
        (58, (), ALLOW),  # vfork
        (56, (SIGCHLD,), ALLOW),  # clone, as fork
        (56, (CLONE_VM | CLONE_VFORK | SIGCHLD,), ALLOW),
        (56, (PTHREAD,), ALLOW),
        *((56, (flag | SIGCHLD,), EPERM) for flag in NAMESPACES),
        (435, (), ENOSYS),  # clone3
        (272, (CLONE_NEWUSER,), EPERM),  # unshare
        (308, (), EPERM),  # setns
        (165, (), EPERM),  # mount
        (302, (0,), ALLOW),  # prlimit64, of itself
        (302, (1,), EPERM),
        (302, (1 << 32,), ALLOW),  # the kernel takes the lower half, which is 0
        (101, (), ALLOW),  # ptrace, which the other filter refuses
        (73, (), DONE),  # flock
    ],
)
def test_commands_may_start_others_in_their_own_namespaces(
    number: int, arguments: tuple[int, ...], expected: int
) -> None:
    assert run(program_filter("x86_64", processes=True), X86_64, number, *arguments) == expected


@pytest.mark.parametrize(
    ("number", "arguments", "expected"),
    [
        (220, (SIGCHLD,), ALLOW),
        (220, (CLONE_NEWUSER,), EPERM),
        (261, (1,), EPERM),
        (261, (0,), ALLOW),
        (97, (), EPERM),
    ],
)
def test_the_same_on_the_other_machine(number: int, arguments: tuple[int, ...], expected: int) -> None:
    assert run(program_filter("aarch64", processes=True), AARCH64, number, *arguments) == expected
