"""The system-call filter, run instruction by instruction as the kernel would."""

from __future__ import annotations

import struct

import pytest

from evalkit.errors import UsageError
from evalkit.sandbox.seccomp import no_new_processes

X86_64, AARCH64, I386 = 0xC000003E, 0xC00000B7, 0x40000003  # AUDIT_ARCH_… of <linux/audit.h>
ALLOW, EPERM, ENOSYS, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
X32 = 0x40000000
CLONE_VM, CLONE_VFORK, CLONE_THREAD, CLONE_NEWUSER = 0x100, 0x4000, 0x10000, 0x10000000
SIGCHLD = 17
PTHREAD = 0x3D0F00  # what pthread_create passes: CLONE_VM | … | CLONE_THREAD | …


def verdict(machine: str, audit: int, number: int, *arguments: int) -> int:
    """What the filter returns for one call: the classic BPF of `<linux/filter.h>`, as far as it is used."""
    code = no_new_processes(machine)
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
        (63, (), ALLOW),  # read
        (221, (), ALLOW),  # execve
        (57, (), ALLOW),  # close, not fork
        (56, (SIGCHLD,), ALLOW),  # openat, not clone
        (-1, (), ALLOW),  # no x32 here; the kernel refuses it itself
    ],
)
def test_aarch64(number: int, arguments: tuple[int, ...], expected: int) -> None:
    assert verdict("aarch64", AARCH64, number, *arguments) == expected


@pytest.mark.parametrize(
    ("machine", "others"), [("x86_64", (I386, AARCH64, 0)), ("aarch64", (X86_64, I386, 0))]
)
def test_calls_of_another_architecture_kill(machine: str, others: tuple[int, ...]) -> None:
    for audit in others:
        for number in (0, 2, 56, 120, 220, 435):
            assert verdict(machine, audit, number, PTHREAD) == KILL


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_layout_is_an_array_of_eight_bytes_with_jumps_inside_it(machine: str) -> None:
    code = no_new_processes(machine)
    program = [struct.unpack_from("<HBBI", code, at) for at in range(0, len(code), 8)]
    assert len(code) == 8 * len(program)
    assert program[0] == (0x20, 0, 0, 4)  # the architecture comes first
    assert program[-1][0] == 0x06  # no way off the end
    for at, (operation, if_true, if_false, _) in enumerate(program):
        if operation != 0x06:
            assert at + 1 + max(if_true, if_false) < len(program)


def test_a_machine_whose_numbers_nobody_wrote_down() -> None:
    with pytest.raises(UsageError, match="the sandbox knows x86_64 and aarch64, not riscv64"):
        no_new_processes("riscv64")
