"""Programs that cheat: none passes, and none leaves anything behind for the next one in the same server.

The task of each is `add`, whose honest solution passes in the same place, before and after.
"""

from __future__ import annotations

import asyncio
import os
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.sandbox import Limits, Outcome, Program, Sandbox

TEST = """
METADATA = {"secret": "8c1b0d3e"}

def check(candidate):
    assert candidate(2, 3) == 5
    assert candidate(-1, 1) == 0
    assert abs(candidate(0.1, 0.2) - 0.3) < 1e-6
    assert candidate([1], [2]) == [1, 2]
    assert all(map(candidate, [1, 2], [1, 2])) is True

check(add)
"""
HONEST = """
import os
assert os.listdir("/tmp") == os.listdir("/dev/shm") == [] and os.getcwd() == "/tmp"
def add(x, y):
    return x + y
"""
LINE = """
import os
def is_open(n):
    try: os.fstat(n)
    except OSError: return False
    return True
(line,) = filter(is_open, range(3, 256))
"""
LIAR = (
    "__eq__ = __lt__ = __gt__ = __le__ = __ge__ = lambda *_: True; "
    "__sub__ = __abs__ = lambda self, *_: self; __hash__ = None"
)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    found = Sandbox(Limits(cpu_seconds=1, wall_seconds=2, memory_megabytes=1024, scratch_megabytes=8))
    yield found
    found.close()


def run(sandbox: Sandbox, source: str) -> Outcome:
    return asyncio.run(sandbox.run(Program(LINE + textwrap.dedent(source), TEST, ("add",))))


def under(process: int) -> list[int]:
    """The processes below `process`, as this machine sees them, itself first."""
    children = [
        int(child)
        for task in Path(f"/proc/{process}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return [process, *(found for child in children for found in under(child))]


def bubblewraps() -> list[int]:
    """Those with a server that checks programs; others run single commands for other tests."""
    found = [p for p in under(os.getpid()) if Path(f"/proc/{p}/comm").read_text().strip() == "bwrap"]
    return [p for p in found if b"\0check_server\0" in Path(f"/proc/{p}/cmdline").read_bytes()]


def assert_unharmed(sandbox: Sandbox, before: list[list[int]]) -> None:
    """The same server, alone, and an honest program passes in it."""
    assert run(sandbox, HONEST) == Outcome("passed")
    after = [under(process) for process in bubblewraps()]
    assert [processes[:2] for processes in after] == [processes[:2] for processes in before]
    assert all(len(processes) == 2 for processes in after)  # bubblewrap, the server


@pytest.fixture
def unharmed(sandbox: Sandbox) -> Iterator[None]:
    assert run(sandbox, HONEST) == Outcome("passed")
    before = [under(process) for process in bubblewraps()]
    assert len(before) >= 1
    yield
    assert_unharmed(sandbox, before)


FORGERIES = {
    "prints that it passed": "print('passed'); import sys; sys.exit(0)",
    "sys.exit while it is tested": "def add(x, y):\n    import sys; sys.exit(0)",
    "os._exit": "import os; os._exit(0)",
    "os._exit while it is tested": "def add(x, y):\n    import os; os._exit(0)",
    "an object that is equal to everything": f"class All: {LIAR}\ndef add(x, y): return All()",
    "a number that is": f"class All(int): {LIAR}\ndef add(x, y): return All(7)",
    "a list that is": f"class All(list): {LIAR}\ndef add(x, y): return All()",
    "an iterator that is": (
        f"class All:\n    {LIAR}\n    __iter__ = __next__ = lambda self: self\n"
        "def add(x, y): return All()"
    ),
    "a class whose metaclass is": (
        f"class Meta(type): {LIAR}\nclass All(metaclass=Meta): pass\n"
        "def add(x, y): return All"
    ),
    "no AssertionError": """
        import builtins
        Quiet = type("Quiet", (BaseException,), {})
        builtins.AssertionError = builtins.Exception = builtins.BaseException = Quiet
        def add(x, y): raise AssertionError
    """,
    "other builtins": """
        import builtins, unittest
        for name in ("all", "abs", "map", "exec", "compile", "print", "isinstance", "__build_class__"):
            setattr(builtins, name, lambda *_, **__: True)
        unittest.TestCase.assertEqual = lambda *_: None
        def add(x, y): return 0
    """,
    "another check": """
        def check(candidate): pass
        def add(x, y):
            import sys
            frame = sys._getframe()
            while frame:
                frame.f_globals.update(check=check, METADATA={}, verdict=lambda *_: b"P", PASSED=b"F")
                frame = frame.f_back
            return 0
    """,
    "a check that comes back": """
        import sys
        sys.setprofile(lambda frame, *_: frame.f_globals.__setitem__("check", print))
        sys.settrace(lambda frame, *_: frame.f_globals.__setitem__("check", print))
        def check(candidate): pass
        def add(x, y): return 0
    """,
    "SystemExit in a thread": """
        import os, threading, _thread
        def leave():
            _thread.interrupt_main()
            raise SystemExit(0)
        def add(x, y):
            threading.Thread(target=leave).start()
            return 0
    """,
    "os._exit in a thread": """
        import os, threading
        def add(x, y):
            threading.Thread(target=os._exit, args=(0,)).start()
            return 0
    """,
    "handlers and finalizers": """
        import atexit, os, signal, sys, weakref
        class Last:
            def __del__(self): os._exit(0)
        last = Last()
        atexit.register(os._exit, 0)
        sys.addaudithook(lambda *_: None)
        sys.excepthook = sys.unraisablehook = lambda *_: os._exit(0)
        for number in range(1, 64):
            try: signal.signal(number, lambda *_: os._exit(0))
            except (OSError, ValueError): pass
        def add(x, y): return 0
    """,
    "what a verdict looks like, to every descriptor": """
        import os
        def add(x, y):
            for n in range(256):
                for text in (b"P", b"+P", b"=" + bytes(40), b"passed", b"\\x00\\x00\\x00\\x01P"):
                    try: os.write(n, text)
                    except OSError: pass
            os._exit(0)
    """,
    "answers in advance": """
        import os
        for answer in (b"[[],5]", b"[[],0]", b"[[],0.3]", b"[[],true]"):
            os.write(line, (len(answer) + 1).to_bytes(4) + b"v" + answer)
        os._exit(0)
    """,
    "answers that are no answers": """
        import os
        def add(x, y):
            for answer in (b"v[[],[]]", b"v", b"e[[],1]", b"x[[],1]", b"v[[[1]],[\\"@\\",7]]"):
                os.write(line, len(answer).to_bytes(4) + answer)
            return 0
    """,
    "an exception that ends loops": """
        def add(x, y):
            if x == 1 or x == 2: raise StopIteration
            return x + y
    """,
    "exceptions that end processes": "def add(x, y): raise GeneratorExit",
    "an endless answer": "import itertools\ndef add(x, y): return itertools.count()",
    "a large answer": "def add(x, y): return list(range(3_000_000))",
    "a deep answer": "def add(x, y):\n    n = ()\n    for _ in range(90_000): n = (n,)\n    return n",
    "answers that are slow to compare": (
        "from decimal import Decimal\ndef add(x, y): return Decimal('1e999999999999')"
    ),
    "another number than was tested": "def add(x, y): x[:] = [5]; return 5",
    "the line taken away": "import os\ndef add(x, y):\n    os.close(line)\n    return 0",
    "the line replaced": "import os\ndef add(x, y):\n    os.dup2(0, line)\n    return 0",
    "another program in its place": (
        "import os, sys\ndef add(x, y): os.execv(sys.executable, ['python', '-c', ''])"
    ),
    "an answer that comes later": """
        import os, threading, time
        def later():
            while True:
                for answer in (b"v[[],5]", b"v[[],0]", b"v[[],0.3]", b"v[[],true]"):
                    try: os.write(line, len(answer).to_bytes(4) + answer)
                    except OSError: pass
                time.sleep(0.001)
        threading.Thread(target=later, daemon=True).start()
        def add(x, y):
            time.sleep(0.05)
            return 0
    """,
    "a tracer of its caller": """
        import sys
        def tracer(frame, event, value):
            for name, found in list(frame.f_globals.items()):
                if callable(found) and not isinstance(found, type): frame.f_globals[name] = lambda *_: True
            return tracer
        def add(x, y):
            frame = sys._getframe(1)
            while frame:
                frame.f_trace = tracer
                frame = frame.f_back
            sys.settrace(tracer)
            return 0
    """,
    "a finalizer that answers": """
        import gc, os
        class Last:
            def __del__(self):
                for answer in (b"v[[],5]", b"v[[],0]"): os.write(line, len(answer).to_bytes(4) + answer)
        def add(x, y):
            last = [Last()]
            last.append(last)
            del last
            gc.collect()
            return 0
    """,
    "a wrong answer behind a changed codec": """
        import gc, sys
        for thing in gc.get_objects() + [sys._getframe(n) for n in range(3)]:
            if isinstance(thing, dict) and "Encoder" in thing: thing["Encoder"] = None
        def add(x, y):
            frame = sys._getframe(1)
            frame.f_globals["VALUE"] = b"P"
            frame.f_globals["Encoder"].message = lambda *_: b'[[],["o","All"]]'
            return 0
    """,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", FORGERIES)
def test_no_verdict_can_be_forged(sandbox: Sandbox, name: str) -> None:
    assert run(sandbox, FORGERIES[name]).status != "passed"


HARM = {
    "signals to everybody": """
        import os, signal
        for process in (0, 1, -1, os.getppid(), *range(2, 400)):
            for number in (signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP, signal.SIGXCPU):
                if process in (0, 1):
                    signal.signal(signal.SIGTERM, signal.SIG_IGN)
                    if number != signal.SIGTERM: continue
                try: os.kill(process, number)
                except OSError: pass
        os._exit(0)
    """,
    "limits for everybody": """
        import os, resource
        for process in range(2, 400):
            try: resource.prlimit(process, resource.RLIMIT_CPU, (0, 0))
            except OSError: pass
        os._exit(0)
    """,
    "signals by way of a descriptor": """
        import fcntl, os, socket
        for process in (2, 3, -1, os.getppid()):
            try: fcntl.fcntl(line, fcntl.F_SETOWN, process)
            except OSError: pass
        fcntl.fcntl(line, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        os.write(line, bytes(4))
        os._exit(0)
    """,
    "tracing its parent": """
        import ctypes
        libc = ctypes.CDLL(None)
        PTRACE_ATTACH, PTRACE_TRACEME = 16, 0
        assert all(libc.ptrace(PTRACE_ATTACH, process, 0, 0) == -1 for process in range(400))
        assert libc.ptrace(PTRACE_TRACEME, 0, 0, 0) == -1
    """,
    "the memory of other processes": """
        import os
        for process in range(1, 400):
            for name in ("mem", "maps", "environ", "fd/0", "root/etc/passwd", "cwd/x"):
                if process == os.getpid(): continue
                try: open(f"/proc/{process}/{name}", "r+b", 0).write(b"x")
                except OSError: continue
                os.abort()
        os._exit(0)
    """,
    "a core dump": """
        import os, resource
        try: resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY,) * 2)
        except (OSError, ValueError): pass
        x = bytearray(1 << 28)
        os.abort()
    """,
    "links to what others read": """
        import os
        for place in ("/tmp", "/dev/shm"):
            for name in ("results", "verdict", "stdout", "x" * 200):
                for target in ("/proc/self/fd/0", "/proc/1/root", "/etc/passwd", "/"):
                    try: os.symlink(target, f"{place}/{name}")
                    except OSError: pass
        os.chmod("/tmp", 0)
        os._exit(0)
    """,
    "watches without end": """
        import ctypes
        libc = ctypes.CDLL(None)
        while True:
            watch = libc.inotify_init1(0)
            if watch < 0: break
            for place in (b"/tmp", b"/proc", b"/dev/shm", b"/"): libc.inotify_add_watch(watch, place, 0xFFF)
        while True: pass
    """,
    "filling the disk": """
        import os
        for folder in ("/tmp", "/dev/shm"):
            try:
                for n in range(100):
                    open(f"{folder}/{n}", "wb").write(bytes(1 << 20))
            except OSError: pass
        for n in range(100_000):
            try: os.mkdir(f"/tmp/d{n}")
            except OSError: break
        os.chmod("/tmp", 0)
    """,
    "files that nobody may remove": """
        import os
        os.makedirs("/tmp/a/b")
        os.open("/tmp/a/b/c", os.O_CREAT)
        os.mkfifo("/tmp/pipe")
        os.symlink("/", "/tmp/root")
        os.chmod("/tmp/a", 0)
        os.chmod("/tmp", 0)
        os.chdir("/")
    """,
    "filling memory": "x = []\nwhile True: x.append(bytes(1 << 20))",
    "filling memory in a thread": """
        import threading
        def fill():
            x = []
            while True: x.append(bytes(1 << 20))
        threads = [threading.Thread(target=fill) for _ in range(4)]
        for thread in threads: thread.start()
    """,
    "filling shared memory": """
        import mmap
        x = []
        while True: x.append(mmap.mmap(-1, 1 << 24)); x[-1][:] = bytes(1 << 24)
    """,
    "filling pipes and sockets": """
        import os, socket
        keep = []
        try:
            while True:
                keep.append(os.pipe()); os.set_blocking(keep[-1][1], False)
                os.write(keep[-1][1], bytes(1 << 20))
        except OSError: pass
        try:
            while True: keep.append(socket.socketpair())
        except OSError: pass
    """,
    "threads without end": """
        import threading
        wait = threading.Event()
        while True: threading.Thread(target=wait.wait, daemon=True).start()
    """,
    "one new process": "import os; os.fork()",
    "one new process, by number": """
        import ctypes
        libc = ctypes.CDLL(None)
        assert libc.fork() == -1 and libc.vfork() == -1
    """,
    "a daemon": """
        import os
        if os.fork() == 0:
            os.setsid()
            import time; time.sleep(60)
    """,
    "threads that stay": """
        import threading, time
        for _ in range(20): threading.Thread(target=time.sleep, args=(60,)).start()
    """,
    "a thread that spins": (
        "import threading\ndef spin():\n    while True: pass\nthreading.Thread(target=spin).start()"
    ),
    "sleeping": "import time; time.sleep(60)",
    "sleeping while it is tested": "import time\ndef add(x, y): time.sleep(60)",
    "waiting for its judge": "import os\ndef add(x, y): os.read(line, 1)",
    "stopping itself": (
        "import os, signal; os.kill(0, signal.SIGSTOP); os.kill(1, signal.SIGSTOP); signal.pause()"
    ),
    "spinning": "while True: pass",
    "spinning, deaf to signals": """
        import signal
        for n in range(1, 64):
            try: signal.signal(n, signal.SIG_IGN)
            except (OSError, ValueError): pass
        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 64))
        while True: pass
    """,
    "asking the kernel in circles": "import os\nwhile True: os.stat('/tmp')",
    "locking the system's files": "import fcntl\nfcntl.flock(open(fcntl.__file__), fcntl.LOCK_EX)",
    "listening": """
        import socket
        unix = socket.AF_UNIX
        for family, address in ((unix, "\\0here"), (unix, "/tmp/here"), (socket.AF_INET, ("", 0))):
            try: server = socket.socket(family); server.bind(address); server.listen(); server.close
            except OSError: pass
    """,
    "the highest of everything": """
        import os, resource
        for name in ("RLIMIT_CPU", "RLIMIT_AS", "RLIMIT_FSIZE", "RLIMIT_NOFILE"):
            for value in (resource.RLIM_INFINITY, resource.getrlimit(getattr(resource, name))[1] + 1):
                try: resource.setrlimit(getattr(resource, name), (value, value))
                except (OSError, ValueError): continue
                raise SystemExit(name)
        while True: pass
    """,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", HARM)
def test_no_harm_is_done(sandbox: Sandbox, name: str) -> None:
    outcome = run(sandbox, HARM[name])
    assert outcome.status != "passed"


SPIES = {
    "its environment": "import os; found = str(dict(os.environ)) + str(os.environb)",
    "its descriptors": """
        import os
        found = ""
        for n in [n for n in range(256) if n != line]:
            try: found += repr(os.read(n, 1 << 16))
            except OSError: pass
    """,
    "all objects": "import gc; found = ' '.join(map(repr, gc.get_objects()))",
    "all frames": """
        import sys
        found, frame = "", sys._getframe()
        while frame: found, frame = found + repr(frame.f_locals) + repr(frame.f_globals), frame.f_back
    """,
    "all of its memory": """
        import ctypes, os
        pages = []
        libc = ctypes.CDLL(None)
        read, write = os.pipe()
        for near in (id(object()), id(libc), id([]), ctypes.addressof(ctypes.c_int())):
            start = near & -4096
            for page in range(start - (4 << 20), start + (4 << 20), 4096):
                if libc.write(write, ctypes.c_void_p(page), 4096) == 4096:  # fails where nothing is mapped
                    pages.append(os.read(read, 4096))
        found = b"".join(pages).decode("latin-1")
    """,
    "the files of this machine": """
        import os, sys
        texts = []
        for folder in ("/tmp", "/home", os.path.expanduser("~"), "/etc", "/proc", "/var", "/run",
                       "/evalkit/guest", "/mnt"):
            for where, _, names in os.walk(folder):
                for name in names:
                    if not where.startswith(sys.base_prefix):
                        try: texts.append(open(os.path.join(where, name), errors="replace").read(1 << 16))
                        except OSError: pass
        found = "".join(texts)
    """,
}


@pytest.mark.slow
@pytest.mark.usefixtures("unharmed")
@pytest.mark.parametrize("name", SPIES)
def test_neither_tests_nor_other_samples_nor_secrets_can_be_read(
    sandbox: Sandbox, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a program finds, it would raise; the needles are put together by it, so as not to find itself."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-5f" + "21aa90")
    (tmp_path / "secret").write_text("sk-5f" + "21aa90")
    other = f"# other-sample-{'77' * 4}\nraise ValueError('other-' + 'sample-77777777')\n"
    for _ in range(3):
        assert run(sandbox, other).detail == "ValueError: other-sample-77777777"
    needles = [
        ("8c1b", "0d3e"),
        ("other-", "sample-77777777"),
        ("sk-5f", "21aa90"),
        ("needle-", "of-its-own"),
    ]
    look = f"""{LINE}
own = "".join(["needle-", "of-its-own"])
{textwrap.dedent(SPIES[name])}
raise ValueError([a for a, b in {needles!r} if "".join((a, b)) in found], len(found) > 0)
"""
    outcome = asyncio.run(sandbox.run(Program(look, TEST, ("add",))))
    seen = "['needle-']" if name in ("all objects", "all frames", "all of its memory") else "[]"
    assert outcome.status == "failed"
    assert outcome.detail.startswith(f"ValueError: ({seen}")


@pytest.mark.slow
def test_what_the_tests_see_of_a_server_that_ended() -> None:
    """Killed from outside, as no program can: the program is judged again, and passes."""
    sandbox = Sandbox()

    async def main() -> Outcome:
        slow = "import time\nwhile time.process_time() < 0.5: pass\n" + HONEST
        running = asyncio.ensure_future(sandbox.run(Program(slow, TEST, ("add",))))
        while not sandbox._servers.all:
            await asyncio.sleep(0.01)
        (worker,) = sandbox._servers.all
        while len(under(worker._process.pid)) < 2:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.4)
        os.kill(under(worker._process.pid)[1], 9)
        return await running

    assert asyncio.run(main()) == Outcome("passed")
    sandbox.close()
